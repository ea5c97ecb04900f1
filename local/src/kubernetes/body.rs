//! Reading the body of a request: media type, JSON, options, and a new Pod's kind, namespace and name.
//!
//! In: a request. Out: the Pod as JSON, or why it is none. The rules for what is in it are `validation`'s part.

use super::route::Query;
use super::status::{Cause, Status};
use super::store::{DeleteOptions, Stamp};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use provisioner::pod::{each, text};
use serde_json::{Value, json};

const JSON: &str = "application/json";

/// The media type, in lower case and without parameters; JSON by default.
pub fn media_type(request: &Request<Bytes>) -> String {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or(JSON).split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether only a dry run is asked for, by the options of this kind. `dryRun` has one value.
pub fn is_dry_run(kind: &str, value: &str) -> Result<bool, Status> {
    match value {
        "" => Ok(false),
        "All" => Ok(true),
        other => {
            let cause = Cause::not_supported("dryRun", format!("[{other:?}]"), &["All"]);
            Err(Status::invalid(&format!("{kind}.meta.k8s.io"), "", &[cause]))
        }
    }
}

/// The Pod to create: of the right kind, with a namespace and a name.
pub fn new_pod(request: &Request<Bytes>, namespace: &str, stamp: &Stamp) -> Result<Value, Status> {
    only_json(request)?;
    let unrecognized = |error: &str| {
        let what = "the object provided is unrecognized (must be of type Pod): couldn't get version/kind";
        Status::bad_request(format!("{what}; json parse error: {error}"))
    };
    let mut pod: Value = serde_json::from_slice(request.body()).map_err(|error| unrecognized(&error.to_string()))?;
    if !pod.is_object() {
        return Err(unrecognized("it is no object"));
    }
    for (field, expected) in [("kind", "Pod"), ("apiVersion", "v1")] {
        if !["", expected].contains(&text(&pod[field])) {
            let message = format!("{} in version {} cannot be handled as a Pod", text(&pod["kind"]), pod["apiVersion"]);
            return Err(Status::bad_request(message));
        }
        pod[field] = json!(expected);
    }
    super::types::check(&pod)?;
    own_metadata(&mut pod, namespace, stamp)?;
    drop_nulls(&mut pod);
    Ok(pod)
}

fn own_metadata(pod: &mut Value, namespace: &str, stamp: &Stamp) -> Result<(), Status> {
    if pod["metadata"].is_null() {
        pod["metadata"] = json!({});
    }
    let metadata = &mut pod["metadata"];
    if !["", namespace].contains(&text(&metadata["namespace"])) {
        return Err(Status::bad_request(super::update::OTHER_NAMESPACE));
    }
    metadata["namespace"] = json!(namespace);
    if let ("", Some(prefix)) = (text(&metadata["name"]), metadata["generateName"].as_str()) {
        metadata["name"] = json!(format!("{prefix}{}", &stamp.uid.simple().to_string()[..5]));
    }
    Ok(())
}

/// A field that is null says no more than one that is not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}

/// How a DELETE is meant: by its body, or by its query where it has none.
pub fn delete_options(request: &Request<Bytes>, query: &Query) -> Result<DeleteOptions, Status> {
    // A body makes the query count for nothing, its dry run included.
    let body: Value = match request.body().is_empty() {
        true => json!({
            "gracePeriodSeconds": query.get("gracePeriodSeconds").parse::<i64>().ok(), "dryRun": [query.get("dryRun")],
        }),
        false => {
            only_json(request)?;
            serde_json::from_slice(request.body())
                .map_err(|error| Status::unknown(format!("couldn't get version/kind; json parse error: {error}")))?
        }
    };
    let dry = is_dry_run("DeleteOptions", each(&body["dryRun"]).next().map(text).unwrap_or_default())?;
    let mut options: DeleteOptions =
        serde_json::from_value(body).map_err(|error| Status::unknown(error.to_string()))?;
    options.dry = dry;
    Ok(options)
}

fn only_json(request: &Request<Bytes>) -> Result<(), Status> {
    match media_type(request) == JSON {
        true => Ok(()),
        false => Err(Status::unsupported_media_type(&[JSON])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media: &str, body: &str) -> Result<Value, Status> {
        let request = Request::builder().header(CONTENT_TYPE, media).body(Bytes::copy_from_slice(body.as_bytes()));
        new_pod(&request.unwrap(), "n", &Stamp::now())
    }

    #[test]
    fn kind_and_namespace_come_from_the_path() {
        let pod = read("Application/JSON; charset=utf-8", r#"{"metadata": {"name": "x"}}"#).unwrap();
        let expected = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "n"}});
        assert_eq!(pod, expected);
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
