//! What leads past a gateway and what only looks like it: examples for the table in [`crate::bypass`].

use serde_json::{Value, json};

use crate::pod::CLIENT_CONTAINER;

fn spec(spec: Value) -> Value {
    json!({ "spec": spec })
}

fn client(mut client: Value) -> Value {
    client["name"] = json!(CLIENT_CONTAINER);
    spec(json!({"containers": [client]}))
}

fn context(context: Value) -> Value {
    client(json!({ "securityContext": context }))
}

fn annotation(key: &str) -> Value {
    json!({"metadata": {"annotations": {key: "default/second"}}})
}

/// What leads past a gateway: an entry's field, and a change that uses it when merged into a routed Pod (see
/// [`merged`]). Every entry has at least one. An API server accepts all but `nodeName`, which it refuses in a gated
/// Pod.
pub fn examples() -> Vec<(&'static str, Value)> {
    [of_pods(), of_containers(), of_capabilities()].concat()
}

fn of_pods() -> Vec<(&'static str, Value)> {
    vec![
        ("annotation", annotation("k8s.v1.cni.cncf.io/networks")),
        ("annotation", annotation("v1.multus-cni.io/default-network")),
        ("annotation", annotation("danm.k8s.io/interfaces")),
        ("annotation", annotation("networking.gke.io/interfaces")),
        ("annotation", annotation("network.v1alpha1.isovalent.com/pod-networks")),
        ("annotation", annotation("k8s.amazonaws.com/nicConfig")),
        ("annotation", annotation("ovn.kubernetes.io/routes")),
        ("annotation", annotation("ipam.spidernet.io/routes")),
        ("annotation", annotation("k8s.aliyun.com/pod-networks-request")),
        ("hostNetwork", spec(json!({"hostNetwork": true}))),
        ("hostPID", spec(json!({"hostPID": true}))),
        ("hostIPC", spec(json!({"hostIPC": true}))),
        ("shareProcessNamespace", spec(json!({"shareProcessNamespace": true}))),
        ("nodeName", spec(json!({"nodeName": "node-1"}))),
        ("resourceClaims", spec(json!({"resourceClaims": [{"name": "nic", "resourceClaimName": "nic"}]}))),
        ("volumes.hostPath", spec(json!({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}))),
        (
            "volumes.hostPath",
            spec(json!({"volumes": [{"name": "cri", "hostPath": {"path": "/run/containerd/containerd.sock"}}]})),
        ),
        ("volumes.*", spec(json!({"volumes": [{"name": "out", "nfs": {"server": "203.0.113.7", "path": "/"}}]}))),
        (
            "volumes.*",
            spec(json!({"volumes": [{"name": "x", "emptyDir": {}}, {"name": "code", "gitRepo": {"repository": "x"}}]})),
        ),
    ]
}

fn of_containers() -> Vec<(&'static str, Value)> {
    vec![
        (
            "ports.hostPort",
            spec(json!({"containers": [
                {"name": "client", "ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]},
            ]})),
        ),
        ("resources.limits", client(json!({"resources": {"limits": {"deviceclass.resource.kubernetes.io/nic": "1"}}}))),
        // An API server refuses a privileged container that may not escalate.
        ("securityContext.privileged", context(json!({"privileged": true, "allowPrivilegeEscalation": null}))),
        // And an unmasked /proc with a user of the node.
        (
            "securityContext.procMount",
            spec(json!({
                "hostUsers": false,
                "containers": [{"name": "client", "securityContext": {"procMount": "Unmasked"}}],
            })),
        ),
        ("securityContext.seccompProfile", context(json!({"seccompProfile": {"type": "Unconfined"}}))),
        (
            "securityContext.seccompProfile",
            spec(json!({
                "securityContext": {"seccompProfile": {"type": "Unconfined"}},
                "containers": [{"name": "client", "securityContext": {"seccompProfile": null}}],
            })),
        ),
        ("securityContext.appArmorProfile", context(json!({"appArmorProfile": {"type": "Unconfined"}}))),
        (
            "securityContext.appArmorProfile",
            spec(json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}})),
        ),
        ("securityContext.seLinuxOptions.type", context(json!({"seLinuxOptions": {"type": "spc_t"}}))),
        (
            "securityContext.seLinuxOptions.type",
            spec(json!({"securityContext": {"seLinuxOptions": {"type": "spc_t"}}})),
        ),
    ]
}

fn of_capabilities() -> Vec<(&'static str, Value)> {
    #[rustfmt::skip]
    let capabilities = [
        "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "MKNOD", "BPF",
        "PERFMON", "CHECKPOINT_RESTORE", "ALL",
    ];
    let add = |capability: &str| context(json!({"capabilities": {"add": [capability]}}));
    let mut examples = vec![
        ("securityContext.capabilities.drop", context(json!({"capabilities": {"drop": ["CHOWN"]}}))),
        ("securityContext.capabilities.drop", context(json!({"capabilities": {"drop": null}}))),
        ("securityContext.capabilities.drop", context(json!(null))),
        (
            "securityContext.capabilities.drop",
            spec(json!({"containers": [{"name": "further", "image": "registry.example/further:1"}]})),
        ),
    ];
    examples.extend(capabilities.map(|capability| ("securityContext.capabilities.add", add(capability))));
    examples
}

/// For each entry, what looks like it and is harmless. An API server accepts it.
pub fn harmless() -> Vec<(&'static str, Value)> {
    vec![
        ("annotation", annotation("k8s.v1.cni.cncf.io")),
        ("annotation", annotation("x.k8s.v1.cni.cncf.io/networks")),
        ("annotation", annotation("network.example/v1.multus-cni.io")),
        ("annotation", annotation("networking.gke.io/pod-ips")),
        ("annotation", annotation("ovn.kubernetes.io/routed")),
        ("annotation", annotation("k8s.aliyun.com/pod-networks")),
        ("hostNetwork", spec(json!({"hostNetwork": false}))),
        ("hostPID", spec(json!({"hostPID": false}))),
        ("hostIPC", spec(json!({"hostIPC": false}))),
        ("shareProcessNamespace", spec(json!({"shareProcessNamespace": false}))),
        ("nodeName", spec(json!({"nodeName": "", "nodeSelector": {"node": "1"}}))),
        ("resourceClaims", spec(json!({"resourceClaims": []}))),
        ("volumes.hostPath", spec(json!({"volumes": [{"name": "host-path", "emptyDir": {}}]}))),
        (
            "volumes.*",
            spec(json!({"volumes": [
                {"name": "a", "configMap": {"name": "x"}}, {"name": "b", "secret": {"secretName": "x"}},
                {"name": "c", "projected": {"sources": []}}, {"name": "d", "persistentVolumeClaim": {"claimName": "x"}},
                {"name": "e", "csi": {"driver": "csi.spiffe.io"}}, {"name": "f", "downwardAPI": {}},
            ]})),
        ),
        ("ports.hostPort", client(json!({"ports": [{"containerPort": 80, "hostPort": 0}, {"containerPort": 81}]}))),
        ("resources.limits", client(json!({"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "1Gi"}}}))),
        ("securityContext.privileged", context(json!({"privileged": false}))),
        ("securityContext.procMount", context(json!({"procMount": "Default"}))),
        (
            "securityContext.seccompProfile",
            context(json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "client.json"}})),
        ),
        // The container's own profile counts.
        (
            "securityContext.seccompProfile",
            spec(json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}})),
        ),
        ("securityContext.appArmorProfile", context(json!({"appArmorProfile": {"type": "RuntimeDefault"}}))),
        (
            "securityContext.appArmorProfile",
            spec(json!({
                "securityContext": {"appArmorProfile": {"type": "Unconfined"}},
                "containers": [{"name": "client", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}],
            })),
        ),
        ("securityContext.seLinuxOptions.type", context(json!({"seLinuxOptions": {"level": "s0:c1,c2"}}))),
        (
            "securityContext.seLinuxOptions.type",
            spec(json!({
                "securityContext": {"seLinuxOptions": {"type": "spc_t"}},
                "containers": [{"name": "client", "securityContext": {"seLinuxOptions": {"level": "s0:c1,c2"}}}],
            })),
        ),
        ("securityContext.capabilities.add", context(json!({"capabilities": {"add": ["NET_BIND_SERVICE"]}}))),
        ("securityContext.capabilities.add", context(json!({"capabilities": {"add": ["NET_ADMINISTRATION"]}}))),
        ("securityContext.capabilities.drop", context(json!({"capabilities": {"drop": ["NET_RAW"]}}))),
        ("securityContext.capabilities.drop", context(json!({"capabilities": {"drop": ["CHOWN", "all"]}}))),
    ]
}

/// A change of the container `client`, moved to another container of the list; `None` if it changes something else.
pub fn moved(change: &Value, list: &str, name: &str) -> Option<Value> {
    let mut change = change.clone();
    let mut containers = change["spec"].as_object_mut()?.remove("containers")?;
    if containers[0]["name"] != CLIENT_CONTAINER {
        return None;
    }
    containers[0]["name"] = json!(name);
    change["spec"][list] = containers;
    Some(change)
}
