//! Label and field selectors of a list request.
//!
//! In: the query parameters' text. Out: whether an object is selected. Labels: `a=b`, `a==b`, `a!=b`, `a in (b,c)`,
//! `a notin (b,c)`, `a`, `!a`, joined by commas. Fields: `a.b=c`, `a.b==c` and `a.b!=c`.

use super::names;
use super::status::Status;
use provisioner::pod::text;
use serde_json::Value;

/// The fields that can be selected by. There are no events, so theirs select nothing.
#[rustfmt::skip]
const FIELDS: [&str; 8] = [
    "metadata.name", "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName",
    "spec.serviceAccountName", "status.phase", "involvedObject.name",
];

/// Requirements that an object must all meet.
#[derive(Debug, Default)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

/// What there has to be under a key, or must not be.
#[derive(Debug)]
struct Requirement {
    key: String,
    is_negated: bool,
    /// `None` for any value.
    values: Option<Vec<String>>,
}

impl Requirement {
    fn new(key: &str, is_negated: bool, values: Option<&str>) -> Self {
        let values = values.map(|values| values.split(',').map(|value| value.trim().to_owned()).collect());
        Self { key: key.trim().to_owned(), is_negated, values }
    }

    fn is_met(&self, found: Option<&str>) -> bool {
        let is_wanted = |found| self.values.as_ref().is_none_or(|values| values.iter().any(|value| value == found));
        found.is_some_and(is_wanted) != self.is_negated
    }
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
        let field = |path: &str| text(path.split('.').fold(object, |at, key| &at[key]));
        self.labels.iter().all(|label| label.is_met(object["metadata"]["labels"][&label.key].as_str()))
            && self.fields.iter().all(|wanted| wanted.is_met(Some(field(&wanted.key))))
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

fn equation(term: &str) -> Option<Requirement> {
    let (key, value) = term.split_once('=')?;
    let value = Some(value.strip_prefix('=').unwrap_or(value));
    let plain = key.strip_suffix('!');
    Some(Requirement::new(plain.unwrap_or(key), plain.is_some(), value))
}

fn set(term: &str) -> Option<Requirement> {
    let (left, values) = term.strip_suffix(')')?.split_once('(')?;
    let (key, operator) = left.trim().rsplit_once(' ')?;
    ["in", "notin"].contains(&operator).then(|| Requirement::new(key, operator == "notin", Some(values)))
}

fn label(term: &str) -> Result<Requirement, Status> {
    let absent = term.strip_prefix('!');
    let presence = || Requirement::new(absent.unwrap_or(term), absent.is_some(), None);
    let wanted = set(term).or_else(|| equation(term)).unwrap_or_else(presence);
    let values = wanted.values.iter().flatten().flat_map(|value| names::label_value(value));
    match names::qualified_name(&wanted.key).into_iter().chain(values).next() {
        Some(broken) => Err(Status::bad_request(format!("unable to parse requirement: {:?}: {broken}", wanted.key))),
        None => Ok(wanted),
    }
}

fn field(term: &str) -> Result<Requirement, Status> {
    match equation(term) {
        None => Err(Status::bad_request(format!("invalid selector: '{term}'; can't understand '{term}'"))),
        Some(wanted) if FIELDS.contains(&wanted.key.as_str()) => Ok(wanted),
        Some(Requirement { key, .. }) => Err(Status::bad_request(format!("field label not supported: {key}"))),
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
