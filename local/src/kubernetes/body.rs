//! Reading the body of a request: media type, JSON, and a new Pod's kind,
//! namespace and name.
//!
//! In: a request. Out: the Pod as JSON, or 400 or 415. The rules for what is
//! in it are `validation`'s part.

use super::status::Status;
use super::store::Stamp;
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

/// The media type, in lower case and without parameters; JSON by default.
pub fn media_type(request: &Request<Bytes>) -> String {
    let value = request.headers().get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let value = value.unwrap_or("application/json").split(';').next();
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

/// The body as JSON.
pub fn json(request: &Request<Bytes>) -> Result<Value, Status> {
    serde_json::from_slice(request.body())
        .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
}

/// The Pod to create: of the right kind, with a namespace and a name.
pub fn new_pod(request: &Request<Bytes>, namespace: &str, stamp: &Stamp) -> Result<Value, Status> {
    if media_type(request) != "application/json" {
        return Err(Status::unsupported_media_type(&["application/json"]));
    }
    let mut pod = json(request)?;
    if !pod.is_object() {
        let message = "couldn't get version/kind; json parse error: it is not a JSON object";
        return Err(Status::bad_request(message));
    }
    for (field, expect) in [("kind", "Pod"), ("apiVersion", "v1")] {
        match pod[field].as_str() {
            Some(found) if found != expect => {
                let message =
                    format!("the {field} of the object ({found}) does not match the expected {field} ({expect})");
                return Err(Status::bad_request(message));
            }
            _ => pod[field] = json!(expect),
        }
    }
    own_metadata(&mut pod, namespace, stamp)?;
    Ok(pod)
}

fn own_metadata(pod: &mut Value, namespace: &str, stamp: &Stamp) -> Result<(), Status> {
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    let metadata = &mut pod["metadata"];
    match metadata["namespace"].as_str() {
        Some(other) if !other.is_empty() && other != namespace => {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(message));
        }
        _ => metadata["namespace"] = json!(namespace),
    }
    if let (None | Some(""), Some(prefix)) = (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        let random = stamp.uid.simple().to_string();
        metadata["name"] = json!(format!("{prefix}{}", &random[..5]));
    }
    let metadata = metadata.as_object_mut().into_iter();
    metadata.for_each(|it| it.retain(|_, value| !value.is_null()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media: &str, body: &str) -> Result<Value, Status> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let request = Request::builder().header(CONTENT_TYPE, media).body(body);
        new_pod(&request.unwrap(), "n", &Stamp::now())
    }

    #[test]
    fn kind_and_namespace_come_from_the_path() {
        let pod = read("Application/JSON; charset=utf-8", r#"{"metadata": {"name": "x"}}"#).unwrap();
        let expect = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "n"}});
        assert_eq!(pod, expect);
    }

    #[test]
    fn other_kind_or_namespace_is_a_bad_request() {
        for body in
            [r#"{"kind": "Service"}"#, r#"{"apiVersion": "v2"}"#, r#"{"metadata": {"namespace": "m"}}"#, "[]", ""]
        {
            assert_eq!(read("application/json", body).unwrap_err().code, 400, "{body}");
        }
        assert_eq!(read("application/yaml", "{}").unwrap_err().code, 415);
    }

    #[test]
    fn generated_name_has_its_prefix() {
        let pod = read("application/json", r#"{"metadata": {"generateName": "x-"}}"#).unwrap();
        let name = pod["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("x-") && name.len() == 7, "{name}");
    }
}
