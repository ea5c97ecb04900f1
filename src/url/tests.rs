use super::*;

#[test]
fn the_base_of_an_api_has_a_scheme_and_a_host_and_nothing_else() {
    for url in ["http://127.0.0.1:8001", "https://kubernetes.default.svc/", "http://[::1]:1"] {
        assert!(BaseUrl::parse(url).is_ok(), "{url:?}");
    }
    for url in [
        "",
        "kubernetes",
        "ftp://a",
        "http://a/b",
        "http://a?b",
        "http://a#b",
        "http://user@a",
        "http://a:1@a:2",
        "http://",
    ] {
        assert!(BaseUrl::parse(url).is_err(), "{url:?}");
    }
    // Those can be parsed, and no call would ever arrive.
    for authority in ["a:", "a:https", "a:65536", ":443", "[::1]:", "[::1]1", "[::1]"] {
        assert!(BaseUrl::parse(&format!("https://{authority}")).is_err(), "{authority:?}");
    }
}

#[test]
fn a_base_is_joined_with_a_path_and_knows_what_it_is() {
    let url = |text| BaseUrl::parse(text).unwrap();
    assert_eq!(url("https://kubernetes.default.svc/").join("/api"), "https://kubernetes.default.svc/api");
    assert_eq!(url("http://[::1]:8001").join("/api?x=1"), "http://[::1]:8001/api?x=1");
    assert!(url("https://a").is_https() && !url("http://a").is_https());
}

#[test]
fn an_origin_has_its_default_port_and_no_case() {
    let origin =
        |text: &str| origin(&text.parse().unwrap()).map(|(scheme, host, port)| format!("{scheme} {host} {port}"));
    assert_eq!(origin("http://Broker.example/path").as_deref(), Some("http broker.example 80"));
    assert_eq!(origin("https://broker.example").as_deref(), Some("https broker.example 443"));
    assert_eq!(origin("https://broker.example:8443").as_deref(), Some("https broker.example 8443"));
    assert_eq!(origin("/path"), None);
}
