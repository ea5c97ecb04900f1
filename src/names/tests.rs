use super::*;

#[track_caller]
fn check(grammar: fn(&str) -> bool, accepted: &[&str], rejected: &[&str]) {
    for value in accepted {
        assert!(grammar(value), "{value:?} should be accepted");
    }
    for value in rejected {
        assert!(!grammar(value), "{value:?} should be rejected");
    }
}

#[test]
fn label_values_are_what_kubernetes_takes() {
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    check(
        is_label_value,
        &["a", "foo", "Foo_1.b-2", "0", "a--b", &longest],
        &["", &too_long, "-a", "a-", ".a", "a/b", "a b", "a;b", "ä", "a\n", "_"],
    );
}

#[test]
fn qualified_names_have_at_most_one_prefix() {
    check(
        is_qualified_name,
        &["setGateway", "example.com/gateway", "a/b"],
        &["", "/a", "a/", "a/b/c", "Example.com/a", "a_b/c"],
    );
}

#[test]
fn namespaces_are_dns_labels_and_objects_dns_subdomains() {
    check(is_dns_label, &["default", "a-1"], &["", "A", "a.b", "-a", "a_"]);
    check(is_dns_subdomain, &["a.b", "x"], &["", "a..b", ".a", &"a.".repeat(200)]);
}
