//! The grammar of Kubernetes names, for values from outside that become part of an object.
//!
//! The API server checks all of this again. It is checked here too because an immediate answer about the event or the
//! variable helps more than a 422 about a field that the reader has never seen. Source of the rules: Kubernetes,
//! "Object Names and IDs" and "Labels and Selectors: Syntax and character set".

/// How many characters a label value and a DNS label may have.
pub const LABEL_MAX: usize = 63;
const SUBDOMAIN_MAX: usize = 253;

/// Whether `value` is a non-empty label value: 1 to 63 of `[A-Za-z0-9._-]`, with a letter or digit at both ends.
pub fn is_label_value(value: &str) -> bool {
    is_bounded(value) && value.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
}

/// Whether `key` can be the key of a label and of an annotation: an optional DNS subdomain and `/`, then a name.
pub fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_label_value(name),
        None => is_label_value(key),
    }
}

/// Whether `name` is a DNS label (RFC 1123), as a namespace's name must be.
pub fn is_dns_label(name: &str) -> bool {
    is_bounded(name) && name.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Whether `name` is a DNS subdomain (RFC 1123), as most objects' names must be.
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN_MAX && name.split('.').all(is_dns_label)
}

/// Whether it has 1 to [`LABEL_MAX`] characters, with a letter or digit at both ends.
fn is_bounded(value: &str) -> bool {
    let ends = [value.as_bytes().first(), value.as_bytes().last()];
    value.len() <= LABEL_MAX && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

#[cfg(test)]
mod tests;
