//! docs/faults.md: the table, printed.

use tests::fault::Call;
use tests::provisioner::repository;

use crate::table::{Expected, Kind, Trouble, expected, troubles};

const PATH: &str = "docs/faults.md";
const WRITE: &str = "UPDATE_DOCS";

const INTRODUCTION: &str = "\
# What each fault ends in

Each row is something that can go wrong with a call, and each column is a call of the provisioner. A cell says how the
delivery ends, and a test produces every one of them: `cargo test --workspace --test faults`. `make docs` prints this
file from tests/faults/table.rs.

- **503**, **429**: the answer is empty, and the broker delivers the event again. At most one Pod of the event exists,
  and it is gated or verified. Once the fault is gone, the event ends as it would have without it.
- **failed**: the event's answer, with its reason. No Pod of the event is left.
- **as usual**: as without the fault. That is `done`; for `DELETE`, which removes a Pod that no gateway took, it is
  `failed` with `GatewayNotInjected`; for the sink, that it has the answer.
- **–**: not tested, because it can't happen here, or because the call before it goes to the same host and fails first.

A `failed` ends its event: the broker doesn't deliver it again. A duplicate gets the same answer with the same id, as
long as the API server still refuses; otherwise the duplicate is a new attempt. Once a Pod exists, a duplicate whose
`POST` is refused finds that Pod, and the answer stays `done`.

The provisioner may also stop before or after any of these calls (tests/faults/crash.rs). What it leaves is gated or
verified. A redelivery, a duplicate or a change of the gateways still leads to one Pod and `done`, or to none and
`failed`. `make soak` does all of this at random for minutes, and accounts for every event at the end.

## On the way

";

const REFUSALS: &str = "
## Refusals

A refusal is final only if the API server itself made it, which a `Status` object shows. The same code with an HTML page
comes from a proxy or a load balancer and can heal, whichever call it answers. For the sink it makes no difference.

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

/// How a delivery ends after a page with this code, whichever call to the API it answers.
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
