//! The spelling of names, label keys and label values.
//!
//! In: a string. Out: the rules it breaks, in the API server's words. Which field follows which rule is
//! `validation`'s part.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NAME_PART: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const QUALIFIED_NAME: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

/// The rules that a value breaks.
pub type Broken = Vec<String>;

/// Whether there is a letter or digit at both ends, and all characters are such.
fn spelled(value: &str, is_such: fn(u8) -> bool) -> bool {
    let ends = [value.as_bytes().first(), value.as_bytes().last()];
    ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric)) && value.bytes().all(is_such)
}

fn is_label(value: &str) -> bool {
    spelled(value, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_name_part(value: &str) -> bool {
    spelled(value, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn broken(value: &str, limit: usize, is_spelled: bool, rule: &str) -> Broken {
    let too_long = (value.len() > limit).then(|| format!("must be no more than {limit} characters"));
    too_long.into_iter().chain((!is_spelled).then(|| rule.to_owned())).collect()
}

/// An RFC 1123 subdomain: the name of a Pod.
pub fn subdomain(value: &str) -> Broken {
    broken(value, 253, is_subdomain(value), SUBDOMAIN)
}

/// An RFC 1123 label: the name of a container, a volume or a namespace.
pub fn label(value: &str) -> Broken {
    let rule = if is_subdomain(value) { "must not contain dots" } else { LABEL };
    broken(value, 63, is_label(value), rule)
}

/// A label's value.
pub fn label_value(value: &str) -> Broken {
    broken(value, 63, value.is_empty() || is_name_part(value), LABEL_VALUE)
}

/// A label key, an annotation key, a finalizer, or the name of a scheduling gate.
pub fn qualified_name(value: &str) -> Broken {
    let (prefix, name) = value.split_once('/').map_or((None, value), |(prefix, name)| (Some(prefix), name));
    if name.contains('/') {
        return vec![QUALIFIED_NAME.to_owned()];
    }
    let prefix = prefix.map(|prefix| match prefix {
        "" => vec!["must be non-empty".to_owned()],
        prefix => subdomain(prefix),
    });
    let mut rules: Broken = prefix.iter().flatten().map(|rule| format!("prefix part {rule}")).collect();
    let empty = name.is_empty().then(|| "must be non-empty".to_owned());
    let name = empty.into_iter().chain(broken(name, 63, is_name_part(name), NAME_PART));
    rules.extend(name.map(|rule| format!("name part {rule}")));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Broken, accepted: &[&str], rejected: &[&str]) {
        for value in accepted {
            assert_eq!(rule(value), Broken::new(), "{value:?}");
        }
        for value in rejected {
            assert!(!rule(value).is_empty(), "{value:?}");
        }
    }

    #[test]
    fn names_and_values_are_spelled_as_kubernetes_wants_them() {
        check(subdomain, &["a", "a-b.c", "1"], &["", "A", "-a", "a-", "a..b", "a_b", "é", &"a".repeat(254)]);
        check(label, &["client", "a-1"], &["", "a.b", "Client"]);
        check(label_value, &["", "Foo_1.x", "a"], &["a/b", "-a", "a.", " ", &"a".repeat(64)]);
    }

    #[test]
    fn keys_have_an_optional_subdomain_before_one_slash() {
        let rejected = ["", "/a", "a/", "a/b/c", "A/b", "a b", "example.com/-a"];
        check(qualified_name, &["setGateway", "podgateway.io/gateway-verification"], &rejected);
    }
}
