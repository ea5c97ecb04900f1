//! The numbers as a table, and the document that holds them.

use std::fmt::Write;
use std::process::Command;

use serde_json::{Value, json};
use tests::provisioner::repository;

use crate::gateways::{ALL, OWN};
use crate::measure::{FLOOR, HELD_AT_ONCE, HOST, NATIVE};
use crate::peer::results;
use crate::review::REVIEWED;

/// What was measured, and where.
pub fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kilobytes: f64 = memory.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    json!({
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gb": (kilobytes / 1e6).round(),
        "load_average": read("/proc/loadavg").split(' ').next(),
        "system": output("uname", &["-sr"]),
        "rustc": output("rustc", &["--version"]),
        "wasmtime": locked("wasmtime"),
        "commit": output("git", &["rev-parse", "--short", "HEAD"]),
        "is_changed": !output("git", &["status", "--porcelain"]).is_empty(),
        "date": chrono::Utc::now().format("%Y-%m-%d").to_string(),
    })
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(repository()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// The version of a dependency, as `Cargo.lock` has it.
fn locked(name: &str) -> String {
    let text = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap_or_default();
    let behind = text.split_once(&format!("name = \"{name}\"\nversion = \"")).map(|(_, behind)| behind);
    behind.and_then(|behind| behind.split('"').next()).unwrap_or_default().to_owned()
}

/// Prints all of it.
pub fn print(report: &Value) {
    println!("{}", tables(report));
}

fn tables(report: &Value) -> String {
    let mut text = String::new();
    let machine = &report["machine"];
    let is_changed = if machine["is_changed"] == true { ", with changes" } else { "" };
    _ = writeln!(
        text,
        "Commit {}{is_changed}, {}; plan `{}`; {} × {}, {} GB; {}; {}; wasmtime {}; load average at the start {}.",
        word(&machine["commit"]),
        word(&machine["date"]),
        word(&report["plan"]),
        machine["cores"],
        word(&machine["processor"]),
        machine["memory_gb"],
        word(&machine["system"]),
        word(&machine["rustc"]),
        word(&machine["wasmtime"]),
        word(&machine["load_average"]),
    );
    if let Some(rows) = report["gateways"].as_array() {
        gateways_table(&mut text, rows);
        return text;
    }
    for (name, compared) in entries(&report["compare"]) {
        compare_table(&mut text, name, compared);
    }
    review_table(&mut text, &report["review"]);
    start_table(&mut text, report);
    events_table(&mut text, report);
    burst_table(&mut text, &report["burst"]);
    growth_tables(&mut text, &report["growth"]);
    text
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// By number, where names are numbers.
fn sorted(value: &Value) -> Vec<(&String, &Value)> {
    let mut all: Vec<_> = entries(value).collect();
    all.sort_by_key(|(name, _)| name.parse::<u64>().unwrap_or_default());
    all
}

/// A number with as many digits as say something.
fn digits(value: &Value) -> String {
    match value.as_f64() {
        None => "–".to_owned(),
        Some(number) if number == 0.0 || number.abs() >= 100.0 => format!("{number:.0}"),
        Some(number) if number.abs() >= 10.0 => format!("{number:.1}"),
        Some(number) => format!("{number:.2}"),
    }
}

/// A median, and from where to where it lies.
fn spread(value: &Value) -> String {
    let middle = digits(&value["middle"]);
    match (&value["between"][0], &value["between"][1]) {
        (Value::Null, _) => middle,
        (low, high) => format!("{middle} ({} to {})", digits(low), digits(high)),
    }
}

/// A row of a Markdown table.
fn row(text: &mut String, cells: &[String]) {
    _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn head(text: &mut String, title: &str, cells: &[&str]) {
    _ = writeln!(text, "\n### {title}\n");
    row(text, &cells.iter().map(ToString::to_string).collect::<Vec<_>>());
    row(text, &cells.iter().map(|_| "---".to_owned()).collect::<Vec<_>>());
}

fn compare_table(text: &mut String, name: &str, compared: &Value) {
    head(
        text,
        &capitalized(name),
        &[
            "at once",
            "target",
            "events/s",
            "of the floor",
            "p50 ms",
            "added",
            "p90 ms",
            "p99 ms",
            "CPU µs/event",
            "calls/event",
            "connections",
            "again",
        ],
    );
    for (at_once, targets) in sorted(compared) {
        for (target, one) in entries(targets) {
            let calls = one["calls"].as_f64().unwrap_or_default() / one["events"].as_f64().unwrap_or(f64::NAN);
            let calls = if calls > 0.0 { json!(calls) } else { Value::Null };
            let compared = |what: &str| if target == FLOOR { "–".to_owned() } else { spread(&one[what]) };
            let mut cells = vec![
                at_once.clone(),
                target.clone(),
                digits(&one["events_per_second"]),
                compared("throughput_of_floor"),
                digits(&one["p50_ms"]),
                compared("p50_added_ms"),
            ];
            cells.extend([&one["p90_ms"], &one["p99_ms"], &one["processor_us"], &calls].map(digits));
            cells.push(one["connections"].as_u64().map_or("–".to_owned(), |number| number.to_string()));
            cells.push(one["redeliveries"].to_string());
            row(text, &cells);
        }
    }
}

fn gateways_table(text: &mut String, rows: &[Value]) {
    let columns = ["creates/s, called for all", "p50 ms", "creates/s, called for its own", "p50 ms", "×"];
    head(text, "Creates through the gateways' webhooks", &[&["gateways", "at once"], &columns[..]].concat());
    for one in rows {
        let mut cells = vec![one["gateways"].to_string(), one["at_once"].to_string()];
        cells.extend(
            [ALL, OWN].iter().flat_map(|whose| ["events_per_second", "p50_ms"].map(|what| digits(&one[whose][what]))),
        );
        cells.push(spread(&one[OWN]["throughput_of_floor"]));
        row(text, &cells);
    }
}

fn review_table(text: &mut String, review: &Value) {
    let columns = ["API", "at once", "events/s", "with the review", "×", "p50 ms", "with the review", "added"];
    head(text, "Review of the sender's token", &columns);
    for (api, of_api) in entries(review) {
        for (at_once, targets) in sorted(of_api) {
            let (without, with) = (&targets[HOST], &targets[REVIEWED]);
            let [rate, p50] = ["events_per_second", "p50_ms"].map(|what| [without, with].map(|one| digits(&one[what])));
            let [ratio, added] = ["throughput_of_floor", "p50_added_ms"].map(|what| spread(&with[what]));
            row(
                text,
                &[vec![api.clone(), at_once.clone()], rate.into(), vec![ratio], p50.into(), vec![added]].concat(),
            );
        }
    }
}

fn capitalized(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

fn start_table(text: &mut String, report: &Value) {
    let targets = [FLOOR, NATIVE, HOST];
    head(text, "Start", &["what", FLOOR, NATIVE, HOST]);
    for (what, field) in [
        ("load and compile the component, ms", "load_ms"),
        ("process started to listening, ms", "listening_ms"),
        ("first event after that, ms", "first_event_ms"),
        ("× floor", "first_event_of_floor"),
        ("second event, ms", "second_event_ms"),
        ("× floor", "second_event_of_floor"),
        ("an instance that makes no call, µs", "instance_us"),
    ] {
        let cells = targets.map(|target| digits(&report["start"][target][field]));
        row(text, &[&[what.to_owned()], cells.as_slice()].concat());
    }
    head(text, "Memory", &["what", NATIVE, HOST, "host / native"]);
    let memory = &report["memory"];
    let events = format!("after {} events, MB", memory[HOST]["events"]);
    let held = HELD_AT_ONCE.map(|at_once| (format!("after {at_once} at once, MB"), format!("at_{at_once}_mb")));
    let fixed = [("idle, MB", "idle_mb"), (&events, "after_events_mb"), ("the most, MB", "peak_mb")];
    let [idle, after, most] = fixed.map(|(what, field)| (what.to_owned(), field.to_owned()));
    for (what, field) in [idle].into_iter().chain(held).chain([after, most]) {
        let [native, host] = [NATIVE, HOST].map(|target| &memory[target][field.as_str()]);
        let ratio = json!(host.as_f64().unwrap_or(f64::NAN) / native.as_f64().unwrap_or(f64::NAN));
        row(text, &[what, digits(native), digits(host), digits(&ratio)]);
    }
}

fn events_table(text: &mut String, report: &Value) {
    head(text, "Work of an event", &["event", "guest fuel", "API calls"]);
    for (name, event) in entries(&report["events"]) {
        row(text, &[name.clone(), event["fuel"].to_string(), event["calls"].to_string()]);
    }
    _ = writeln!(text, "\nThe component has {} bytes.", report["component_bytes"]);
}

fn burst_table(text: &mut String, burst: &Value) {
    let cells =
        ["target", "events", "Pods", "again", "events/s", "p50 ms", "last ms", "× floor", "connections", "peak MB"];
    head(text, "Burst: all events at once", &cells);
    let last = |one: &Value| one["max_ms"].as_f64().unwrap_or(f64::NAN);
    for (name, one) in entries(burst) {
        let of_floor = json!(last(one) / last(&burst[FLOOR]));
        let mut cells = vec![name.clone()];
        cells.extend(["events", "pods_made", "redeliveries"].map(|field| one[field].to_string()));
        let numbers = [&one["events_per_second"], &one["p50_ms"], &one["max_ms"], &of_floor];
        cells.extend(numbers.map(digits));
        cells.push(one["connections"].to_string());
        cells.push(digits(&one["peak_mb"]));
        row(text, &cells);
    }
}

fn growth_tables(text: &mut String, growth: &Value) {
    for (what, title) in [
        ("pods", "Growth: Pods there already"),
        ("gateways", "Growth: gateways in the list"),
        ("bytes", "Growth: bytes of an event's data"),
    ] {
        let columns = [what, "floor p50 ms", "native p50 ms", "× floor", "host p50 ms", "× floor", "guest fuel"];
        head(text, title, &columns);
        for (size, targets) in sorted(&growth[what]) {
            let mut cells = vec![size.clone(), digits(&targets[FLOOR]["p50_ms"])];
            for name in [NATIVE, HOST] {
                cells.extend([&targets[name]["p50_ms"], &targets[name]["p50_of_floor"]["middle"]].map(digits));
            }
            cells.push(targets["fuel"].as_u64().map_or("–".to_owned(), |fuel| fuel.to_string()));
            row(text, &cells);
        }
    }
}

const BEGIN: &str = "<!-- measured: `make bench/docs` writes from here -->";
const END: &str = "<!-- measured: to here -->";

/// Writes the numbers of the last run between the two marks of the document; what is around them stays.
pub fn write_document() -> Result<(), String> {
    let last = results().join("last.json");
    let text = std::fs::read_to_string(&last).map_err(|_| "there are no numbers yet: make bench".to_owned())?;
    let report: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", last.display()))?;
    let path = repository().join("docs/performance.md");
    let document = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let marks = || format!("{} lacks its marks {BEGIN:?} and {END:?}", path.display());
    let (before, rest) = document.split_once(BEGIN).ok_or_else(marks)?;
    let (_, after) = rest.split_once(END).ok_or_else(marks)?;
    let document = format!("{before}{BEGIN}\n\n{}\n{END}{after}", tables(&report));
    std::fs::write(&path, document).map_err(|error| format!("{}: {error}", path.display()))
}
