//! Property tests: promises over generated requests, Pods, templates, variables and conversations.

use std::collections::BTreeMap;
use std::time::Duration;

use cloudevents::{Event, EventBuilder, EventBuilderV10};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use properties::setup::{self, answer, client, config, routed, stored};
use properties::targets::{check_pod, check_written};
use properties::{answers, targets};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use provisioner::binding;
use provisioner::config::Config;
use provisioner::endpoint::BodyError;
use provisioner::event::PENDING;
use provisioner::gateway::verify;
use provisioner::kubernetes::{Api, ApiError, Refusal, Token, Verdict, verdict};
use provisioner::log::{Entry, Kind, LONGEST_LINE};
use provisioner::outbound::{Answer, NoAnswer};
use provisioner::pod::{GATE, Pod, manifest, name, name_based_uuid};
use provisioner::reason::Reason;
use provisioner::sink::Sink;
use provisioner::template::base;
use serde_json::{Value, json};

use crate::differential::json;

/// Any text that isn't empty; what headers have to encode comes up often.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ \"%\\\\\t\n\u{0}-\u{1f}a-zä€😀]{1,20}", any::<String>().prop_filter("set", |text| !text.is_empty())]
}

fn gateway() -> impl Strategy<Value = String> {
    "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
}

fn event() -> impl Strategy<Value = Event> {
    let extensions = btree_map("ext[a-z0-9]{0,10}", text(), 0..4);
    ([text(), text(), text(), text()], extensions, option::of(json())).prop_map(
        |([id, source, ty, subject], more, data)| {
            let mut event = EventBuilderV10::new().id(id).source(source).ty(ty).subject(subject);
            for (name, value) in &more {
                event = event.extension(name, value.as_str());
            }
            match data {
                Some(data) => event.data("application/json", data).build().unwrap(),
                None => event.build().unwrap(),
            }
        },
    )
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let names = ["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "ce-data", "ce-x", "content-type"];
    let name = select(names.to_vec()).prop_map(|name| name.parse::<HeaderName>().unwrap());
    let usual = ["1.0", "0.3", "application/json", "application/cloudevents+json", PENDING, "\"", "%", ""];
    let usual = select(usual.to_vec()).prop_map(HeaderValue::from_static);
    let bytes = vec(any::<u8>(), 0..20).prop_filter_map("a value", |bytes| HeaderValue::from_bytes(&bytes).ok());
    vec((name, prop_oneof![usual, bytes]), 0..12).prop_map(|list| {
        list.into_iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(event in event()) {
        let (headers, body) = binding::write(&event);
        prop_assert_eq!(binding::read(&headers, &body).unwrap(), event);
    }

    #[test]
    fn reading_ends_in_an_event_or_in_a_refusal(headers in headers(), body: Vec<u8>) {
        if let Ok(event) = binding::read(&headers, &body) {
            check_written(&event);
        }
    }

    #[test]
    fn envelopes_of_any_json_end_in_an_event_or_in_a_refusal(
        members in btree_map(select(vec!["id", "source", "type", "specversion", "time", "subject", "data", "ext",
            "data_base64", "datacontenttype", "datacontentencoding", "dataschema"]), json(), 0..12),
        is_whole: bool,
    ) {
        let mut envelope = json!(members);
        if is_whole {
            for (name, value) in [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")] {
                envelope[name] = json!(value);
            }
        }
        let structured = HeaderValue::from_static("application/cloudevents+json");
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, structured)]);
        if let Ok(event) = binding::read(&headers, envelope.to_string().as_bytes()) {
            check_written(&event);
        }
    }

    #[test]
    fn names_know_where_one_part_ends(parts in vec(".{0,6}", 1..4), others in vec(".{0,6}", 1..4)) {
        let uuid = |parts: &[String]| name_based_uuid(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(uuid(&parts) == uuid(&others), parts == others);
        let whole = parts.concat();
        for border in (0..=whole.len()).filter(|&border| whole.is_char_boundary(border)) {
            let moved = [whole[..border].to_owned(), whole[border..].to_owned()];
            prop_assert_eq!(uuid(&parts) == uuid(&moved), parts == moved);
        }
    }

    #[test]
    fn every_manifest_is_a_pod_that_kubernetes_knows(
        source in text(), id in text(), gateway in gateway(), command in vec(any::<String>(), 0..4), key in gateway(),
    ) {
        let command = serde_json::to_string(&command).unwrap();
        let config = config(&[("client_command", &command), ("gateway_key", &key)]).unwrap();
        let client = client(&source, &id, &gateway);
        check_pod(&client, &config, None);
        let manifest = manifest(&client, &config, None);
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(manifest.clone()).unwrap();
        prop_assert_eq!(serde_json::to_value(&pod).unwrap(), manifest);
    }

    #[test]
    fn a_log_line_is_short_and_json(texts in vec(option::of((any::<String>(), 0..400usize)), 8), status: u16) {
        let mut texts = texts.into_iter().map(|text| text.map(|(text, times)| text.repeat(times)));
        let mut entry = Entry::new(Kind::Failed);
        entry.status = status;
        entry.reason = Some(Reason::ALL[usize::from(status) % Reason::ALL.len()]);
        for field in [&mut entry.event_source, &mut entry.event_id, &mut entry.event_type, &mut entry.gateway,
            &mut entry.pod, &mut entry.namespace, &mut entry.trace_id, &mut entry.message] {
            *field = texts.next().unwrap();
        }
        let line = entry.line(setup::now(), Duration::MAX);
        prop_assert!(!line.is_empty() && line.len() <= LONGEST_LINE, "{} bytes", line.len());
        prop_assert!(serde_json::from_str::<Value>(&line).is_ok_and(|line| line.is_object()));
    }
}

/// A container with any mixture of environments.
fn container() -> impl Strategy<Value = Value> {
    let value = prop_oneof![Just(json!("gw")), Just(json!("other")), Just(json!("")), Just(json!(null))];
    let variable = (select(vec!["gateway", "DNS", "GATEWAY"]), value);
    let env = vec(variable.prop_map(|(name, value)| json!({"name": name, "value": value})), 0..3);
    let name = select(vec!["gateway-init", "gateway-sidecar", "client", "early"]);
    (name, option::of(env)).prop_map(|(name, env)| json!({"name": name, "image": "i", "env": env}))
}

fn containers() -> impl Strategy<Value = Value> {
    option::of(vec(container(), 0..3)).prop_map(|list| json!(list))
}

fn has_gateway(container: &Value) -> bool {
    let env = container["env"].as_array().into_iter().flatten();
    env.filter(|variable| variable["name"] == "gateway")
        .any(|variable| variable["value"] == "gw" || variable["value"] == "other")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn no_pod_is_routed_whose_first_init_container_names_no_gateway(
        init in containers(), more in vec(container(), 0..2), ephemeral in containers(),
        is_gated: bool, is_keyed in prop::bool::weighted(0.9), host_network in prop::bool::weighted(0.1),
    ) {
        let (client, config) = (client("/s", "1", "foo"), config(&[]).unwrap());
        let wanted = manifest(&client, &config, None);
        let mut pod = stored(wanted.clone());
        let spec = &mut pod["spec"];
        (spec["initContainers"], spec["ephemeralContainers"]) = (init.clone(), ephemeral);
        spec["hostNetwork"] = json!(host_network);
        spec["containers"].as_array_mut().unwrap().extend(more);
        if !is_gated {
            spec["schedulingGates"] = json!([]);
        }
        if !is_keyed {
            pod["metadata"]["annotations"]["setGateway"] = json!("bar");
        }
        let verdict = verify(&serde_json::from_value(pod.clone()).unwrap(), &client, &config, &wanted);
        if verdict.is_ok() {
            prop_assert!(has_gateway(&init[0]), "{pod}");
            prop_assert!(is_keyed && !host_network, "{pod}");
            let all = ["initContainers", "containers", "ephemeralContainers"];
            let all = all.iter().filter_map(|field| pod["spec"][field].as_array()).flatten();
            let variables = all.filter_map(|container| container["env"].as_array()).flatten();
            let gateways = variables.filter(|variable| variable["name"] == "gateway");
            let mut addresses: Vec<_> = gateways.map(|variable| variable["value"].to_string()).collect();
            addresses.dedup();
            prop_assert_eq!(addresses.len(), 1, "{}", pod);
        }
    }

    #[test]
    fn every_refusal_has_a_verdict(
        code in 100u16..1000, message in ".{0,40}", retry_after in option::of(any::<u64>()),
        reason in prop_oneof!["Forbidden|NotFound|Conflict|Invalid|Unauthorized|", any::<String>()],
    ) {
        let refusal = Refusal { code: code.try_into().unwrap(), reason, message, retry_after };
        let is_heard = refusal.retry_after;
        match verdict(&ApiError::Refused(refusal)) {
            Verdict::Retry { retry_after, .. } => prop_assert_eq!(retry_after, is_heard),
            Verdict::Terminal(reason) => prop_assert!(Reason::ALL.contains(&reason)),
        }
    }

    #[test]
    fn variables_of_any_text_make_a_configuration_or_an_error_that_names_one(
        name in select(vec!["client_namespace", "client_image", "client_command", "client_pod_template", "gateway_key",
            "gateways", "gateway_address", "gateway_verification", "kube_api_url", "kube_api_timeout", "k_sink",
            "k_ce_overrides", "sink_origin"]),
        value in prop_oneof![
            any::<String>(),
            "[a-z0-9:/\\[\\]{}\"'\\\\ .,@%_-]{0,20}",
            "https?://[a-z0-9:.\\[\\]@/-]{0,12}",
            "[0-9]{1,30}(ns|ms|s|m|h|y)",
        ],
    ) {
        match config(&[(name, &value)]) {
            Err(error) => prop_assert!(error.to_string().starts_with("the variable ")),
            Ok(config) => check_calls(&config),
        }
    }

    #[test]
    fn commands_of_any_words_come_through(words in vec(any::<String>(), 0..5)) {
        let json = serde_json::to_string(&words).unwrap();
        prop_assert_eq!(config(&[("client_command", &json)]).unwrap().client_command, words);
        targets::client_command(json.as_bytes());
    }

    #[test]
    fn lines_are_commands_or_not(line in "[a-z \"'\\\\\\[\\]#$\n\t]{0,20}") {
        targets::client_command(line.as_bytes());
    }

    #[test]
    fn overrides_are_extensions_of_every_reply(extensions in btree_map("[a-z]{1,8}", text(), 0..4)) {
        let overrides = json!({ "extensions": extensions }).to_string();
        targets::overrides(overrides.as_bytes());
    }

    #[test]
    fn sinks_of_any_text_are_usable_or_refused(sink: String, url in "https?://[a-z.:0-9@*/-]{0,20}", origin: String) {
        for sink in [sink, url] {
            if let Ok(Some(sink)) = Sink::parse(&sink, "", &origin) {
                let request = sink.request(&client_event(), &HeaderMap::new(), Default::default());
                prop_assert!(request.uri().authority().is_some() && request.uri().scheme().is_some());
            }
        }
    }

    #[test]
    fn gateway_addresses_hold_no_placeholder(
        pattern in "[a-z.{}]{0,6}(\\{gateway\\})?[a-z.{}]{0,6}", gateway in gateway(),
    ) {
        targets::gateway_address(format!("{pattern}\n{gateway}").as_bytes());
    }
}

/// Whatever was accepted can be called: forming a request never panics.
fn check_calls(config: &Config) {
    let token = Token::parse("token", &config.kube_api_url).ok().unwrap();
    let api = Api::new(config, &token, HeaderMap::new());
    for request in [api.create(&json!({})), api.get("x"), api.get_template("x")] {
        assert!(request.uri().authority().is_some(), "{}", request.uri());
    }
}

fn client_event() -> Event {
    EventBuilderV10::new().id("1").source("/s").ty("t").build().unwrap()
}

/// A PodTemplate with any mixture of what is harmless and what is not, down to shapes that are none.
fn template() -> impl Strategy<Value = Value> {
    let field = select(vec![
        "initContainers",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "nodeName",
        "shareProcessNamespace",
        "ephemeralContainers",
        "schedulingGates",
        "automountServiceAccountToken",
        "nodeSelector",
    ]);
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!(false)),
        Just(json!(true)),
        Just(json!("")),
        Just(json!([])),
        Just(json!([{"name": "x"}])),
        json()
    ];
    let capability = select(vec!["CHOWN", "NET_ADMIN", "CAP_NET_ADMIN", "cap_net_admin", "all", "Cap_Sys_Admin"]);
    let container = (container(), option::of(capability), prop::bool::weighted(0.1)).prop_map(
        |(mut container, added, privileged)| {
            container["securityContext"] =
                json!({"privileged": privileged, "capabilities": {"add": added.map(|name| vec![name])}});
            container
        },
    );
    let spec = (vec(container, 0..3), btree_map(field, value, 0..2)).prop_map(|(mut containers, fields)| {
        containers.push(json!({"name": "client", "image": "i"}));
        let mut spec = json!(fields);
        spec["containers"] = json!(containers);
        spec
    });
    let spec = prop_oneof![9 => spec, 1 => json()];
    let template = (spec, prop_oneof![Just(json!({"labels": {"a": "b"}})), json()]);
    let template = template.prop_map(|(spec, metadata)| json!({"spec": spec, "metadata": metadata}));
    let template = prop_oneof![9 => template, 1 => json()];
    template.prop_map(|template| json!({"kind": "PodTemplate", "template": template}))
}

/// The event's Pod in the states in which the API server may have it: gated, released, unrouted, being deleted.
fn pods() -> [Value; 4] {
    let (client, config) = (client("/s", "1", "foo"), config(&[]).unwrap());
    let gated = routed(manifest(&client, &config, None), "gw");
    let with = |pointer: &str, field: &str, value: Value| {
        let mut pod = gated.clone();
        pod.pointer_mut(pointer).unwrap()[field] = value;
        pod
    };
    let released = with("/spec", "schedulingGates", json!([]));
    let unrouted = with("/spec", "initContainers", json!([]));
    let deleting = with("/metadata", "deletionTimestamp", json!("2026-01-01T00:00:00Z"));
    [gated, released, unrouted, deleting]
}

fn status(reason: &str) -> Value {
    json!({"kind": "Status", "reason": reason, "message": "m"})
}

/// Answers as the API server gives them, and as it never would.
fn api_answer() -> impl Strategy<Value = Answer> {
    let reasons = ["AlreadyExists", "Conflict", "NotFound", "Forbidden", "Invalid", "InternalError", "TooManyRequests"];
    let refusal = select(reasons.to_vec()).prop_map(status);
    let pod = select(pods().to_vec());
    let body = prop_oneof![4 => pod, 2 => refusal, 2 => template(), 1 => json()];
    let body = prop_oneof![9 => body.prop_map(|body| body.to_string().into_bytes()), 1 => vec(any::<u8>(), 0..30)];
    let code = prop_oneof![6 => select(vec![200u16, 201, 409, 404, 422, 403, 429, 500]), 1 => 100u16..1000];
    let answered = (code, body).prop_map(|(code, body)| answer(code, body));
    prop_oneof![9 => answered, 1 => Just(Err(NoAnswer("cut off".into())))]
}

/// A conversation as it goes when nothing is in the way, or with anything at one place of it, or of anything.
fn conversation() -> impl Strategy<Value = Vec<Answer>> {
    let [gated, released, unrouted, deleting] = pods().map(|pod| (200, pod));
    let (exists, taken) = ((409, status("AlreadyExists")), (202, json!(null)));
    let template = json!({"kind": "PodTemplate", "template": {"spec": {"containers": [{"name": "client"}]}}});
    let usual = [
        vec![gated.clone(), released.clone(), taken.clone()],
        vec![exists.clone(), released.clone(), taken.clone()],
        vec![exists.clone(), gated.clone(), released.clone(), taken.clone()],
        vec![unrouted.clone(), unrouted, taken.clone()],
        vec![exists, deleting],
        vec![(404, status("NotFound")), taken.clone()],
        vec![(200, template), gated, released, taken],
    ];
    let answers = |script: Vec<(u16, Value)>| -> Vec<Answer> {
        script.into_iter().map(|(code, body)| answer(code, body.to_string())).collect()
    };
    let usual = select(usual.map(answers).to_vec());
    let disturbed = (usual.clone(), any::<prop::sample::Index>(), api_answer()).prop_map(|(mut script, at, answer)| {
        let at = at.index(script.len());
        script[at] = answer;
        script
    });
    prop_oneof![2 => usual, 3 => disturbed, 1 => vec(api_answer(), 0..7)]
}

fn settings() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let all = vec![
        ("client_pod_template", "crawler"),
        ("k_sink", "http://sink/x"),
        ("gateway_verification", "off"),
        ("gateway_address", "gw"),
        ("client_image", ""),
        ("sink_origin", "*"),
    ];
    prop_oneof![Just(Vec::new()), subsequence(all, 0..4)]
}

fn request() -> impl Strategy<Value = Request<provisioner::endpoint::Body>> {
    let path = prop_oneof![6 => Just("/".to_owned()), 3 => Just("/dead-letter".to_owned()), 1 => "/[a-z]{0,6}"];
    let method = prop_oneof![8 => Just(Method::POST), 1 => select(vec![Method::GET, Method::OPTIONS, Method::TRACE])];
    let event = |ty: &'static str| {
        let headers = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", ty)];
        let headers =
            headers.map(|(name, value)| (format!("ce-{name}").parse().unwrap(), HeaderValue::from_static(value)));
        Just(HeaderMap::from_iter(headers))
    };
    let (pending, other) = (event(PENDING), event("other"));
    let headers = prop_oneof![8 => pending, 1 => other, 1 => headers()];
    let wish = Just(Ok(br#"{"gateway_name":"foo"}"#.to_vec()));
    let broken = select(vec![BodyError::TooLarge, BodyError::Incomplete]).prop_map(Err);
    let body = prop_oneof![8 => wish, 1 => broken, 1 => json().prop_map(|json| Ok(json.to_string().into_bytes()))];
    (method, path, headers, body).prop_map(|(method, path, headers, body)| {
        let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
        *request.headers_mut() = headers;
        request
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_template_that_is_accepted_leads_past_no_gateway(template in template()) {
        let (client, config) = (client("/s", "1", "foo"), config(&[]).unwrap());
        if let Ok(base) = base("crawler", template) {
            check_pod(&client, &config, Some(base));
        }
    }

    #[test]
    fn answers_of_any_bytes_are_a_pod_or_an_error(code in 100u16..1000, bytes: Vec<u8>, pod in json()) {
        let config = config(&[]).unwrap();
        let token = Token::parse("s3cret", &config.kube_api_url).ok().unwrap();
        let api = Api::new(&config, &token, HeaderMap::new());
        for body in [bytes, pod.to_string().into_bytes()] {
            prop_assert!(api.read_pod(answer(code, body.clone()), "x").is_err());
            _ = api.read_object(answer(code, body.clone()), "PodTemplate");
            _ = api.read_deletion(answer(code, body), "x");
        }
    }

    #[test]
    fn every_conversation_ends_in_an_answer_of_the_table(
        request in request(), settings in settings(), answers in conversation(),
    ) {
        answers::check(request, &settings, "s3cret", answers);
    }
}

#[test]
fn the_generated_pods_are_good_enough_to_be_released() {
    let (client, config) = (client("/s", "1", "foo"), config(&[]).unwrap());
    let wanted = manifest(&client, &config, None);
    let pod: Pod = serde_json::from_value(routed(wanted.clone(), "gw")).unwrap();
    assert_eq!(verify(&pod, &client, &config, &wanted), Ok(()));
    assert!(pod.is_gated() && pod.metadata.name == name(&client.context) && !GATE.is_empty());
}

proptest! {
    #[test]
    fn an_answer_fits_into_headers_however_long_its_event(
        names in subsequence(vec!["id", "correlationid", "traceparent", "tracestate", "source"], 1..5),
        text in select(vec!["x", "€", "%", "\u{1}"]), size in prop_oneof![8_000..8_300usize, 1..200_000usize],
    ) {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": PENDING, "data": {}});
        for name in names {
            event[name] = json!(text.repeat(size / text.len()));
        }
        let request = Request::post("/").header("content-type", "application/cloudevents+json");
        answers::check(request.body(Ok(event.to_string().into_bytes())).unwrap(), &[], "s3cret", Vec::new());
    }
}

/// How many of 500 generated values, always the same, show each of the kinds that `kind_of` finds in them.
fn kinds<S: Strategy>(strategy: S, kind_of: impl Fn(S::Value) -> String) -> BTreeMap<String, usize> {
    let mut runner = TestRunner::deterministic();
    let values = (0..500).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    values.map(kind_of).fold(BTreeMap::new(), |mut kinds, kind| {
        *kinds.entry(kind).or_default() += 1;
        kinds
    })
}

#[test]
fn generated_conversations_end_in_every_way_there_is() {
    let case = (request(), settings(), conversation());
    let kinds = kinds(case, |(request, settings, answers)| {
        let entry = answers::check(request, &settings, "s3cret", answers).log;
        entry.map_or("probe".into(), |entry| format!("{:?}", entry.outcome))
    });
    for kind in ["Done", "Failed", "Retry", "Ignored", "Rejected"] {
        assert!(kinds.get(kind).is_some_and(|&count| count > 0), "{kind} in {kinds:?}");
    }
}

#[test]
fn generated_templates_are_accepted_and_refused() {
    let kinds = kinds(template(), |template| base("crawler", template).is_ok().to_string());
    assert!(kinds.values().all(|&count| count > 25) && kinds.len() == 2, "{kinds:?}");
}
