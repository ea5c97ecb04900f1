//! What a client asks before it asks for anything: `/version` and discovery.
//!
//! kubectl finds kinds, short names and verbs here.

use super::route::Kind;
use serde_json::{Value, json};

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

    #[test]
    fn resources_read_as_the_api_types_list() {
        let list: APIResourceList = serde_json::from_value(core_resources()).unwrap();
        let pods = list.resources.iter().find(|it| it.name == "pods").unwrap();
        assert!(pods.namespaced && pods.kind == "Pod");
    }
}
