//! Variables of any text: a configuration that can be used, or an error that names the variable.

use http::HeaderMap;
use properties::targets;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use provisioner::config::Config;
use provisioner::kubernetes::{Api, Token};
use provisioner::sink::Sink;
use provisioner::testing::{config, try_config};
use serde_json::json;

use crate::generators::{gateway, text};

proptest! {
    #[test]
    fn variables_of_any_text_make_a_configuration_or_an_error_that_names_one(
        name in select(vec!["client_namespace", "client_image", "client_command", "client_pod_template", "gateway_key",
            "gateways", "gateway_address", "gateway_verification", "kube_api_url", "kube_api_timeout", "k_sink",
            "k_ce_overrides", "sink_origin"]),
        value in prop_oneof![
            any::<String>(),
            "[a-z0-9:/\\[\\]{}\"'\\\\ .,@%_-]{0,20}",
            "https?://[a-z0-9:.\\[\\]@/-]{0,12}",
            "[0-9]{1,30}(ns|ms|s|m|h|y)",
        ],
    ) {
        match try_config(&[(name, &value)]) {
            Err(error) => prop_assert!(error.to_string().starts_with("the variable ")),
            Ok(config) => check_calls(&config),
        }
    }

    #[test]
    fn variables_with_a_grammar_of_their_own_keep_their_promises(
        words in vec(any::<String>(), 0..5),
        line in "[a-z \"'\\\\\\[\\]#$\n\t]{0,20}",
        extensions in btree_map("[a-z]{1,8}", text(), 0..4),
        pattern in "[a-z.{}]{0,6}(\\{gateway\\})?[a-z.{}]{0,6}",
        gateway in gateway(),
    ) {
        let json = json!(words).to_string();
        prop_assert_eq!(config(&[("client_command", &json)]).client_command, words);
        targets::client_command(json.as_bytes());
        targets::client_command(line.as_bytes());
        targets::overrides(json!({ "extensions": extensions }).to_string().as_bytes());
        targets::gateway_address(format!("{pattern}\n{gateway}").as_bytes());
    }

    #[test]
    fn sinks_of_any_text_are_usable_or_refused(sink: String, url in "https?://[a-z.:0-9@*/-]{0,20}", origin: String) {
        for sink in [sink, url] {
            if let Ok(Some(sink)) = Sink::parse(&sink, "", &origin) {
                let request = sink.request(Default::default(), HeaderMap::new(), None);
                prop_assert!(request.uri().authority().is_some() && request.uri().scheme().is_some());
            }
        }
    }
}

/// Whatever was accepted can be called: forming a request never panics.
fn check_calls(config: &Config) {
    let token = Token::parse("token", &config.kube_api_url).ok().unwrap();
    let api = Api::new(config, &token, HeaderMap::new());
    for request in [api.rehearse(&json!({})), api.get("x"), api.get_template("x"), api.get_readiness()] {
        assert!(request.uri().authority().is_some(), "{}", request.uri());
    }
}
