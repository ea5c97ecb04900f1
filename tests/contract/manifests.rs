//! What a cluster is given agrees with the component, with itself and with what Knative and SpinKube do with it.

use std::collections::BTreeSet;

use provisioner::config::Config;
use serde_json::{Value, json};
use tests::manifests::{
    application, documents, files, knative_container, knative_service, named_values, object, runtime_config, spin_app,
    strings,
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
fn every_manifest_is_an_object_with_a_name() {
    for directory in ["deploy", COMPONENT, "deploy/components/own-gateway", "deploy/knative-service", "runtime-class"] {
        for file in files(directory) {
            let documents = documents(&format!("{directory}/{file}"));
            assert!(!documents.is_empty(), "{directory}/{file}");
            if !["-values.yaml", "kustomization.yaml", "config-features.yaml"].iter().any(|end| file.ends_with(end)) {
                for object in documents {
                    assert!(object["apiVersion"].is_string() && object["kind"].is_string(), "{file}: {object}");
                    assert!(object["metadata"]["name"].is_string(), "{file}: {object}");
                }
            }
        }
    }
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
    let namespaces = documents("deploy/namespace.yaml");
    let named = |name: &str| namespaces.iter().find(|namespace| namespace["metadata"]["name"] == name).unwrap();
    let labels = |name: &str| named(name)["metadata"]["labels"].clone();
    assert_eq!(labels(&config().client_namespace)["routed-gateway"], "true");
    assert_eq!(labels(&config().client_namespace)["pod-security.kubernetes.io/enforce"], "privileged");
    assert_eq!(labels(SYSTEM)["routed-gateway"], Value::Null);
    assert_eq!(namespaces.len(), 2);
}

#[test]
fn the_provisioner_has_five_verbs_on_pods_and_reads_templates_and_nothing_else() {
    let objects = documents("deploy/rbac.yaml");
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding"]);
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "patch", "delete"]});
    let templates = json!({"apiGroups": [""], "resources": ["podtemplates"], "verbs": ["get"]});
    assert_eq!(objects[1]["rules"], json!([rule, templates]));
    for object in &objects[1..] {
        assert_eq!(object["metadata"]["namespace"], config().client_namespace);
    }
    let account = &objects[0]["metadata"];
    assert_eq!(objects[0]["automountServiceAccountToken"], false);
    assert_eq!(account["namespace"], SYSTEM);
    let subject = json!({"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]});
    assert_eq!(objects[2]["subjects"], json!([subject]));
    assert_eq!(objects[2]["roleRef"]["name"], objects[1]["metadata"]["name"]);
    assert_eq!(spin_app()["spec"]["serviceAccountName"], account["name"]);
    assert_eq!(knative_service()["spec"]["template"]["spec"]["serviceAccountName"], account["name"]);
}

#[test]
fn a_token_that_expires_is_mounted_wherever_a_package_looks_for_it() {
    let component = application().component;
    // A SinkBinding mounts the other.
    let [mount, oidc] = &component.files[..] else { panic!("two directories are mounted") };
    assert_eq!(oidc.destination, "/oidc");
    let expected = [mount.destination.clone(), format!("/assets/{}{}", component.id, mount.destination)];
    let app = spin_app();
    let mounts: Vec<_> = app["spec"]["volumeMounts"].as_array().unwrap().iter().collect();
    let paths: Vec<_> = mounts.iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    assert_eq!(paths, expected);

    let spec = &knative_service()["spec"]["template"]["spec"];
    for (volumes, mounts) in [(&app["spec"]["volumes"], mounts), (&spec["volumes"], vec![])] {
        let volume = &volumes[0];
        assert!(mounts.iter().all(|mount| mount["name"] == volume["name"] && mount["readOnly"] == true));
        let sources = volume["projected"]["sources"].as_array().unwrap();
        assert_eq!(sources[0]["serviceAccountToken"], json!({"path": "token", "expirationSeconds": 3600}));
        assert_eq!(sources[1]["configMap"]["items"], json!([{"key": "ca.crt", "path": "ca.crt"}]));
        assert_eq!(sources[2]["downwardAPI"]["items"][0]["path"], "namespace");
    }
    let mounts = &knative_container()["volumeMounts"];
    assert_eq!(mounts[0]["mountPath"].as_str(), Some(mount.destination.as_str()));
    assert_eq!(mounts[1]["mountPath"], "/runtime-config.toml");
    assert_eq!(mounts[1]["subPath"], "runtime-config.toml");
}

#[test]
fn the_runtime_config_trusts_the_clusters_ca_for_the_api_server_alone() {
    let config: toml::Table = runtime_config().parse().unwrap();
    let [tls] = &config["client_tls"].as_array().unwrap()[..] else { panic!("one host needs TLS") };
    let api = named_values(&spin_app()["spec"]["variables"])["kube_api_url"].clone();
    let host = api.parse::<http::Uri>().unwrap().host().unwrap().to_owned();
    assert_eq!(tls["hosts"].as_array().unwrap(), &[toml::Value::from(host)]);
    assert_eq!(tls["component_ids"].as_array().unwrap(), &[toml::Value::from(application().component.id)]);
    assert_eq!(tls["ca_roots_file"].as_str(), Some("/serviceaccount/ca.crt"));

    let secret = &object("deploy/runtime-config.yaml", "Secret")["metadata"];
    assert_eq!(secret["namespace"], SYSTEM);
    assert_eq!(spin_app()["spec"]["runtimeConfig"], json!({"loadFromSecret": secret["name"]}));
    let volumes = &knative_service()["spec"]["template"]["spec"]["volumes"];
    assert_eq!(volumes[1]["secret"]["secretName"], secret["name"]);
}

#[test]
fn the_spin_app_runs_by_the_executor_of_its_namespace() {
    let executor = object("runtime-class/spin-app-executor.yaml", "SpinAppExecutor");
    assert_eq!(executor["metadata"]["namespace"], SYSTEM);
    assert_eq!(spin_app()["metadata"]["namespace"], SYSTEM);
    assert_eq!(spin_app()["spec"]["executor"], executor["metadata"]["name"]);
    let class = object("runtime-class/runtime-class.yaml", "RuntimeClass");
    assert_eq!(executor["spec"]["deploymentConfig"]["runtimeClassName"], class["metadata"]["name"]);
    assert_eq!(knative_service()["spec"]["template"]["spec"]["runtimeClassName"], class["metadata"]["name"]);
    let shim = object("runtime-class/shim.yaml", "Shim");
    assert_eq!(shim["spec"]["runtimeClass"]["name"], class["metadata"]["name"]);
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
    assert_eq!(broker["metadata"]["namespace"], SYSTEM);
    assert_eq!(broker["metadata"]["annotations"]["eventing.knative.dev/broker.class"], "MTChannelBasedBroker");
    for file in ["deploy/trigger.yaml", "deploy/cloudevents-player.yaml"] {
        assert_eq!(object(file, "Trigger")["spec"]["broker"], name, "{file}");
    }
    let app = spin_app()["metadata"]["name"].clone();
    for (file, api, kind) in [
        ("deploy/sinkbinding.yaml", "apps/v1", "Deployment"),
        ("deploy/knative-service/sinkbinding.yaml", "serving.knative.dev/v1", "Service"),
    ] {
        let binding = object(file, "SinkBinding");
        assert_eq!(binding["metadata"]["namespace"], SYSTEM);
        let subject = json!({"apiVersion": api, "kind": kind, "namespace": SYSTEM, "name": app});
        assert_eq!(binding["spec"]["subject"], subject);
        let sink = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": name});
        assert_eq!(binding["spec"]["sink"]["ref"], sink);
    }
    // K_SINK will be the Broker's address, which has to lie below the origin that may be called.
    let origin = &named_values(&spin_app()["spec"]["variables"])["sink_origin"];
    let player = &object("deploy/cloudevents-player.yaml", "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(named_values(&player["env"])["BROKER_URI"], format!("{origin}/{SYSTEM}/{name}"));
}

#[test]
fn the_network_policies_are_for_the_provisioners_pods() {
    let app = spin_app()["metadata"]["name"].clone();
    for (file, label) in [
        ("deploy/network-policy.yaml", "core.spinkube.dev/app-name"),
        ("deploy/knative-service/network-policy.yaml", "serving.knative.dev/service"),
    ] {
        let policy = object(file, "NetworkPolicy");
        assert_eq!(policy["metadata"]["namespace"], SYSTEM);
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"], json!({label: app}));
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    }
    let policy = object("deploy/network-policy.yaml", "NetworkPolicy");
    assert_eq!(policy["spec"]["ingress"][0]["ports"], json!([{"protocol": "TCP", "port": 80}]));
    assert_eq!(policy["spec"]["ingress"][0]["from"].as_array().unwrap().len(), 2);
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
        let (webhook, settings) = (&values["webhook"], &values["settings"]);
        for sort in ["gatewayLabel", "gatewayAnnotation"] {
            assert_eq!(webhook[sort], config.gateway_key);
            assert_eq!(webhook[format!("{sort}Value")], gateway);
        }
        assert_eq!(webhook["gatewayDefault"], false);
        // Or a client's Pod would go on after the client has ended.
        assert_eq!(webhook["sidecarAsInit"], true);
        assert_eq!(strings(&values["routed_namespaces"]), [config.client_namespace.as_str()]);
        assert_eq!(values["DNS"], format!("{}.1", settings["VXLAN_IP_NETWORK"].as_str().unwrap()));
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
    assert_eq!(template["metadata"]["namespace"].as_str().unwrap(), config().client_namespace);
    let spec = &template["template"]["spec"];
    assert!(spec["activeDeadlineSeconds"].is_u64() && spec["nodeSelector"].is_object());
    // Or a bare Pod keeps its node for good.
    let annotations = &template["template"]["metadata"]["annotations"];
    assert_eq!(annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"], "true");
    assert!(spec["containers"][0]["resources"]["limits"].is_object());
    assert_eq!(spec["containers"][0]["image"], config().client_image, "with a tag, or it is pulled at every start");
    provisioner::template::base("client", template).unwrap();
}
