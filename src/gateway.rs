//! Was this Pod routed, and by whom?
//!
//! A gateway's admission controller leaves no label that says so. What it leaves is an init container that drops the
//! Pod's own way out, with a literal variable `gateway` in its environment. It has to run first, and nothing in the
//! Pod may name another gateway. A Pod that nobody took comes back with 201 all the same; that is the leak which
//! [`verify`] closes, and it reads nothing but the API server's own answer. Design, section 6, step 2.

use serde_json::Value;

use crate::config::Config;
use crate::event::PendingClient;
use crate::pod::{Container, EnvVar, Pod};
use crate::reason::{Failure, Reason};
use crate::template::{CLIENT_CONTAINER, is_overpowered};

/// The environment variable with which a gateway's admission controller names the gateway's address.
const GATEWAY_VARIABLE: &str = "gateway";
const ADVICE: &str = "check which admission webhooks act in the client namespace";

/// Checks that `pod` can only go out through the gateway that `client` asked for.
///
/// The failure's message speaks of the Pod as "it": what became of the Pod is for the caller to say.
/// The container `client` is held against `wanted`, the manifest, while the Pod is gated only: once it was released it
/// was right, and a newer image is no reason to take a running client away. Its gateway is held against the configuration
/// even then: a client that runs behind another than `gateway_address` says is taken away.
///
/// # Errors
/// `GatewayNotInjected`, `WrongGatewayInjected` or `UnsafePod`, with what to look at.
pub fn verify(pod: &Pod, client: &PendingClient, config: &Config, wanted: &Value) -> Result<(), Failure> {
    check_network(pod)?;
    check_key(pod, client, config)?;
    let address = injected_address(pod)?;
    check_address(address, client, config)?;
    check_single_gateway(pod, address)?;
    if pod.is_gated() { check_client_container(pod, wanted) } else { Ok(()) }
}

fn check_network(pod: &Pod) -> Result<(), Failure> {
    match pod.spec.host_network {
        Some(true) => Err(unsafe_pod("it was given hostNetwork, past every gateway")),
        _ => Ok(()),
    }
}

/// The key by which gateways know their clients still says what the event said.
fn check_key(pod: &Pod, client: &PendingClient, config: &Config) -> Result<(), Failure> {
    let key = config.gateway_key.as_str();
    for (what, found) in [("annotation", pod.annotation(key)), ("label", pod.label(key))] {
        if found != Some(&client.gateway) {
            let found = found.map_or("gone".to_owned(), |found| format!("{found:?}"));
            let problem = format!("its {what} {key} is {found} instead of {:?}", client.gateway);
            return Err(wrong_gateway(&problem));
        }
    }
    Ok(())
}

/// The address of the gateway that took the Pod: a literal variable of its first init container.
///
/// # Errors
/// `GatewayNotInjected`, `WrongGatewayInjected` or `UnsafePod`, as in [`verify`].
pub fn injected_address(pod: &Pod) -> Result<&str, Failure> {
    let first = pod.spec.init_containers.iter().flatten().next();
    match first.and_then(gateway_variable) {
        Some(EnvVar { value: Some(address), .. }) if !address.is_empty() => Ok(address),
        Some(_) => Err(wrong_gateway("its gateway's address is not a literal value")),
        None => Err(not_first(pod)),
    }
}

/// Why the first init container is not a gateway's: there is none at all, or something runs before it.
fn not_first(pod: &Pod) -> Failure {
    let init_containers = pod.spec.init_containers.iter().flatten();
    let first = init_containers.clone().next().map(|container| container.name.as_str());
    match (first, init_containers.clone().any(|container| gateway_variable(container).is_some())) {
        (Some(first), true) => unsafe_pod(&format!("its init container {first} would run before the gateway's")),
        _ => {
            let message = "no gateway took it: check that the gateway exists under this name, and that the client \
                           namespace is labelled routed-gateway: \"true\"";
            Failure::new(Reason::GatewayNotInjected, message)
        }
    }
}

fn check_address(found: &str, client: &PendingClient, config: &Config) -> Result<(), Failure> {
    match config.address_of(&client.gateway) {
        Some(expected) if expected != found => {
            Err(wrong_gateway(&format!("it was given the gateway {found:?}, where gateway_address says {expected:?}")))
        }
        _ => Ok(()),
    }
}

fn check_single_gateway(pod: &Pod, address: &str) -> Result<(), Failure> {
    for container in pod.all_containers() {
        for variable in gateway_variables(container) {
            if variable.value.as_deref() != Some(address) {
                let problem = format!("its container {} has another gateway than {address:?}", container.name);
                return Err(wrong_gateway(&problem));
            }
        }
    }
    Ok(())
}

fn check_client_container(pod: &Pod, wanted: &Value) -> Result<(), Failure> {
    let client = pod.spec.containers.iter().find(|container| container.name == CLIENT_CONTAINER);
    let (Some(found), Some(wanted)) = (client, wanted_client(wanted)) else {
        return Err(unsafe_pod("its container client is gone"));
    };
    if found.image.as_deref() != wanted["image"].as_str() {
        return Err(unsafe_pod("the image of its container client was changed"));
    }
    if !is_words(&found.command, &wanted["command"]) || !is_words(&found.args, &wanted["args"]) {
        return Err(unsafe_pod("the command of its container client was changed"));
    }
    if is_overpowered(&found.security_context) {
        return Err(unsafe_pod("its container client was given the power to change its routes"));
    }
    Ok(())
}

fn wanted_client(manifest: &Value) -> Option<&Value> {
    let mut containers = manifest["spec"]["containers"].as_array()?.iter();
    containers.find(|container| container["name"] == CLIENT_CONTAINER)
}

/// Whether these are the words that were wanted, where none at all are as good as an empty list.
fn is_words(found: &Option<Vec<String>>, wanted: &Value) -> bool {
    let wanted = wanted.as_array().into_iter().flatten();
    found.iter().flatten().map(|word| Some(word.as_str())).eq(wanted.map(Value::as_str))
}

fn gateway_variable(container: &Container) -> Option<&EnvVar> {
    gateway_variables(container).next()
}

fn gateway_variables(container: &Container) -> impl Iterator<Item = &EnvVar> {
    container.env.iter().flatten().filter(|variable| variable.name == GATEWAY_VARIABLE)
}

fn wrong_gateway(problem: &str) -> Failure {
    Failure::new(Reason::WrongGatewayInjected, format!("{problem}; {ADVICE}"))
}

fn unsafe_pod(problem: &str) -> Failure {
    Failure::new(Reason::UnsafePod, format!("{problem}; {ADVICE}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::event::tests::client;
    use crate::pod::manifest;
    use serde_json::json;

    pub(crate) const ADDRESS: &str = "pod-gateway-foo.gateway-system.svc.cluster.local";

    /// The answer of an API server whose gateway `foo` took the client's Pod.
    pub(crate) fn routed(client: &PendingClient, config: &Config) -> Value {
        let mut pod = stored(manifest(client, config, None));
        let container = |name| json!({"name": name, "image": "gw", "env": [{"name": "gateway", "value": ADDRESS}]});
        pod["spec"]["initContainers"] = json!([container("gateway-init")]);
        pod["spec"]["containers"].as_array_mut().unwrap().push(container("gateway-sidecar"));
        pod
    }

    /// A manifest with what every API server adds.
    pub(crate) fn stored(mut pod: Value) -> Value {
        pod["metadata"]["uid"] = json!("uid-1");
        pod["metadata"]["resourceVersion"] = json!("7");
        pod["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        pod
    }

    fn check(changes: &[(&str, &str)], change: impl Fn(&mut Value)) -> Result<(), Failure> {
        let (client, config) = (client("foo"), config(changes));
        let mut pod = routed(&client, &config);
        change(&mut pod);
        verify(&serde_json::from_value(pod).unwrap(), &client, &config, &manifest(&client, &config, None))
    }

    #[track_caller]
    fn check_reason(reason: Reason, change: impl Fn(&mut Value)) {
        let failure = check(&[], change).unwrap_err();
        assert_eq!(failure.reason, reason, "{}", failure.message);
    }

    #[test]
    fn a_pod_with_its_gateway_first_is_routed() {
        assert_eq!(check(&[], |_| ()), Ok(()));
        let address = "pod-gateway-{gateway}.gateway-system.svc.cluster.local";
        assert_eq!(check(&[("gateway_address", address)], |_| ()), Ok(()));
    }

    #[test]
    fn a_pod_that_nobody_took_is_not_injected() {
        let bare = |pod: &mut Value| *pod = stored(manifest(&client("foo"), &config(&[]), None));
        check_reason(Reason::GatewayNotInjected, bare);
        check_reason(Reason::GatewayNotInjected, |pod| pod["spec"]["initContainers"] = json!(null));
        check_reason(Reason::GatewayNotInjected, |pod| pod["spec"]["initContainers"][0]["env"] = json!([]));
    }

    #[test]
    fn another_address_than_the_configured_one_is_the_wrong_gateway() {
        let failure = check(&[("gateway_address", "gw-{gateway}")], |_| ()).unwrap_err();
        assert_eq!(failure.reason, Reason::WrongGatewayInjected);
    }

    #[test]
    fn two_gateways_in_one_pod_are_one_too_many() {
        check_reason(Reason::WrongGatewayInjected, |pod| {
            pod["spec"]["containers"][1]["env"][0]["value"] = json!("other");
        });
        check_reason(Reason::WrongGatewayInjected, |pod| {
            pod["spec"]["ephemeralContainers"] = json!([{"name": "x", "env": [{"name": "gateway", "value": "y"}]}]);
        });
        check_reason(Reason::WrongGatewayInjected, |pod| {
            let env = pod["spec"]["initContainers"][0]["env"].as_array_mut().unwrap();
            env.push(json!({"name": "gateway", "valueFrom": {}}));
        });
    }

    #[test]
    fn an_address_that_is_not_a_literal_can_not_be_trusted() {
        let set = |env: Value| move |pod: &mut Value| pod["spec"]["initContainers"][0]["env"] = env.clone();
        check_reason(Reason::WrongGatewayInjected, set(json!([{"name": "gateway", "value": ""}])));
        check_reason(Reason::WrongGatewayInjected, set(json!([{"name": "gateway", "valueFrom": {"fieldRef": {}}}])));
    }

    #[test]
    fn a_rewritten_key_is_the_wrong_gateway() {
        for field in ["labels", "annotations"] {
            check_reason(Reason::WrongGatewayInjected, |pod| pod["metadata"][field]["setGateway"] = json!("bar"));
            check_reason(Reason::WrongGatewayInjected, |pod| pod["metadata"][field] = json!({}));
        }
    }

    #[test]
    fn what_runs_before_or_beside_the_gateway_is_unsafe() {
        check_reason(Reason::UnsafePod, |pod| pod["spec"]["hostNetwork"] = json!(true));
        check_reason(Reason::UnsafePod, |pod| {
            pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "early"}));
        });
    }

    #[test]
    fn the_client_is_ours_until_it_is_released() {
        let swap_image = |pod: &mut Value| pod["spec"]["containers"][0]["image"] = json!("evil");
        check_reason(Reason::UnsafePod, swap_image);
        check_reason(Reason::UnsafePod, |pod| pod["spec"]["containers"][0]["command"] = json!(["rm"]));
        check_reason(Reason::UnsafePod, |pod| pod["spec"]["containers"][0]["command"] = json!(null));
        check_reason(Reason::UnsafePod, |pod| {
            pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["NET_ADMIN"]);
        });
        check_reason(Reason::UnsafePod, |pod| pod["spec"]["containers"][0]["name"] = json!("other"));
        let released_long_ago = |pod: &mut Value| {
            swap_image(pod);
            pod["spec"]["schedulingGates"] = json!(null);
        };
        assert_eq!(check(&[], released_long_ago), Ok(()));
    }
}
