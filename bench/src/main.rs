//! What an event costs.
fn main() {}
