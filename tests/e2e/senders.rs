//! Who may deliver: tokens of the real API server, reviewed by it, with the rights of `deploy/components/oidc`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::events::{Delivery, pending};
use tests::fault::Proxy;
use tests::manifests::documents;
use tests::{Provisioner, Reply};

use crate::client::until;
use crate::cluster::Cluster;
use crate::gateway::FOO;
use crate::harness::Test;
use crate::manifests::apply;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::outcome::{assert_pods, outcome_of};
use crate::token;

const RIGHTS: &str = "deploy/components/oidc/rbac.yaml";
/// Who delivers, in the namespace of the test.
const TRIGGER: &str = "trigger";
/// The audience of the provisioner.
pub const AUDIENCE: &str = "client-system/provisioner";

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![
        a_sender_is_served_with_a_reviewed_token_of_the_right_subject_and_audience_and_with_no_other,
        a_sender_whose_service_account_is_deleted_is_not_served_any_more,
        a_review_costs_one_call_on_the_first_delivery_and_on_a_duplicate,
    ]
}

/// Runs a test in a namespace with a gateway, a sender's service account and the right to review tokens.
async fn with_sender<F: Future<Output = ()>>(cluster: Arc<Cluster>, test: impl FnOnce(Arc<Namespace>) -> F) {
    for object in documents(RIGHTS) {
        apply(cluster.admin(), RIGHTS, &object).await;
    }
    with_namespace(cluster, "senders", &[ROUTED], |namespace| async move {
        let _webhook = FOO.serve(&namespace).await;
        namespace.create_account(TRIGGER).await;
        until("the right to review takes effect", || async {
            let tokenreviews = ("authentication.k8s.io", "tokenreviews");
            namespace.may_in("", "create", tokenreviews, "").await
        })
        .await;
        test(namespace).await;
    })
    .await;
}

/// A token of the sender's service account for this audience.
pub async fn token_for(namespace: &Namespace, account: &str, audience: &str) -> String {
    token::request_for(&namespace.cluster, (&namespace.name, account), Some(audience)).await
}

/// A pending event by the sender that has this token.
pub fn by(token: &str, id: &str) -> Delivery {
    let mut request = pending(id, "foo");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a token is ASCII"));
    request
}

async fn answer(provisioner: &Provisioner, request: Delivery) -> Reply {
    let token = request.headers().get("authorization").cloned();
    let reply = provisioner.deliver(request).await;
    let told = [provisioner.logs().text(), String::from_utf8_lossy(&reply.body).into_owned()].concat();
    let token = token.as_ref().and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    assert!(!token.is_some_and(|token| told.contains(token)), "a sender's token leaked");
    reply
}

/// It is refused with this code, and told what is wanted where it may try again.
pub fn assert_refused(reply: &Reply, code: u16, says: &str) {
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (code, "application/problem+json"), "{reply:?}");
    assert_eq!(reply.header("www-authenticate"), if code == 401 { "Bearer" } else { "" });
    assert!(reply.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{reply:?}");
}

async fn a_sender_is_served_with_a_reviewed_token_of_the_right_subject_and_audience_and_with_no_other(
    cluster: Arc<Cluster>,
) {
    with_sender(cluster, |namespace| async move {
        let subject = format!("system:serviceaccount:{}:{TRIGGER}", namespace.name);
        let provisioner = namespace.provisioner(&[("sender_audience", AUDIENCE), ("sender_subjects", &subject)]);
        let token = token_for(&namespace, TRIGGER, AUDIENCE).await;
        let forged = format!("{}x", &token[..token.len() - 1]);
        let expired = token::expired(&token, &namespace.cluster);
        let elsewhere = token_for(&namespace, TRIGGER, "somebody-else").await;
        let of_the_api = token::request_for(&namespace.cluster, (&namespace.name, TRIGGER), None).await;
        for wrong in [forged, expired, elsewhere, of_the_api, "nonsense".to_owned()] {
            assert_refused(&answer(&provisioner, by(&wrong, "1")).await, 401, AUDIENCE);
        }
        assert_refused(&answer(&provisioner, pending("1", "foo")).await, 401, AUDIENCE);
        let foreign = token_for(&namespace, "default", AUDIENCE).await;
        assert_refused(&answer(&provisioner, by(&foreign, "1")).await, 403, &subject);
        // By somebody who may not ask whose it is.
        let unable = namespace.with_own_account("nobody").await.provisioner(&[("sender_audience", AUDIENCE)]);
        assert_refused(&answer(&unable, by(&token, "1")).await, 503, "tokenreviews");
        assert_pods(&namespace, 0).await;
        assert_eq!(outcome_of(&answer(&provisioner, by(&token, "1")).await), "`done`");
        assert_pods(&namespace, 1).await;
    })
    .await;
}

/// The API server remembers for some seconds whom it has let in.
async fn a_sender_whose_service_account_is_deleted_is_not_served_any_more(cluster: Arc<Cluster>) {
    with_sender(cluster, |namespace| async move {
        let provisioner = namespace.provisioner(&[("sender_audience", AUDIENCE)]);
        let token = token_for(&namespace, TRIGGER, AUDIENCE).await;
        assert_eq!(outcome_of(&answer(&provisioner, by(&token, "1")).await), "`done`");
        namespace.admin().delete(&namespace.path(&format!("serviceaccounts/{TRIGGER}"))).await.object();
        let is_refused = || async { answer(&provisioner, by(&token, "1")).await.status == 401 };
        until("the token is nobody's", is_refused).await;
    })
    .await;
}

async fn a_review_costs_one_call_on_the_first_delivery_and_on_a_duplicate(cluster: Arc<Cluster>) {
    with_sender(cluster, |namespace| async move {
        let token = token_for(&namespace, TRIGGER, AUDIENCE).await;
        let [open, reviewed] = [calls(&namespace, "", by(&token, "1")), calls(&namespace, AUDIENCE, by(&token, "2"))];
        assert_eq!((open.await, reviewed.await), ([2, 2], [3, 3]));
    })
    .await;
}

/// How many calls of the API server the first delivery of an event takes, and a duplicate.
async fn calls(namespace: &Namespace, audience: &str, request: Delivery) -> [usize; 2] {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let plan = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    };
    let proxy = Proxy::start(namespace.provisioners_client().upstream(), Arc::new(plan)).await;
    let variables = [("client_namespace", namespace.name.as_str()), ("sender_audience", audience)];
    let provisioner = Provisioner::start(&proxy.url(), &variables);
    provisioner.write_token(&namespace.token);
    let mut calls = [0; 2];
    for calls in &mut calls {
        assert_eq!(outcome_of(&answer(&provisioner, request.clone()).await), "`done`");
        *calls = count.swap(0, Ordering::Relaxed);
    }
    calls
}
