//! Tables in the documentation, so that tests can hold them against what they prove.

use crate::provisioner::repository;

/// The cells of the first column of the table below the heading `heading` in the file `path` of the repository.
///
/// # Panics
/// When there is no such file, heading or table.
pub fn first_column(path: &str, heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(repository().join(path)).expect("the document is there");
    let section = text.lines().skip_while(|line| line.trim_start_matches('#').trim() != heading);
    let rows = section.skip(1).skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells: Vec<String> =
        rows.skip(2).map(|row| row.split('|').nth(1).unwrap_or_default().trim().to_owned()).collect();
    assert!(!cells.is_empty(), "{path} has no table below {heading:?}");
    cells
}
