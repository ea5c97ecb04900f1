//! docs/faults.md: its tables are the table, printed.

use tests::provisioner::repository;

use crate::table::{BEGINNING, Expected, Kind, LIFE, Step, Trouble, expected, troubles};

fn cell(expected: Expected) -> String {
    match expected {
        Expected::Retry(false) => "503".to_owned(),
        Expected::Retry(true) => "429".to_owned(),
        Expected::Failed(reason) => format!("failed, `{reason:?}`"),
        Expected::AsUsual => "as usual".to_owned(),
        Expected::Ignored => "202".to_owned(),
        Expected::NotMet => "–".to_owned(),
    }
}

/// Codes that say the same and have the same cells share a row; whatever else goes wrong has its own.
fn rows(troubles: Vec<(String, Vec<String>)>) -> Vec<(String, String)> {
    let mut rows: Vec<(String, &str, &[String])> = Vec::new();
    for (label, cells) in &troubles {
        let codes = label.bytes().take_while(u8::is_ascii_digit).count();
        let (code, said) = label.split_at(codes);
        match rows.iter_mut().find(|(_, known, found)| codes > 0 && *known == said && found == cells) {
            Some((known, ..)) if known.split(", ").any(|known| known == code) => (),
            Some((known, ..)) => known.push_str(&format!(", {code}")),
            None => rows.push((code.to_owned(), said, cells)),
        }
    }
    rows.into_iter().map(|(codes, said, cells)| (codes + said, cells.join(" | "))).collect()
}

fn table(first: &str, headings: &[String], rows: Vec<(String, String)>) -> String {
    let head = [format!("| {first} | {} |", headings.join(" | ")), format!("|{}", "---|".repeat(1 + headings.len()))];
    let rows = rows.into_iter().map(|(label, cells)| format!("| {label} | {cells} |"));
    head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

/// What can go wrong with these calls: on the way, and by a refusal.
fn tables(calls: &[(Step, &str)]) -> [String; 2] {
    let troubles = troubles();
    let cells = |kind: &Kind| -> Vec<_> { calls.iter().map(|(step, _)| cell(expected(*step, kind))).collect() };
    // What a page ends in, whichever call of the API it answers; not where more was said than the code.
    let page = |code: &str| {
        let page = troubles.iter().find(|trouble| matches!(trouble.kind, Kind::Page(_)) && trouble.label == code);
        cell(page.map_or(Expected::NotMet, |page| expected(BEGINNING[0].0, &page.kind)))
    };
    let (mut on_the_way, mut refused) = (Vec::new(), Vec::new());
    for Trouble { label, kind } in &troubles {
        match kind {
            Kind::Page(_) => (),
            Kind::Status(..) => refused.push((label.clone(), [vec![page(label)], cells(kind)].concat())),
            _ => on_the_way.push((label.clone(), cells(kind))),
        }
    }
    let calls: Vec<_> = calls.iter().map(|(_, name)| (*name).to_owned()).collect();
    let apart = [vec!["a page".to_owned()], calls.iter().map(|call| format!("`Status`: {call}")).collect()].concat();
    [table("what goes wrong", &calls, rows(on_the_way)), table("code", &apart, rows(refused))]
}

/// The document with its tables printed anew, each a paragraph of its own.
fn printed(document: &str) -> String {
    let mut tables = [tables(&BEGINNING), tables(&LIFE)].concat().into_iter();
    let paragraphs = document.trim_end().split("\n\n");
    let paragraphs = paragraphs.map(|text| match text.starts_with('|') {
        true => tables.next().expect("there are four tables"),
        false => text.to_owned(),
    });
    paragraphs.collect::<Vec<_>>().join("\n\n") + "\n"
}

#[test]
fn the_document_says_what_the_table_says() {
    let path = repository().join("docs/faults.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let printed = printed(&document);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(&path, printed).unwrap();
    }
    assert!(document == printed, "docs/faults.md differs from tests/faults/table.rs: `make docs` writes it anew");
}
