use super::*;
use serde_json::json;

#[test]
fn the_words_on_the_wire_are_those_of_the_design() {
    let words = json!([
        "InvalidEventData",
        "InvalidGatewayName",
        "GatewayNotAllowed",
        "EventExpired",
        "GatewayNotInjected",
        "WrongGatewayInjected",
        "UnsafePod",
        "PodRejected",
        "QuotaExceeded",
        "Forbidden",
        "NamespaceNotFound",
        "PodNameConflict",
        "PodTemplateInvalid",
        "Undeliverable",
    ]);
    assert_eq!(json!(Reason::ALL), words);
}
