//! What becomes of events, as the page shows it.

use tests::events::{Reply, pending};

use crate::browser::{Page, Test};
use crate::tests;

pub fn tests() -> Vec<Test> {
    tests![
        an_event_is_answered_done_and_sent_again_it_makes_no_second_pod,
        an_unknown_gateway_is_answered_with_the_reason_and_its_pod_is_removed,
        what_fails_is_seen_as_retries_and_what_heals_is_done,
        a_client_runs_and_ends_as_it_is_made_to,
        an_event_from_elsewhere_is_seen_as_it_passes,
        what_an_event_says_never_becomes_part_of_the_page,
        a_field_that_is_missing_is_said_and_nothing_is_sent,
    ]
}

/// Sends an event to `gateway` with this id, by the form.
pub async fn send(page: &Page, gateway: &str, id: &str) {
    page.fill("gateway", gateway).await;
    page.fill("id", id).await;
    page.click(".send button").await;
    page.until_says("#sent .identity", id).await;
}

async fn an_event_is_answered_done_and_sent_again_it_makes_no_second_pod(page: Page) {
    let first = page.ask("document.getElementById('id').value").await;
    page.fill("gateway", "foo").await;
    page.click(".send button").await;
    page.until_says("#sent .answer", "DONE").await;
    page.until_says("[data-gateway=foo] .pod", "running").await;
    let pod = page.text("[data-gateway=foo] .pod").await;
    for part in ["gateway-init", "client", "gateway-sidecar", "pod-gateway-foo.gateway-system.svc.cluster.local"] {
        assert!(pod.contains(part), "{pod}");
    }
    assert!(page.text("#sent .identity").await.contains(first.as_str().unwrap()));
    // The form is ready for another event.
    assert_ne!(page.ask("document.getElementById('id').value").await, first);
    page.click(".again").await;
    page.until_says("#sent", "Sent twice, answered twice with one and the same event.").await;
    assert_eq!(page.count(".pod").await, 1);
}

async fn an_unknown_gateway_is_answered_with_the_reason_and_its_pod_is_removed(page: Page) {
    send(&page, "nope", "1").await;
    page.until_says("#sent .answer", "GatewayNotInjected").await;
    page.until_says("[data-gateway=nope] .pod", "it never had a node").await;
    assert!(page.text("[data-gateway=nope]").await.contains("no gateway has this name"));
    page.until_says("#steps", "failed").await;
}

async fn what_fails_is_seen_as_retries_and_what_heals_is_done(page: Page) {
    for (weather, gateway) in [("api-fails", "foo"), ("webhooks-down", "bar")] {
        page.click(&format!("[value={weather}]")).await;
        page.until(&format!("document.querySelector('[value={weather}]').ariaPressed === 'true'")).await;
        let before = page.count(".pod").await;
        send(&page, gateway, weather).await;
        page.until_says("#sent", "retried").await;
        page.until_says("#steps [data-kind=retry]", "because it was answered 503").await;
        assert_eq!(page.count(".pod").await, before);
        page.click("[value=fair]").await;
        page.until_says("#sent .answer", "DONE").await;
        page.until_says("#sent", "answered once").await;
        page.until_says(&format!("[data-gateway={gateway}] .pod"), "running").await;
    }
}

async fn a_client_runs_and_ends_as_it_is_made_to(page: Page) {
    for (id, act, reason, says) in [
        ("1", "terminate", "Terminated", "was ended by an event that asked for it"),
        ("2", "lose-node", "NodeLost", "was ended by Kubernetes: its node has gone"),
    ] {
        send(&page, "foo", id).await;
        page.until_says("[data-gateway=foo] .pod", "running").await;
        page.click("[data-gateway=foo] .ends summary").await;
        page.click(&format!("[data-gateway=foo] .ends [value={act}]")).await;
        page.until_says("[data-gateway=foo] .pod", reason).await;
        page.until_says("[data-gateway=foo] .pod", says).await;
        page.until_says("#steps [data-kind=ended]", reason).await;
        assert_eq!(page.count("[data-gateway=foo] .ends").await, 0, "what has ended can't end again");
    }
    // Without a PodTemplate a client is started again.
    send(&page, "foo", "3").await;
    page.until_says("[data-gateway=foo] .pod", "running").await;
    page.click("[data-gateway=foo] .ends summary").await;
    page.click("[data-gateway=foo] .ends [value=complete]").await;
    page.until_says("[data-gateway=foo] .pod", "was started again, as its restartPolicy says: 1").await;
}

async fn an_event_from_elsewhere_is_seen_as_it_passes(page: Page) {
    Reply::from(&page.command().address("broker"), pending("from-elsewhere", "bar")).await;
    page.until_says("#steps", "done").await;
    page.until_says("[data-gateway=bar] .pod", "from-elsewhere").await;
    // Its attributes and data are there to be opened, and stay open while more happens.
    page.click("#steps [data-kind=pending] summary").await;
    let open = page.text("#steps [data-kind=pending] details").await;
    assert!(open.contains("from-elsewhere") && open.contains("\"gateway_name\": \"bar\""), "{open}");
    send(&page, "foo", "2").await;
    page.until_says("#sent .answer", "DONE").await;
    assert_eq!(page.count("#steps details[open]").await, 1);
}

async fn what_an_event_says_never_becomes_part_of_the_page(page: Page) {
    send(&page, "<img src=x onerror=\"document.title='broken into'\">", "1").await;
    page.until_says("#sent .answer", "InvalidGatewayName").await;
    assert_eq!(page.count("img").await, 0);
    assert_eq!(page.ask("document.title").await, "Clients of pod-gateways");
}

async fn a_field_that_is_missing_is_said_and_nothing_is_sent(page: Page) {
    // The browser itself would hold an empty field back.
    page.execute("document.querySelector('.send form').noValidate = true").await;
    page.execute("document.getElementById('source').value = ''").await;
    page.click(".send button").await;
    page.until_says("#problem", "An event needs its source").await;
    assert_eq!(page.count("#steps li").await, 0);
}
