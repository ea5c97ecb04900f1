//! Variables: what is accepted of them can be used.

use http::HeaderMap;
use provisioner::kubernetes::{Api, Token};
use provisioner::testing::try_config;
use serde_json::json;

use super::first_line;

/// A variable's name in one line, and its value. What is accepted can be called: forming a request never panics.
pub fn variable(data: &[u8]) {
    let (name, value) = first_line(data);
    let (Ok(name), Ok(value)) = (str::from_utf8(name), str::from_utf8(value)) else { return };
    let Ok(config) = try_config(&[(name, value), ("sink_origin", "*://*:*")]) else { return };
    let token = Token::parse("token", &config.kube_api_url).expect("it is a token");
    let api = Api::new(&config, &token, HeaderMap::new());
    let sink = config.sink.as_ref().map(|sink| sink.request(Default::default(), HeaderMap::new(), None));
    let calls = [api.rehearse(&json!({})), api.get("x"), api.get_template("x"), api.get_readiness()];
    for request in calls.into_iter().chain(sink) {
        assert!(request.uri().authority().is_some() && request.uri().scheme().is_some(), "{}", request.uri());
    }
}
