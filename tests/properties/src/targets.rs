//! The fuzz targets: functions over arbitrary bytes that panic where a promise is broken.
//!
//! Inputs are lines of text where that is possible, so that the corpus can be read, and written by hand.

mod api;
mod config;
mod http;
mod pod;

pub use api::api_answer_to_outcome;
pub use config::variable;
pub use http::http_to_event;
pub use pod::event_to_pod;

/// A target, by the name of its folder in the corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: [Target; 4] = [
    ("http_to_event", http_to_event),
    ("event_to_pod", event_to_pod),
    ("api_answer_to_outcome", api_answer_to_outcome),
    ("variable", variable),
];

/// The first line, and what comes after it.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}
