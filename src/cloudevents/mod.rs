//! The CloudEvents HTTP protocol binding: [`read()`] for incoming events, [`write()`] for outgoing ones.
//!
//! Outgoing events use the SDK's model. Its HTTP binding isn't used, because it gets several rules wrong:
//! percent-encoding, media types, repeated attributes, `null`. Source of the rules: CloudEvents 1.0.2, "HTTP Protocol
//! Binding" section 3 and "JSON Event Format" sections 2 and 3.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{BYTE_ORDER_MARK, Data, ReadError, Received, read};
pub use write::{write, write_verbatim};

const STRUCTURED_JSON: &str = "application/cloudevents+json";

/// The content mode of an event in an HTTP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Attributes are headers, and the data is the body.
    Binary,
    /// The body is the whole event, as JSON.
    Structured,
}

/// Whether `name` is a valid attribute name: CloudEvents 1.0.2, "Naming Conventions".
pub fn is_attribute_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}
