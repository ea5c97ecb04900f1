//! The `Status` object, with which an API server says that something failed.
//!
//! In: what went wrong, in the API's own terms. Out: the object, worded as kube-apiserver words it, since the component
//! shows these messages to people and decides by `reason` and `code`. Sending it is `server`'s part.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// A failure, as `v1.Status`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    /// The HTTP status code.
    pub code: StatusCode,
    /// What happened, for a program: one CamelCase word; empty where an API server says none.
    pub reason: &'static str,
    /// What happened, for a person.
    pub message: String,
    details: Value,
}

impl Status {
    /// A failure that is about no object.
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}) }
    }

    fn about(mut self, kind: &str, name: &str) -> Self {
        for (field, value) in [("kind", kind), ("name", name)].into_iter().filter(|(_, value)| !value.is_empty()) {
            self.details[field] = json!(value);
        }
        self
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let Self { code, reason, message, details } = self;
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "details": details, "code": code.as_u16(),
        });
        if !reason.is_empty() {
            status["reason"] = json!(reason);
        }
        status
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 403: the user may not do this to a resource. `name` is empty when the verb is `create` or `list`, `namespace` for
    /// the cluster scope.
    pub fn forbidden(user: &str, verb: &str, resource: &str, name: &str, namespace: &str) -> Self {
        let scope = match namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let named = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let who = format!("User {user:?} cannot {verb} resource {resource:?} in API group \"\" {scope}");
        let message = format!("{resource}{named} is forbidden: {who}");
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).about(resource, name)
    }

    /// 400: an admission webhook says no and gives no code.
    pub fn denied_by_webhook(webhook: &str, message: &str) -> Self {
        let message = format!("admission webhook {webhook:?} denied the request: {message}");
        Self::new(StatusCode::BAD_REQUEST, "", message)
    }

    /// 404: no such object.
    pub fn not_found(resource: &str, name: &str) -> Self {
        let message = format!("{resource} {name:?} not found");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message).about(resource, name)
    }

    /// 409: the name is taken, by an object that may be on its way out.
    pub fn already_exists(resource: &str, name: &str, being_deleted: bool) -> Self {
        let taken = format!("{resource} {name:?} already exists");
        let message = if being_deleted { format!("object is being deleted: {taken}") } else { taken };
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).about(resource, name)
    }

    /// 409: the object is not the one, or not the version, that was meant.
    pub fn conflict(resource: &str, name: &str, detail: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {detail}");
        Self::new(StatusCode::CONFLICT, "Conflict", message).about(resource, name)
    }

    /// 415: the body's media type is not one of `accepted`.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 422: the object breaks the rules of its kind. `kind` has the API group behind it, unless that is the core.
    pub fn invalid(kind: &str, name: &str, causes: &[Cause]) -> Self {
        let all: Vec<_> = causes.iter().map(ToString::to_string).collect();
        let all = match all.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let message = format!("{kind} {name:?} is invalid: {all}");
        let status = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        let mut status = status.about(kind.split('.').next().unwrap_or_default(), name);
        status.details["causes"] = json!(causes);
        status
    }

    /// 500: an admission webhook could not be asked.
    pub fn webhook_failed(webhook: &str, why: &str) -> Self {
        let detail = format!("failed calling webhook {webhook:?}: failed to call webhook: {why}");
        let message = format!("Internal error occurred: {detail}");
        let mut status = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message);
        status.details["causes"] = json!([{"message": detail}]);
        status
    }

    /// 500: something that an API server has no word for.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
    }
}

/// One field that is wrong, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    reason: &'static str,
    message: String,
    field: String,
}

impl Cause {
    fn new(reason: &'static str, field: impl Into<String>, message: String) -> Self {
        Self { reason, message, field: field.into() }
    }

    /// A value, as an API server prints it, that breaks a rule.
    pub fn invalid(field: impl Into<String>, value: impl fmt::Display, rule: &str) -> Self {
        Self::new("FieldValueInvalid", field, format!("Invalid value: {value}: {rule}"))
    }

    /// A value that is missing; `detail` begins with a colon, or is empty.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueRequired", field, format!("Required value{detail}"))
    }

    /// A value that must be unique and is not.
    pub fn duplicate(field: impl Into<String>, value: &str) -> Self {
        Self::new("FieldValueDuplicate", field, format!("Duplicate value: {value:?}"))
    }

    /// A value, as an API server prints it, that is out of a closed list.
    pub fn not_supported(field: impl Into<String>, value: impl fmt::Display, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported.iter().map(|word| format!("{word:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self::new("FieldValueNotSupported", field, message)
    }

    /// A value that nothing goes by.
    pub fn not_found(field: impl Into<String>, value: &str) -> Self {
        Self::new("FieldValueNotFound", field, format!("Not found: {value:?}"))
    }

    /// A value that has too many bytes.
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self::new("FieldValueTooLong", field, format!("Too long: may not be more than {limit} bytes"))
    }

    /// A change, or a combination, that is not allowed.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, format!("Forbidden: {detail}"))
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
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status as Typed;

    #[test]
    fn status_reads_as_the_api_types_status() {
        let cause = Cause::invalid("spec.x", "y", "no");
        let status: Typed = serde_json::from_value(Status::invalid("Pod", "x", &[cause]).json()).unwrap();
        assert_eq!((status.code, status.reason.as_deref()), (Some(422), Some("Invalid")));
        assert_eq!(status.status.as_deref(), Some("Failure"));
        assert_eq!(status.details.unwrap().causes.unwrap()[0].field.as_deref(), Some("spec.x"));
    }

    #[test]
    fn one_cause_stands_alone_and_several_stand_in_brackets() {
        let cause = Cause::invalid("metadata.labels", "\"a/b\"", "no");
        let one = Status::invalid("Pod", "x", std::slice::from_ref(&cause));
        assert_eq!(one.message, r#"Pod "x" is invalid: metadata.labels: Invalid value: "a/b": no"#);
        let two = Status::invalid("Pod", "x", &[cause, Cause::required("spec.y", "")]);
        assert!(two.message.ends_with("no, spec.y: Required value]"));
    }
}
