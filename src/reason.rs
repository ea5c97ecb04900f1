//! The closed list of reasons for which a pending event fails.
//!
//! A reason is one CamelCase word, as in a Kubernetes condition. Producers switch on it, so a word is never renamed and
//! never reused. People read the message beside it. The wire form is defined only here.

use serde::Serialize;

/// Why a pending event will never have a client.
///
/// Serialized as the variant's own name, for example `"GatewayNotInjected"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Reason {
    /// The event's data is not a JSON object with a string `gateway_name`, or its `expirytime` is no timestamp.
    InvalidEventData,
    /// The gateway's name is not a valid label value.
    InvalidGatewayName,
    /// The gateway is not in the allow-list `gateways`.
    GatewayNotAllowed,
    /// The event's `expirytime` has passed.
    EventExpired,
    /// No gateway's admission controller took the Pod.
    GatewayNotInjected,
    /// Another gateway took the Pod, or more than one did.
    WrongGatewayInjected,
    /// A webhook changed the Pod so that it could bypass its gateway or would never start.
    UnsafePod,
    /// The API server, or an admission webhook, refused the Pod, or the event's identity is too long for its annotations.
    PodRejected,
    /// The client namespace's ResourceQuota is used up.
    QuotaExceeded,
    /// The provisioner's service account may not do this.
    Forbidden,
    /// The client namespace does not exist.
    NamespaceNotFound,
    /// A Pod of this name belongs to another event.
    PodNameConflict,
    /// The PodTemplate named by `client_pod_template` can't be used.
    PodTemplateInvalid,
    /// The broker gave up on the event before it could be settled.
    Undeliverable,
}

impl Reason {
    /// Every reason, in the order of the list in `docs/contract.md`.
    #[rustfmt::skip]
    pub const ALL: [Self; 14] = [
        Self::InvalidEventData, Self::InvalidGatewayName, Self::GatewayNotAllowed, Self::EventExpired,
        Self::GatewayNotInjected, Self::WrongGatewayInjected, Self::UnsafePod, Self::PodRejected, Self::QuotaExceeded,
        Self::Forbidden, Self::NamespaceNotFound, Self::PodNameConflict, Self::PodTemplateInvalid, Self::Undeliverable,
    ];
}

/// A final failure: the word for machines and the sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word of the closed list.
    pub reason: Reason,
    /// What happened and what to do about it. Never holds a token.
    pub message: String,
}

impl Failure {
    /// A failure with its reason and its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
