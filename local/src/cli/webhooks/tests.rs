use super::*;

const KEY: &str = "setGateway";

/// The configuration that the gateways' chart makes for the release `pod-gateway-NAME`, as an API server keeps it.
fn configuration(name: &str) -> Value {
    let release = format!("pod-gateway-{name}");
    json!({
        "metadata": {"name": release, "annotations": {"cert-manager.io/inject-ca-from": "gateway-system/tls"}},
        "webhooks": [{
            "name": format!("{release}.svc.cluster.local"),
            "admissionReviewVersions": ["v1", "v1beta1"],
            "clientConfig": {
                "caBundle": "LS0t",
                "service": {
                    "namespace": "gateway-system", "name": format!("{release}-webhook"),
                    "path": "/wh/mutating/setgateway", "port": 8080,
                },
            },
            "failurePolicy": "Fail", "matchPolicy": "Equivalent", "reinvocationPolicy": "Never",
            "namespaceSelector": {"matchLabels": {"routed-gateway": "true"}},
            "objectSelector": {},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
                "scope": "Namespaced",
            }],
            "sideEffects": "None", "timeoutSeconds": 5,
        }],
    })
}

/// The same, with its webhook changed.
fn changed(name: &str, change: impl Fn(&mut Value)) -> Value {
    let mut configuration = configuration(name);
    change(&mut configuration["webhooks"][0]);
    configuration
}

/// The same, asked for its own clients alone.
fn selective(name: &str) -> Value {
    changed(name, |webhook| webhook["objectSelector"] = json!({"matchLabels": {KEY: name}}))
}

/// What is found for a client of `foo`, beside which there is `bar`.
fn findings(configurations: &[Value]) -> Findings {
    let namespace =
        json!({"metadata": {"labels": {"routed-gateway": "true", "kubernetes.io/metadata.name": "clients"}}});
    let webhooks = Webhooks::of(&json!({"items": configurations}), &namespace, KEY);
    let labels = json!({"app.kubernetes.io/managed-by": "cloudevents-podgateway-client-provisioner", KEY: "foo"});
    webhooks.judge(&labels, &["bar", "foo"].map(str::to_owned))
}

#[track_caller]
fn assert_advice(configurations: &[Value], expected: &[&str]) {
    let findings = findings(configurations);
    assert_eq!(findings.problem, None);
    assert_eq!(findings.advice.len(), expected.len(), "{:#?}", findings.advice);
    for (advice, expected) in findings.advice.iter().zip(expected) {
        assert!(advice.contains(expected), "{advice}");
    }
}

const OF_EVERY: &str = "is asked for the clients of every gateway";
const NONE: &str = "is asked for clients of foo";

#[test]
fn each_webhook_as_the_chart_registers_it_is_asked_for_the_clients_of_every_gateway() {
    let foo = format!("the webhook pod-gateway-foo.svc.cluster.local of pod-gateway-foo {OF_EVERY}");
    let bar = format!("the webhook pod-gateway-bar.svc.cluster.local of pod-gateway-bar {OF_EVERY}");
    assert_advice(&[configuration("bar"), configuration("foo")], &[&bar, &foo]);
    assert_advice(&[configuration("foo")], &[&foo]);
    assert_advice(&[configuration("bar"), selective("foo")], &[&bar]);
}

#[test]
fn webhooks_that_select_their_own_clients_are_well() {
    assert_advice(&[selective("bar"), selective("foo")], &[]);
    for selector in [
        json!({"matchExpressions": [{"key": KEY, "operator": "In", "values": ["foo"]}]}),
        json!({"matchExpressions": [{"key": KEY, "operator": "Exists"}], "matchLabels": {KEY: "foo"}}),
    ] {
        assert_advice(&[changed("foo", |webhook| webhook["objectSelector"] = selector.clone())], &[]);
    }
}

#[test]
fn a_selector_that_selects_others_too_selects_too_much() {
    let with = |expression: Value| {
        changed("foo", |webhook| webhook["objectSelector"] = json!({"matchExpressions": [expression.clone()]}))
    };
    let some = with(json!({"key": KEY, "operator": "In", "values": ["foo", "bar", "baz"]}));
    assert_advice(&[some], &["is asked for the clients of bar, foo: each create"]);
    for all in [
        json!({"key": KEY, "operator": "Exists"}),
        json!({"key": KEY, "operator": "NotIn", "values": ["baz"]}),
        json!({"key": "unrouted", "operator": "DoesNotExist"}),
    ] {
        assert_advice(&[with(all)], &[OF_EVERY]);
    }
    assert_advice(&[with(json!({"key": KEY, "operator": "DoesNotExist"}))], &[NONE]);
}

/// Conditions are CEL, of which only what they quote is read.
#[test]
fn a_condition_that_names_the_key_asks_for_the_gateways_that_it_quotes() {
    let with = |expression: &str| {
        changed("foo", |webhook| webhook["matchConditions"] = json!([{"name": "own", "expression": expression}]))
    };
    assert_advice(&[with("object.metadata.?labels['setGateway'].orValue('') == 'foo'")], &[]);
    assert_advice(&[with("object.metadata.labels.setGateway == \"foo\"")], &[]);
    assert_advice(&[with("object.metadata.labels.setGateway == 'bar'")], &[NONE]);
    assert_advice(&[with("request.userInfo.username != 'system:node'")], &[OF_EVERY]);
}

#[test]
fn only_webhooks_that_are_asked_for_pods_of_the_namespace_count() {
    for unasked in [
        changed("foo", |webhook| webhook["namespaceSelector"] = json!({"matchLabels": {"routed-gateway": "other"}})),
        changed("foo", |webhook| webhook["rules"][0]["resources"] = json!(["deployments"])),
        changed("foo", |webhook| webhook["rules"][0]["apiGroups"] = json!(["apps"])),
        changed("foo", |webhook| webhook["rules"][0]["scope"] = json!("Cluster")),
        changed("foo", |webhook| webhook["rules"][0]["operations"] = json!(["DELETE"])),
    ] {
        assert_advice(&[unasked], &[NONE]);
    }
    let everything =
        json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*/*"]}]);
    assert_advice(&[changed("foo", |webhook| webhook["rules"] = everything.clone())], &[OF_EVERY]);
}

/// Meshes and policy engines are asked for every Pod of a cluster, and are no gateway's.
#[test]
fn a_webhook_that_is_no_gateways_is_left_alone() {
    let elsewhere = |path: &str| changed("mesh", |webhook| webhook["clientConfig"]["service"]["path"] = json!(path));
    assert_advice(&[elsewhere("/inject"), selective("foo")], &[]);
    let by_url = |url: &str| changed("foo", |webhook| webhook["clientConfig"] = json!({"url": url}));
    assert_advice(&[by_url("https://10.0.0.1:8080/wh/mutating/setgateway")], &[OF_EVERY]);
    assert_advice(&[by_url("https://10.0.0.1:8080/mutate")], &[NONE]);
    // A gateway's of another make, known by the key.
    let mut other = selective("foo");
    other["webhooks"][0]["clientConfig"]["service"]["path"] = json!("/mutate");
    assert_advice(&[other], &[]);
}

#[test]
fn a_webhook_that_may_be_passed_over_is_told() {
    let mut ignored = selective("foo");
    ignored["webhooks"][0]["failurePolicy"] = json!("Ignore");
    assert_advice(&[ignored, selective("bar")], &["of pod-gateway-foo has failurePolicy Ignore"]);
}

#[test]
fn a_webhook_for_updates_too_would_fail_every_event_of_its_gateway() {
    for operations in [json!(["CREATE", "UPDATE"]), json!(["*"])] {
        let updates = |name: &str| {
            let mut updates = selective(name);
            updates["webhooks"][0]["rules"][0]["operations"] = operations.clone();
            updates
        };
        let Findings { problem, advice } = findings(&[updates("foo")]);
        let problem = problem.unwrap();
        assert!(problem.starts_with("PodRejected: the webhook pod-gateway-foo.svc.cluster.local of "), "{problem}");
        assert!(problem.contains("registered for UPDATE too") && advice.is_empty(), "{problem} {advice:?}");
        assert_eq!(findings(&[selective("foo"), updates("bar")]), Findings::default());
    }
}
