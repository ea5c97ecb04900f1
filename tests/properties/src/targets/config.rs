//! Variables of which more can be wrong than their length.

use cloudevents::binding::http::to_event;
use cloudevents::{AttributesReader, EventBuilder, EventBuilderV10};
use http::HeaderMap;
use provisioner::cloudevents::{Mode, write};
use provisioner::event::Pending;
use provisioner::gateway::verify;
use provisioner::manifest::manifest;
use provisioner::names::is_label_value;
use provisioner::sink::Sink;
use provisioner::testing::{context, routed_by, try_config};
use serde_json::Value;

use super::first_line;
use crate::answers::SINK;

/// The value of `client_command`: what is accepted is the same command in both of its forms.
pub fn client_command(data: &[u8]) {
    let Ok(value) = str::from_utf8(data) else { return };
    let command = |value: &str| try_config(&[("client_command", value)]).map(|config| config.client_command);
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
    let sink = sink.expect("there is a sink");
    let reply = EventBuilderV10::new().id("1").source("/s").ty("t").subject("x").extension("causationid", "0");
    let reply = sink.overridden(reply.build().expect("the event is complete"));
    let wanted: Value = if value.is_empty() { "".into() } else { serde_json::from_str(value).expect("JSON") };
    for mode in [Mode::Binary, Mode::Structured] {
        let request = sink.request(write(&reply, mode), HeaderMap::new(), None);
        let sent = to_event(request.headers(), request.body().clone()).expect("what is sent is an event");
        assert_eq!((sent.id(), sent.source().as_str(), sent.ty(), sent.subject()), ("1", "/s", "t", Some("x")));
        for (name, value) in wanted["extensions"].as_object().into_iter().flatten() {
            let found = sent.extension(name).map(ToString::to_string).unwrap_or_default();
            assert_eq!(found, value.as_str().expect("values are strings"), "{name}");
        }
    }
}

/// A pattern for `gateway_address` in one line, and a gateway's name in the next.
pub fn gateway_address(data: &[u8]) {
    let (pattern, gateway) = first_line(data);
    let (Ok(pattern), Ok(gateway)) = (str::from_utf8(pattern), str::from_utf8(gateway)) else { return };
    let Ok(config) = try_config(&[("gateway_address", pattern)]) else { return };
    if !is_label_value(gateway) {
        return;
    }
    let Some(address) = config.address_of(gateway) else { return assert!(pattern.trim().is_empty()) };
    assert!(!address.contains(['{', '}']) && !address.contains(char::is_whitespace), "{address:?}");
    let context = context("/s", "1");
    let pending = Pending::new(&context, gateway, &config).expect("any label value may be asked for");
    let wanted = manifest(&pending, &config, None);
    let verdict = |address: &str| {
        let pod = serde_json::from_value(routed_by(address, wanted.clone())).expect("it is a Pod");
        verify(&pod, &pending, &config)
    };
    assert_eq!(verdict(&address), Ok(()));
    assert!(verdict(&format!("{address}x")).is_err() && verdict("").is_err());
}
