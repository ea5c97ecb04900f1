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
    /// Anything else.
    Unknown,
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

    /// `Pod`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::PodTemplate => "PodTemplate",
            Self::Namespace => "Namespace",
            Self::Event => "Event",
        }
    }

    /// `pods`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::PodTemplate => "podtemplates",
            Self::Namespace => "namespaces",
            Self::Event => "events",
        }
    }

    /// The verbs that are served.
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &["create", "delete", "get", "list", "patch"],
            Self::PodTemplate | Self::Namespace => &["get", "list"],
            Self::Event => &["list"],
        }
    }

    fn of(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }
}

impl Route {
    /// Reads a path.
    pub fn of(path: &str) -> Self {
        let parts: Option<Vec<_>> = path.split('/').skip(1).map(decode).collect();
        let parts = parts.unwrap_or_default();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["version"] => Self::Version,
            ["api"] => Self::ApiVersions,
            ["apis"] => Self::ApiGroups,
            ["api", "v1"] => Self::CoreResources,
            ["api", "v1", rest @ ..] => core(rest).map_or(Self::Unknown, Self::Resource),
            _ => Self::Unknown,
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

fn decode(part: &str) -> Option<String> {
    let text = percent_decode_str(part).decode_utf8().ok()?;
    Some(text.into_owned())
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
        "GET" | "HEAD" if query.is("watch", "true") || query.is("watch", "1") => "watch",
        "GET" | "HEAD" if one => "get",
        "GET" | "HEAD" => "list",
        _ => "unknown",
    }
}

/// Query parameters.
#[derive(Debug, Default, PartialEq)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a URI's query; the last of several wins.
    pub fn of(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or_default().split('&');
        let pairs = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(key)?, decode(&value.replace('+', " "))?))
        });
        Self(pairs.collect())
    }

    /// A parameter, or nothing.
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).map(String::as_str).unwrap_or_default()
    }

    /// Whether a parameter has this value.
    pub fn is(&self, key: &str, value: &str) -> bool {
        self.get(key) == value
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
        for path in ["/", "/api/v1/secrets", "/api/v1/namespaces/n/pods/x/log", "/api/v1/namespaces//pods"] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn verbs_are_those_of_rbac() {
        let Route::Resource(all) = Route::of("/api/v1/pods") else { panic!("not a resource") };
        let query = Query::of(&"/?watch=true".parse().unwrap());
        assert_eq!(verb(&Method::GET, &all, &Query::default()), "list");
        assert_eq!(verb(&Method::GET, &all, &query), "watch");
        assert_eq!(verb(&Method::DELETE, &all, &query), "deletecollection");
    }

    #[test]
    fn query_values_are_decoded() {
        let query = Query::of(&"/?labelSelector=a%3Db%2Cc&dryRun=All".parse().unwrap());
        assert_eq!(query.get("labelSelector"), "a=b,c");
        assert!(query.is("dryRun", "All"));
    }
}
