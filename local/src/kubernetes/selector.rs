//! Label and field selectors of a list request.
//!
//! In: the query parameters' text. Out: whether an object is selected. Labels: `a=b`, `a==b`, `a!=b`, `a in (b,c)`,
//! `a notin (b,c)`, `a`, `!a`, joined by commas. Fields: `a.b=c`, `a.b==c` and `a.b!=c`.

use super::names;
use super::status::Status;
use provisioner::pod::text;
use serde_json::Value;

/// The fields that can be selected by. There are no events, so theirs select nothing.
const FIELDS: [&str; 8] = [
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "involvedObject.name",
];

/// Requirements that an object must all meet.
#[derive(Debug, Default)]
pub struct Selector {
    labels: Vec<(String, Rule)>,
    fields: Vec<(String, Rule)>,
}

#[derive(Debug)]
enum Rule {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selector {
    /// Reads a label and a field selector; either may be empty.
    pub fn parse(labels: &str, fields: &str) -> Result<Self, Status> {
        let labels = terms(labels).into_iter().map(label).collect::<Result<_, _>>()?;
        Ok(Self { labels, fields: terms(fields).into_iter().map(field).collect::<Result<_, _>>()? })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether the object meets every requirement.
    pub fn selects(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str();
        let field = |path: &str| text(path.split('.').fold(object, |at, key| &at[key]));
        self.labels.iter().all(|(key, rule)| rule.is_met(label(key)))
            && self.fields.iter().all(|(path, rule)| rule.is_met(Some(field(path))))
    }
}

impl Rule {
    fn is_met(&self, found: Option<&str>) -> bool {
        let any = |values: &[String]| found.is_some_and(|found| values.iter().any(|value| value == found));
        match self {
            Self::In(values) => any(values),
            Self::NotIn(values) => !any(values),
            Self::Exists => found.is_some(),
            Self::Absent => found.is_none(),
        }
    }
}

/// The parts between the commas that are in no parentheses.
fn terms(selector: &str) -> Vec<&str> {
    let mut is_in_set = false;
    let terms = selector.split(|next| {
        is_in_set = next == '(' || is_in_set && next != ')';
        next == ',' && !is_in_set
    });
    terms.map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn equation(term: &str) -> Option<(&str, Rule)> {
    let (key, value) = term.split_once('=')?;
    let values = vec![value.strip_prefix('=').unwrap_or(value).trim().to_owned()];
    Some(match key.strip_suffix('!') {
        Some(key) => (key.trim(), Rule::NotIn(values)),
        None => (key.trim(), Rule::In(values)),
    })
}

fn set(term: &str) -> Option<(&str, Rule)> {
    let (left, values) = term.strip_suffix(')')?.split_once('(')?;
    let values = values.split(',').map(|value| value.trim().to_owned()).collect();
    match left.trim().rsplit_once(' ')? {
        (key, "in") => Some((key.trim(), Rule::In(values))),
        (key, "notin") => Some((key.trim(), Rule::NotIn(values))),
        _ => None,
    }
}

fn label(term: &str) -> Result<(String, Rule), Status> {
    let (key, rule) = set(term).or_else(|| equation(term)).unwrap_or_else(|| match term.strip_prefix('!') {
        Some(key) => (key.trim(), Rule::Absent),
        None => (term, Rule::Exists),
    });
    let values = match &rule {
        Rule::In(values) | Rule::NotIn(values) => values.as_slice(),
        Rule::Exists | Rule::Absent => &[],
    };
    let broken = values.iter().flat_map(|value| names::label_value(value));
    match names::qualified_name(key).into_iter().chain(broken).next() {
        Some(broken) => Err(Status::bad_request(format!("unable to parse requirement: {key:?}: {broken}"))),
        None => Ok((key.to_owned(), rule)),
    }
}

fn field(term: &str) -> Result<(String, Rule), Status> {
    match equation(term) {
        None => Err(Status::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'"))),
        Some((path, rule)) if FIELDS.contains(&path) => Ok((path.to_owned(), rule)),
        Some((path, _)) => Err(Status::bad_request(format!("field label not supported: {path}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(labels: &str, fields: &str, expected: bool) {
        let pod = json!({"metadata": {"name": "x", "labels": {"a": "1", "example.com/b": "2"}}});
        assert_eq!(Selector::parse(labels, fields).unwrap().selects(&pod), expected, "{labels} {fields}");
    }

    #[test]
    fn labels_are_selected_by_equality_sets_and_presence() {
        let selected =
            ["", "a=1", "a==1", "a=1, example.com/b=2", "a!=2", "a", "!c", "c!=1", "a in (1,2),a", "c notin (1)"];
        for labels in selected {
            check(labels, "", true);
        }
        for labels in ["a=2", "a!=1", "!a", "c", "a=1,c=3", "a in (2, 3)", "a notin (1),a"] {
            check(labels, "", false);
        }
    }

    #[test]
    fn fields_are_selected_by_their_path() {
        check("", "metadata.name=x", true);
        check("", "metadata.name=y", false);
        check("", "spec.nodeName=", true);
    }

    #[test]
    fn selectors_that_are_none_are_a_bad_request() {
        for (labels, fields) in [("a in 1", ""), ("a=b/c", ""), ("a>1", ""), ("", "odd"), ("", "spec.odd=1")] {
            assert_eq!(Selector::parse(labels, fields).unwrap_err().code, 400, "{labels} {fields}");
        }
    }
}
