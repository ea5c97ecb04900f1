//! docs/faults.md: the table, printed.

use tests::fault::Call;
use tests::provisioner::repository;

use crate::table::{BEGINNING, Event, Expected, Kind, LIFE, Step, Trouble, expected, troubles};

const PATH: &str = "docs/faults.md";
const WRITE: &str = "UPDATE_DOCS";

const INTRODUCTION: &str = "\
# What each fault ends in

Each row is a fault, and each column is a call of the provisioner: first the calls that create a client, then those of
its life and of its sender's review. A cell says how the delivery ends. A test produces each of them:
`cargo test --workspace --test faults`. `make docs` prints this file from tests/faults/table.rs.

- **503**, **429**: the answer is empty, and the broker delivers the event again. At most one Pod of the event exists,
  and it is gated or verified. Once the fault is gone, the event ends as it would have without it.
- **failed**: the event's answer, with its reason. No Pod of the event is left; a client that can't be ended still
  exists.
- **as usual**: as without the fault. In a client's beginning that is `done`, and for `DELETE`, which removes a Pod that
  no gateway took, `failed` with `GatewayNotInjected`. In a client's life it is the report or `termination.done`.
- **202**: nothing is reported.
- **–**: not tested, because it can't happen here, or because an earlier call to the same host fails first.

A `failed` ends its event: the broker doesn't deliver it again. A duplicate gets the same answer with the same id, as
long as the API server still refuses; otherwise the duplicate is a new attempt. Once a Pod exists, a duplicate whose
`POST` is refused finds that Pod, and the answer stays `done`.

The provisioner may also stop before or after any of these calls (tests/faults/crash.rs). A Pod that it leaves is gated
or verified. With a redelivery, a duplicate or a change of the gateways, the event still ends with one Pod and `done`, or
with none and `failed`. `make soak` causes all of this at random for minutes, and accounts for every event at the end.

A refusal is final only if it has a `Status` object, which shows that the API server itself refused. The same code with an
HTML page comes from a proxy or a load balancer, and can heal, whatever the call. After any refusal by the sink, or of the
review of a sender's token, the answer is 503, even after 429.

## A client's beginning

";

const REFUSALS: &str = "
### Refusals

";

const LIFE_INTRODUCTION: &str = "
## A client's life, and its sender

- A change of a Pod takes a `GET`, and a `PATCH` that records the report.
- The sweep takes a `LIST`, and then the same for each Pod. The next sweep does what it doesn't finish.
- The end of a client takes a `PATCH` that records the request, and a `DELETE`.
- A report goes to the sink, which the table above covers.

With `sender_audience`, the review of the sender's token comes first. If the review itself fails, the answer is never 401,
because nothing is known about the token.

";

fn cell(expected: Expected) -> String {
    match expected {
        Expected::Retry(false) => "503".to_owned(),
        Expected::Retry(true) => "429".to_owned(),
        Expected::Failed(reason) => format!("failed, `{reason}`"),
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

fn document() -> String {
    let [[on_the_way, refusals], [in_life, refusals_in_life]] = [tables(&BEGINNING), tables(&LIFE)];
    let beginning = [INTRODUCTION, &on_the_way, REFUSALS, &refusals];
    [&beginning[..], &[LIFE_INTRODUCTION, &in_life, REFUSALS, &refusals_in_life]].concat().concat()
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
