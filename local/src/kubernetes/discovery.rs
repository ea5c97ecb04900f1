//! What a client asks before it asks for anything: `/version` and discovery.
//!
//! kubectl finds kinds, short names and verbs here.

use super::route::{Kind, Route};
use serde_json::{Value, json};

/// The document of a discovery path.
pub fn document(route: &Route) -> Option<Value> {
    match route {
        Route::Version => Some(version()),
        Route::ApiVersions => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        Route::ApiGroups => Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})),
        Route::CoreResources => Some(core_resources()),
        _ => None,
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.4+embedded", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

fn core_resources() -> Value {
    let resources = Kind::ALL.map(resource);
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": resources})
}

fn resource(kind: Kind) -> Value {
    let (name, plural, short, verbs) = kind.words();
    let mut resource = json!({
        "name": plural, "singularName": name.to_lowercase(), "kind": name, "verbs": verbs,
        "namespaced": kind != Kind::Namespace,
    });
    if let Some(short) = short {
        resource["shortNames"] = json!([short]);
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;

    #[test]
    fn resources_read_as_the_api_types_list() {
        let list: APIResourceList = serde_json::from_value(core_resources()).unwrap();
        let pods = list.resources.iter().find(|it| it.name == "pods").unwrap();
        assert!(pods.namespaced && pods.kind == "Pod");
    }
}
