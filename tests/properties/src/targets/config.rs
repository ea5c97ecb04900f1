//! Variables of which more can be wrong than their length.

use cloudevents::AttributesReader;
use cloudevents::{EventBuilder, EventBuilderV10};
use http::HeaderMap;
use provisioner::binding;
use provisioner::gateway::verify;
use provisioner::names::is_label_value;
use provisioner::outbound::Bounds;
use provisioner::pod::manifest;
use provisioner::sink::Sink;

use super::first_line;
use crate::setup;

const SINK: &str = "http://sink/default";

/// The value of `client_command`: what is accepted is the same command in both of its forms.
pub fn client_command(data: &[u8]) {
    let Ok(value) = str::from_utf8(data) else { return };
    let command = |value: &str| setup::config(&[("client_command", value)]).map(|config| config.client_command);
    let Ok(words) = command(value) else { return };
    let json = serde_json::to_string(&words).expect("texts are JSON");
    assert_eq!(command(&json).as_ref(), Ok(&words));
    let line = shell_words::join(&words);
    // A variable is trimmed of more than a shell takes for a space, and what begins like JSON is JSON.
    if !line.is_empty() && line == line.trim() && !line.starts_with('[') {
        assert_eq!(command(&line), Ok(words));
    }
}

/// The value of `k_ce_overrides`: what is accepted is on every reply, and nothing else of the reply changes.
pub fn overrides(data: &[u8]) {
    let Ok(value) = str::from_utf8(data) else { return };
    let Ok(sink) = Sink::parse(SINK, value, "http://sink") else { return };
    let reply = EventBuilderV10::new().id("1").source("/s").ty("t").subject("x").extension("causationid", "0");
    let reply = reply.build().expect("the event is complete");
    let request = sink.expect("there is a sink").request(&reply, &HeaderMap::new(), Bounds::default());
    let sent = binding::read(request.headers(), request.body()).expect("what is sent is an event");
    assert_eq!((sent.id(), sent.source().as_str(), sent.ty(), sent.subject()), ("1", "/s", "t", Some("x")));
    let wanted: serde_json::Value =
        if value.is_empty() { "".into() } else { serde_json::from_str(value).expect("JSON") };
    for (name, value) in wanted["extensions"].as_object().into_iter().flatten() {
        let value = value.as_str().expect("values are strings");
        let found = binding::extension(&sent, name).unwrap_or_default();
        assert_eq!(found, value, "{name}");
    }
}

/// A pattern for `gateway_address` in one line, and a gateway's name in the next.
pub fn gateway_address(data: &[u8]) {
    let (pattern, gateway) = first_line(data);
    let (Ok(pattern), Ok(gateway)) = (str::from_utf8(pattern), str::from_utf8(gateway)) else { return };
    let Ok(config) = setup::config(&[("gateway_address", pattern)]) else { return };
    if !is_label_value(gateway) {
        return;
    }
    let Some(address) = config.address_of(gateway) else { return assert!(pattern.trim().is_empty()) };
    assert!(!address.contains(['{', '}']) && !address.contains(char::is_whitespace), "{address:?}");
    let client = setup::client("/s", "1", gateway);
    let wanted = manifest(&client, &config, None);
    let verdict = |address: &str| {
        let pod = setup::routed(wanted.clone(), address);
        verify(&serde_json::from_value(pod).expect("it is a Pod"), &client, &config, &wanted)
    };
    assert_eq!(verdict(&address), Ok(()));
    assert!(verdict(&format!("{address}x")).is_err() && verdict("").is_err());
}
