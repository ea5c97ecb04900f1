//! The decisions, in order: create gated, verify, release or remove.
//!
//! Every function here ends in an [`Outcome`], and everything outside is reached through [`Outbound`], so that the
//! whole of it reads top to bottom and runs natively against a scripted peer. What is absent on purpose: retries (the
//! broker owns them), state (the Pod is the state, and a crash between any two calls leaves at worst a gated Pod that
//! a redelivery settles), and clocks. Design, sections 6 and 7.

use http::Request;
use serde_json::Value;

use crate::config::{Config, Verification};
use crate::event::PendingClient;
use crate::gateway::verify;
use crate::kubernetes::{Api, ApiError, Readiness, Verdict, verdict};
use crate::outbound::Outbound;
use crate::pod::{self, Metadata, Pod};
use crate::reason::{Failure, Reason};
use crate::template;

/// How a delivery of a pending event ends.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The client is there, routed, and nothing of ours holds it back.
    Done(Box<Metadata>),
    /// There will never be a client of this event.
    Failed(Failure),
    /// Something that can heal is in the way: the broker redelivers.
    Retry(Retry),
}

/// Why, and how, an event is left to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Whether the API server answered 429.
    pub too_many_requests: bool,
    /// How many seconds the API server asked to wait.
    pub retry_after: Option<u64>,
    /// What is in the way, for the log.
    pub cause: String,
}

impl Retry {
    /// Something in the way of which no more is known than `cause`.
    pub fn because(cause: impl Into<String>) -> Self {
        Self { too_many_requests: false, retry_after: None, cause: cause.into() }
    }
}

/// One delivery of a pending event, and what is needed to act on it.
pub struct Delivery<'a, O> {
    /// What is asked for.
    pub client: &'a PendingClient,
    /// The name of its Pod.
    pub name: &'a str,
    /// How the provisioner was set up.
    pub config: &'a Config,
    /// The Kubernetes API.
    pub api: Api<'a>,
    /// The way to it.
    pub outbound: &'a O,
}

/// The Pod that an event is to have, or the failure that stands in its way for good.
type Wanted = Result<Value, Failure>;

impl<O: Outbound> Delivery<'_, O> {
    /// Makes the client, or finds it where an earlier delivery made it.
    pub async fn provision(&self) -> Outcome {
        let manifest = match self.wanted().await {
            Ok(Ok(manifest)) => manifest,
            // An earlier delivery may have had a template that could be used: then its Pod is this event's answer.
            Ok(Err(failure)) => {
                return self.settle_existing(&Err(failure.clone()), Some(Outcome::Failed(failure))).await;
            }
            Err(error) => return retry(&error),
        };
        let error = match self.pod_from(self.api.create(&manifest)).await {
            Ok(pod) => return self.settle_created(pod, &Ok(manifest)).await,
            Err(error) => error,
        };
        // The API server asks for rights, quota and webhooks before it looks at the name: a refusal says nothing of
        // the Pod that an earlier delivery may have made, which may even be what used the quota up.
        let absent = match (&error, verdict(&error)) {
            (ApiError::Refused(refusal), _) if refusal.is_already_exists() => None,
            (ApiError::Refused(refusal), _) if refusal.is_not_yet() => Some(retry(&error)),
            (_, Verdict::Terminal(reason)) => Some(Outcome::Failed(Failure::new(reason, error.to_string()))),
            (_, Verdict::Retry { .. }) => return retry(&error),
        };
        self.settle_existing(&Ok(manifest), absent).await
    }

    /// What the API server would make of the event's Pod, without making it.
    ///
    /// # Errors
    /// Why there would be no client of it.
    pub async fn rehearse(&self) -> Result<Pod, Failure> {
        let unanswered = |error: ApiError| match verdict(&error) {
            Verdict::Terminal(reason) => Failure::new(reason, error.to_string()),
            Verdict::Retry { .. } => Failure::new(Reason::Undeliverable, error.to_string()),
        };
        let manifest = self.wanted().await.map_err(unanswered)??;
        let pod = self.pod_from(self.api.rehearse(&manifest)).await.map_err(unanswered)?;
        if self.is_verifying() {
            verify(&pod, self.client, self.config, &manifest)?;
        }
        Ok(pod)
    }

    /// Settles an event for which no new Pod may be made: what is there is finished, and what is absent has failed.
    pub async fn settle_or(&self, absent: Failure) -> Outcome {
        match self.wanted().await {
            Ok(wanted) => self.settle_existing(&wanted, Some(Outcome::Failed(absent))).await,
            Err(error) => retry(&error),
        }
    }

    /// The Pod that this event is to have, made from the PodTemplate where there is one.
    ///
    /// # Errors
    /// When the PodTemplate can't be read now, but may be later.
    async fn wanted(&self) -> Result<Wanted, ApiError> {
        let Some(name) = &self.config.client_pod_template else {
            return Ok(Ok(pod::manifest(self.client, self.config, None)));
        };
        let answer = self.outbound.send(self.api.get_template(name)).await;
        match self.api.read_object(answer, "PodTemplate") {
            Ok(template) => {
                let base = template::base(name, template);
                Ok(base.map(|base| pod::manifest(self.client, self.config, Some(base))))
            }
            Err(error) => match verdict(&error) {
                Verdict::Retry { .. } => Err(error),
                Verdict::Terminal(Reason::Forbidden) => Ok(Err(Failure::new(Reason::Forbidden, error.to_string()))),
                Verdict::Terminal(_) => Ok(Err(template::invalid(name, &error.to_string()))),
            },
        }
    }

    /// A Pod that came back without the gate it was sent with was never held back: this cluster can't keep promises.
    async fn settle_created(&self, pod: Pod, wanted: &Wanted) -> Outcome {
        if self.is_verifying() && !pod.is_gated() {
            let message = "the scheduling gate was taken from it: this takes Kubernetes 1.27 or newer, and no \
                           admission webhook that removes schedulingGates";
            return self.remove(&pod, Failure::new(Reason::UnsafePod, message)).await;
        }
        self.settle(pod, wanted).await
    }

    /// Settles the Pod that has the event's name. Where there is none, the delivery ends with `absent`; without that, it
    /// went a moment ago, and the next delivery sees what comes of it.
    async fn settle_existing(&self, wanted: &Wanted, absent: Option<Outcome>) -> Outcome {
        let error = match self.pod_from(self.api.get(self.name)).await {
            Ok(pod) => return self.settle_found(pod, wanted).await,
            Err(error) => error,
        };
        match (&error, absent) {
            (ApiError::Refused(refusal), Some(absent)) if refusal.is_not_found() => absent,
            // Who has no rights can't look either: the refusal stands, if it is meant.
            (_, Some(Outcome::Failed(failure))) if failure.reason == Reason::Forbidden && is_forbidden(&error) => {
                self.settle_forbidden(failure).await
            }
            _ => retry(&error),
        }
    }

    /// An API server that starts answers before it knows its roles, and refuses everybody as if they had none. It says
    /// itself, to anybody, whether it is ready; what it doesn't know is no reason to doubt its refusal.
    async fn settle_forbidden(&self, failure: Failure) -> Outcome {
        match self.api.read_readiness(self.outbound.send(self.api.get_readiness()).await) {
            Readiness::Unready => {
                Outcome::Retry(Retry::because("the Kubernetes API is not ready and refuses everybody"))
            }
            Readiness::Ready | Readiness::Unknown => Outcome::Failed(failure),
        }
    }

    async fn settle_found(&self, pod: Pod, wanted: &Wanted) -> Outcome {
        if !pod.belongs_to(&self.client.context) {
            let message = format!("a Pod {} exists that was not made of this event: remove or rename it", self.name);
            return Outcome::Failed(Failure::new(Reason::PodNameConflict, message));
        }
        if let Some(other) = self.other_gateway(&pod) {
            let message = format!(
                "the event with this source and id has its client already, at the gateway {other}: give each event an id \
                 of its own"
            );
            return Outcome::Failed(Failure::new(Reason::PodNameConflict, message));
        }
        match (pod.is_being_deleted(), pod.is_gated()) {
            (true, true) => Outcome::Retry(Retry::because("the Pod is being removed by another delivery")),
            // It was released once, so the event has had its one client.
            (true, false) => done(pod.metadata),
            (false, _) => self.settle(pod, wanted).await,
        }
    }

    /// The gateway of a client that was released, where that is another than the one asked for now. Whoever sends an id a
    /// second time with another wish must not end the client that it stands for.
    fn other_gateway<'a>(&self, pod: &'a Pod) -> Option<&'a str> {
        let gateway = pod.annotation(&self.config.gateway_key).filter(|_| !pod.is_gated());
        gateway.filter(|gateway| *gateway != self.client.gateway)
    }

    /// Releases a Pod that is routed and removes one that isn't, or of which nobody can say what it should be.
    async fn settle(&self, pod: Pod, wanted: &Wanted) -> Outcome {
        let verified = match wanted {
            _ if !self.is_verifying() => Ok(()),
            Err(failure) if pod.is_gated() => Err(failure.clone()),
            Err(_) => verify(&pod, self.client, self.config, &Value::Null),
            Ok(manifest) => verify(&pod, self.client, self.config, manifest),
        };
        match verified {
            Err(failure) => self.remove(&pod, failure).await,
            Ok(()) if pod.is_gated() => self.release(pod).await,
            Ok(()) => done(pod.metadata),
        }
    }

    async fn release(&self, pod: Pod) -> Outcome {
        let answer = self.outbound.send(self.api.release(&pod)).await;
        let error = match self.api.read_released(answer, &pod.metadata.name) {
            Ok(released) if !released.is_gated => return done(released.metadata),
            Ok(_) => return Outcome::Retry(Retry::because("the gate is still there after its removal")),
            Err(error) => error,
        };
        match verdict(&error) {
            // What can't be released for good must not be left behind, or a later delivery would answer otherwise.
            Verdict::Terminal(reason) if reason != Reason::NamespaceNotFound => {
                self.remove(&pod, Failure::new(reason, format!("its gate could not be removed: {error}"))).await
            }
            _ => retry(&error),
        }
    }

    /// Removes a Pod and answers with `failure`, whose message speaks of the Pod as "it".
    async fn remove(&self, pod: &Pod, failure: Failure) -> Outcome {
        let answer = self.outbound.send(self.api.delete(pod)).await;
        if let Err(error) = self.api.read_deletion(answer, &pod.metadata.name) {
            return retry(&error);
        }
        let when = if pod.is_gated() { " before it could run" } else { "" };
        let message = format!("the Pod {} was removed{when}: {}", pod.metadata.name, failure.message);
        Outcome::Failed(Failure::new(failure.reason, message))
    }

    async fn pod_from(&self, request: Request<Vec<u8>>) -> Result<Pod, ApiError> {
        self.api.read_pod(self.outbound.send(request).await, self.name)
    }

    fn is_verifying(&self) -> bool {
        self.config.gateway_verification == Verification::Required
    }
}

fn done(client: Metadata) -> Outcome {
    Outcome::Done(Box::new(client))
}

fn is_forbidden(error: &ApiError) -> bool {
    verdict(error) == Verdict::Terminal(Reason::Forbidden)
}

/// Leaves it to the broker, whatever the verdict: for calls after which a Pod of the event may be left.
fn retry(error: &ApiError) -> Outcome {
    let cause = error.to_string();
    Outcome::Retry(match verdict(error) {
        Verdict::Retry { too_many_requests, retry_after } => Retry { too_many_requests, retry_after, cause },
        Verdict::Terminal(_) => Retry::because(cause),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::event::tests::client;
    use crate::gateway::tests::{routed, stored};
    use crate::kubernetes::Token;
    use crate::outbound::{Answer, NoAnswer};
    use crate::pod::manifest;
    use crate::template::tests::pod_template;
    use http::Response;
    use http::header::HeaderMap;
    use serde_json::json;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// Runs a future that never waits, as everything does whose peer is scripted.
    pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    /// A conversation: which calls are expected, in this order, and their answers. One more or one less is a failure.
    pub(crate) struct Script(RefCell<VecDeque<(&'static str, Answer)>>);

    impl Script {
        pub(crate) fn new(calls: Vec<(&'static str, Answer)>) -> Self {
            Self(RefCell::new(calls.into()))
        }
    }

    impl Outbound for Script {
        async fn send(&self, request: Request<Vec<u8>>) -> Answer {
            let (method, answer) = self.0.borrow_mut().pop_front().expect("a call that is not in the script");
            assert_eq!(request.method(), method);
            answer
        }
    }

    impl Drop for Script {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                assert!(self.0.borrow().is_empty(), "calls that were not made: {:?}", self.0.borrow());
            }
        }
    }

    pub(crate) fn answer(code: u16, body: &Value) -> Answer {
        Ok(Response::builder().status(code).body(body.to_string().into_bytes()).unwrap())
    }

    fn status(code: u16, reason: &str) -> Answer {
        answer(code, &json!({"kind": "Status", "reason": reason, "message": "as the server says", "code": code}))
    }

    fn with(mut pod: Value, change: impl FnOnce(&mut Value)) -> Value {
        change(&mut pod);
        pod
    }

    fn gated() -> Value {
        routed(&client("foo"), &config(&[]))
    }

    fn released() -> Value {
        with(gated(), |pod| pod["spec"]["schedulingGates"] = json!(null))
    }

    fn unrouted() -> Value {
        stored(manifest(&client("foo"), &config(&[]), None))
    }

    fn deleting(pod: Value) -> Value {
        with(pod, |pod| pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:01Z"))
    }

    fn deliver(changes: &[(&str, &str)], script: Vec<(&'static str, Answer)>) -> Outcome {
        with_delivery(changes, script, |delivery| run(delivery.provision()))
    }

    fn with_delivery<T>(
        changes: &[(&str, &str)],
        script: Vec<(&'static str, Answer)>,
        act: impl FnOnce(&Delivery<'_, Script>) -> T,
    ) -> T {
        let (client, config, outbound) = (client("foo"), config(changes), Script::new(script));
        let token = Token::parse("token", &config.kube_api_url).ok().unwrap();
        let api = Api::new(&config, &token, HeaderMap::new());
        let name = pod::name(&client.context);
        act(&Delivery { client: &client, name: &name, config: &config, api, outbound: &outbound })
    }

    #[track_caller]
    fn check_done(script: Vec<(&'static str, Answer)>) {
        match deliver(&[], script) {
            Outcome::Done(pod) => assert_eq!(pod.uid, "uid-1"),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_failed(script: Vec<(&'static str, Answer)>, reason: Reason) {
        match deliver(&[], script) {
            Outcome::Failed(failure) => assert_eq!(failure.reason, reason, "{}", failure.message),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_retry(script: Vec<(&'static str, Answer)>) {
        match deliver(&[], script) {
            Outcome::Retry(_) => (),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_routed_pod_is_released() {
        check_done(vec![("POST", answer(201, &gated())), ("PATCH", answer(200, &released()))]);
    }

    #[test]
    fn a_redelivery_finds_its_own_pod() {
        let exists = || ("POST", status(409, "AlreadyExists"));
        check_done(vec![exists(), ("GET", answer(200, &released()))]);
        check_done(vec![exists(), ("GET", answer(200, &gated())), ("PATCH", answer(200, &released()))]);
        check_done(vec![exists(), ("GET", answer(200, &deleting(released())))]);
        check_retry(vec![exists(), ("GET", answer(200, &deleting(gated())))]);
        check_retry(vec![exists(), ("GET", status(404, "NotFound"))]);
        check_retry(vec![exists(), ("GET", status(403, "Forbidden"))]);
    }

    #[test]
    fn a_pod_of_another_event_is_left_alone() {
        let foreign = with(released(), |pod| pod["metadata"]["annotations"]["podgateway.io/event-id"] = json!("2"));
        let script = vec![("POST", status(409, "AlreadyExists")), ("GET", answer(200, &foreign))];
        check_failed(script, Reason::PodNameConflict);
    }

    #[test]
    fn a_client_that_runs_outlives_an_event_that_reuses_its_id_for_another_gateway() {
        let other = with(released(), |pod| {
            pod["metadata"]["annotations"]["setGateway"] = json!("bar");
            pod["metadata"]["labels"]["setGateway"] = json!("bar");
        });
        let script = vec![("POST", status(409, "AlreadyExists")), ("GET", answer(200, &other))];
        check_failed(script, Reason::PodNameConflict);
    }

    #[test]
    fn a_pod_that_nobody_routed_is_removed() {
        let removed = || ("DELETE", answer(200, &unrouted()));
        check_failed(vec![("POST", answer(201, &unrouted())), removed()], Reason::GatewayNotInjected);
        check_failed(
            vec![("POST", answer(201, &unrouted())), ("DELETE", status(404, "NotFound"))],
            Reason::GatewayNotInjected,
        );
        let released_unrouted = with(unrouted(), |pod| pod["spec"]["schedulingGates"] = json!([]));
        check_failed(
            vec![("POST", status(409, "AlreadyExists")), ("GET", answer(200, &released_unrouted)), removed()],
            Reason::GatewayNotInjected,
        );
    }

    #[test]
    fn an_answer_waits_until_the_removal_is_certain() {
        for refusal in [status(403, "Forbidden"), status(409, "Conflict"), Err(NoAnswer("cut".into()))] {
            check_retry(vec![("POST", answer(201, &unrouted())), ("DELETE", refusal)]);
        }
    }

    #[test]
    fn a_pod_that_was_never_held_back_is_removed_even_when_routed() {
        let script = vec![("POST", answer(201, &released())), ("DELETE", answer(200, &released()))];
        check_failed(script, Reason::UnsafePod);
    }

    #[test]
    fn a_release_that_is_refused_for_good_takes_the_pod_with_it() {
        let created = || ("POST", answer(201, &gated()));
        let removed = || ("DELETE", answer(200, &gated()));
        check_failed(vec![created(), ("PATCH", status(422, "Invalid")), removed()], Reason::PodRejected);
        check_failed(vec![created(), ("PATCH", status(403, "Forbidden")), removed()], Reason::Forbidden);
        check_retry(vec![created(), ("PATCH", status(422, "Invalid")), ("DELETE", status(409, "Conflict"))]);
    }

    #[test]
    fn a_release_that_may_heal_leaves_the_pod_gated() {
        for fault in [status(404, "NotFound"), status(409, "Conflict"), status(500, ""), Err(NoAnswer("cut".into()))] {
            check_retry(vec![("POST", answer(201, &gated())), ("PATCH", fault)]);
        }
        check_retry(vec![("POST", answer(201, &gated())), ("PATCH", answer(200, &gated()))]);
    }

    #[test]
    fn a_create_that_is_refused_says_why() {
        let absent = || ("GET", status(404, "NotFound"));
        check_failed(vec![("POST", status(404, "NotFound")), absent()], Reason::NamespaceNotFound);
        check_failed(vec![("POST", status(422, "Invalid")), absent()], Reason::PodRejected);
        let ready = ("GET", answer(200, &json!("ok")));
        let forbidden = |method| (method, status(403, "Forbidden"));
        check_failed(vec![forbidden("POST"), forbidden("GET"), ready], Reason::Forbidden);
        check_retry(vec![("POST", status(500, "InternalError"))]);
        check_retry(vec![("POST", answer(201, &json!({"kind": "Status"})))]);
        check_retry(vec![("POST", Err(NoAnswer("refused".into())))]);
    }

    #[test]
    fn a_refusal_by_an_api_server_that_is_not_ready_may_heal() {
        let forbidden = |method| (method, status(403, "Forbidden"));
        for unready in [status(403, "Forbidden"), status(500, ""), status(429, ""), Err(NoAnswer("cut".into()))] {
            check_retry(vec![forbidden("POST"), forbidden("GET"), ("GET", unready)]);
        }
        let unknown = ("GET", status(404, "NotFound"));
        check_failed(vec![forbidden("POST"), forbidden("GET"), unknown], Reason::Forbidden);
    }

    #[test]
    fn a_create_that_is_refused_says_nothing_of_the_pod_that_is_there() {
        let refused = || ("POST", status(403, "Forbidden"));
        let found = |pod: Value| ("GET", answer(200, &pod));
        assert!(matches!(deliver(&[], vec![refused(), found(released())]), Outcome::Done(_)));
        let script = vec![refused(), found(gated()), ("PATCH", answer(200, &released()))];
        assert!(matches!(deliver(&[], script), Outcome::Done(_)));
        let script = vec![refused(), found(unrouted()), ("DELETE", answer(200, &unrouted()))];
        check_failed(script, Reason::GatewayNotInjected);
        check_retry(vec![refused(), ("GET", status(500, "InternalError"))]);
    }

    #[test]
    fn a_create_that_is_refused_for_now_waits_unless_the_pod_is_there() {
        let message = "pods \"x\" is forbidden: status unknown for quota: clients, resources: pods";
        let uncounted = json!({"kind": "Status", "reason": "Forbidden", "message": message, "code": 403});
        let refused = || ("POST", answer(403, &uncounted));
        check_retry(vec![refused(), ("GET", status(404, "NotFound"))]);
        check_retry(vec![refused(), ("GET", status(403, "Forbidden"))]);
        check_done(vec![refused(), ("GET", answer(200, &released()))]);
        check_done(vec![refused(), ("GET", answer(200, &gated())), ("PATCH", answer(200, &released()))]);
    }

    #[test]
    fn without_verification_a_pod_is_done_as_it_comes() {
        let off = [("gateway_verification", "off")];
        let plain = || with(unrouted(), |pod| pod["spec"]["schedulingGates"] = json!(null));
        assert!(matches!(deliver(&off, vec![("POST", answer(201, &plain()))]), Outcome::Done(_)));
        // A Pod from before the switch is still gated, and would wait for ever.
        let script = vec![
            ("POST", status(409, "AlreadyExists")),
            ("GET", answer(200, &unrouted())),
            ("PATCH", answer(200, &plain())),
        ];
        assert!(matches!(deliver(&off, script), Outcome::Done(_)));
    }

    #[test]
    fn an_event_that_may_make_nothing_settles_what_is_there() {
        let absent = || Failure::new(Reason::EventExpired, "");
        let settle = |script| with_delivery(&[], script, |delivery| run(delivery.settle_or(absent())));
        let outcome = settle(vec![("GET", status(404, "NotFound"))]);
        assert!(matches!(outcome, Outcome::Failed(failure) if failure == absent()));
        assert!(matches!(settle(vec![("GET", answer(200, &released()))]), Outcome::Done(_)));
        assert!(matches!(settle(vec![("GET", status(500, ""))]), Outcome::Retry(_)));
    }

    #[test]
    fn a_rehearsal_makes_nothing_and_says_what_would_come() {
        let rehearse = |script| with_delivery(&[], script, |delivery| run(delivery.rehearse()));
        assert!(rehearse(vec![("POST", answer(201, &gated()))]).is_ok());
        let reason = |script| rehearse(script).unwrap_err().reason;
        assert_eq!(reason(vec![("POST", answer(201, &unrouted()))]), Reason::GatewayNotInjected);
        assert_eq!(reason(vec![("POST", status(403, "Forbidden"))]), Reason::Forbidden);
        assert_eq!(reason(vec![("POST", status(500, "InternalError"))]), Reason::Undeliverable);
    }

    const TEMPLATE: [(&str, &str); 1] = [("client_pod_template", "crawler")];

    fn made_from(template: &Value, released: bool) -> Value {
        let base = template::base("crawler", template.clone()).unwrap();
        let mut pod = gated();
        let made = stored(manifest(&client("foo"), &config(&TEMPLATE), Some(base)));
        pod["spec"]["containers"][0] = made["spec"]["containers"][0].clone();
        if released {
            pod["spec"]["schedulingGates"] = json!(null);
        }
        pod
    }

    #[test]
    fn a_template_is_read_before_its_pod_is_made() {
        let template = pod_template(|_| ());
        let script = vec![
            ("GET", answer(200, &template)),
            ("POST", answer(201, &made_from(&template, false))),
            ("PATCH", answer(200, &made_from(&template, true))),
        ];
        assert!(matches!(deliver(&TEMPLATE, script), Outcome::Done(_)));
        let script =
            vec![("GET", answer(200, &template)), ("POST", answer(201, &gated())), ("DELETE", answer(200, &gated()))];
        let outcome = deliver(&TEMPLATE, script);
        assert!(matches!(outcome, Outcome::Failed(failure) if failure.reason == Reason::UnsafePod));
    }

    #[test]
    fn a_template_that_cannot_be_used_fails_the_event_unless_it_has_its_pod() {
        let invalid = || ("GET", answer(200, &pod_template(|spec| spec["hostNetwork"] = json!(true))));
        let missing = || ("GET", status(404, "NotFound"));
        let absent = || ("GET", status(404, "NotFound"));
        for template in [invalid(), missing()] {
            let outcome = deliver(&TEMPLATE, vec![template, absent()]);
            assert!(matches!(outcome, Outcome::Failed(failure) if failure.reason == Reason::PodTemplateInvalid));
        }
        let outcome = deliver(&TEMPLATE, vec![("GET", status(403, "Forbidden")), absent()]);
        assert!(matches!(outcome, Outcome::Failed(failure) if failure.reason == Reason::Forbidden));
        let outcome = deliver(&TEMPLATE, vec![invalid(), ("GET", answer(200, &released()))]);
        assert!(matches!(outcome, Outcome::Done(_)));
        let script = vec![invalid(), ("GET", answer(200, &gated())), ("DELETE", answer(200, &gated()))];
        let outcome = deliver(&TEMPLATE, script);
        assert!(matches!(outcome, Outcome::Failed(failure) if failure.reason == Reason::PodTemplateInvalid));
        for fault in [status(500, ""), answer(200, &json!({"kind": "Pod"})), Err(NoAnswer("cut".into()))] {
            assert!(matches!(deliver(&TEMPLATE, vec![("GET", fault)]), Outcome::Retry(_)));
        }
    }
}
