//! Typed fields out of JSON: one by one, moved and not copied, with an error that says which field is wrong.
//!
//! In: bytes, parsed once into a [`Json`] whose texts stay where they are. Out: texts, lists and maps of it. Serde's derived
//! readers would do the same for every type anew, and bring along the printing of every sort of value that they didn't
//! expect, floating-point numbers among them: together a tenth of the component.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// What is wrong with a field: its path and what it should be, as in `metadata.name is missing`.
pub type Problem = String;

/// A JSON value, of which a text that needs no decoding lies where it was parsed.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    /// Nothing.
    #[default]
    Null,
    /// A boolean.
    Boolean(bool),
    /// A number of any sort.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// The members of an object, in their order; of two of the same name the last one counts.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl From<Json<'_>> for Value {
    fn from(json: Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Boolean(value) => Self::Bool(value),
            Json::Number(number) => Self::Number(number),
            Json::Text(text) => Self::String(text.into_owned()),
            Json::List(items) => items.into_iter().map(Self::from).collect(),
            Json::Object(members) => members.into_iter().map(|(name, value)| (name, Self::from(value))).collect(),
        }
    }
}

impl<'a> Json<'a> {
    /// A member, taken out of its object: `null` where there is no such member, and where this is no object.
    pub fn take(&mut self, name: &str) -> Self {
        let Self::Object(members) = self else { return Self::Null };
        let member = members.iter_mut().rfind(|(is, _)| is == name);
        member.map(|(_, value)| std::mem::take(value)).unwrap_or_default()
    }
}

/// A field that may be missing or `null`, read by `read`.
///
/// # Errors
/// The [`Problem`] that `read` has, with the field's name before it.
pub fn optional<'a, T>(
    object: &mut Json<'a>,
    field: &str,
    read: impl FnOnce(Json<'a>) -> Result<T, Problem>,
) -> Result<Option<T>, Problem> {
    match object.take(field) {
        Json::Null => Ok(None),
        value => read(value).map(Some).map_err(|problem| within(field, &problem)),
    }
}

/// A field that has to be there.
///
/// # Errors
/// As [`optional`], and where it is missing or `null`.
pub fn required<'a, T>(
    object: &mut Json<'a>,
    field: &str,
    read: impl FnOnce(Json<'a>) -> Result<T, Problem>,
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
pub fn text(value: Json<'_>) -> Result<String, Problem> {
    match value {
        Json::Text(text) => Ok(text.into_owned()),
        _ => Err("is not a string".to_owned()),
    }
}

/// Reads a boolean.
///
/// # Errors
/// For any other value.
pub fn boolean(value: Json<'_>) -> Result<bool, Problem> {
    match value {
        Json::Boolean(value) => Ok(value),
        _ => Err("is not a boolean".to_owned()),
    }
}

/// Reads a timestamp of RFC 3339.
///
/// # Errors
/// For any other value.
pub fn time(value: Json<'_>) -> Result<DateTime<Utc>, Problem> {
    let time = match value {
        Json::Text(text) => DateTime::parse_from_rfc3339(&text).ok(),
        _ => None,
    };
    time.map(|time| time.to_utc()).ok_or_else(|| "is not a timestamp".to_owned())
}

/// Reads a list, each item by `read`.
///
/// # Errors
/// For any other value, and the problem of the first item that has one.
pub fn list<'a, T>(read: impl Fn(Json<'a>) -> Result<T, Problem>) -> impl FnOnce(Json<'a>) -> Result<Vec<T>, Problem> {
    move |value| match value {
        Json::List(items) => {
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
pub fn texts(value: Json<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let read = |(name, value): (Cow<'_, str>, Json<'_>)| match text(value) {
        Ok(text) => Ok((name.into_owned(), text)),
        Err(problem) => Err(within(&name, &problem)),
    };
    match value {
        Json::Object(members) => members.into_iter().map(read).collect(),
        _ => Err("is not an object".to_owned()),
    }
}

/// Parses JSON, of whose objects `only` some members are kept, at any depth. Most of a Kubernetes object is nothing that
/// anybody here asks for, and what isn't kept needs no memory.
///
/// # Errors
/// Where `json` is none.
pub fn parse_only<'a>(json: &'a [u8], only: Only<'_>) -> serde_json::Result<Json<'a>> {
    let mut deserializer = serde_json::Deserializer::from_str(utf8(json)?);
    let value = only.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// Parses JSON, all of it.
///
/// # Errors
/// Where `json` is none.
pub fn parse_fields(json: &[u8]) -> serde_json::Result<Json<'_>> {
    parse_only(json, EVERYTHING)
}

/// Parses JSON into a value of its own.
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

/// Which members are kept: see [`parse_only`].
#[derive(Clone, Copy)]
pub struct Only<'a> {
    /// Those of these names.
    pub names: &'a [&'a str],
    /// Those of these names, and all that is below them.
    pub whole: &'a [&'a str],
    /// All of them.
    pub everything: bool,
}

const EVERYTHING: Only<'_> = Only { names: &[], whole: &[], everything: true };

impl<'de> DeserializeSeed<'de> for Only<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Only<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.to_owned().into()))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let mut object = Vec::new();
        while let Some(name) = members.next_key_seed(Name(self))? {
            let Some((name, below)) = name else {
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            object.push((name, members.next_value_seed(below)?));
        }
        Ok(Json::Object(object))
    }
}

/// The name of a member: nothing where it isn't kept, or else the name and what is kept below it.
struct Name<'a>(Only<'a>);

type Kept<'de, 'a> = Option<(Cow<'de, str>, Only<'a>)>;

impl<'a> Name<'a> {
    fn keep<'de>(self, name: Cow<'de, str>) -> Kept<'de, 'a> {
        let everything = self.0.everything || self.0.whole.contains(&&*name);
        let is_kept = everything || self.0.names.contains(&&*name);
        is_kept.then_some((name, Only { everything, ..self.0 }))
    }
}

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Kept<'de, 'a>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'a> Visitor<'de> for Name<'a> {
    type Value = Kept<'de, 'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.keep(name.to_owned().into()))
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(self.keep(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tree(value: Value) -> Json<'static> {
        EVERYTHING.deserialize(value).unwrap()
    }

    #[test]
    fn a_missing_field_and_a_null_are_the_same() {
        for mut object in [json!({}), json!({"a": null}), json!(7), Value::Null].map(tree) {
            assert_eq!(optional(&mut object, "a", text), Ok(None));
            assert_eq!(required(&mut object, "a", text), Err("a is missing".to_owned()));
        }
    }

    #[test]
    fn a_problem_names_the_field() {
        let mut object = tree(json!({"a": {"b": 1}, "l": ["x", 2], "t": "yesterday"}));
        assert_eq!(required(&mut object, "l", list(text)), Err("l[1] is not a string".to_owned()));
        assert_eq!(required(&mut object, "t", time), Err("t is not a timestamp".to_owned()));
        assert_eq!(required(&mut object, "a", texts), Err("a.b is not a string".to_owned()));
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        fn only<'a>(names: &'a [&'a str], whole: &'a [&'a str]) -> Only<'a> {
            Only { names, whole, everything: false }
        }
        let json =
            r#"{"a": [{"b": 1.5, "x": {"a": 2}}, null], "w": {"any\n": {"x": -1}}, "x": [true], "\u0061": "again"}"#;
        let kept = parse_only(json.as_bytes(), only(&["a", "b"], &["w"])).unwrap();
        assert_eq!(Value::from(kept), json!({"a": "again", "w": {"any\n": {"x": -1}}}));
        let list = parse_only(br#"[{"a": {"b": true, "c": 1}}]"#, only(&["a", "b"], &[])).unwrap();
        assert_eq!(Value::from(list), json!([{"a": {"b": true}}]));
        for broken in [&b""[..], b"{", br#"{"x": }"#, br#"{"x": 1} 2"#, b"{1: 2}", b"{\"x\": \"\xff\"}"] {
            let text = String::from_utf8_lossy(broken);
            assert!(parse_only(broken, only(&["a"], &[])).is_err(), "{text}");
            assert!(parse_fields(broken).is_err() && parse(broken).is_err(), "{text}");
        }
    }

    #[test]
    fn values_come_out_as_they_are() {
        let mut object = tree(json!({"b": true, "l": ["x"], "t": "2026-01-01T01:00:00+01:00", "m": {"k": "v"}}));
        assert_eq!(required(&mut object, "b", boolean), Ok(true));
        assert_eq!(required(&mut object, "l", list(text)), Ok(vec!["x".to_owned()]));
        assert_eq!(required(&mut object, "t", time).unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert_eq!(required(&mut object, "m", texts).unwrap()["k"], "v");
    }
    #[test]
    fn a_tree_holds_what_a_value_holds() {
        let json = r#"{"a": [null, true, -1, 2, 1.5, "x\u00e4", "y"], "b\n": {}, "a": 3}"#;
        assert_eq!(Value::from(parse_fields(json.as_bytes()).unwrap()), parse(json.as_bytes()).unwrap());
    }

    #[test]
    fn of_two_fields_of_one_name_the_last_one_counts() {
        let mut object = parse_fields(br#"{"a": "first", "a": "last"}"#).unwrap();
        assert_eq!(required(&mut object, "a", text).unwrap(), "last");
    }
}
