//! What an event costs, held against what it cost when somebody last agreed to it.
//!
//! Measured is what doesn't depend on the machine: the component's size, the guest's fuel (about one unit for an
//! instruction) and the calls of the API. `tests/guards/baseline.json` holds the numbers agreed to;
//! `make bench/baseline` writes it anew, and the change of the file is then part of the change that caused it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tests::costs::{Costs, component_bytes, costs};
use tests::provisioner::repository;

/// How far a number may be from the one agreed to, in either direction, in percent. Calls have to be the same.
const TOLERANCE: f64 = 3.0;

const ACCEPT: &str = "if that is as it should be, `make bench/baseline` agrees to it";

fn measured() -> &'static Costs {
    static COSTS: OnceLock<Costs> = OnceLock::new();
    COSTS.get_or_init(|| runtime().block_on(costs()))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().expect("this machine has threads")
}

fn file() -> PathBuf {
    repository().join("tests/guards/baseline.json")
}

fn baseline() -> Value {
    if std::env::var_os("UPDATE_BASELINE").is_some() {
        static WRITTEN: OnceLock<Value> = OnceLock::new();
        return WRITTEN.get_or_init(write).clone();
    }
    let text = std::fs::read_to_string(file()).expect("make bench/baseline writes it");
    serde_json::from_str(&text).expect("the baseline is JSON")
}

fn write() -> Value {
    let events: BTreeMap<_, _> =
        measured().iter().map(|(name, (fuel, calls))| (*name, json!({"fuel": fuel, "calls": calls}))).collect();
    let baseline = json!({"component_bytes": component_bytes(), "events": events});
    let text = serde_json::to_string_pretty(&baseline).expect("a number is JSON");
    std::fs::write(file(), format!("{text}\n")).expect("the baseline can be written");
    baseline
}

/// What there is to say of a number, should it be too far from the one agreed to.
fn change(what: &str, agreed: u64, is: u64) -> Option<String> {
    let percent = (is as f64 / agreed as f64 - 1.0) * 100.0;
    (percent.abs() > TOLERANCE).then(|| format!("{what}: {agreed} became {is} ({percent:+.1} %)"))
}

fn number(agreed: &Value, what: &str) -> u64 {
    agreed.as_u64().unwrap_or_else(|| panic!("the baseline has no {what}: make bench/baseline"))
}

#[test]
fn component_is_as_large_as_it_was() {
    let agreed = number(&baseline()["component_bytes"], "component_bytes");
    let change = change("bytes of the component", agreed, component_bytes());
    assert_eq!(change, None, "{ACCEPT}");
}

#[test]
fn event_takes_as_much_work_as_it_did() {
    let agreed = baseline();
    let changes: Vec<_> = measured()
        .iter()
        .filter_map(|(name, (fuel, _))| change(name, number(&agreed["events"][name]["fuel"], name), *fuel))
        .collect();
    assert!(changes.is_empty(), "the fuel of an event changed: {changes:#?}; {ACCEPT}");
}

#[test]
fn event_takes_as_many_calls_as_it_did() {
    let agreed = baseline();
    for (name, (_, calls)) in measured() {
        let agreed = number(&agreed["events"][name]["calls"], name);
        assert_eq!(*calls, agreed, "calls of the API for an event, {name}; {ACCEPT}");
    }
}

/// Else the tolerance would have to hide chance.
#[test]
fn work_is_the_same_when_it_is_measured_again() {
    let again = runtime().block_on(costs());
    for (name, (fuel, calls)) in measured() {
        assert_eq!(again[name].1, *calls, "{name}");
        assert_eq!(change(name, *fuel, again[name].0), None);
    }
}
