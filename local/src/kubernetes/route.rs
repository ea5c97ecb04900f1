//! Paths, methods and query parameters, read as Kubernetes reads them.
//!
//! In: a method and a URI. Out: which resource is meant, and by which verb,
//! in the words that RBAC uses. Whether the verb is allowed, and what it does,
//! is `api`'s part.

use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Route {
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/version`.
    Version,
    /// `/api`.
    ApiVersions,
    /// `/apis`.
    ApiGroups,
    /// `/api/v1`.
    CoreResources,
    /// An object, or a collection of them.
    Resource(Resource),
    /// Where a token is reviewed.
    TokenReviews,
    /// What an API could be under, and none is.
    NoResource,
    /// Anything else.
    NoPath,
}

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

    /// Its name, its plural and its short name, and the verbs that are served.
    #[rustfmt::skip]
    pub fn words(self) -> (&'static str, &'static str, Option<&'static str>, &'static [&'static str]) {
        match self {
            Self::Pod => ("Pod", "pods", Some("po"), &["create", "delete", "get", "list", "patch"]),
            Self::PodTemplate => ("PodTemplate", "podtemplates", None, &["get", "list"]),
            Self::Namespace => ("Namespace", "namespaces", Some("ns"), &["get", "list"]),
            Self::Event => ("Event", "events", Some("ev"), &["list"]),
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

impl Route {
    /// Reads a path.
    pub fn of(path: &str) -> Self {
        let parts: Vec<_> = path.split('/').skip(1).map(|part| percent_decode_str(part).decode_utf8_lossy()).collect();
        match parts.iter().map(AsRef::as_ref).collect::<Vec<_>>().as_slice() {
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["version"] => Self::Version,
            ["api"] => Self::ApiVersions,
            ["apis"] => Self::ApiGroups,
            ["api", "v1"] => Self::CoreResources,
            ["api", "v1", rest @ ..] => core(rest).map_or(Self::NoResource, Self::Resource),
            ["apis", "authentication.k8s.io", "v1", "tokenreviews"] => Self::TokenReviews,
            ["api" | "apis", ..] => Self::NoResource,
            _ => Self::NoPath,
        }
    }
}

fn core(parts: &[&str]) -> Option<Resource> {
    let owned = |text: &&str| Some((*text).to_owned()).filter(|text| !text.is_empty());
    let (kind, namespace, name) = match parts {
        ["namespaces"] => (Kind::Namespace, None, None),
        ["namespaces", name] => (Kind::Namespace, None, Some(owned(name)?)),
        ["namespaces", namespace, plural] => (Kind::of(plural)?, Some(owned(namespace)?), None),
        ["namespaces", namespace, plural, name] => (Kind::of(plural)?, Some(owned(namespace)?), Some(owned(name)?)),
        [plural] => (Kind::of(plural)?, None, None),
        _ => return None,
    };
    Some(Resource { kind, namespace, name })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, kind: Kind, namespace: Option<&str>, name: Option<&str>) {
        let expect = Resource { kind, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) };
        assert_eq!(Route::of(path), Route::Resource(expect), "{path}");
    }

    #[test]
    fn paths_name_a_kind_a_namespace_and_an_object() {
        check("/api/v1/pods", Kind::Pod, None, None);
        check("/api/v1/namespaces/n/pods", Kind::Pod, Some("n"), None);
        check("/api/v1/namespaces/n/pods/x%2Dy", Kind::Pod, Some("n"), Some("x-y"));
        check("/api/v1/namespaces/n", Kind::Namespace, None, Some("n"));
        let path = "/api/v1/namespaces/n/podtemplates/t";
        check(path, Kind::PodTemplate, Some("n"), Some("t"));
    }

    #[test]
    fn other_paths_are_unknown() {
        for path in ["/api/v1/secrets", "/api/v1/namespaces/n/pods/x/log", "/api/v1/namespaces//pods", "/apis/apps/v1"]
        {
            assert_eq!(Route::of(path), Route::NoResource, "{path}");
        }
        assert_eq!(Route::of("/"), Route::NoPath);
    }

    #[test]
    fn verbs_are_those_of_rbac() {
        let Route::Resource(all) = Route::of("/api/v1/pods") else { panic!("not a resource") };
        let query = Query::of(&"/?labelSelector=a%3Db%2Cc&watch=true".parse().unwrap());
        assert_eq!(query.get("labelSelector"), "a=b,c");
        assert_eq!(verb(&Method::GET, &all, &Query::default()), "list");
        assert_eq!(verb(&Method::GET, &all, &query), "watch");
        assert_eq!(verb(&Method::DELETE, &all, &query), "deletecollection");
    }
}
