//! Typed fields out of a JSON value: one by one, moved and not copied, with an error that says which field is wrong.
//!
//! In: a [`Value`] that was parsed once. Out: texts, lists and maps of it. Serde's derived readers would do the same
//! for every type anew, and bring along the printing of every sort of value that they didn't expect, floating-point
//! numbers among them: together a tenth of the component.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// What is wrong with a field: its path and what it should be, as in `metadata.name is missing`.
pub type Problem = String;

/// A field's value, taken out of its object: `null` where there is no such field, and where there is no object.
pub fn take(value: &mut Value, field: &str) -> Value {
    value.get_mut(field).map(Value::take).unwrap_or_default()
}

/// A field that may be missing or `null`, read by `read`.
///
/// # Errors
/// The [`Problem`] that `read` has, with the field's name before it.
pub fn optional<T>(
    object: &mut Value,
    field: &str,
    read: impl FnOnce(Value) -> Result<T, Problem>,
) -> Result<Option<T>, Problem> {
    match take(object, field) {
        Value::Null => Ok(None),
        value => read(value).map(Some).map_err(|problem| within(field, &problem)),
    }
}

/// A field that has to be there.
///
/// # Errors
/// As [`optional`], and where it is missing or `null`.
pub fn required<T>(
    object: &mut Value,
    field: &str,
    read: impl FnOnce(Value) -> Result<T, Problem>,
) -> Result<T, Problem> {
    optional(object, field, read)?.ok_or_else(|| format!("{field} is missing"))
}

fn within(field: &str, problem: &str) -> Problem {
    // What begins with a verb speaks of the field itself, and what begins with a bracket of an item of it.
    let between = match problem {
        _ if problem.starts_with("is ") => " ",
        _ if problem.starts_with('[') => "",
        _ => ".",
    };
    format!("{field}{between}{problem}")
}

/// Reads a text.
///
/// # Errors
/// For any other value.
pub fn text(value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("is not a string".to_owned()),
    }
}

/// Reads a boolean.
///
/// # Errors
/// For any other value.
pub fn boolean(value: Value) -> Result<bool, Problem> {
    value.as_bool().ok_or_else(|| "is not a boolean".to_owned())
}

/// Reads a timestamp of RFC 3339.
///
/// # Errors
/// For any other value.
pub fn time(value: Value) -> Result<DateTime<Utc>, Problem> {
    let time = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    time.map(|time| time.to_utc()).ok_or_else(|| "is not a timestamp".to_owned())
}

/// Reads a list, each item by `read`.
///
/// # Errors
/// For any other value, and the problem of the first item that has one.
pub fn list<T>(read: impl Fn(Value) -> Result<T, Problem>) -> impl FnOnce(Value) -> Result<Vec<T>, Problem> {
    move |value| match value {
        Value::Array(items) => {
            let read = |(at, item)| read(item).map_err(|problem| within(&format!("[{at}]"), &problem));
            items.into_iter().enumerate().map(read).collect()
        }
        _ => Err("is not a list".to_owned()),
    }
}

/// Reads an object whose values are texts.
///
/// # Errors
/// For any other value.
pub fn texts(value: Value) -> Result<BTreeMap<String, String>, Problem> {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| text(value).map(|text| (key.clone(), text)).map_err(|problem| within(&key, &problem)))
            .collect(),
        _ => Err("is not an object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_field_and_a_null_are_the_same() {
        for mut object in [json!({}), json!({"a": null}), json!(7), Value::Null] {
            assert_eq!(optional(&mut object, "a", text), Ok(None));
            assert_eq!(required(&mut object, "a", text), Err("a is missing".to_owned()));
        }
    }

    #[test]
    fn a_problem_names_the_field() {
        let mut object = json!({"a": {"b": 1}, "l": ["x", 2], "t": "yesterday"});
        assert_eq!(required(&mut object, "l", list(text)), Err("l[1] is not a string".to_owned()));
        assert_eq!(required(&mut object, "t", time), Err("t is not a timestamp".to_owned()));
        assert_eq!(required(&mut object, "a", texts), Err("a.b is not a string".to_owned()));
    }

    #[test]
    fn values_come_out_as_they_are() {
        let mut object = json!({"b": true, "l": ["x"], "t": "2026-01-01T01:00:00+01:00", "m": {"k": "v"}});
        assert_eq!(required(&mut object, "b", boolean), Ok(true));
        assert_eq!(required(&mut object, "l", list(text)), Ok(vec!["x".to_owned()]));
        assert_eq!(required(&mut object, "t", time).unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert_eq!(required(&mut object, "m", texts).unwrap()["k"], "v");
    }
}
