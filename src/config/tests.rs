use super::*;
use crate::testing::{config, try_config};

#[track_caller]
fn check_error(variable: &str, value: &str, expected: &str) {
    let error = try_config(&[(variable, value)]).unwrap_err();
    assert_eq!(error.to_string(), format!("the variable {variable} {expected}"));
}

#[track_caller]
fn check_grammar(variable: &str, usable: &[&str], unusable: &[&str]) {
    for value in usable {
        try_config(&[(variable, value)]).unwrap_or_else(|error| panic!("{error}"));
    }
    for value in unusable {
        let error = try_config(&[(variable, value)]).expect_err(value).to_string();
        assert!(error.starts_with(&format!("the variable {variable} ")), "{error}");
    }
}

#[test]
fn the_defaults_of_the_manifest_are_usable() {
    let config = config(&[]);
    assert_eq!(config.client_namespace, "default");
    // With a tag, or nodes pull it at every start of a client.
    assert_eq!(config.client_image, "alpine/curl:8.17.0");
    assert_eq!(config.client_command, ["sleep", "infinity"]);
    assert_eq!((&config.client_pod_template, &config.gateway_address), (&None, &None));
    assert_eq!(config.gateway_key, "setGateway");
    assert_eq!(config.gateway_verification, Verification::Required);
    assert_eq!(config.kube_api_url.join("/api"), "https://kubernetes.default.svc/api");
    assert_eq!(config.kube_api_timeout, Duration::from_secs(15));
    assert!(config.allows("anything") && config.address_of("foo").is_none() && config.sink.is_none());
}

#[test]
fn space_around_a_value_is_no_part_of_it() {
    assert_eq!(config(&[("client_namespace", " clients\n")]).client_namespace, "clients");
}

#[test]
fn a_command_is_a_json_array_or_one_line() {
    let command = |value| config(&[("client_command", value)]).client_command;
    assert_eq!(command(r#"["sh", "-c", "a b"]"#), ["sh", "-c", "a b"]);
    assert_eq!(command(r"sh -c 'a b' c\ d"), ["sh", "-c", "a b", "c d"]);
    assert!(command("[]").is_empty());
}

#[test]
fn whole_names_are_allowed_and_parts_of_names_are_not() {
    let config = config(&[("gateways", "foo, bar ,b-foo\n,foo-b,a.b_c,,")]);
    for name in ["foo", "bar", "b-foo", "foo-b", "a.b_c"] {
        assert!(config.allows(name), "{name}");
    }
    for name in ["fo", "oo", "o", "b", "foo-", "nope", "a.b", "", "foo, bar", ","] {
        assert!(!config.allows(name), "{name}");
    }
    assert_eq!(config.gateways().collect::<Vec<_>>(), ["foo", "bar", "b-foo", "foo-b", "a.b_c"]);
}

#[test]
fn an_empty_list_allows_any_and_one_without_a_name_is_an_error() {
    for list in ["", " "] {
        assert!(config(&[("gateways", list)]).allows("foo"), "{list:?}");
    }
    // It was meant to name some.
    for (variable, expected) in [
        ("gateways", "is \", ,\", which names no gateway: use names such as foo,bar, or leave it empty to allow any"),
        (
            "sender_subjects",
            "is \", ,\": use names such as system:serviceaccount:client-system:trigger, separated by commas",
        ),
    ] {
        check_error(variable, " , ,", expected);
    }
}

#[test]
fn subjects_need_an_audience() {
    let expected = "is \"a\", and nobody is asked for a token: set sender_audience as well";
    check_error("sender_subjects", "a", expected);
    let with_audience = config(&[("sender_subjects", "a, b"), ("sender_audience", "us")]);
    assert_eq!(with_audience.sender_subjects().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn each_name_in_the_list_is_a_label_value_however_the_list_is_written() {
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    let many = format!("{}last", "gateway-1, gateway.2,".repeat(500));
    check_grammar("gateways", &["foo", "foo,bar", "foo, bar", "foo ,bar,", " foo\t,,bar", &longest, &many], &[]);
    for name in ["a/b", "a b", "-a", "a-", "ä", "a;b", "_", &too_long] {
        for list in [name.to_owned(), format!("foo,{name}"), format!("{name}, foo"), format!("{many},{name},foo")] {
            let expected = format!("holds {name:?}, which can't be a label value: use names such as foo,bar");
            check_error("gateways", &list, &expected);
        }
    }
}

#[test]
fn an_address_has_the_name_of_the_gateway_wherever_its_placeholder_is() {
    let config = config(&[("gateway_address", "gw-{gateway}.{gateway}.svc")]);
    assert_eq!(config.address_of("foo").as_deref(), Some("gw-foo.foo.svc"));
}

#[test]
fn a_bad_value_is_an_error_that_names_its_variable() {
    check_error("client_namespace", "A", "is \"A\", which is not a namespace: use up to 63 of a-z, 0-9 and -");
    check_error(
        "client_image",
        "",
        "is \"\", which is not an image: use registry/repository:tag, without capitals in the repository",
    );
    check_error("client_command", "", "is empty: write the command, or [] for the image's own entrypoint");
    check_error("client_command", "# x", "begins with #, as a comment does: quote the word");
    check_error("client_command", "a 'b", "can't be split into words: missing closing quote");
    let problem = "is not a JSON array of strings: invalid type: integer `1`, expected a string at line 1 column 2";
    check_error("client_command", "[1]", problem);
    check_error("k_sink", "broker", "is \"broker\": use an http:// or https:// URL with a host");
    let problem = "is \"A b\", which is not a PodTemplate's name: use lower-case letters, digits, - and .";
    check_error("client_pod_template", "A b", problem);
    check_error("gateway_verification", "yes", "is \"yes\": use required or off");
    let problem = "is \"app.kubernetes.io/name\", which the client Pod needs for itself: use a key of your own";
    check_error("gateway_key", "app.kubernetes.io/name", problem);
    let problem = "is \"gw-{name}\": the only placeholder is {gateway}, and there is no space in an address";
    check_error("gateway_address", "gw-{name}", problem);
    check_error("kube_api_url", "", "is \"\": use http:// or https:// with a host and no path");
    check_error("kube_api_url", "https://u:secret@h", "contains an @, as after a user or a password: leave both out");
    check_error("kube_api_timeout", "15", "is \"15\": use a time above 0s and up to 10m, such as 15s or 1m30s");
}

#[test]
fn each_variable_has_its_grammar() {
    check_grammar("client_namespace", &["a-1"], &["", "a.b", "-a"]);
    let images = ["r.example:5000/a/b@sha256:0", "a:V1", "R.example:80/a/b:V1-B", "A/b"];
    check_grammar(
        "client_image",
        &images,
        &[
            "",
            "a b",
            "A",
            "https://registry.example/a:1",
            "a//b",
            "/a",
            "a/",
            "ghcr.io/Org/a:v1",
            "localhost:5000/A",
            "a/B@sha256:0",
            "a:",
            "a/b@",
            ":1",
            "a/:1",
            "a:@sha256:0",
        ],
    );
    check_grammar("client_pod_template", &["", "a.b"], &["a_b"]);
    check_grammar("gateway_key", &["example.com/gateway"], &["", "a b", "podgateway.io/event-id"]);
    check_grammar("gateway_address", &["", "10.0.0.1", "{gateway}"], &["gw-{name}", "a b", "{", "gateway}", "$(NAME)"]);
    check_grammar("gateway_verification", &["required", "off"], &["", "Required", "on"]);
    check_grammar("kube_api_url", &["http://127.0.0.1:8001"], &["kubernetes", "http://a/b"]);
    check_grammar("kube_api_timeout", &["1ms", "10m"], &["", "0s", "15", "11m", "-1s"]);
}

/// Spin reads the last group of the address as its port and denies every call, while `/readyz` would say that all is
/// well.
#[test]
fn an_ipv6_address_needs_its_port() {
    let problem =
        "is \"https://[fd00:10:96::1]\": Spin needs the port after an IPv6 address, as in https://[fd00::1]:443";
    check_error("kube_api_url", "https://[fd00:10:96::1]", problem);
    check_grammar("kube_api_url", &["https://[fd00:10:96::1]:443"], &[]);
}

/// Spin compares the host as it is written with a request's, which is in lower case.
#[test]
fn an_api_server_is_written_in_lower_case() {
    for url in ["https://Kubernetes.default.svc", "HTTPS://kubernetes.default.svc", "https://[FD00::1]:443"] {
        check_error("kube_api_url", url, &format!("is {url:?}: Spin needs scheme and host in lower case"));
    }
}

#[test]
fn a_delivery_may_take_as_long_as_two_calls() {
    let bounds = config(&[("kube_api_timeout", "1m30s")]).bounds();
    assert_eq!((bounds.call, bounds.delivery), (Duration::from_secs(90), Duration::from_secs(180)));
}

#[test]
fn a_variable_that_cannot_be_read_is_named() {
    let error = Config::from_variables(|_| Err("undefined".into())).unwrap_err();
    assert_eq!(error.to_string(), "the variable client_namespace can't be read: undefined");
}

#[test]
fn a_clients_times_are_read() {
    let minutes = TimeDelta::minutes;
    let times = |changes: &[(&str, &str)]| {
        let config = config(changes);
        (config.client_ttl, config.client_patience, config.client_retention)
    };
    assert_eq!(times(&[]), (None, minutes(20), Some(minutes(60))));
    let changes = [("client_ttl", "1h30m"), ("client_patience", "1d"), ("client_retention", "0s")];
    assert_eq!(times(&changes), (Some(5_400), minutes(1_440), Some(minutes(0))));
    assert_eq!(times(&[("client_retention", "off")]).2, None);
    // The most seconds that Kubernetes accepts.
    assert_eq!(times(&[("client_ttl", "2147483647s")]).0, Some(i32::MAX as u64));
    check_grammar("client_ttl", &["", "1s", "365d", "68y"], &["0s", "999ms", "12", "off", "-1s", "30M", "2147483648s"]);
    check_grammar("client_patience", &["0s", "20m"], &["", "20", "20M", "off", "100years"]);
    check_grammar("client_retention", &["off", "0s", "1h"], &["", "Off", "1", "100years"]);
    check_error("client_ttl", "0s", "is \"0s\": use a time from 1s to 68y, such as 12h, or leave it empty");
    check_error("client_ttl", "69y", "is \"69y\": use a time from 1s to 68y, such as 12h, or leave it empty");
    check_error("client_patience", "soon", "is \"soon\": use a time such as 20m or 1h30m");
    check_error("client_retention", "no", "is \"no\": use a time such as 1h, 0s for at once, or off");
}
