//! Paths, methods and query parameters, read as Kubernetes reads them.
//!
//! In: a method and a URI. Out: which resource is meant, and by which verb, in the words that RBAC uses. Whether the verb is
//! allowed, and what it does, is `api`'s part. Discovery tells the same to clients: kubectl finds kinds, short names and
//! verbs there.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An object, or a collection of them, of core/v1.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// Of which kind.
    pub kind: Kind,
    /// The namespace, where the path names one.
    pub namespace: Option<String>,
    /// The object's name; a collection has none.
    pub name: Option<String>,
}

/// The kinds that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pods.
    Pod,
    /// PodTemplates, which are seeded and only read.
    PodTemplate,
    /// Namespaces, likewise.
    Namespace,
    /// Events, of which there are none: `kubectl describe` lists them.
    Event,
}

impl Kind {
    /// Every kind, for discovery.
    pub const ALL: [Self; 4] = [Self::Pod, Self::PodTemplate, Self::Namespace, Self::Event];

    /// Its name, its plural and its short names, and the verbs that are served.
    #[rustfmt::skip]
    pub fn words(self) -> (&'static str, &'static str, Option<[&'static str; 1]>, &'static [&'static str]) {
        match self {
            Self::Pod => ("Pod", "pods", Some(["po"]), &["create", "delete", "get", "list", "patch"]),
            Self::PodTemplate => ("PodTemplate", "podtemplates", None, &["get", "list"]),
            Self::Namespace => ("Namespace", "namespaces", Some(["ns"]), &["get", "list"]),
            Self::Event => ("Event", "events", Some(["ev"]), &["list"]),
        }
    }

    /// `pods`.
    pub fn plural(self) -> &'static str {
        self.words().1
    }

    fn of(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }
}

/// The parts of a path.
pub fn parts(path: &str) -> Vec<Cow<'_, str>> {
    path.split('/').skip(1).map(|part| percent_decode_str(part).decode_utf8_lossy()).collect()
}

impl Resource {
    /// What the parts of a path below `/api/v1` lead to.
    pub fn of(parts: &[&str]) -> Option<Self> {
        let owned = |text: &&str| Some((*text).to_owned()).filter(|text| !text.is_empty());
        let (kind, namespace, name) = match parts {
            ["namespaces"] => (Kind::Namespace, None, None),
            ["namespaces", name] => (Kind::Namespace, None, Some(owned(name)?)),
            ["namespaces", namespace, plural] => (Kind::of(plural)?, Some(owned(namespace)?), None),
            ["namespaces", namespace, plural, name] => (Kind::of(plural)?, Some(owned(namespace)?), Some(owned(name)?)),
            [plural] => (Kind::of(plural)?, None, None),
            _ => return None,
        };
        Some(Self { kind, namespace, name })
    }
}

/// The verb of a request, as RBAC calls it.
pub fn verb(method: &Method, resource: &Resource, query: &Query) -> &'static str {
    let one = resource.name.is_some();
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if one => "delete",
        "DELETE" => "deletecollection",
        "GET" | "HEAD" if ["true", "1"].contains(&query.get("watch")) => "watch",
        "GET" | "HEAD" if one => "get",
        "GET" | "HEAD" => "list",
        _ => "unknown",
    }
}

/// Query parameters.
#[derive(Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a URI's query; the last of several wins.
    pub fn of(uri: &Uri) -> Self {
        Self(url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// A parameter, or nothing.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map(String::as_str).unwrap_or_default()
    }
}

/// `/version`.
pub fn version() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.4+embedded", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// `/api/v1`.
pub fn core_resources() -> Value {
    let resources = Kind::ALL.map(|kind| {
        let (name, plural, short, verbs) = kind.words();
        json!({
            "name": plural, "singularName": name.to_lowercase(), "kind": name, "verbs": verbs,
            "namespaced": kind != Kind::Namespace, "shortNames": short,
        })
    });
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": resources})
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;

    fn of(path: &str) -> Option<Resource> {
        Resource::of(&parts(path).iter().map(AsRef::as_ref).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(path: &str, kind: Kind, namespace: Option<&str>, name: Option<&str>) {
        let expect = Resource { kind, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) };
        assert_eq!(of(path), Some(expect), "{path}");
    }

    #[test]
    fn paths_name_a_kind_a_namespace_and_an_object() {
        check("/pods", Kind::Pod, None, None);
        check("/namespaces/n/pods", Kind::Pod, Some("n"), None);
        check("/namespaces/n/pods/x%2Dy", Kind::Pod, Some("n"), Some("x-y"));
        check("/namespaces/n", Kind::Namespace, None, Some("n"));
        check("/namespaces/n/podtemplates/t", Kind::PodTemplate, Some("n"), Some("t"));
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in ["/secrets", "/namespaces/n/pods/x/log", "/namespaces//pods", "/"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn verbs_are_those_of_rbac() {
        let all = of("/pods").unwrap();
        let query = Query::of(&"/?labelSelector=a%3Db%2Cc&watch=true".parse().unwrap());
        assert_eq!(query.get("labelSelector"), "a=b,c");
        assert_eq!(verb(&Method::GET, &all, &Query::default()), "list");
        assert_eq!(verb(&Method::GET, &all, &query), "watch");
        assert_eq!(verb(&Method::DELETE, &all, &query), "deletecollection");
    }

    #[test]
    fn resources_read_as_the_api_types_list() {
        let list: APIResourceList = serde_json::from_value(core_resources()).unwrap();
        let pods = list.resources.iter().find(|it| it.name == "pods").unwrap();
        assert!(pods.namespaced && pods.kind == "Pod");
    }
}
