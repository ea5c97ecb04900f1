//! The objects of `deploy/`, and what they have to say alike. A real API server takes each: `tests/e2e/deploy.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use provisioner::config::Config;
use provisioner::pod::{each, text};
use provisioner::testing::merged;
use serde_json::{Value, json};
use tests::kustomize::objects;
use tests::manifests::{application, documents, resources};

/// What `deploy/` makes, and what may stand below or beside it.
pub static OBJECTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let others = ["runtime-class/runtime-class.yaml", "examples/wait-for-answer/trigger.yaml"].map(str::to_owned);
    let files = [resources("deploy"), resources("deploy/knative-service"), others.into()].concat();
    files.iter().flat_map(|file| documents(file)).collect()
});

/// The object of this kind and name.
pub fn the<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("there is no {kind} {name}"))
}

fn spin_app() -> &'static Value {
    the(&OBJECTS, "SpinApp", "provisioner")
}

/// The Pod's spec of the Knative Service that can take the SpinApp's place.
fn knative_pod() -> &'static Value {
    &the(&OBJECTS, "Service", "provisioner")["spec"]["template"]["spec"]
}

/// The runtime config in its Secret.
fn runtime_config(objects: &[Value]) -> &str {
    let secret = the(objects, "Secret", "provisioner-runtime-config");
    secret["stringData"]["runtime-config.toml"].as_str().expect("the key that the shim wants")
}

/// Names and values of a SpinApp's variables or of a container's environment.
pub fn named_values(list: &Value) -> BTreeMap<String, String> {
    let named = each(list).map(|one| (text(&one["name"]).to_owned(), text(&one["value"]).to_owned()));
    let values: BTreeMap<_, _> = named.collect();
    assert_eq!(values.len(), each(list).count(), "a name stands there twice: {list}");
    values
}

/// Parsed as the component parses them: the defaults of `spin.toml`, and over them the SpinApp's.
pub fn config() -> Config {
    let (defaults, set) = (application().variables, named_values(&spin_app()["spec"]["variables"]));
    let value = |name: &str| set.get(name).cloned().or_else(|| defaults[name].default.clone());
    Config::from_variables(|name| value(name).ok_or_else(|| "unset".to_owned())).unwrap()
}

/// The object has what is expected of it, and may have more.
#[track_caller]
pub fn assert_has(object: &Value, expected: &Value) {
    assert_eq!(merged(object.clone(), expected), *object, "it is to have {expected}");
}

/// The fields that hold the name of another object, and its kind.
const NAMES: [(&str, &str); 7] = [
    ("broker", "Broker"),
    ("executor", "SpinAppExecutor"),
    ("loadFromSecret", "Secret"),
    ("policyName", "ValidatingAdmissionPolicy"),
    ("runtimeClassName", "RuntimeClass"),
    ("secretName", "Secret"),
    ("serviceAccountName", "ServiceAccount"),
];

/// What an object refers to, by such a field or by a kind and a name.
fn references(value: &Value) -> Vec<Value> {
    let members = value.as_object().into_iter().flat_map(|members| members.values()).chain(each(value));
    let itself = (value["kind"].is_string() && value["name"].is_string()).then(|| value.clone());
    let named = NAMES.iter().filter(|(field, _)| value[field].is_string());
    let named = named.map(|(field, kind)| json!({"kind": kind, "name": value[field]}));
    itself.into_iter().chain(named).chain(members.flat_map(references)).collect()
}

#[test]
fn whatever_an_object_refers_to_is_there() {
    // Knative's, and the two that spin-operator makes of the SpinApp.
    let others =
        [("ConfigMap", "config-br-default-channel"), ("Deployment", "provisioner"), ("Service", "provisioner")]
            .map(|(kind, name)| json!({"kind": kind, "metadata": {"name": name}}));
    let all = [&others[..], &OBJECTS, &objects("deploy", &["oidc", "transport-encryption"])].concat();
    for object in &all {
        for named in references(object) {
            let is_it = |other: &Value| other["kind"] == named["kind"] && other["metadata"]["name"] == named["name"];
            assert!(all.iter().any(is_it), "{} refers to {named}, which isn't there", object["metadata"]);
        }
    }
}

#[test]
fn the_locks_are_applied_before_what_they_hold() {
    let order = "namespace quota gateways admission-policy provisioner-admission-policy network-policy \
                 client-network-policy provisioner sinkbinding trigger";
    let listed = resources("deploy");
    let place = |name| listed.iter().position(|file| *file == format!("deploy/{name}.yaml")).expect(name);
    assert!(order.split(' ').map(place).is_sorted(), "{listed:?}");
    // Or kubectl sorts by kind.
    assert_eq!(documents("deploy/kustomization.yaml")[0]["sortOptions"]["order"], "fifo");
}

#[test]
fn an_admission_policy_that_can_not_judge_denies() {
    let policies: Vec<_> = OBJECTS.iter().filter(|object| object["kind"] == "ValidatingAdmissionPolicy").collect();
    assert!(policies.len() > 1 && policies.iter().all(|policy| policy["spec"]["failurePolicy"] == "Fail"));
}

#[test]
fn each_gateway_has_its_address_and_values_of_its_own_and_sees_the_clients() {
    let config = config();
    let labels = json!({"routed-gateway": "true", "pod-security.kubernetes.io/enforce": "privileged"});
    assert_has(the(&OBJECTS, "Namespace", &config.client_namespace), &json!({"metadata": {"labels": labels}}));
    let addresses: Value = config.gateways().map(|name| (name.to_owned(), json!(config.address_of(name)))).collect();
    assert_eq!(the(&OBJECTS, "ConfigMap", "gateways")["data"], addresses);
    let mut networks = BTreeSet::new();
    for gateway in config.gateways() {
        let (key, values) = (&config.gateway_key, &documents(&format!("deploy/pod-gateway-{gateway}-values.yaml"))[0]);
        // Without `sidecarAsInit` a client's Pod would go on after the client has ended.
        let webhook = json!({
            "gatewayLabel": key, "gatewayLabelValue": gateway, "gatewayAnnotation": key,
            "gatewayAnnotationValue": gateway, "gatewayDefault": false, "sidecarAsInit": true,
        });
        assert_has(values, &json!({"webhook": webhook, "routed_namespaces": [config.client_namespace]}));
        networks.extend(["VXLAN_ID", "VXLAN_IP_NETWORK"].map(|setting| values["settings"][setting].to_string()));
    }
    assert_eq!(networks.len(), 2 * config.gateways().count(), "two gateways share a network: {networks:?}");
}

#[test]
fn each_host_that_is_called_by_https_has_an_authority_that_vouches_for_it() {
    for components in [&[][..], &["transport-encryption"]] {
        let objects = objects("deploy", components);
        let config: toml::Table = runtime_config(&objects).parse().unwrap();
        let hosts = config["client_tls"].as_array().unwrap().iter().flat_map(|tls| tls["hosts"].as_array().unwrap());
        let variables = named_values(&the(&objects, "SpinApp", "provisioner")["spec"]["variables"]);
        let called = ["kube_api_url", "sink_origin"].map(|name| variables[name].strip_prefix("https://"));
        assert_eq!(config["client_tls"][0]["ca_roots_file"].as_str(), Some("/serviceaccount/ca.crt"));
        assert!(hosts.filter_map(toml::Value::as_str).eq(called.into_iter().flatten()), "{called:?}: {config:?}");
    }
}

/// `K_SINK` will be the Broker's address, which the player has as well.
#[test]
fn the_broker_is_below_the_origin_of_the_sink() {
    let player = &the(&OBJECTS, "Deployment", "cloudevents-player")["spec"]["template"]["spec"]["containers"][0];
    let origin = &named_values(&spin_app()["spec"]["variables"])["sink_origin"];
    assert_eq!(named_values(&player["env"])["BROKER_URI"], format!("{origin}/client-system/default"));
}

#[test]
fn both_packages_set_the_same_variables_and_the_component_knows_them() {
    let known = application().variables;
    let set = named_values(&spin_app()["spec"]["variables"]);
    assert!(set.keys().all(|name| known.contains_key(name)), "{set:?}");
    let mut env = named_values(&knative_pod()["containers"][0]["env"]);
    assert_eq!(env.remove("SPIN_HTTP_LISTEN_ADDR").as_deref(), Some("0.0.0.0:8080"));
    assert_eq!(env, set.into_iter().map(|(name, value)| (name.to_ascii_uppercase(), value)).collect());
}

#[test]
fn a_token_and_the_authority_are_mounted_where_the_component_reads_them() {
    let objects = objects("deploy", &["oidc"]);
    let (app, service) = (&the(&objects, "SpinApp", "provisioner")["spec"], knative_pod());
    let of_service = (&service["volumes"], &service["containers"][0]["volumeMounts"]);
    for (volumes, mounts) in [(&app["volumes"], &app["volumeMounts"]), of_service] {
        let mount = each(mounts).find(|mount| mount["mountPath"] == "/serviceaccount").unwrap();
        let volume = each(volumes).find(|volume| volume["name"] == mount["name"]).unwrap();
        let sources = &volume["projected"]["sources"];
        let paths = (&sources[0]["serviceAccountToken"]["path"], &sources[1]["configMap"]["items"][0]["path"]);
        assert_eq!(paths, (&json!("token"), &json!("ca.crt")));
    }
    // Where an artifact of Spin has its files.
    let component = application().component;
    for path in component.files.iter().map(|files| format!("/assets/{}{}", component.id, files.destination)) {
        assert!(each(&app["volumeMounts"]).any(|mount| mount["mountPath"] == *path), "nothing is mounted at {path}");
    }
}

/// Where a probe says nothing, spin-operator 0.6.1 writes a `null` that its own CustomResourceDefinition refuses.
#[test]
fn the_probes_of_the_spin_app_say_their_headers() {
    let checks = &spin_app()["spec"]["checks"];
    assert!(["readiness", "liveness"].iter().all(|probe| checks[probe]["httpGet"]["httpHeaders"].is_array()));
}

#[test]
fn clients_can_be_made_from_the_example_of_a_pod_template() {
    provisioner::template::base("client", the(&OBJECTS, "PodTemplate", "client").clone()).unwrap();
}
