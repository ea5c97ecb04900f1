//! docs/faults.md: its tables are the table, printed.

use tests::fault::Call;
use tests::provisioner::repository;

use crate::table::{BEGINNING, Event, Expected, Kind, LIFE, Step, Trouble, expected, troubles};

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

fn heading((event, call): Step) -> String {
    let call = match call {
        Call::Create => "`POST pods`",
        Call::Get => "`GET pods/…`",
        Call::Release | Call::Note | Call::Terminate => "`PATCH pods/…`",
        Call::Delete => "`DELETE pods/…`",
        Call::Template => "`GET podtemplates/…`",
        Call::List => "`GET pods`",
        Call::Review => "`POST tokenreviews`",
        Call::Sink => "`POST` to the sink",
    };
    let event = match event {
        Event::Pending => "",
        Event::Update => "change: ",
        Event::Ping => "sweep: ",
        Event::Termination => "end: ",
    };
    format!("{event}{call}")
}

fn cells(steps: &[Step], kind: &Kind) -> Vec<String> {
    steps.iter().map(|step| cell(expected(*step, kind))).collect()
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

/// What a page of this code ends in, whichever call of the API it answers.
fn page(code: &str, troubles: &[Trouble]) -> String {
    let Some(page) = troubles.iter().find(|trouble| matches!(trouble.kind, Kind::Page(_)) && trouble.label == code)
    else {
        return cell(Expected::NotMet);
    };
    let steps = BEGINNING.iter().chain(&LIFE);
    let (apart, of_the_api): (Vec<Step>, Vec<Step>) =
        steps.partition(|(_, call)| [Call::Sink, Call::Review].contains(call));
    let [apart, mut of_the_api] = [apart, of_the_api].map(|steps| cells(&steps, &page.kind));
    of_the_api.dedup();
    assert!(of_the_api.len() == 1 && apart.iter().all(|cell| cell == "503"), "{code}: a page is nobody's word");
    of_the_api.remove(0)
}

/// What can go wrong with these calls: on the way, and by a refusal.
fn tables(steps: &[Step]) -> [String; 2] {
    let troubles = troubles();
    let of = |is_wanted: fn(&Kind) -> bool| troubles.iter().filter(move |trouble| is_wanted(&trouble.kind));
    let on_the_way = of(|kind| !matches!(kind, Kind::Page(_) | Kind::Status(..)));
    let on_the_way = on_the_way.map(|trouble| (trouble.label.clone(), cells(steps, &trouble.kind)));
    let refused = of(|kind| matches!(kind, Kind::Status(..)));
    let refused = refused.map(|trouble| {
        let page = page(&trouble.label, &troubles);
        (trouble.label.clone(), [vec![page], cells(steps, &trouble.kind)].concat())
    });
    let calls: Vec<_> = steps.iter().copied().map(heading).collect();
    let apart = [vec!["a page".to_owned()], calls.iter().map(|call| format!("`Status`: {call}")).collect()].concat();
    [table("what goes wrong", &calls, rows(on_the_way.collect())), table("code", &apart, rows(refused.collect()))]
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
