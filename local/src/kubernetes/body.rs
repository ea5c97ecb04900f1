//! Reading the body of a request: media type, JSON, options, a new Pod's kind, namespace and name, and the types of its
//! fields, as far as a mistake in a PodTemplate can miss them.
//!
//! In: a request. Out: the Pod as JSON, or why it is none. The rules for what is in it are `validation`'s part.

use super::route::Query;
use super::status::{Cause, Status};
use super::store::DeleteOptions;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::Request;
use http::header::CONTENT_TYPE;
use provisioner::pod::text;
use serde_json::{Value, json};
use uuid::Uuid;

const JSON: &str = "application/json";

/// A request, read as far as its query, and when it came.
pub struct Asked<'a> {
    /// The request.
    pub request: &'a Request<Bytes>,
    /// Its query.
    pub query: Query,
    /// When it came.
    pub now: DateTime<Utc>,
}

impl Asked<'_> {
    /// The media type, in lower case and without parameters; JSON by default.
    pub fn media_type(&self) -> String {
        let value = self.request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        value.unwrap_or(JSON).split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn only_json(&self) -> Result<(), Status> {
        if self.media_type() == JSON { Ok(()) } else { Err(Status::unsupported_media_type(&[JSON])) }
    }

    /// Whether only a dry run is asked for, by the query's options of this kind. Whether a field is known to Kubernetes is
    /// not known here.
    pub fn is_dry_run(&self, kind: &str) -> Result<bool, Status> {
        let is_dry_run = is_dry_run(kind, self.query.get("dryRun"))?;
        match self.query.get("fieldValidation") {
            "Strict" => Err(Status::bad_request(
                "the embedded Kubernetes API does not know every field: use fieldValidation=Ignore (kubectl --validate=ignore)",
            )),
            _ => Ok(is_dry_run),
        }
    }

    /// The Pod to create: of the right kind, with a namespace and a name.
    pub fn new_pod(&self, namespace: &str) -> Result<Value, Status> {
        self.only_json()?;
        let unrecognized = |error: &str| {
            let what = "the object provided is unrecognized (must be of type Pod): couldn't get version/kind";
            Status::bad_request(format!("{what}; json parse error: {error}"))
        };
        let pod = serde_json::from_slice(self.request.body());
        let mut pod: Value = pod.map_err(|error| unrecognized(&error.to_string()))?;
        if !pod.is_object() {
            return Err(unrecognized("it is no object"));
        }
        for (field, expected) in [("kind", "Pod"), ("apiVersion", "v1")] {
            if !["", expected].contains(&text(&pod[field])) {
                let (kind, version) = (text(&pod["kind"]), &pod["apiVersion"]);
                return Err(Status::bad_request(format!("{kind} in version {version} cannot be handled as a Pod")));
            }
            pod[field] = json!(expected);
        }
        check_types(&pod)?;
        own_metadata(&mut pod, namespace)?;
        drop_nulls(&mut pod);
        Ok(pod)
    }

    /// How a DELETE is meant: by its body, or by its query where it has none.
    pub fn delete_options(&self) -> Result<DeleteOptions, Status> {
        // A body makes the query count for nothing, its dry run included.
        let mut body: Value = match self.request.body().is_empty() {
            true => json!({
                "gracePeriodSeconds": self.query.get("gracePeriodSeconds").parse::<i64>().ok(),
                "dryRun": [self.query.get("dryRun")],
            }),
            false => {
                self.only_json()?;
                serde_json::from_slice(self.request.body())
                    .map_err(|error| Status::unknown(format!("couldn't get version/kind; json parse error: {error}")))?
            }
        };
        drop_nulls(&mut body);
        let options: DeleteOptions = serde_json::from_value(body).map_err(|why| Status::unknown(why.to_string()))?;
        is_dry_run("DeleteOptions", options.dry_run.first().map_or("", String::as_str))?;
        Ok(options)
    }
}

/// `dryRun` has one value.
fn is_dry_run(kind: &str, value: &str) -> Result<bool, Status> {
    match value {
        "" => Ok(false),
        "All" => Ok(true),
        other => {
            let cause = Cause::not_supported("dryRun", format!("[{other:?}]"), &["All"]);
            Err(Status::invalid(&format!("{kind}.meta.k8s.io"), "", &[cause]))
        }
    }
}

fn own_metadata(pod: &mut Value, namespace: &str) -> Result<(), Status> {
    if pod["metadata"].is_null() {
        pod["metadata"] = json!({});
    }
    let metadata = &mut pod["metadata"];
    if !["", namespace].contains(&text(&metadata["namespace"])) {
        return Err(Status::bad_request(super::update::OTHER_NAMESPACE));
    }
    metadata["namespace"] = json!(namespace);
    if let ("", Some(prefix)) = (text(&metadata["name"]), metadata["generateName"].as_str()) {
        metadata["name"] = json!(format!("{prefix}{}", &Uuid::new_v4().simple().to_string()[..5]));
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

/// The fields of a type. `*` is every member of a list or of a map, and `|` stands between two names.
#[rustfmt::skip]
const TYPES: [(&str, &[&str]); 5] = [
    ("object", &[
        "metadata", "metadata.labels|annotations", "spec", "spec.securityContext|nodeSelector",
        "spec.containers|initContainers|volumes|schedulingGates|tolerations.*",
        "spec.containers|initContainers.*.securityContext|resources",
        "spec.containers|initContainers.*.env|volumeMounts|ports.*",
    ]),
    ("array", &[
        "metadata.finalizers", "spec.containers|initContainers|volumes|schedulingGates|tolerations",
        "spec.containers|initContainers.*.command|args|env|volumeMounts|ports",
    ]),
    ("string", &[
        "metadata.name|generateName|namespace|uid|resourceVersion", "metadata.labels|annotations|finalizers.*",
        "spec.nodeName|restartPolicy|dnsPolicy|serviceAccountName", "spec.volumes|schedulingGates.*.name",
        "spec.containers|initContainers.*.name|image", "spec.containers|initContainers.*.command|args.*",
        "spec.containers|initContainers.*.env|volumeMounts.*.name|value|mountPath",
    ]),
    ("bool", &["spec.hostNetwork|hostPID|hostIPC|shareProcessNamespace|automountServiceAccountToken"]),
    ("number", &["spec.activeDeadlineSeconds|terminationGracePeriodSeconds"]),
];

/// Refuses a Pod in which a field has another type than it should. A field that is not in the table may hold anything: what
/// it means is nobody's business here.
pub fn check_types(pod: &Value) -> Result<(), Status> {
    let fields = TYPES.iter().flat_map(|(expected, fields)| fields.iter().map(move |field| (*expected, *field)));
    for (expected, field) in fields {
        let found = at(pod, field).into_iter().map(type_of).find(|found| ![expected, "null"].contains(found));
        if let Some(found) = found {
            return Err(Status::bad_request(format!(
                "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal {found} into {field}, which is \
                 of type {expected}"
            )));
        }
    }
    Ok(())
}

fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    path.split('.').fold(vec![value], |found, step| found.into_iter().flat_map(|value| members(value, step)).collect())
}

fn members<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    match (value, step) {
        (Value::Object(map), "*") => map.values().collect(),
        (Value::Array(list), "*") => list.iter().collect(),
        (Value::Object(map), names) => names.split('|').filter_map(|name| map.get(name)).collect(),
        _ => Vec::new(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(media: &str, body: &str) -> Result<Value, Status> {
        let request = Request::builder().header(CONTENT_TYPE, media).body(Bytes::copy_from_slice(body.as_bytes()));
        Asked { request: &request.unwrap(), query: Query::default(), now: Utc::now() }.new_pod("n")
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
    fn dry_run_that_is_no_list_deletes_nothing() {
        for (body, is_understood) in [(r#"{"dryRun": ["All"]}"#, true), (r#"{"dryRun": "All"}"#, false)] {
            let request = Request::new(Bytes::from(body));
            let asked = Asked { request: &request, query: Query::default(), now: Utc::now() };
            assert_eq!(asked.delete_options().is_ok(), is_understood, "{body}");
        }
    }

    #[test]
    fn generated_name_has_its_prefix() {
        let pod = read("application/json", r#"{"metadata": {"generateName": "x-"}}"#).unwrap();
        let name = pod["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with("x-") && name.len() == 7, "{name}");
    }

    #[test]
    fn value_of_another_type_is_a_bad_request_at_any_depth() {
        let pod = json!({
            "metadata": {"name": "x", "labels": {"setGateway": "foo"}},
            "spec": {"containers": [{"name": "client", "command": ["true"], "env": [{"name": "a", "value": null}]}]},
        });
        assert_eq!(check_types(&pod), Ok(()));
        for pointer in
            ["/metadata", "/metadata/labels/setGateway", "/spec/containers/0", "/spec/containers/0/command/0"]
        {
            let mut pod = pod.clone();
            *pod.pointer_mut(pointer).unwrap() = json!([1]);
            let status = check_types(&pod).unwrap_err();
            assert_eq!((status.code.as_u16(), status.reason), (400, "BadRequest"), "{pointer}");
            assert!(status.message.contains("cannot unmarshal array"), "{status}");
        }
    }
}
