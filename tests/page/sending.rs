//! What becomes of events, as the page shows it.

use tests::events::{Reply, pending};

use crate::browser::Page;
use crate::{Test, named};

pub fn tests() -> [Test; 6] {
    named![
        an_unknown_gateway_is_answered_with_the_reason_and_its_pod_is_removed,
        what_fails_is_seen_as_retries_and_what_heals_is_done,
        a_client_runs_and_ends_as_it_is_made_to,
        an_event_from_elsewhere_is_seen_as_it_passes,
        what_an_event_says_never_becomes_part_of_the_page,
        a_field_that_is_missing_is_said_and_nothing_is_sent,
    ]
}

async fn an_unknown_gateway_is_answered_with_the_reason_and_its_pod_is_removed(page: &mut Page) {
    page.send("nope", "1").await;
    page.until_says("#sent .answer", "GatewayNotInjected").await;
    page.until_says("[data-gateway=nope] .pod", "it never had a node").await;
    page.until_says("[data-gateway=nope]", "no gateway has this name").await;
    page.until_says("#steps", "failed").await;
}

async fn what_fails_is_seen_as_retries_and_what_heals_is_done(page: &mut Page) {
    page.set("webhooks-down").await;
    page.send("bar", "1").await;
    page.until_says("#sent", "retried").await;
    page.until_says("#steps [data-kind=retry]", "because it was answered 503").await;
    assert_eq!(page.count(".pod").await, 0);
    page.set("fair").await;
    page.until_says("#sent .answer", "DONE").await;
    page.until_says("#sent", "answered once").await;
    page.until_says("[data-gateway=bar] .pod", "running").await;
}

async fn a_client_runs_and_ends_as_it_is_made_to(page: &mut Page) {
    for (id, act, reason, says) in [
        ("1", "terminate", "Terminated", "was ended by an event that asked for it"),
        ("2", "lose-node", "NodeLost", "was ended by Kubernetes: its node has gone"),
    ] {
        page.send("foo", id).await;
        page.end("foo", act).await;
        page.until_says("#gateway-foo li:first-child", reason).await;
        page.until_says("#gateway-foo li:first-child", says).await;
        page.until_says("#steps", reason).await;
        assert_eq!(page.count("[data-gateway=foo] .ends").await, 0, "what has ended can't end again");
    }
    // Without a PodTemplate a client is started again.
    page.send("foo", "3").await;
    page.end("foo", "complete").await;
    page.until_says("#gateway-foo", "was started again, as its restartPolicy says: 1").await;
}

async fn an_event_from_elsewhere_is_seen_as_it_passes(page: &mut Page) {
    let broker = page.command.as_ref().unwrap().address("broker");
    Reply::from(&broker, pending("from-elsewhere", "bar")).await;
    page.until_says("#steps", "done").await;
    page.until_says("[data-gateway=bar] .pod", "from-elsewhere").await;
    // Its attributes and data are there to be opened, and stay open while more happens.
    page.click("#steps [data-kind=pending] summary").await;
    page.until_says("#steps [data-kind=pending] details", "\"gateway_name\": \"bar\"").await;
    page.send("foo", "2").await;
    page.until_says("#sent .answer", "DONE").await;
    assert_eq!(page.count("#steps details[open]").await, 1);
}

async fn what_an_event_says_never_becomes_part_of_the_page(page: &mut Page) {
    page.send("<img src=x onerror=\"document.title='broken into'\">", "1").await;
    page.until_says("#sent .answer", "InvalidGatewayName").await;
    assert_eq!(page.count("img").await, 0);
    assert_eq!(page.ask("document.title").await, "Clients of pod-gateways");
}

async fn a_field_that_is_missing_is_said_and_nothing_is_sent(page: &mut Page) {
    // The browser itself would hold an empty field back.
    page.execute("document.querySelector('.send form').noValidate = true").await;
    page.execute("document.getElementById('source').value = ''").await;
    page.click(".send button").await;
    page.until_says("#problem", "An event needs its source").await;
    assert_eq!(page.count("#steps li").await, 0);
}
