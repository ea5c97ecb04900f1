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
tests/faults/table.rs, and `make docs` prints this file from it).

- **503**, **429**: an empty answer, and the broker delivers the event again. There is at most one Pod of it, behind its
  gate unless it was seen to be routed. Once the fault is gone, the event ends as it would have without.
- **failed**: the event's answer, with its reason. No Pod of it is left.
- **as usual**: `done`; for `DELETE`, which removes a Pod that nobody routed, `failed` with `GatewayNotInjected`. For the
  sink: it has the answer.
- **–**: not brought about. The call before it goes to the same host, and meets the fault first; or nobody says such a
  thing there.

A `failed` is an event's end: a broker that has it delivers the event no more. A duplicate that comes all the same gets the
same answer, with the same id, for as long as the API server refuses; when it doesn't any more, the duplicate is a new try. The other
way round nothing changes: once there is a Pod, a duplicate whose `POST` is refused finds it, and the answer stays `done`.

The instance may also end, before or after any of these calls: whatever is left is gated or was seen to be routed, and a
redelivery, a duplicate or a change of the gateways in between still leads to one Pod and `done`, or to none and `failed`
(tests/faults/crash.rs). `make soak` does all of it at random, for minutes, and balances the ledger at the end.

## On the way

";

const REFUSALS: &str = "
## Refusals

Only the API server's own word is final, which is a `Status` object. The same code with a page of HTML is a proxy's or a
load balancer's, whichever call it answers, and heals. For the sink it makes no difference.

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

fn cells(kind: &Kind) -> Vec<String> {
    Call::ALL.map(|call| cell(expected(call, kind))).into()
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
    let mut text = format!("| {first} | {} |\n|{}\n", headings.join(" | "), "---|".repeat(1 + headings.len()));
    for (label, cells) in rows {
        text.push_str(&format!("| {label} | {cells} |\n"));
    }
    text
}

/// What a page of this code ends in, whichever call of the API it answers.
fn page(code: &str, troubles: &[Trouble]) -> String {
    let Some(page) = troubles.iter().find(|trouble| matches!(trouble.kind, Kind::Page(_)) && trouble.label == code)
    else {
        return cell(Expected::NotMet);
    };
    let (sink, mut api) = cells(&page.kind).split_last().map(|(sink, api)| (sink.clone(), api.to_vec())).unwrap();
    api.dedup();
    assert_eq!((api.len(), sink.as_str()), (1, "503"), "{code}: a page is nobody's word");
    api.remove(0)
}

fn document() -> String {
    let troubles = troubles();
    let of = |is_wanted: fn(&Kind) -> bool| troubles.iter().filter(move |trouble| is_wanted(&trouble.kind));
    let on_the_way = of(|kind| !matches!(kind, Kind::Page(_) | Kind::Status(..)));
    let on_the_way = on_the_way.map(|trouble| (trouble.label.clone(), cells(&trouble.kind)));
    let refused = of(|kind| matches!(kind, Kind::Status(..)));
    let refused = refused.map(|trouble| {
        let page = page(&trouble.label, &troubles);
        (trouble.label.clone(), [vec![page], cells(&trouble.kind)].concat())
    });
    let calls = Call::ALL.map(heading).map(str::to_owned);
    let apart = [vec!["a page".to_owned()], calls.iter().map(|call| format!("`Status`: {call}")).collect()].concat();
    let tables =
        [table("what goes wrong", &calls, rows(on_the_way.collect())), table("code", &apart, rows(refused.collect()))];
    [INTRODUCTION, &tables[0], REFUSALS, &tables[1]].concat()
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
