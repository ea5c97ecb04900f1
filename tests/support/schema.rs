//! The JSON Schemas of `docs/schemas`, and every event that the tests see held against them.
//!
//! An event in binary mode is brought into the shape of structured mode first, so that one schema speaks of attributes,
//! extensions and data; an answer is in binary mode only where no header has to be encoded for it. `$ref`s are read from
//! `docs/schemas` and from nowhere else.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{LazyLock, OnceLock};

use http::HeaderMap;
use jsonschema::{Retrieve, Uri, Validator};
use properties::wire::{attributes, structured};
use provisioner::reply;
use serde_json::Value;

use crate::provisioner::repository;

/// The schemas' files, relative to the repository.
pub const FOLDER: &str = "docs/schemas";
/// The base of the schemas' names in memory: it ends in no place that could be asked.
const BASE: &str = "repository:///";

/// What is told, by its type: the compiled schema of each.
static TOLD: LazyLock<BTreeMap<&str, Validator>> =
    LazyLock::new(|| reply::ALL.into_iter().map(|ty| (ty, validator(&file_of(ty, "event")))).collect());
static COMPLAINT: OnceLock<String> = OnceLock::new();

struct Folder;

impl Retrieve for Folder {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(read(uri.as_str().strip_prefix(BASE).expect("schemas refer to each other alone")))
    }
}

/// A schema, as its file says it.
///
/// # Panics
/// When there is no such file, or no JSON in it.
pub fn read(file: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(FOLDER).join(file));
    serde_json::from_str(&text.unwrap_or_else(|error| panic!("{FOLDER}/{file}: {error}"))).expect("a schema is JSON")
}

/// The file with the schema of this type's `data`, or of the whole `event`.
pub fn file_of(ty: &str, part: &str) -> String {
    let name = ty.trim_start_matches("io.podgateway.client.").trim_start_matches("scheduling.");
    format!("{name}.{part}.json")
}

/// The compiled schema of a file in `docs/schemas`.
///
/// # Panics
/// When it is no schema, or refers to a file that isn't there.
pub fn validator(file: &str) -> Validator {
    let options = jsonschema::options().should_validate_formats(true).with_retriever(Folder);
    let built = options.with_base_uri(format!("{BASE}{file}")).build(&read(file));
    built.unwrap_or_else(|error| panic!("{FOLDER}/{file} is no schema: {error}"))
}

/// Whether a header holds the value as it is: in Go nobody decodes what is encoded in one.
fn is_plain(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_graphic() && !b"%\"".contains(byte))
}

/// Holds an answer or a report against the schema of its type. What the provisioner doesn't tell isn't judged.
///
/// # Errors
/// Where in the event the schema is broken, and how.
pub fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let Some(event) = structured(headers, body) else { return Ok(()) };
    let Some(validator) = event["type"].as_str().and_then(|ty| TOLD.get(ty)) else { return Ok(()) };
    if let Some((attribute, _)) = attributes(headers).find(|(_, value)| !is_plain(value)) {
        return Err(format!("in binary mode, though {attribute} has to be encoded there: {event:#}"));
    }
    validator
        .validate(&event)
        .map_err(|error| format!("not as {FOLDER} says: at {:?}: {error}\n{event:#}", error.instance_path().as_str()))
}

/// Notes what [`check`] finds first, for [`assert_none_noted`]: behind a proxy a panic would be lost.
pub fn note(headers: &HeaderMap, body: &[u8]) {
    _ = check(headers, body).map_err(|complaint| COMPLAINT.set(complaint));
}

/// Fails where an event was noted that isn't as its schema says.
///
/// # Panics
/// With the first such event.
#[track_caller]
pub fn assert_none_noted() {
    assert_eq!(COMPLAINT.get(), None);
}
