//! The spelling of names, label keys and label values.
//!
//! In: a string. Out: the rule it breaks, in the API server's words, or
//! `None`. Which field follows which rule is `validation`'s part.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED_NAME: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

/// The rule that a value breaks.
pub type Broken = Option<String>;

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn spelled(value: &str, edge: fn(u8) -> bool, middle: fn(u8) -> bool) -> bool {
    match value.as_bytes() {
        [] => false,
        [one] => edge(*one),
        [first, rest @ .., last] => edge(*first) && edge(*last) && rest.iter().all(|byte| middle(*byte)),
    }
}

fn is_label(value: &str) -> bool {
    spelled(value, lower, |byte| lower(byte) || byte == b'-')
}

fn is_name_part(value: &str) -> bool {
    spelled(value, |byte| byte.is_ascii_alphanumeric(), inner)
}

fn too_long(value: &str, limit: usize) -> Broken {
    (value.len() > limit).then(|| format!("must be no more than {limit} characters"))
}

fn unless(holds: bool, rule: &str) -> Broken {
    (!holds).then(|| rule.to_owned())
}

/// An RFC 1123 subdomain: the name of a Pod.
pub fn subdomain(value: &str) -> Broken {
    too_long(value, 253).or_else(|| unless(value.split('.').all(is_label), SUBDOMAIN))
}

/// An RFC 1123 label: the name of a container or a namespace.
pub fn label(value: &str) -> Broken {
    too_long(value, 63).or_else(|| unless(is_label(value), LABEL))
}

/// A label's value.
pub fn label_value(value: &str) -> Broken {
    too_long(value, 63).or_else(|| unless(value.is_empty() || is_name_part(value), LABEL_VALUE))
}

/// A label key, an annotation key, or the name of a scheduling gate.
pub fn qualified_name(value: &str) -> Broken {
    let (prefix, name) = match value.split('/').collect::<Vec<_>>()[..] {
        [name] => (None, name),
        [prefix, name] => (Some(prefix), name),
        _ => return Some(QUALIFIED_NAME.to_owned()),
    };
    if let Some(rule) = prefix.and_then(prefix_part) {
        return Some(rule);
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    too_long(name, 63).map(|rule| format!("name part {rule}")).or_else(|| unless(is_name_part(name), NAME_PART))
}

fn prefix_part(prefix: &str) -> Broken {
    match prefix {
        "" => Some("prefix part must be non-empty".to_owned()),
        prefix => subdomain(prefix).map(|rule| format!("prefix part {rule}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Broken, accepted: &[&str], rejected: &[&str]) {
        for value in accepted {
            assert_eq!(rule(value), None, "{value:?}");
        }
        for value in rejected {
            assert!(rule(value).is_some(), "{value:?}");
        }
    }

    #[test]
    fn pod_names_are_dns_subdomains() {
        let long = "a".repeat(254);
        let rejected = ["", "A", "-a", "a-", "a..b", "a_b", "é", &long];
        check(subdomain, &["a", "a-b.c", "1"], &rejected);
    }

    #[test]
    fn container_names_are_dns_labels() {
        check(label, &["client", "a-1"], &["", "a.b", "Client"]);
    }

    #[test]
    fn label_values_may_be_empty_and_hold_no_slash() {
        let long = "a".repeat(64);
        check(label_value, &["", "Foo_1.x", "a"], &["a/b", "-a", "a.", " ", &long]);
    }

    #[test]
    fn keys_have_an_optional_subdomain_before_one_slash() {
        let accepted = ["setGateway", "podgateway.io/gateway-verification"];
        let rejected = ["", "/a", "a/", "a/b/c", "A/b", "a b", "example.com/-a"];
        check(qualified_name, &accepted, &rejected);
    }
}
