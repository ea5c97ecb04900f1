//! What a cluster is given agrees with the component, with itself and with what Knative and SpinKube do with it.

use std::collections::BTreeSet;

use provisioner::testing::merged;
use serde_json::{Value, json};
use tests::kustomize::objects;
use tests::manifests::{application, documents, files, resources};

use crate::deploy::{
    OBJECTS, SYSTEM, assert_has, config, knative_container, knative_pod, named_values, references, runtime_config,
    spin_app, the,
};

/// How many clients one gateway has addresses for.
const CLIENTS_PER_GATEWAY: usize = 235;

#[test]
fn whatever_an_object_refers_to_is_there() {
    let of_knative = json!({"name": "config-br-default-channel", "namespace": "knative-eventing"});
    // spin-operator makes two objects of the SpinApp.
    let app = &spin_app()["metadata"];
    let made = [("v1", "ConfigMap", &of_knative), ("apps/v1", "Deployment", app), ("v1", "Service", app)];
    let made = made.map(|(api, kind, meta)| json!({"apiVersion": api, "kind": kind, "metadata": meta}));
    let all = [&made[..], &OBJECTS[..], &objects("deploy", &["oidc", "transport-encryption"])[..]].concat();
    for object in &all {
        for named in references(object) {
            let place = named.get("namespace").unwrap_or(&object["metadata"]["namespace"]);
            let is_it = |other: &Value| {
                let found = &other["metadata"];
                (&other["kind"], &found["name"]) == (&named["kind"], &named["name"])
                    && named.get("apiVersion").is_none_or(|api| *api == other["apiVersion"])
                    && found.get("namespace").is_none_or(|namespace| namespace == place)
            };
            let (kind, name) = (&object["kind"], &object["metadata"]["name"]);
            assert!(all.iter().any(is_it), "the {kind} {name} refers to {named}, which isn't there");
        }
    }
}

#[test]
fn the_kustomizations_list_every_manifest_in_apply_order() {
    for (directory, unlisted) in [
        ("deploy", &["pod-gateway-bar-values.yaml", "pod-gateway-foo-values.yaml"][..]),
        ("deploy/components/lifecycle", &[]),
        ("deploy/components/oidc", &[]),
        ("deploy/components/own-gateway", &[]),
        ("deploy/knative-service", &["config-features.yaml"]),
        ("runtime-class", &["runtime-class.yaml", "shim.yaml"]),
    ] {
        let beside = ["kustomization.yaml"].iter().chain(unlisted).map(|name| format!("{directory}/{name}"));
        let listed: BTreeSet<_> = resources(directory).into_iter().chain(beside).collect();
        let all = files(directory).into_iter().map(|name| format!("{directory}/{name}"));
        assert_eq!(all.filter(|file| !listed.contains(file)).collect::<Vec<_>>(), [""; 0]);
    }
    let listed = resources("deploy");
    let place = |file: &str| listed.iter().position(|name| name.ends_with(file)).unwrap_or_else(|| panic!("{file}"));
    assert_eq!(place("deploy/namespace.yaml"), 0);
    for needed in [
        "quota",
        "gateways",
        "admission-policy",
        "network-policy",
        "client-network-policy",
        "rbac",
        "runtime-config",
        "spin-app-executor",
    ] {
        assert!(place(&format!("/{needed}.yaml")) < place("deploy/provisioner.yaml"), "{needed}");
    }
    assert!(place("gateways.yaml") < place("deploy/admission-policy.yaml"));
    assert!(place("broker.yaml") < place("deploy/sinkbinding.yaml"));
    assert!(place("sinkbinding.yaml") < place("deploy/trigger.yaml"));
    for directory in ["deploy", "deploy/knative-service"] {
        // Or kubectl sorts by kind. Components come after all resources, and so after the locks.
        assert_eq!(documents(&format!("{directory}/kustomization.yaml"))[0]["sortOptions"]["order"], "fifo");
    }
}

#[test]
fn every_variable_is_declared_and_passed_on_and_set_alike_in_both_packages() {
    let text = std::fs::read_to_string(tests::provisioner::repository().join("spin.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let declared = manifest["variables"].as_table().unwrap().keys();
    let passed = &manifest["component"]["provisioner"];
    let unchanged: toml::Table = declared.map(|name| (name.clone(), format!("{{{{ {name} }}}}").into())).collect();
    assert_eq!(*passed["variables"].as_table().unwrap(), unchanged);
    assert_eq!(passed["allowed_outbound_hosts"].to_string(), r#"["{{ kube_api_url }}", "{{ sink_origin }}"]"#);
    let set = named_values(&spin_app()["spec"]["variables"]);
    for name in set.keys() {
        assert!(unchanged.contains_key(name), "spin.toml declares no variable {name}");
    }
    let mut env = named_values(&knative_container()["env"]);
    assert_eq!(env.remove("SPIN_HTTP_LISTEN_ADDR").as_deref(), Some("0.0.0.0:8080"));
    assert_eq!(knative_container()["ports"], json!([{"containerPort": 8080}]));
    assert_eq!(env, set.into_iter().map(|(name, value)| (name.to_ascii_uppercase(), value)).collect());
}

#[test]
fn clients_have_the_namespace_that_gateways_see_and_the_rest_has_another() {
    let config = config();
    assert_eq!(the(&OBJECTS, "Namespace", SYSTEM)["metadata"]["labels"]["routed-gateway"], json!(null));
    let labels = json!({"routed-gateway": "true", "pod-security.kubernetes.io/enforce": "privileged"});
    assert_has(the(&OBJECTS, "Namespace", &config.client_namespace), &json!({"metadata": {"labels": labels}}));
    let of_clients = ["PodTemplate", "ResourceQuota", "Role", "RoleBinding"];
    let namespaced = OBJECTS.iter().filter(|object| object["metadata"]["namespace"].is_string());
    for object in namespaced.filter(|object| object["kind"] != "NetworkPolicy") {
        let (kind, name) = (object["kind"].as_str().unwrap(), &object["metadata"]["name"]);
        let expected = if of_clients.contains(&kind) { config.client_namespace.as_str() } else { SYSTEM };
        assert_eq!(object["metadata"]["namespace"], expected, "{kind} {name}");
    }
}

#[test]
fn a_token_that_expires_is_mounted_wherever_a_package_looks_for_it() {
    let component = application().component;
    // A SinkBinding mounts the other.
    let [mount, oidc] = &component.files[..] else { panic!("two directories are mounted") };
    assert_eq!(oidc.destination, "/oidc");
    let app = &spin_app()["spec"];
    let paths = [mount.destination.clone(), format!("/assets/{}{}", component.id, mount.destination)];
    let mounts = paths.map(|path| json!({"name": app["volumes"][0]["name"], "mountPath": path, "readOnly": true}));
    assert_eq!(app["volumeMounts"], json!(mounts));
    for spec in [app, knative_pod()] {
        let sources = &spec["volumes"][0]["projected"]["sources"];
        assert_eq!(sources[0]["serviceAccountToken"], json!({"path": "token", "expirationSeconds": 3600}));
        assert_eq!(sources[1]["configMap"]["items"], json!([{"key": "ca.crt", "path": "ca.crt"}]));
        let account = the(&OBJECTS, "ServiceAccount", spec["serviceAccountName"].as_str().unwrap());
        assert_eq!(account["automountServiceAccountToken"], false);
    }
    let mounts = &knative_container()["volumeMounts"];
    assert_eq!(mounts[0]["mountPath"].as_str(), Some(mount.destination.as_str()));
    assert_has(&mounts[1], &json!({"mountPath": "/runtime-config.toml", "subPath": "runtime-config.toml"}));
}

#[test]
fn the_runtime_config_trusts_the_clusters_ca_for_the_api_server_alone() {
    let config: toml::Table = runtime_config(&OBJECTS).parse().unwrap();
    let api: http::Uri = named_values(&spin_app()["spec"]["variables"])["kube_api_url"].parse().unwrap();
    let id = application().component.id;
    let tls = json!({"hosts": [api.host()], "component_ids": [id], "ca_roots_file": "/serviceaccount/ca.crt"});
    assert_eq!(serde_json::to_value(&config["client_tls"]).unwrap(), json!([tls]));
}

#[test]
fn the_handler_of_the_runtime_class_is_in_every_configuration_of_containerd() {
    let class = &spin_app()["spec"]["executor"];
    let executor = the(&OBJECTS, "SpinAppExecutor", class.as_str().unwrap());
    let class = executor["spec"]["deploymentConfig"]["runtimeClassName"].as_str().unwrap();
    assert_eq!(the(&OBJECTS, "Shim", "spin-v2")["spec"]["runtimeClass"]["name"], class);
    let handler = the(&OBJECTS, "RuntimeClass", class)["handler"].as_str().unwrap();
    // The name of the section follows the configuration's version; containerd 1.6 can't hand the shim any options.
    for (file, section, options) in [
        ("containerd-1.6.toml", "io.containerd.grpc.v1.cri", false),
        ("containerd-1.toml", "io.containerd.grpc.v1.cri", true),
        ("containerd-2.toml", "io.containerd.cri.v1.runtime", true),
    ] {
        let path = tests::provisioner::repository().join("runtime-class").join(file);
        let fragment: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let runtime = &fragment["plugins"][section]["containerd"]["runtimes"][handler];
        assert_eq!(runtime["runtime_type"].as_str(), Some("io.containerd.spin.v2"), "{file}");
        assert_eq!(runtime.get("options").is_some(), options, "{file}");
    }
}

#[test]
fn a_start_that_compiles_has_the_memory_and_the_time_for_it() {
    let spec = &spin_app()["spec"];
    for limits in [&spec["resources"]["limits"], &knative_container()["resources"]["limits"]] {
        let limit = limits["memory"].as_str().unwrap().strip_suffix("Mi").unwrap().parse::<usize>().unwrap();
        assert!(limit * 1024 >= 30 * 1024 + crate::memory::AT_ONCE * crate::memory::EACH_UNDER_SPIN, "{limit} MiB");
        assert_eq!(limits.as_object().unwrap().len(), 1, "a limit of the CPU would stretch every start");
    }
    let probe = |path: &str, [period, failures]: [u64; 2]| json!({"httpGet": {"path": path}, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 3});
    // A start takes 16 s at a tenth of a CPU, and has a minute.
    assert_has(&spec["checks"]["liveness"], &merged(probe("/healthz", [10, 3]), &json!({"initialDelaySeconds": 30})));
    for readiness in [&spec["checks"]["readiness"], &knative_container()["readinessProbe"]] {
        // The first probe may just miss the start. Knative refuses the timeout without a period.
        assert_has(readiness, &probe("/readyz", [2, 7]));
    }
}

/// What spin-operator's mutating webhook writes as `null` where a SpinApp says nothing, which its own CRD refuses: slices
/// whose JSON tag has no `omitempty`, in version 0.6.1.
#[test]
fn the_spin_app_passes_what_spin_operators_webhook_makes_of_it() {
    for probe in ["readiness", "liveness"] {
        let headers = &spin_app()["spec"]["checks"][probe]["httpGet"]["httpHeaders"];
        assert!(headers.is_array(), "{probe}: set httpHeaders, as an empty list if need be");
    }
    for app in [spin_app(), the(&objects("deploy", &["oidc"]), "SpinApp", "provisioner")] {
        let mut volumes = app["spec"]["volumes"].as_array().unwrap().iter();
        assert!(volumes.all(|volume| volume["projected"]["sources"].is_array()), "volumes of this kind alone pass");
    }
}

#[test]
fn every_gateway_has_values_of_its_own_and_the_quota_is_theirs_together() {
    let config = config();
    let read = |gateway| documents(&format!("deploy/pod-gateway-{gateway}-values.yaml")).remove(0);
    let values: Vec<_> = config.gateways().map(read).collect();
    for (gateway, values) in config.gateways().zip(&values) {
        let (key, settings) = (&config.gateway_key, &values["settings"]);
        // Without `sidecarAsInit` a client's Pod would go on after the client has ended.
        let webhook = json!({
            "gatewayLabel": key, "gatewayLabelValue": gateway, "gatewayAnnotation": key,
            "gatewayAnnotationValue": gateway, "gatewayDefault": false, "sidecarAsInit": true,
        });
        let dns = format!("{}.1", settings["VXLAN_IP_NETWORK"].as_str().unwrap());
        let routed = [&config.client_namespace];
        assert_has(values, &json!({"webhook": webhook, "DNS": dns, "routed_namespaces": routed}));
        assert_eq!(settings["VXLAN_GATEWAY_FIRST_DYNAMIC_IP"], 255 - CLIENTS_PER_GATEWAY);
        let address = format!("pod-gateway-{gateway}.gateway-system.svc.cluster.local");
        assert_eq!(config.address_of(gateway), Some(address));
    }
    for setting in ["VXLAN_ID", "VXLAN_IP_NETWORK"] {
        let distinct: BTreeSet<_> = values.iter().map(|values| values["settings"][setting].to_string()).collect();
        assert_eq!(distinct.len(), values.len(), "{setting}");
    }
    let hard = json!({"pods": (CLIENTS_PER_GATEWAY * values.len()).to_string()});
    assert_eq!(the(&OBJECTS, "ResourceQuota", "clients")["spec"]["hard"], hard);
}

#[test]
fn the_example_of_a_pod_template_is_one_that_clients_can_be_made_from() {
    let template = the(&OBJECTS, "PodTemplate", "client");
    // Without the annotation a bare Pod keeps its node for good; without a tag its image is pulled at every start.
    let kept = json!({"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}});
    let image = json!({"spec": {"containers": [{"name": "client", "image": config().client_image}]}});
    assert_has(template, &json!({"template": merged(kept, &image)}));
    let spec = &template["template"]["spec"];
    assert!(spec["activeDeadlineSeconds"].is_u64() && spec["nodeSelector"].is_object());
    assert!(spec["containers"][0]["resources"]["limits"].is_object());
    provisioner::template::base("client", template.clone()).unwrap();
}

/// What they refuse is for a real API server to say: `tests/e2e/deploy.rs`.
#[test]
fn every_admission_policy_denies_where_the_clients_are_and_one_knows_their_gateways() {
    let config = config();
    let bindings = OBJECTS.iter().filter(|object| object["kind"] == "ValidatingAdmissionPolicyBinding");
    let mut parameters = Vec::new();
    for binding in bindings {
        let (name, labels) = (&binding["spec"]["policyName"], &binding["spec"]["matchResources"]["namespaceSelector"]);
        let policy = &the(&OBJECTS, "ValidatingAdmissionPolicy", name.as_str().unwrap())["spec"];
        assert_eq!(
            (&policy["failurePolicy"], &binding["spec"]["validationActions"]),
            (&json!("Fail"), &json!(["Deny"]))
        );
        assert_eq!(*labels, json!({"matchLabels": {"kubernetes.io/metadata.name": config.client_namespace}}), "{name}");
        assert_eq!(policy["matchConstraints"].get("matchPolicy"), None, "{name}: by no other version either");
        parameters.extend(policy.get("paramKind").map(|kind| (kind, &binding["spec"]["paramRef"])));
    }
    // Or a ConfigMap that is gone would let everything through.
    let reference = json!({"name": "gateways", "namespace": SYSTEM, "parameterNotFoundAction": "Deny"});
    assert_eq!(parameters, [(&json!({"apiVersion": "v1", "kind": "ConfigMap"}), &reference)]);
    let addresses: Value = config.gateways().map(|name| (name.to_owned(), json!(config.address_of(name)))).collect();
    assert_eq!(the(&OBJECTS, "ConfigMap", "gateways")["data"], addresses);
}
