//! What an event costs, held against what it cost when somebody last agreed to it: never more, and less is welcome.
//!
//! Measured is what doesn't depend on the machine: the component's size, the guest's fuel (about one unit for an
//! instruction) and the calls of the API. `tests/guards/baseline.json` holds the numbers agreed to;
//! `make bench/baseline` writes it anew, and the change of the file is then part of the change that caused it.

use serde_json::{Value, json};
use tests::costs::{component_bytes, costs};
use tests::provisioner::repository;

/// How far a number may be above the one agreed to, in percent. Of calls there may be none more.
const TOLERANCE: f64 = 3.0;

/// How many bytes the component may have, whatever anybody agrees to.
const LARGEST_COMPONENT: u64 = 650_000;

/// The numbers agreed to, which are those measured where somebody agrees to them now.
fn agreed_to(measured: &Value) -> Value {
    let file = repository().join("tests/guards/baseline.json");
    if std::env::var_os("UPDATE_BASELINE").is_some() {
        std::fs::write(&file, format!("{measured:#}\n")).expect("the baseline can be written");
    }
    let text = std::fs::read_to_string(file).expect("make bench/baseline writes it");
    serde_json::from_str(&text).expect("the baseline is JSON")
}

/// Whether a number is too far above another.
fn is_more(number: &Value, agreed: &Value) -> bool {
    let [number, agreed] = [number, agreed].map(|number| number.as_f64().expect("it is a number"));
    number > agreed * (1.0 + TOLERANCE / 100.0)
}

#[tokio::test]
async fn an_event_takes_no_more_work_and_no_more_calls_and_the_component_no_more_bytes_than_agreed() {
    assert!(component_bytes() <= LARGEST_COMPONENT, "the component has {} bytes", component_bytes());
    let measured = costs().await;
    let agreed = agreed_to(&json!({"component_bytes": component_bytes(), "events": measured}));
    let mut grown = Vec::new();
    if is_more(&component_bytes().into(), &agreed["component_bytes"]) {
        grown.push(format!("{} bytes", component_bytes()));
    }
    let [events, known] = [&measured, &agreed["events"]].map(|events| events.as_object().expect("there are events"));
    assert_eq!(events.keys().collect::<Vec<_>>(), known.keys().collect::<Vec<_>>(), "each kind is held to something");
    for (name, cost) in events {
        if is_more(&cost["fuel"], &known[name]["fuel"]) || cost["calls"].as_u64() > known[name]["calls"].as_u64() {
            grown.push(format!("{name}: {} became {cost}", known[name]));
        }
    }
    assert!(grown.is_empty(), "{grown:#?}; if that is as it should be, `make bench/baseline` agrees to it");
}
