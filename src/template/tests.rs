use super::*;
use crate::testing::{examples, merged, pod_template};
use serde_json::json;

#[track_caller]
fn check_usable(change: &Value) -> Base {
    let mut template = pod_template(|_| ());
    template["template"] = merged(template["template"].take(), change);
    base("crawler", template).unwrap_or_else(|failure| panic!("{}", failure.message))
}

#[track_caller]
fn check_invalid(change: &Value, expected: &str) {
    let mut template = pod_template(|_| ());
    template["template"] = merged(template["template"].take(), change);
    let failure = base("crawler", template).expect_err(expected);
    assert_eq!(failure.reason, Reason::PodTemplateInvalid);
    let problem = failure.message.strip_prefix("the PodTemplate crawler can't be used: ");
    assert!(problem.is_some_and(|problem| problem.starts_with(expected)), "{} and not {expected}", failure.message);
}

fn spec(field: &str, value: Value) -> Value {
    json!({"spec": {field: value}})
}

fn client(mut client: Value) -> Value {
    client["name"] = json!("client");
    spec("containers", json!([client]))
}

fn volume(mut volume: Value) -> Value {
    volume["name"] = json!("v");
    spec("volumes", json!([volume]))
}

#[test]
fn a_template_gives_its_labels_annotations_and_spec() {
    let base = base("crawler", pod_template(|_| ())).unwrap();
    assert_eq!((&base.labels["team"], &base.annotations["note"]), (&json!("a"), &json!("b")));
    assert_eq!(base.spec["nodeSelector"]["disk"], "ssd");
}

/// What an API server stores for a minimal PodTemplate (`kubectl get -o json`).
#[test]
fn what_the_api_server_writes_by_default_passes() {
    let change = json!({
        "metadata": {"creationTimestamp": null},
        "spec": {
            "containers": [{
                "name": "client",
                "imagePullPolicy": "IfNotPresent",
                "livenessProbe": {
                    "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                    "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
                },
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "securityContext": {"procMount": "Default"},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
            "priority": 0,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "serviceAccount": "default",
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
            "tolerations": [{"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
            "volumes": [{"name": "v", "configMap": {"defaultMode": 420, "name": "c"}}],
        },
    });
    check_usable(&change);
}

#[test]
fn what_leads_past_the_gateway_is_refused_by_name() {
    for (field, change) in examples() {
        match field {
            // Hardening adds it.
            "securityContext.capabilities.drop" => drop(check_usable(&change)),
            "volumes.*" => check_invalid(&change, "remove volumes."),
            _ => check_invalid(&change, &format!("remove {field}")),
        }
    }
    check_invalid(
        &client(json!({"securityContext": {"privileged": true}})),
        "remove securityContext.privileged from the container client: it may change its routes and reach the node",
    );
    check_invalid(&spec("hostPID", json!(true)), "remove hostPID: the node's processes have no gateway");
    check_invalid(
        &json!({"metadata": {"annotations": {"danm.k8s.io/interfaces": "x"}}}),
        "remove annotation danm.k8s.io/interfaces: a further network or route is a second way out",
    );
}

/// Every field of a PodSpec of Kubernetes 1.34 but those that lead past the gateway.
#[test]
fn a_template_has_the_fields_that_a_workload_needs_and_no_other() {
    for (field, value) in [
        ("activeDeadlineSeconds", json!(3600)),
        ("affinity", json!({"nodeAffinity": {}})),
        ("automountServiceAccountToken", json!(true)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("enableServiceLinks", json!(false)),
        ("imagePullSecrets", json!([{"name": "s"}])),
        ("nodeSelector", json!({"disk": "ssd"})),
        ("preemptionPolicy", json!("Never")),
        ("priority", json!(7)),
        ("priorityClassName", json!("low")),
        ("resources", json!({"limits": {"memory": "1Gi"}})),
        ("restartPolicy", json!("OnFailure")),
        ("schedulerName", json!("other")),
        ("schedulingGates", json!([{"name": "example.com/later"}])),
        ("securityContext", json!({"fsGroup": 7, "runAsNonRoot": true, "seccompProfile": {"type": "Localhost"}})),
        ("serviceAccount", json!("crawler")),
        ("serviceAccountName", json!("crawler")),
        ("terminationGracePeriodSeconds", json!(0)),
        ("tolerations", json!([{"operator": "Exists"}])),
        ("topologySpreadConstraints", json!([{"maxSkew": 1}])),
    ] {
        let base = check_usable(&spec(field, value.clone()));
        assert_eq!(base.spec[field], merged(base.spec[field].clone(), &value), "{field} is kept");
    }
    for (field, value, expected) in [
        ("initContainers", json!([{"name": "x"}]), "remove initContainers: they would run before the gateway's"),
        ("ephemeralContainers", json!([{"name": "x"}]), "remove ephemeralContainers: they are for running Pods"),
        ("dnsConfig", json!({"nameservers": ["192.0.2.1"]}), "remove dnsConfig: the gateway decides where names"),
        ("hostAliases", json!([{"ip": "192.0.2.1"}]), "remove hostAliases: they could give the gateway's name"),
        ("dnsPolicy", json!("Default"), "remove dnsPolicy: the gateway decides where names are resolved"),
        ("dnsPolicy", json!("None"), "remove dnsPolicy"),
        ("dnsPolicy", json!("ClusterFirstWithHostNet"), "remove dnsPolicy"),
        ("securityContext", json!({"sysctls": [{"name": "net.ipv4.ip_forward"}]}), "remove securityContext.sysctls"),
        ("hostUsers", json!(true), "remove hostUsers, which no client needs"),
        ("hostname", json!("h"), "remove hostname, which"),
        ("hostnameOverride", json!("h"), "remove hostnameOverride, which"),
        ("os", json!({"name": "windows"}), "remove os, which"),
        ("overhead", json!({"cpu": "1"}), "remove overhead, which"),
        ("readinessGates", json!([{"conditionType": "x"}]), "remove readinessGates, which"),
        ("runtimeClassName", json!("node"), "remove runtimeClassName, which"),
        ("setHostnameAsFQDN", json!(true), "remove setHostnameAsFQDN, which"),
        ("subdomain", json!("s"), "remove subdomain, which"),
        ("aFieldOfTomorrow", json!(1), "remove aFieldOfTomorrow, which"),
    ] {
        check_invalid(&spec(field, value), expected);
    }
}

#[test]
fn fields_that_say_nothing_are_no_reason_to_refuse() {
    for (field, value) in [
        ("initContainers", json!([])),
        ("ephemeralContainers", json!(null)),
        ("hostNetwork", json!(false)),
        ("nodeName", json!("")),
        ("dnsPolicy", json!("")),
        ("dnsConfig", json!({})),
        ("hostname", json!("")),
        ("securityContext", json!({"sysctls": []})),
        ("volumes", json!(null)),
    ] {
        check_usable(&spec(field, value));
    }
}

/// Every kind of volume of Kubernetes 1.34.
#[test]
fn a_template_has_the_volumes_of_the_restricted_standard_and_no_other() {
    for kind in ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"] {
        check_usable(&volume(json!({kind: {}})));
    }
    #[rustfmt::skip]
    let others = [
        "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flexVolume", "flocker",
        "gcePersistentDisk", "gitRepo", "glusterfs", "hostPath", "image", "iscsi", "nfs", "photonPersistentDisk",
        "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
    ];
    for kind in others {
        check_invalid(&volume(json!({kind: {}})), &format!("remove volumes.{kind}: the node"));
    }
    let projected = |source: &str| volume(json!({"projected": {"sources": [{"secret": {}}, {source: {}}]}}));
    for source in ["clusterTrustBundle", "configMap", "downwardAPI"] {
        check_usable(&projected(source));
    }
    for source in ["serviceAccountToken", "podCertificate"] {
        check_invalid(&projected(source), &format!("remove {source} from the volume v"));
    }
}

/// The node sends the requests of a probe, and the node has no gateway.
#[test]
fn probes_and_hooks_ask_the_client_and_nobody_else() {
    for asks in [json!({"httpGet": {"port": 80, "host": "192.0.2.1"}}), json!({"tcpSocket": {"port": 80, "host": "h"}})]
    {
        for place in ["livenessProbe", "readinessProbe", "startupProbe", "postStart", "preStop"] {
            let change = match place {
                "postStart" | "preStop" => client(json!({"lifecycle": {place: asks}})),
                _ => client(json!({place: asks})),
            };
            check_invalid(&change, "remove host from the probes and hooks of the container client: the node makes");
        }
    }
    let local = json!({"httpGet": {"port": 80, "host": ""}, "grpc": {"port": 1}});
    let hook = json!({"preStop": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 80}}});
    check_usable(&client(json!({"startupProbe": local, "lifecycle": hook})));
}

#[test]
fn the_names_of_the_gateway_are_its_own() {
    for name in ["gateway-init", "gateway-sidecar"] {
        let change = spec("containers", json!([{ "name": name }]));
        check_invalid(&change, &format!("rename the container {name}, which is the gateway's"));
    }
    let variable = json!([{"name": "HTTP_PROXY", "value": "x"}, {"name": "gateway", "value": "x"}]);
    let expected = "remove the variable gateway of the container client, which is the gateway's";
    check_invalid(&client(json!({"env": variable})), expected);
}

/// Such a rule starts the client again, whatever its own restart policy says: Kubernetes, "Restart All Containers".
#[test]
fn no_other_container_starts_the_client_again() {
    let rules = |action: &str| json!([{"action": action, "exitCodes": {"operator": "In", "values": [88]}}]);
    let with = |action: &str| {
        let other = json!({"name": "watcher", "image": "i", "restartPolicyRules": rules(action)});
        spec("containers", json!([{"name": "client", "image": "i"}, other]))
    };
    let expected = "remove RestartAllContainers from the container watcher: the client would have no end";
    check_invalid(&with("RestartAllContainers"), expected);
    check_usable(&with("Restart"));
    check_usable(&client(json!({"image": "i", "restartPolicyRules": rules("RestartAllContainers")})));
}

#[test]
fn there_is_a_client_in_it() {
    let without =
        |containers: Value| base("crawler", pod_template(|spec| spec["containers"] = containers)).unwrap_err();
    for containers in [json!([{"name": "main"}]), json!([]), json!(null), json!({"name": "client"})] {
        let message = without(containers).message;
        assert!(message.ends_with("can't be used: name one of its containers client"), "{message}");
    }
}

#[test]
fn what_has_not_the_shape_of_a_template_is_refused_or_ignored() {
    assert!(base("x", json!({"kind": "PodTemplate"})).is_err());
    for shapeless in [json!(null), json!("x"), json!([]), json!(1)] {
        assert!(base("x", shapeless.clone()).is_err());
        assert!(base("x", json!({"kind": "PodTemplate", "template": shapeless})).is_err());
        let mut template = pod_template(|_| ());
        template["template"]["metadata"] = shapeless;
        assert_eq!(base("x", template).unwrap().labels, Map::new());
    }
    for container in [json!(null), json!("x"), json!([]), json!(1)] {
        let more = |spec: &mut Value| spec["containers"].as_array_mut().unwrap().push(container.clone());
        let message = base("x", pod_template(more)).unwrap_err().message;
        assert!(message.ends_with("remove what is no object from its containers"), "{message}");
    }
}
