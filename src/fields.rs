//! Typed fields out of a JSON value: one by one, moved and not copied, with an error that says which field is wrong.
//!
//! In: a [`Value`] that was parsed once. Out: texts, lists and maps of it. Serde's derived readers would do the same
//! for every type anew, and bring along the printing of every sort of value that they didn't expect, floating-point
//! numbers among them: together a tenth of the component.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

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

/// Parses JSON, of whose objects only the members in `names` are kept, at any depth. Most of a Kubernetes object is
/// nothing that anybody here asks for, and what isn't kept needs no memory. What stands below the members in `whole` is
/// kept as it is.
///
/// # Errors
/// Where `json` is none.
pub fn parse_only(json: &[u8], names: &[&str], whole: &[&str]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(utf8(json)?);
    let value = Only { names, whole, everything: false }.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// Parses JSON, all of it.
///
/// # Errors
/// Where `json` is none.
pub fn parse(json: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_str(utf8(json)?)
}

/// Whether JSON is UTF-8 is asked once, and not for every text in it.
fn utf8(json: &[u8]) -> serde_json::Result<&str> {
    std::str::from_utf8(json).map_err(serde::de::Error::custom)
}

#[derive(Clone, Copy)]
struct Only<'a> {
    names: &'a [&'a str],
    whole: &'a [&'a str],
    everything: bool,
}

impl<'de> DeserializeSeed<'de> for Only<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Only<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key_seed(Name(self))? {
            let Some((name, below)) = name else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            object.insert(name, members.next_value_seed(below)?);
        }
        Ok(Value::Object(object))
    }
}

/// The name of a member: nothing where it isn't kept, or else the name and what is kept below it.
struct Name<'a>(Only<'a>);

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<(String, Only<'a>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Option<(String, Only<'a>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let everything = self.0.everything || self.0.whole.contains(&name);
        let is_kept = everything || self.0.names.contains(&name);
        Ok(is_kept.then(|| (name.to_owned(), Only { everything, ..self.0 })))
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
    fn only_what_is_asked_for_is_kept() {
        let json =
            r#"{"a": [{"b": 1.5, "x": {"a": 2}}, null], "w": {"any\n": {"x": -1}}, "x": [true], "\u0061": "again"}"#;
        let kept = parse_only(json.as_bytes(), &["a", "b"], &["w"]).unwrap();
        assert_eq!(kept, json!({"a": "again", "w": {"any\n": {"x": -1}}}));
        let list = parse_only(br#"[{"a": {"b": true, "c": 1}}]"#, &["a", "b"], &[]).unwrap();
        assert_eq!(list, json!([{"a": {"b": true}}]));
        for broken in [&b""[..], b"{", br#"{"x": }"#, br#"{"x": 1} 2"#, b"{1: 2}", b"{\"x\": \"\xff\"}"] {
            let text = String::from_utf8_lossy(broken);
            assert!(parse_only(broken, &["a"], &[]).is_err() && parse(broken).is_err(), "{text}");
        }
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
