//! What a cluster is given agrees with the component, with itself and with what Knative and SpinKube do with it.

use std::collections::BTreeSet;

use provisioner::config::Config;
use provisioner::testing::merged;
use serde_json::json;
use tests::manifests::{
    application, assert_has, documents, files, knative_container, knative_service, named_values, object,
    runtime_config, spin_app, strings,
};

/// The namespace of all but the clients.
pub const SYSTEM: &str = "client-system";
/// The part of `deploy/` that a client's life after its release takes.
pub const COMPONENT: &str = "deploy/components/lifecycle";
/// How many clients one gateway has addresses for.
const CLIENTS_PER_GATEWAY: usize = 235;

/// Parsed as the component parses them: the defaults of `spin.toml`, and over them the SpinApp's.
pub fn config() -> Config {
    let (defaults, set) = (application().variables, named_values(&spin_app()["spec"]["variables"]));
    let value = |name: &str| set.get(name).cloned().or_else(|| defaults[name].default.clone());
    Config::from_variables(|name| value(name).ok_or_else(|| "unset".to_owned())).unwrap()
}

#[track_caller]
fn assert_lists(directory: &str, unlisted: &[&str]) -> Vec<String> {
    let kustomization = &documents(&format!("{directory}/kustomization.yaml"))[0];
    let listed: Vec<String> = strings(&kustomization["resources"]).into_iter().map(str::to_owned).collect();
    let resources = files(directory).into_iter().filter(|name| {
        name != "kustomization.yaml" && !name.ends_with("-values.yaml") && !unlisted.contains(&name.as_str())
    });
    let here = listed.iter().filter(|name| !name.starts_with("../")).cloned();
    assert_eq!(here.collect::<BTreeSet<_>>(), resources.collect::<BTreeSet<_>>(), "{directory}");
    listed
}

#[test]
fn the_kustomization_lists_every_manifest_in_apply_order() {
    let listed = assert_lists("deploy", &[]);
    let place = |file: &str| listed.iter().position(|name| name == file).unwrap_or_else(|| panic!("{file}"));
    assert_eq!(place("namespace.yaml"), 0);
    for lock in
        ["quota.yaml", "admission-policy.yaml", "network-policy.yaml", "client-network-policy.yaml", "rbac.yaml"]
    {
        assert!(place(lock) < place("provisioner.yaml"), "{lock}");
    }
    for (first, then) in [
        ("gateways.yaml", "admission-policy.yaml"),
        ("runtime-config.yaml", "provisioner.yaml"),
        ("../runtime-class", "provisioner.yaml"),
        ("provisioner.yaml", "sinkbinding.yaml"),
        ("broker.yaml", "sinkbinding.yaml"),
        ("sinkbinding.yaml", "trigger.yaml"),
        ("broker.yaml", "cloudevents-player.yaml"),
    ] {
        assert!(place(first) < place(then), "{first} before {then}");
    }
    assert_lists("deploy/components/own-gateway", &[]);
    assert_lists("deploy/knative-service", &["config-features.yaml"]);
    assert_lists(COMPONENT, &[]);
    assert_lists("runtime-class", &["runtime-class.yaml", "shim.yaml"]);
    for directory in ["deploy", "deploy/knative-service"] {
        // Or kubectl sorts by kind. Components come after all resources, and so after the locks.
        assert_eq!(documents(&format!("{directory}/kustomization.yaml"))[0]["sortOptions"]["order"], "fifo");
    }
}

#[test]
fn no_variable_is_unknown_or_misspelt() {
    let declared = application().variables;
    let set = named_values(&spin_app()["spec"]["variables"]);
    for name in set.keys() {
        assert!(declared.contains_key(name), "spin.toml declares no variable {name}");
    }
    for (name, variable) in &declared {
        assert!(!variable.required || set.contains_key(name), "{name} is required");
    }
    let mut env = named_values(&knative_container()["env"]);
    assert_eq!(env.remove("SPIN_HTTP_LISTEN_ADDR").as_deref(), Some("0.0.0.0:8080"));
    assert_eq!(knative_container()["ports"], json!([{"containerPort": 8080}]));
    let shouted = set.into_iter().map(|(name, value)| (name.to_ascii_uppercase(), value));
    assert_eq!(env, shouted.collect(), "the Knative Service is set up as the SpinApp is");
}

#[test]
fn clients_have_the_namespace_that_gateways_see() {
    let [system, clients] = &documents("deploy/namespace.yaml")[..] else { panic!("there are two namespaces") };
    assert_eq!(
        (&system["metadata"]["name"], &system["metadata"]["labels"]["routed-gateway"]),
        (&json!(SYSTEM), &json!(null))
    );
    let labels = json!({"routed-gateway": "true", "pod-security.kubernetes.io/enforce": "privileged"});
    assert_has(clients, &json!({"metadata": {"name": config().client_namespace, "labels": labels}}));
}

#[test]
fn the_provisioner_has_five_verbs_on_pods_and_reads_templates_and_nothing_else() {
    let [account, role, binding] = &documents("deploy/rbac.yaml")[..] else {
        panic!("three objects give it its rights")
    };
    let name = &account["metadata"]["name"];
    let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": SYSTEM});
    assert_has(account, &json!({"kind": "ServiceAccount", "metadata": {"namespace": SYSTEM}}));
    assert_has(account, &json!({"automountServiceAccountToken": false}));
    let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "patch", "delete"]});
    let templates = json!({"apiGroups": [""], "resources": ["podtemplates"], "verbs": ["get"]});
    assert_has(role, &json!({"kind": "Role", "rules": [pods, templates]}));
    let role_name = &role["metadata"]["name"];
    assert_eq!(binding["subjects"], json!([subject]));
    assert_has(binding, &json!({"kind": "RoleBinding", "roleRef": {"kind": "Role", "name": role_name}}));
    for object in [role, binding] {
        assert_eq!(object["metadata"]["namespace"], config().client_namespace);
    }
    for spec in [&spin_app()["spec"], &knative_service()["spec"]["template"]["spec"]] {
        assert_eq!(spec["serviceAccountName"], *name);
    }
}

#[test]
fn a_token_that_expires_is_mounted_wherever_a_package_looks_for_it() {
    let component = application().component;
    // A SinkBinding mounts the other.
    let [mount, oidc] = &component.files[..] else { panic!("two directories are mounted") };
    assert_eq!(oidc.destination, "/oidc");
    let app = spin_app()["spec"].take();
    let volume = &app["volumes"][0]["name"];
    let paths = [mount.destination.clone(), format!("/assets/{}{}", component.id, mount.destination)];
    let mounts = paths.map(|path| json!({"name": volume, "mountPath": path, "readOnly": true}));
    assert_eq!(app["volumeMounts"], json!(mounts));
    for spec in [&app, &knative_service()["spec"]["template"]["spec"]] {
        let sources = &spec["volumes"][0]["projected"]["sources"];
        assert_eq!(sources[0]["serviceAccountToken"], json!({"path": "token", "expirationSeconds": 3600}));
        assert_eq!(sources[1]["configMap"]["items"], json!([{"key": "ca.crt", "path": "ca.crt"}]));
        assert_eq!(sources[2]["downwardAPI"]["items"][0]["path"], "namespace");
    }
    let mounts = &knative_container()["volumeMounts"];
    assert_eq!(mounts[0]["mountPath"].as_str(), Some(mount.destination.as_str()));
    assert_has(&mounts[1], &json!({"mountPath": "/runtime-config.toml", "subPath": "runtime-config.toml"}));
}

#[test]
fn the_runtime_config_trusts_the_clusters_ca_for_the_api_server_alone() {
    let config: toml::Table = runtime_config().parse().unwrap();
    let api = named_values(&spin_app()["spec"]["variables"])["kube_api_url"].clone();
    let host = api.parse::<http::Uri>().unwrap().host().unwrap().to_owned();
    let id = application().component.id;
    let tls = json!({"hosts": [host], "component_ids": [id], "ca_roots_file": "/serviceaccount/ca.crt"});
    assert_eq!(serde_json::to_value(&config["client_tls"]).unwrap(), json!([tls]));

    let secret = &object("deploy/runtime-config.yaml", "Secret")["metadata"];
    assert_eq!(secret["namespace"], SYSTEM);
    assert_eq!(spin_app()["spec"]["runtimeConfig"], json!({"loadFromSecret": secret["name"]}));
    let volumes = &knative_service()["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[1]["secret"]["secretName"], secret["name"]);
}

#[test]
fn the_spin_app_runs_by_the_executor_of_its_namespace() {
    let [executor, class, shim] =
        [("spin-app-executor", "SpinAppExecutor"), ("runtime-class", "RuntimeClass"), ("shim", "Shim")]
            .map(|(file, kind)| object(&format!("runtime-class/{file}.yaml"), kind));
    let (executor_name, class_name) = (&executor["metadata"]["name"], &class["metadata"]["name"]);
    let app = json!({"metadata": {"namespace": SYSTEM}, "spec": {"executor": executor_name}});
    assert_has(&spin_app(), &app);
    let runs_by_it = json!({"spec": {"deploymentConfig": {"runtimeClassName": class_name}}});
    assert_has(&executor, &merged(runs_by_it, &json!({"metadata": {"namespace": SYSTEM}})));
    assert_has(&knative_service(), &json!({"spec": {"template": {"spec": {"runtimeClassName": class_name}}}}));
    assert_has(&shim, &json!({"spec": {"runtimeClass": {"name": class_name}}}));
    // The name of the section follows the configuration's version; containerd 1.6 can't hand the shim any options.
    for (file, section, options) in [
        ("containerd-1.6.toml", "io.containerd.grpc.v1.cri", false),
        ("containerd-1.toml", "io.containerd.grpc.v1.cri", true),
        ("containerd-2.toml", "io.containerd.cri.v1.runtime", true),
    ] {
        let path = tests::provisioner::repository().join("runtime-class").join(file);
        let fragment: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let runtimes = &fragment["plugins"][section]["containerd"]["runtimes"];
        let runtime = &runtimes[class["handler"].as_str().unwrap()];
        assert_eq!(runtime["runtime_type"].as_str(), Some("io.containerd.spin.v2"), "{file}");
        assert_eq!(runtime.get("options").is_some(), options, "{file}");
    }
}

#[test]
fn a_start_that_compiles_has_the_memory_and_the_time_for_it() {
    let spec = &spin_app()["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(spec["resources"]["requests"]["memory"], "64Mi");
    for limits in [&spec["resources"]["limits"], &knative_container()["resources"]["limits"]] {
        let limit = limits["memory"].as_str().unwrap().strip_suffix("Mi").unwrap().parse::<usize>().unwrap();
        assert!(limit * 1024 >= 30 * 1024 + crate::memory::AT_ONCE * crate::memory::EACH_UNDER_SPIN, "{limit} MiB");
        assert_eq!(limits.as_object().unwrap().len(), 1, "a limit of the CPU would stretch every start");
    }
    let liveness = &spec["checks"]["liveness"];
    let number = |field: &str| liveness[field].as_u64().unwrap();
    // 16 s are what a start takes at a tenth of a CPU.
    assert!(number("initialDelaySeconds") >= 16);
    assert!(number("initialDelaySeconds") + number("periodSeconds") * number("failureThreshold") >= 60);
    assert_eq!(liveness["httpGet"]["path"], "/healthz");
    for readiness in [&spec["checks"]["readiness"], &knative_container()["readinessProbe"]] {
        assert_eq!(readiness["httpGet"]["path"], "/readyz");
        // The first probe may just miss the start. Knative refuses the other two without a period.
        let number = |field: &str| readiness[field].as_u64().unwrap();
        assert!((1..=2).contains(&number("periodSeconds")));
        assert!((12..=16).contains(&(number("periodSeconds") * number("failureThreshold"))));
        assert!(number("timeoutSeconds") >= 1);
    }
}

#[test]
fn broker_and_sink_binding_refer_to_what_there_is() {
    let broker = object("deploy/broker.yaml", "Broker");
    let name = broker["metadata"]["name"].as_str().unwrap();
    let class = json!({"eventing.knative.dev/broker.class": "MTChannelBasedBroker"});
    assert_has(&broker, &json!({"metadata": {"namespace": SYSTEM, "annotations": class}}));
    for file in ["deploy/trigger.yaml", "deploy/cloudevents-player.yaml"] {
        assert_eq!(object(file, "Trigger")["spec"]["broker"], name, "{file}");
    }
    let app = spin_app()["metadata"]["name"].clone();
    for (file, api, kind) in [
        ("deploy/sinkbinding.yaml", "apps/v1", "Deployment"),
        ("deploy/knative-service/sinkbinding.yaml", "serving.knative.dev/v1", "Service"),
    ] {
        let subject = json!({"apiVersion": api, "kind": kind, "namespace": SYSTEM, "name": app});
        let sink = json!({"ref": {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": name}});
        let expected = json!({"metadata": {"namespace": SYSTEM}, "spec": {"subject": subject, "sink": sink}});
        assert_has(&object(file, "SinkBinding"), &expected);
    }
    // K_SINK will be the Broker's address, which has to lie below the origin that may be called.
    let origin = &named_values(&spin_app()["spec"]["variables"])["sink_origin"];
    let player = &object("deploy/cloudevents-player.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(named_values(&player["env"])["BROKER_URI"], format!("{origin}/{SYSTEM}/{name}"));
}

#[test]
fn every_gateway_has_values_of_its_own_and_the_quota_is_theirs_together() {
    let config = config();
    let values: Vec<_> = config
        .gateways()
        .map(|gateway| documents(&format!("deploy/pod-gateway-{gateway}-values.yaml")).remove(0))
        .collect();
    assert!(!values.is_empty());
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
        let first = settings["VXLAN_GATEWAY_FIRST_DYNAMIC_IP"].as_u64().unwrap();
        assert_eq!(255 - first, CLIENTS_PER_GATEWAY as u64);
        let address = format!("pod-gateway-{gateway}.gateway-system.svc.cluster.local");
        assert_eq!(config.address_of(gateway), Some(address));
    }
    for setting in ["VXLAN_ID", "VXLAN_IP_NETWORK"] {
        let distinct: BTreeSet<_> = values.iter().map(|values| values["settings"][setting].to_string()).collect();
        assert_eq!(distinct.len(), values.len(), "{setting}");
    }
    let quota = object("deploy/quota.yaml", "ResourceQuota");
    assert_eq!(quota["metadata"]["namespace"], config.client_namespace);
    assert_eq!(quota["spec"]["hard"], json!({"pods": (CLIENTS_PER_GATEWAY * values.len()).to_string()}));
}

#[test]
fn the_example_of_a_pod_template_is_one_that_clients_can_be_made_from() {
    let template = object("deploy/client-pod-template.yaml", "PodTemplate");
    // Without the annotation a bare Pod keeps its node for good; without a tag its image is pulled at every start.
    let kept = json!({"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}});
    let image = json!({"spec": {"containers": [{"name": "client", "image": config().client_image}]}});
    let namespace = json!({"namespace": config().client_namespace});
    assert_has(&template, &json!({"metadata": namespace, "template": merged(kept, &image)}));
    let spec = &template["template"]["spec"];
    assert!(spec["activeDeadlineSeconds"].is_u64() && spec["nodeSelector"].is_object());
    assert!(spec["containers"][0]["resources"]["limits"].is_object());
    provisioner::template::base("client", template).unwrap();
}
