//! What is wrong with one field of an object, in the API server's words.
//!
//! In: a field's path and its value. Out: one of `Status`'s causes.

use serde::Serialize;
use std::fmt;

/// One field that is wrong, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// `FieldValueInvalid` and the like; empty for a failed webhook.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// What is wrong with the field.
    pub message: String,
    /// The field's path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Cause {
    fn field(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { reason, message, field: field.into() }
    }

    /// A webhook that could not be asked: no field, no reason.
    pub fn of_webhook(message: &str) -> Self {
        Self::field("", "", message.to_owned())
    }

    /// A value that breaks a rule.
    pub fn invalid(field: impl Into<String>, value: &str, rule: &str) -> Self {
        let message = format!("Invalid value: {value:?}: {rule}");
        Self::field("FieldValueInvalid", field, message)
    }

    /// A value that is missing.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let colon = if detail.is_empty() { "" } else { ": " };
        let message = format!("Required value{colon}{detail}");
        Self::field("FieldValueRequired", field, message)
    }

    /// A value that must be unique and is not.
    pub fn duplicate(field: impl Into<String>, value: &str) -> Self {
        let message = format!("Duplicate value: {value:?}");
        Self::field("FieldValueDuplicate", field, message)
    }

    /// A value that is out of a closed list.
    pub fn not_supported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported.iter().map(|word| format!("{word:?}")).collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {value:?}: supported values: {supported}");
        Self::field("FieldValueNotSupported", field, message)
    }

    /// A reference to something that is not there.
    pub fn not_found(field: impl Into<String>, value: &str) -> Self {
        let message = format!("Not found: {value:?}");
        Self::field("FieldValueNotFound", field, message)
    }

    /// A change, or a combination, that is not allowed.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        let message = format!("Forbidden: {detail}");
        Self::field("FieldValueForbidden", field, message)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cause: Cause, expect: &str) {
        assert_eq!(cause.to_string(), expect);
    }

    #[test]
    fn causes_are_worded_as_the_api_server_words_them() {
        check(Cause::invalid("a", "x", "no"), "a: Invalid value: \"x\": no");
        check(Cause::required("a", ""), "a: Required value");
        check(Cause::required("a", "why"), "a: Required value: why");
        check(Cause::duplicate("a", "x"), "a: Duplicate value: \"x\"");
        check(Cause::not_found("a", "x"), "a: Not found: \"x\"");
        check(Cause::forbidden("a", "no"), "a: Forbidden: no");
        let expect = "a: Unsupported value: \"x\": supported values: \"y\", \"z\"";
        check(Cause::not_supported("a", "x", &["y", "z"]), expect);
    }
}
