//! Events become requests in both modes, and requests events again.

use cloudevents::event::Data;
use cloudevents::{Event, EventBuilder, EventBuilderV10};
use properties::sdk::check_written;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use crate::generators::{json, text};

fn event() -> impl Strategy<Value = Event> {
    let names = prop_oneof![
        "ext[a-z0-9]{0,10}",
        "correlationid|traceparent|tracestate|expirytime|knativeerror(code|data)|knativearrivaltime"
    ];
    let value = prop_oneof![2 => "[!#$&-~]{1,20}", 1 => text()];
    let texts = [value.clone(), value.clone(), value.clone(), value.clone()];
    let of =
        |json: Value, is_json| if is_json { Data::Json(json) } else { Data::Binary(json.to_string().into_bytes()) };
    let data = prop_oneof![
        (json(), any::<bool>()).prop_map(move |(json, is_json)| ("application/json", of(json, is_json))),
        vec(any::<u8>(), 1..30).prop_map(|bytes| ("application/octet-stream", Data::Binary(bytes))),
    ];
    let data = option::of(data);
    (texts, btree_map(names, value, 0..4), data).prop_map(|([id, source, ty, subject], more, data)| {
        let mut event = EventBuilderV10::new().id(id).source(source).ty(ty).subject(subject);
        for (name, value) in &more {
            event = event.extension(name, value.as_str());
        }
        // Data that are null are none, as far as structured mode can say it.
        match data.filter(|(_, data)| *data != Data::Json(Value::Null)) {
            Some((content_type, data)) => event.data(content_type, data).build().unwrap(),
            None => event.build().unwrap(),
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(event in event()) {
        check_written(&event);
    }
}
