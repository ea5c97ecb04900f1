//! Label and field selectors of a list request.
//!
//! In: the query parameters' text. Out: whether an object is selected.
//! Labels: `a=b`, `a==b`, `a!=b`, `a`, `!a`, joined by commas. Fields: those
//! that clients ask for, by their path. Left out: `in` and `notin`, which are
//! a 400.

use super::status::Status;
use serde_json::Value;

/// Requirements that an object must all meet.
#[derive(Debug, Default, PartialEq)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, PartialEq)]
struct Requirement {
    path: Vec<String>,
    rule: Rule,
}

#[derive(Debug, PartialEq)]
enum Rule {
    Equals(String),
    Differs(String),
    Exists,
    Absent,
}

impl Selector {
    /// Reads a label and a field selector; either may be empty.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, Status> {
        let mut all = Vec::new();
        for text in terms(labels) {
            all.push(requirement(text, |key| ["metadata", "labels", key].map(str::to_owned).to_vec())?);
        }
        for text in terms(fields) {
            all.push(requirement(text, |key| key.split('.').map(str::to_owned).collect())?);
        }
        Ok(Self(all))
    }

    /// Whether the object meets every requirement.
    pub fn selects(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.met(object))
    }
}

fn terms(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|term| !term.is_empty())
}

fn requirement(text: &str, path: impl Fn(&str) -> Vec<String>) -> Result<Requirement, Status> {
    let (key, rule) = match text.split_once('=') {
        Some((key, value)) => match key.strip_suffix('!') {
            Some(key) => (key, Rule::Differs(value.trim().to_owned())),
            None => (key, Rule::Equals(value.trim_start_matches('=').trim().to_owned())),
        },
        None => match text.strip_prefix('!') {
            Some(key) => (key, Rule::Absent),
            None => (text, Rule::Exists),
        },
    };
    let key = key.trim();
    if key.is_empty() || key.contains([' ', '(', ')']) {
        return Err(Status::bad_request(format!(
            "unable to parse requirement: {text:?} is not one of a=b, a!=b, a, !a"
        )));
    }
    let path = path(key);
    Ok(Requirement { path, rule })
}

impl Requirement {
    fn met(&self, object: &Value) -> bool {
        let found = self.path.iter().try_fold(object, |at, key| at.get(key));
        let found = found.and_then(Value::as_str);
        match &self.rule {
            Rule::Equals(value) => found.unwrap_or_default() == value,
            Rule::Differs(value) => found != Some(value),
            Rule::Exists => found.is_some(),
            Rule::Absent => found.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(labels: &str, fields: &str, expect: bool) {
        let pod = json!({"metadata": {"name": "x", "labels": {"a": "1", "example.com/b": "2"}}});
        let selector = Selector::parse(labels, fields).unwrap();
        assert_eq!(selector.selects(&pod), expect, "{labels} {fields}");
    }

    #[test]
    fn labels_are_selected_by_equality_and_presence() {
        for selected in ["", "a=1", "a==1", "a=1, example.com/b=2", "a!=2", "a", "!c", "c!=1"] {
            check(selected, "", true);
        }
        for missed in ["a=2", "a!=1", "!a", "c", "a=1,c=3"] {
            check(missed, "", false);
        }
    }

    #[test]
    fn fields_are_selected_by_their_path() {
        check("", "metadata.name=x", true);
        check("", "metadata.name=y", false);
        check("", "spec.nodeName=", true);
    }

    #[test]
    fn set_based_selectors_are_a_bad_request() {
        assert_eq!(Selector::parse("a in (1)", "").unwrap_err().code, 400);
    }
}
