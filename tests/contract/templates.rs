//! Clients made from a PodTemplate.

use provisioner::testing::{examples, merged, pod_template};
use serde_json::{Value, json};
use tests::events::pending;
use tests::peer::{Step, happy, json_step, page, ready, status};

use crate::{Case, End, run};

/// The PodTemplate with a further container and with this change of its Pod's spec.
fn template(change: impl FnOnce(&mut Value)) -> Value {
    pod_template(|spec| {
        spec["activeDeadlineSeconds"] = json!(3600);
        spec["containers"][0]["args"] = json!(["-v"]);
        spec["containers"].as_array_mut().unwrap().push(json!({"name": "cache", "image": "cache:1"}));
        change(spec);
    })
}

fn read(change: fn(&mut Value)) -> Step {
    json_step("GET", 200, move |_| template(change))
}

fn absent() -> Step {
    status("GET", 404, "NotFound", "pods \"x\" not found")
}

/// What isn't the template's to say: the field that the message has to name, and a change of the Pod's spec.
fn refused() -> Vec<(&'static str, Value)> {
    let client = |change: Value| json!({"containers": [merged(json!({"name": "client"}), &change)]});
    let further = |change: Value| json!({"containers": [merged(json!({"name": "cache"}), &change)]});
    let volume = |kind: Value| json!({"volumes": [merged(json!({"name": "x"}), &kind)]});
    let (http, tcp) = (json!({"httpGet": {"host": "a", "port": 1}}), json!({"tcpSocket": {"host": "a", "port": 1}}));
    let token = json!({"serviceAccountToken": {"path": "token"}});
    vec![
        ("initContainers", json!({"initContainers": [{"name": "early", "image": "x"}]})),
        ("ephemeralContainers", json!({"ephemeralContainers": [{"name": "late", "image": "x"}]})),
        ("dnsPolicy", json!({"dnsPolicy": "Default"})),
        ("dnsPolicy", json!({"dnsPolicy": "None"})),
        ("dnsConfig", json!({"dnsConfig": {"nameservers": ["192.0.2.1"]}})),
        ("hostAliases", json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["gateway"]}]})),
        ("sysctls", json!({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}})),
        ("runtimeClassName", json!({"runtimeClassName": "wasm"})),
        ("setHostnameAsFQDN", json!({"setHostnameAsFQDN": true})),
        ("hostPath from the volume", volume(json!({"hostPath": {"path": ""}}))),
        ("nfs from the volume", volume(json!({"nfs": {"server": "s", "path": "/"}}))),
        (
            "serviceAccountToken from the volume",
            volume(json!({"projected": {"sources": [{"configMap": {"name": "a"}}, token]}})),
        ),
        ("hostPort", further(json!({"ports": [{"containerPort": 80, "hostPort": 80}]}))),
        ("host from the probes", client(json!({"livenessProbe": http}))),
        ("host from the probes", further(json!({"readinessProbe": tcp}))),
        ("host from the probes", client(json!({"startupProbe": http}))),
        ("host from the probes", client(json!({"lifecycle": {"preStop": http}}))),
        ("host from the probes", further(json!({"lifecycle": {"postStart": tcp}}))),
        ("gateway-init", json!({"containers": [{"name": "gateway-init", "image": "x"}]})),
        ("gateway-sidecar", json!({"containers": [{"name": "gateway-sidecar", "image": "x"}]})),
        ("variable gateway", further(json!({"env": [{"name": "gateway", "value": "a"}]}))),
        ("procMount", further(json!({"securityContext": {"procMount": "Unmasked"}}))),
        ("seLinuxOptions.type", json!({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}})),
        ("capabilities.add", further(json!({"securityContext": {"capabilities": {"add": ["cap_Sys_Rawio"]}}}))),
        ("name one of its containers client", json!({"containers": null})),
    ]
}

fn case(name: &'static str, script: Vec<Step>, end: End) -> Case {
    Case::new("template", name, pending("1", "foo"), script, end).with("client_pod_template", "crawler")
}

fn invalid(field: &'static str, template: Value) -> Case {
    let script = vec![json_step("GET", 200, move |_| template.clone()), absent()];
    case(field, script, End::Failed("PodTemplateInvalid")).saying(field)
}

/// Every entry of the table of what leads past a gateway. Only that a container isn't hardened is no fault of a
/// template's: it is hardened then.
fn bypasses() -> impl Iterator<Item = Case> {
    examples().into_iter().map(|(field, change)| {
        let mut template = template(|_| ());
        template["template"] = merged(template["template"].take(), &change);
        match field {
            "securityContext.capabilities.drop" => {
                let step = json_step("GET", 200, move |_| template.clone());
                case(field, [step].into_iter().chain(happy()).collect(), End::Done)
            }
            _ => invalid(field, template),
        }
    })
}

pub fn cases() -> Vec<Case> {
    let usable = |name, change| case(name, [read(change)].into_iter().chain(happy()).collect(), End::Done);
    let mut cases = vec![
        usable("usable", |_| ()),
        // The largest object that etcd holds has 1.5 MiB. A host takes one of a call's body before anybody reads it, and
        // the rest after that.
        usable("large", |spec| spec["containers"][1]["args"] = json!(["x".repeat(3 << 19)])),
        usable("with what a workload needs", |spec| {
            spec["volumes"] = json!([
                {"name": "tmp", "emptyDir": {}},
                {"name": "settings", "configMap": {"name": "crawler"}},
                {"name": "all", "projected": {"sources": [{"secret": {"name": "a"}}, {"downwardAPI": {}}]}},
            ]);
            spec["affinity"] = json!({"nodeAffinity": {}});
            spec["tolerations"] = json!([{"key": "spot"}]);
            spec["topologySpreadConstraints"] = json!([{"maxSkew": 1}]);
            spec["priorityClassName"] = json!("low");
            spec["imagePullSecrets"] = json!([{"name": "registry"}]);
            spec["restartPolicy"] = json!("OnFailure");
            spec["containers"][0]["livenessProbe"] = json!({"httpGet": {"port": 1}});
        }),
        case("missing", vec![absent(), absent()], End::Failed("PodTemplateInvalid")),
        case(
            "not allowed to be read",
            vec![status("GET", 403, "Forbidden", "no"), ready(), absent()],
            End::Failed("Forbidden"),
        ),
        case("unwell", vec![status("GET", 500, "InternalError", "")], End::Empty(503)),
        case("a proxy's", vec![page("GET", 404)], End::Empty(503)),
        case("of another kind", vec![json_step("GET", 200, |_| json!({"kind": "Secret"}))], End::Empty(503)),
    ];
    let refused = refused().into_iter();
    cases.extend(refused.map(|(field, change)| invalid(field, template(|spec| *spec = merged(spec.take(), &change)))));
    cases.extend(bypasses());
    cases
}

#[tokio::test]
async fn every_template_ends_as_it_should() {
    for case in cases() {
        run(case).await;
    }
}

#[tokio::test]
async fn what_the_promises_need_is_laid_over_the_template() {
    let script = [read(|_| ())].into_iter().chain(happy()).collect();
    let (_, calls) = run(case("laid over", script, End::Done)).await;
    assert_eq!(calls[0].path, "/api/v1/namespaces/default/podtemplates/crawler");
    let pod = &calls[1].body;
    assert_eq!(
        (&pod["metadata"]["labels"]["team"], &pod["spec"]["activeDeadlineSeconds"]),
        (&json!("a"), &json!(3600))
    );
    assert_eq!(pod["spec"]["schedulingGates"], json!([{"name": "podgateway.io/gateway-verification"}]));
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    let client = &pod["spec"]["containers"][0];
    assert_eq!((&client["image"], &client["args"]), (&json!("crawler:1"), &json!(["-v"])));
}

/// The runtime gives NET_RAW to a container that says nothing: raw frames leave by the node's own interface.
#[tokio::test]
async fn every_container_of_a_template_is_hardened() {
    let contexts = [
        json!(null),
        json!({"allowPrivilegeEscalation": true}),
        json!({"capabilities": {"add": ["CHOWN"], "drop": ["SETUID"]}}),
    ];
    for context in contexts {
        let template = template(|spec| spec["containers"][1]["securityContext"] = context);
        let read = json_step("GET", 200, move |_| template.clone());
        let script = [read].into_iter().chain(happy()).collect();
        let (_, calls) = run(case("hardened", script, End::Done)).await;
        for container in calls[1].body["spec"]["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}), "{container}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{container}");
            assert_eq!(context["seccompProfile"], json!({"type": "RuntimeDefault"}), "{container}");
        }
    }
}
