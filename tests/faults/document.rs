//! docs/faults.md: the table, printed.

use tests::fault::Call;
use tests::provisioner::repository;

use crate::table::{Expected, Kind, Trouble, expected, troubles};

const PATH: &str = "docs/faults.md";
const WRITE: &str = "UPDATE_DOCS";

const INTRODUCTION: &str = "\
# What each fault ends in

One row for whatever can go wrong with a call of the provisioner, one column for each of its calls. The cells are what the
delivery ends in, and a test brings every one of them about: `cargo test --workspace --test faults` (the table is
tests/faults/table.rs, and `make docs` prints this file from it). A code is answered once with the API server's `Status`
object, and once with a page of HTML, as from a proxy in between: the cells are the same.

- **503**, **429**: an empty answer, and the broker delivers the event again. There is at most one Pod of it, behind its
  gate unless it was seen to be routed. Once the fault is gone, the event ends as it would have without.
- **failed**: the event's answer, with its reason. No Pod of it is left.
- **as usual**: `done`; for `DELETE`, which removes a Pod that nobody routed, `failed` with `GatewayNotInjected`. For the
  sink: it has the answer.
- **–**: not brought about. The call before it goes to the same host, and meets the fault first.

A `failed` is an event's end: a broker that has it delivers the event no more. A duplicate that comes all the same gets the
same answer, with the same id, for as long as the API server refuses; when it doesn't any more, the duplicate is a new try. The other
way round nothing changes: once there is a Pod, a duplicate whose `POST` is refused finds it, and the answer stays `done`.

The instance may also end, before or after any of these calls: whatever is left is gated or was seen to be routed, and a
redelivery, a duplicate or a change of the gateways in between still leads to one Pod and `done`, or to none and `failed`
(tests/faults/crash.rs). `make soak` does all of it at random, for minutes, and balances the ledger at the end.

";

fn cell(expected: Expected) -> String {
    match expected {
        Expected::Retry(false) => "503".to_owned(),
        Expected::Retry(true) => "429".to_owned(),
        Expected::Failed(reason) => format!("failed, `{reason}`"),
        Expected::AsUsual => "as usual".to_owned(),
        Expected::NotMet => "–".to_owned(),
    }
}

fn heading(call: Call) -> &'static str {
    match call {
        Call::Create => "`POST pods`",
        Call::Get => "`GET pods/…`",
        Call::Release => "`PATCH pods/…`",
        Call::Delete => "`DELETE pods/…`",
        Call::Template => "`GET podtemplates/…`",
        Call::Sink => "`POST` to the sink",
    }
}

fn cells(trouble: &Trouble) -> String {
    Call::ALL.map(|call| cell(expected(call, &trouble.kind))).join(" | ")
}

/// Codes with the same cells share a row; whatever else goes wrong has its own.
fn rows() -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    for trouble in troubles() {
        let (label, cells) = (trouble.label.clone(), cells(&trouble));
        let is_code = matches!(trouble.kind, Kind::Status(..) | Kind::Redirect(_)) && label.len() == 3;
        let same =
            rows.iter_mut().find(|(labels, found)| is_code && *found == cells && labels.starts_with(char::is_numeric));
        match same {
            Some((labels, _)) if labels.split(", ").any(|known| known == label) => (),
            Some((labels, _)) => labels.push_str(&format!(", {label}")),
            None => rows.push((label, cells)),
        }
    }
    rows
}

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str(&format!("| what goes wrong | {} |\n", Call::ALL.map(heading).join(" | ")));
    text.push_str(&format!("|{}\n", "---|".repeat(1 + Call::ALL.len())));
    for (label, cells) in rows() {
        text.push_str(&format!("| {label} | {cells} |\n"));
    }
    text
}

#[test]
fn the_document_says_what_the_table_says() {
    let path = repository().join(PATH);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == document(), "{PATH} differs from tests/faults/table.rs: `make docs` writes it anew");
}
