//! The `Status` object, with which an API server says that something failed.
//!
//! In: what went wrong, in the API's own terms. Out: the object, worded as
//! kube-apiserver words it, since the component shows these messages to
//! people and decides by `reason` and `code`. Sending it is `server`'s part.

use super::cause::Cause;
use http::StatusCode;
use serde::Serialize;
use thiserror::Error;

/// A failure, as `v1.Status`.
#[derive(Debug, Clone, PartialEq, Serialize, Error)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
pub struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: NoMetadata,
    status: &'static str,
    /// What happened, for a person.
    pub message: String,
    /// What happened, for a program: one CamelCase word.
    pub reason: &'static str,
    /// What it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Details>>,
    /// The HTTP status code.
    pub code: u16,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct NoMetadata {}

/// The object concerned, and each cause.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `pods`, or `Pod` where the object itself is invalid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// One for each invalid field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// After how many seconds another try makes sense; also `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

impl Status {
    /// Any other failure, for tests that script one.
    pub fn failure(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind: "Status",
            api_version: "v1",
            metadata: NoMetadata {},
            status: "Failure",
            message: message.into(),
            reason,
            details: None,
            code: code.as_u16(),
        }
    }

    fn about(mut self, kind: &str, name: &str) -> Self {
        let details = self.details.get_or_insert_default();
        details.kind = kind.into();
        details.name = name.into();
        self
    }

    /// 401: no token, or another one.
    pub fn unauthorized() -> Self {
        Self::failure(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 403: the user's roles do not allow it. `name` is empty when the verb
    /// is `create` or `list`, `namespace` for the cluster scope.
    pub fn forbidden(user: &str, verb: &str, resource: &str, name: &str, namespace: &str) -> Self {
        let scope = match namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        let detail = format!("User {user:?} cannot {verb} resource {resource:?} in API group \"\" {scope}");
        Self::refused(resource, name, &detail)
    }

    /// 403: an admission plugin, the resource quota say, refuses.
    pub fn refused(resource: &str, name: &str, detail: &str) -> Self {
        let what = match name {
            "" => resource.to_owned(),
            name => format!("{resource} {name:?}"),
        };
        let message = format!("{what} is forbidden: {detail}");
        Self::failure(StatusCode::FORBIDDEN, "Forbidden", message).about(resource, name)
    }

    /// 403: an admission webhook says no.
    pub fn denied_by_webhook(webhook: &str, message: &str) -> Self {
        let message = format!("admission webhook {webhook:?} denied the request: {message}");
        Self::failure(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    /// 404: no such object.
    pub fn not_found(resource: &str, name: &str) -> Self {
        let message = format!("{resource} {name:?} not found");
        Self::failure(StatusCode::NOT_FOUND, "NotFound", message).about(resource, name)
    }

    /// 404: no such path.
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::failure(StatusCode::NOT_FOUND, "NotFound", message).about("", "")
    }

    /// 409: the name is taken.
    pub fn already_exists(resource: &str, name: &str) -> Self {
        let message = format!("{resource} {name:?} already exists");
        Self::failure(StatusCode::CONFLICT, "AlreadyExists", message).about(resource, name)
    }

    /// 409: the object is not the one, or not the version, that was meant.
    pub fn conflict(resource: &str, name: &str, detail: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} {name:?}: {detail}");
        Self::failure(StatusCode::CONFLICT, "Conflict", message).about(resource, name)
    }

    /// 422: the object breaks the rules of its kind.
    pub fn invalid(kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let all: Vec<_> = causes.iter().map(ToString::to_string).collect();
        let all = match all.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let message = format!("{kind} {name:?} is invalid: {all}");
        let mut status = Self::failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message);
        status.details.get_or_insert_default().causes = causes;
        status.about(kind, name)
    }

    /// 400: the request cannot be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 405: the resource is known, the verb is not.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let code = StatusCode::METHOD_NOT_ALLOWED;
        Self::failure(code, "MethodNotAllowed", message).about("", "")
    }

    /// 413: the body is over the limit.
    pub fn request_entity_too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        let code = StatusCode::PAYLOAD_TOO_LARGE;
        Self::failure(code, "RequestEntityTooLarge", message)
    }

    /// 415: the body's media type is not one of `accepted`.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        let code = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::failure(code, "UnsupportedMediaType", message)
    }

    /// 429: come back in `seconds`.
    pub fn too_many_requests(seconds: u32) -> Self {
        let message = "Too many requests, please try again later.";
        Self::failure(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message).retry_in(seconds)
    }

    /// 500: an admission webhook could not be asked.
    pub fn webhook_failed(webhook: &str, why: &str) -> Self {
        let message = format!("failed calling webhook {webhook:?}: failed to call webhook: {why}");
        let cause = Cause::of_webhook(&message);
        let mut status = Self::internal_error(&message);
        status.details.get_or_insert_default().causes = vec![cause];
        status
    }

    /// 500: the API server's own failure.
    pub fn internal_error(message: &str) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// 503: the API server is not ready.
    pub fn service_unavailable() -> Self {
        let message = "the server is currently unable to handle the request";
        let code = StatusCode::SERVICE_UNAVAILABLE;
        Self::failure(code, "ServiceUnavailable", message)
    }

    /// The same failure, with `Retry-After`.
    pub fn retry_in(mut self, seconds: u32) -> Self {
        let details = self.details.get_or_insert_default();
        details.retry_after_seconds = Some(seconds);
        self
    }

    /// The value of `Retry-After`, where there is one.
    pub fn retry_after(&self) -> Option<u32> {
        self.details.as_ref()?.retry_after_seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status as Typed;

    #[track_caller]
    fn typed(status: Status) -> Typed {
        serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap()
    }

    #[test]
    fn status_reads_as_the_api_types_status() {
        let status = typed(Status::too_many_requests(7));
        assert_eq!(status.code, Some(429));
        assert_eq!(status.reason.as_deref(), Some("TooManyRequests"));
        assert_eq!(status.status.as_deref(), Some("Failure"));
        assert_eq!(status.details.unwrap().retry_after_seconds, Some(7));
    }

    #[test]
    fn one_cause_stands_alone_and_several_stand_in_brackets() {
        let cause = Cause::invalid("metadata.labels", "a/b", "no");
        let one = Status::invalid("Pod", "x", vec![cause.clone()]);
        let text = r#"Pod "x" is invalid: metadata.labels: Invalid value: "a/b": no"#;
        assert_eq!(one.message, text);
        let two = Status::invalid("Pod", "x", vec![cause, Cause::required("spec.y", "")]);
        assert!(two.message.ends_with("no, spec.y: Required value]"));
    }

    #[test]
    fn forbidden_names_the_user_the_verb_and_the_scope() {
        let status = Status::forbidden("joe", "create", "pods", "", "x");
        let text =
            r#"pods is forbidden: User "joe" cannot create resource "pods" in API group "" in the namespace "x""#;
        assert_eq!(status.message, text);
        let status = Status::forbidden("joe", "list", "pods", "", "");
        assert!(status.message.ends_with("at the cluster scope"));
    }

    #[test]
    fn failed_webhook_is_an_internal_error_with_its_cause() {
        let status = typed(Status::webhook_failed("foo.svc", "connection refused"));
        assert_eq!(status.code, Some(500));
        assert_eq!(status.details.unwrap().causes.unwrap().len(), 1);
        let text =
            r#"Internal error occurred: failed calling webhook "foo.svc": failed to call webhook: connection refused"#;
        assert_eq!(status.message.unwrap(), text);
    }
}
