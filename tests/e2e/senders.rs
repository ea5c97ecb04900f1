//! Who may deliver: tokens of the real API server, reviewed by it, with the rights of `deploy/components/oidc`.

use std::sync::Arc;

use tests::Reply;
use tests::cluster::account;
use tests::cluster::{Cluster, FOO, Namespace, ROUTED, until};
use tests::events::{Delivery, pending, with_header};
use tests::manifests::documents;

use crate::deploy::apply;
use crate::outcome::{assert_pods, outcome_of};

const RIGHTS: &str = "deploy/components/oidc/rbac.yaml";
/// The audience of the provisioner.
const AUDIENCE: &str = "client-system/provisioner";

/// A pending event by the sender that has this token.
fn by(token: &str, id: &str) -> Delivery {
    with_header(pending(id, "foo"), "authorization", format!("Bearer {token}"))
}

/// It is refused with this code, and told what is wanted where it may try again.
fn assert_refused(reply: &Reply, code: u16, says: &str) {
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (code, "application/problem+json"), "{reply:?}");
    assert_eq!(reply.header("www-authenticate"), if code == 401 { "Bearer" } else { "" });
    assert!(reply.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{reply:?}");
}

pub async fn a_sender_is_served_with_a_reviewed_token_of_the_right_subject_and_audience_and_with_no_other(
    cluster: Arc<Cluster>,
) {
    for object in documents(RIGHTS) {
        apply(&cluster.admin, RIGHTS, &object).await;
    }
    let namespace = Namespace::create(cluster, "senders", &[ROUTED]).await;
    let _webhook = FOO.serve(&namespace).await;
    namespace.create_account("trigger").await;
    let may_review = || namespace.may("", "create", ("authentication.k8s.io", "tokenreviews"));
    until("the right to review takes effect", may_review).await;
    let subject = format!("system:serviceaccount:{}:trigger", namespace.name);
    let provisioner = namespace.provisioner(&[("sender_audience", AUDIENCE), ("sender_subjects", &subject)]);
    let token = |account, audience| account::request_token(&namespace.cluster, (&namespace.name, account), audience);
    let good = token("trigger", Some(AUDIENCE)).await;
    let elsewhere = token("trigger", Some("somebody-else")).await;
    let [(signed, _), (_, signature)] = [&good, &elsewhere].map(|token| token.rsplit_once('.').expect("it is signed"));
    let forged = format!("{signed}.{signature}");
    for wrong in [&forged, &elsewhere, &token("trigger", None).await, "nonsense"] {
        assert_refused(&provisioner.deliver(by(wrong, "1")).await, 401, AUDIENCE);
        assert!(!provisioner.logs().text().contains(wrong));
    }
    assert_refused(&provisioner.deliver(pending("1", "foo")).await, 401, AUDIENCE);
    let foreign = token("default", Some(AUDIENCE)).await;
    assert_refused(&provisioner.deliver(by(&foreign, "1")).await, 403, &subject);
    // By somebody who may not ask whose it is.
    let unable = namespace.with_own_account("nobody").await.provisioner(&[("sender_audience", AUDIENCE)]);
    assert_refused(&unable.deliver(by(&good, "1")).await, 503, "tokenreviews");
    assert_pods(&namespace, 0).await;
    assert_eq!(outcome_of(&provisioner.deliver(by(&good, "1")).await), "`done`");
    assert_pods(&namespace, 1).await;
    namespace.admin().delete(&namespace.path("serviceaccounts/trigger")).await;
    // The API server remembers for some seconds whom it has let in.
    until("the token is nobody's", || async { provisioner.deliver(by(&good, "1")).await.status == 401 }).await;
    assert!(!provisioner.logs().text().contains(&good));
}
