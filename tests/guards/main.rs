//! What an event costs, held against what it cost when somebody last agreed to it: never more, and less is welcome.
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

/// How far a number may be above the one agreed to, in percent. Of calls there may be none more.
const TOLERANCE: f64 = 3.0;

/// How many bytes the component may have, whatever anybody agrees to.
const LARGEST_COMPONENT: u64 = 650_000;

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

/// What there is to say of a number, should it be too far above the one agreed to.
fn growth(what: &str, agreed: u64, is: u64) -> Option<String> {
    let percent = (is as f64 / agreed as f64 - 1.0) * 100.0;
    (percent > TOLERANCE).then(|| format!("{what}: {agreed} became {is} ({percent:+.1} %)"))
}

fn number(agreed: &Value, what: &str) -> u64 {
    agreed.as_u64().unwrap_or_else(|| panic!("the baseline has no {what}: make bench/baseline"))
}

#[test]
fn component_is_no_larger_than_it_was() {
    let agreed = number(&baseline()["component_bytes"], "component_bytes");
    assert_eq!(growth("bytes of the component", agreed, component_bytes()), None, "{ACCEPT}");
    assert!(component_bytes() <= LARGEST_COMPONENT, "the component has {} bytes", component_bytes());
}

#[test]
fn event_takes_no_more_work_than_it_did() {
    let agreed = baseline();
    let grown: Vec<_> = measured()
        .iter()
        .filter_map(|(name, (fuel, _))| growth(name, number(&agreed["events"][name]["fuel"], name), *fuel))
        .collect();
    assert!(grown.is_empty(), "the fuel of an event grew: {grown:#?}; {ACCEPT}");
}

#[test]
fn event_takes_no_more_calls_than_it_did() {
    let agreed = baseline();
    for (name, (_, calls)) in measured() {
        let agreed = number(&agreed["events"][name]["calls"], name);
        assert!(*calls <= agreed, "{calls} calls of the API for an event, {name}, and not {agreed}; {ACCEPT}");
    }
}

/// A kind of event that is no longer measured would be held to nothing.
#[test]
fn what_was_agreed_to_is_still_measured() {
    let agreed = baseline();
    let names: Vec<_> = agreed["events"].as_object().expect("there are events").keys().collect();
    assert_eq!(names, measured().keys().collect::<Vec<_>>(), "{ACCEPT}");
}

/// Else the tolerance would have to hide chance.
#[test]
fn work_is_the_same_when_it_is_measured_again() {
    let again = runtime().block_on(costs());
    for (name, (fuel, calls)) in measured() {
        assert_eq!(again[name].1, *calls, "{name}");
        assert_eq!((growth(name, *fuel, again[name].0), growth(name, again[name].0, *fuel)), (None, None));
    }
}

/// `host/Cargo.toml` gives both sides the same features, for the version that wasmtime has.
#[test]
fn wasmparser_is_built_once_for_wasmtime_and_its_macros() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["tree", "--package=local", "--edges=normal,build", "--duplicates", "--depth=0"]);
    let twice = String::from_utf8(cargo.output().expect("cargo runs").stdout).expect("names are ASCII");
    assert!(twice.contains(" v") && !twice.contains("wasmparser"), "{twice}");
}
