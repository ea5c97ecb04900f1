//! Tables in the documentation, so that tests can hold them against what they prove.

use crate::provisioner::repository;

/// The cells of the first column of the table below the heading `heading` in the file `path` of the repository.
///
/// # Panics
/// When there is no such file, heading or table.
pub fn first_column(path: &str, heading: &str) -> Vec<String> {
    rows(path, heading).into_iter().map(|mut cells| cells.swap_remove(0)).collect()
}

/// The cells of that table, row by row. A `\|` is part of its cell, as it is written.
///
/// # Panics
/// When there is no such file, heading or table.
pub fn rows(path: &str, heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(repository().join(path)).expect("the document is there");
    let section = text.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading);
    let rows = section.skip(1).skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows: Vec<_> = rows.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "{path} has no table below {heading:?}");
    rows
}

fn cells(row: &str) -> Vec<String> {
    const ESCAPED: &str = "\u{0}";
    let row = row.replace("\\|", ESCAPED);
    let inner = row.trim_matches('|').split('|');
    inner.map(|cell| cell.trim().replace(ESCAPED, "\\|")).collect()
}
