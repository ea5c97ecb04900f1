//! What leads past a gateway: one table, with a reason for each entry.
//!
//! It judges a PodTemplate before it is used, and the Pod that the API server returns before that is released. A test
//! compares the same table with the admission policy of `deploy/`. It does *not* judge a container's image and command:
//! webhooks that pin digests, use mirrors or wrap commands don't change the route.

use std::fmt;

use serde_json::Value;

use crate::pod::{CLIENT_CONTAINER, all_containers, each, gateway_variables, is_set, text};

/// Capabilities with which a container changes routes, writes packets past them, or reaches the node.
#[rustfmt::skip]
pub const CAPABILITIES: [&str; 12] = [
    "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "MKNOD", "BPF",
    "PERFMON", "CHECKPOINT_RESTORE", "ALL",
];

/// The prefixes of the annotations by which Multus, DANM, GKE, Isovalent, Amazon's VPC CNI and Terway give a Pod further
/// networks, and Kube-OVN and Spiderpool further routes.
#[rustfmt::skip]
const NETWORKS: [&str; 9] = [
    "k8s.v1.cni.cncf.io/", "v1.multus-cni.io/", "danm.k8s.io/", "networking.gke.io/interfaces",
    "network.v1alpha1.isovalent.com/", "k8s.amazonaws.com/nicConfig", "ovn.kubernetes.io/routes",
    "ipam.spidernet.io/routes", "k8s.aliyun.com/pod-networks-request",
];

/// The kinds of volumes of the Pod Security Standard "Restricted". The node mounts most others in its own network.
#[rustfmt::skip]
pub const VOLUMES: [&str; 8] = [
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
];

/// The prefix of the resources by which a container gets a device of a DeviceClass without a claim of its own.
const DEVICES: &str = "deviceclass.resource.kubernetes.io/";

/// The only field that leads past a gateway if something is missing in it.
const DROP: &str = "securityContext.capabilities.drop";

/// An entry: a field, why it leads past a gateway, and how to find it in a PodSpec or a container.
pub struct Rule {
    /// The field's path, below `spec` or below the container.
    pub field: &'static str,
    /// Why it leads past a gateway.
    pub why: &'static str,
    /// Finds the offending value in the PodSpec or the container; `None` if there is none.
    found: fn(&Value, &Value) -> Option<String>,
}

const fn rule(field: &'static str, why: &'static str, found: fn(&Value, &Value) -> Option<String>) -> Rule {
    Rule { field, why, found }
}

/// The entries about the whole Pod. The one about annotations is in [`check`].
pub const POD: [Rule; 8] = [
    rule("hostNetwork", "the node's network has no gateway", |spec, _| set(&spec["hostNetwork"])),
    rule("hostPID", "the node's processes have no gateway", |spec, _| set(&spec["hostPID"])),
    rule("hostIPC", "it opens the node to the client", |spec, _| set(&spec["hostIPC"])),
    rule("shareProcessNamespace", "the client could reach into its gateway's processes", |spec, _| {
        set(&spec["shareProcessNamespace"])
    }),
    rule("nodeName", "it gets around the scheduling gate", |spec, _| set(&spec["nodeName"])),
    rule("resourceClaims", "a device of the node can be a network interface", |spec, _| set(&spec["resourceClaims"])),
    rule("volumes.hostPath", "the node's files and sockets lead to its network", |spec, _| {
        each(&spec["volumes"]).find_map(|volume| set(&volume["hostPath"]["path"]))
    }),
    rule("volumes.*", "the node would mount it past the gateway", |spec, _| {
        each(&spec["volumes"]).find_map(|volume| other_than(volume, &VOLUMES)).cloned()
    }),
];

/// The entries about each container. The first two also apply to the gateway's own containers. The last is what
/// hardening adds to a container of a PodTemplate.
pub const CONTAINER: [Rule; 9] = [
    rule("ports.hostPort", "a port of the node is reached past the gateway", |_, container| {
        each(&container["ports"]).find_map(|port| set(&port["hostPort"]))
    }),
    rule("resources.limits", "a device of the node can be a network interface", |_, container| {
        let mut limits = container["resources"]["limits"].as_object().into_iter().flatten();
        limits.find(|(name, _)| name.starts_with(DEVICES)).map(|(name, _)| name.clone())
    }),
    rule("securityContext.privileged", "it may change its routes and reach the node", |_, container| {
        set(&container["securityContext"]["privileged"])
    }),
    rule("securityContext.procMount", "all of /proc leads to the node", |_, container| {
        is(&container["securityContext"]["procMount"], "Unmasked")
    }),
    rule("securityContext.seccompProfile", "unconfined system calls open the kernel", |spec, container| {
        is(&own(spec, container, "seccompProfile")["type"], "Unconfined")
    }),
    rule("securityContext.appArmorProfile", "it lifts the confinement of containers", |spec, container| {
        is(&own(spec, container, "appArmorProfile")["type"], "Unconfined")
    }),
    rule("securityContext.seLinuxOptions.type", "it can lift the confinement of containers", |spec, container| {
        set(&own(spec, container, "seLinuxOptions")["type"])
    }),
    rule("securityContext.capabilities.add", "routes are changed, or packets written past them", |_, container| {
        let mut added = each(&container["securityContext"]["capabilities"]["add"]).map(text);
        added.find(|name| CAPABILITIES.contains(&plain(name).as_str())).map(str::to_owned)
    }),
    rule(DROP, "NET_RAW, which a runtime gives by default, writes packets past every route", |_, container| {
        let dropped = &container["securityContext"]["capabilities"]["drop"];
        let drops = |name: &str| each(dropped).any(|dropped| text(dropped).eq_ignore_ascii_case(name));
        (!drops("NET_RAW") && !drops("ALL")).then(|| json(dropped))
    }),
];

/// A way past the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// The container, if it is about one.
    pub container: Option<String>,
    /// The field.
    pub field: &'static str,
    /// The field's value.
    pub found: String,
    /// Why it leads past the gateway.
    pub why: &'static str,
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, found, why, .. } = self;
        // The value that the Pod was created with: `manifest` hardens every container.
        let sent = if *field == DROP { r#"["ALL"]"# } else { "nothing" };
        match self.container.as_deref() {
            None => write!(f, "its {field} was changed from {sent} to {found}, and {why}"),
            Some(container @ CLIENT_CONTAINER) => {
                write!(f, "{field} of its container {container} was changed from {sent} to {found}, and {why}")
            }
            Some(container) => write!(f, "its container {container} has {field} {found}, and {why}"),
        }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A PodTemplate, whose containers are hardened later.
    Template,
    /// A Pod that the gateway at this address took. The gateway's own containers need what no other may have.
    RoutedBy(&'a str),
}

/// Looks for a way past the gateway in the annotations and the spec.
///
/// ```
/// use provisioner::bypass::{Subject, check};
/// use serde_json::json;
///
/// let found = check([], &json!({"hostPID": true}), Subject::Template).unwrap_err();
/// assert_eq!(found.field, "hostPID");
/// ```
///
/// # Errors
/// The first one, in the order of the tables.
pub fn check<'a>(
    annotations: impl IntoIterator<Item = &'a String>,
    spec: &Value,
    subject: Subject,
) -> Result<(), Bypass> {
    let mut networks = annotations.into_iter().filter(|key| NETWORKS.iter().any(|prefix| key.starts_with(prefix)));
    if let Some(found) = networks.next().cloned() {
        return Err(Bypass {
            container: None,
            field: "annotation",
            found,
            why: "a further network or route is a second way out",
        });
    }
    POD.iter().try_for_each(|rule| rule.check(spec, None))?;
    all_containers(spec).try_for_each(|container| {
        let judged = match subject {
            Subject::Template => &CONTAINER[..CONTAINER.len() - 1],
            Subject::RoutedBy(own) if is_gateways(spec, container, own) => &CONTAINER[..2],
            Subject::RoutedBy(_) => &CONTAINER[..],
        };
        judged.iter().try_for_each(|rule| rule.check(spec, Some(container)))
    })
}

/// Whether the gateway at `address` added this container. The container `client` never counts, nor does one that was
/// added for debugging, whatever its environment.
fn is_gateways(spec: &Value, container: &Value, address: &str) -> bool {
    let is_others = |other: &Value| other["name"] == container["name"];
    container["name"] != CLIENT_CONTAINER
        && !each(&spec["ephemeralContainers"]).any(is_others)
        && gateway_variables(container).any(|variable| variable["value"] == address)
}

impl Rule {
    fn check(&self, spec: &Value, container: Option<&Value>) -> Result<(), Bypass> {
        let Some(found) = (self.found)(spec, container.unwrap_or(&Value::Null)) else { return Ok(()) };
        let container = container.map(|container| text(&container["name"]).to_owned());
        Err(Bypass { container, field: self.field, found, why: self.why })
    }
}

/// A capability's name as the kernel has it. Runtimes differ in which case and prefix they take.
pub fn plain(capability: &str) -> String {
    let upper = capability.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
}

fn set(value: &Value) -> Option<String> {
    is_set(value).then(|| json(value))
}

/// A value as JSON. The `Display` of [`Value`] would be a second serializer in the component.
fn json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The kind of a volume or of a projected volume's source, if it is not an allowed one.
pub fn other_than<'a>(volume: &'a Value, allowed: &[&str]) -> Option<&'a String> {
    volume.as_object()?.keys().find(|kind| *kind != "name" && !allowed.contains(&kind.as_str()))
}

fn is(value: &Value, leading: &str) -> Option<String> {
    (value == leading).then(|| leading.to_owned())
}

/// What a container says in its security context, or else what the Pod says for all of them.
fn own<'a>(spec: &'a Value, container: &'a Value, field: &str) -> &'a Value {
    let own = &container["securityContext"][field];
    if is_set(own) { own } else { &spec["securityContext"][field] }
}

#[cfg(test)]
mod tests;
