//! What the page shows: without a mouse, on a phone, in dark and light, without JavaScript, and in trouble.

use serde_json::json;
use tests::cluster::client::until;
use tests::provisioner::repository;

use crate::browser::Page;
use crate::{Run, Test};

/// The keys of WebDriver that have no character.
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

/// For every text that is seen: its contrast with what is behind it (WCAG 2.2, 1.4.3), where that is too low.
const FAINT: &str = include_str!("contrast.js");

/// The tests of these functions.
macro_rules! named {
    ($($test:ident),* $(,)?) => {
        [$((stringify!($test), (|page| Box::pin($test(page))) as Run)),*]
    };
}

pub fn tests() -> [Test; 5] {
    named![
        everything_can_be_done_without_a_mouse,
        what_becomes_of_events_is_seen_in_light_and_in_dark_and_on_a_phone,
        the_page_works_without_javascript,
        an_error_of_the_script_is_shown,
        a_command_that_stops_is_said_to_be_gone,
    ]
}

/// Goes on with the Tab key until `selector` has the focus.
async fn tab_to(page: &Page, selector: &str) {
    for _ in 0..30 {
        page.keys(TAB).await;
        if page.ask(&format!("document.activeElement.matches({selector:?})")).await == true {
            return;
        }
    }
    panic!("{selector} can't be reached with the Tab key");
}

async fn everything_can_be_done_without_a_mouse(page: &mut Page) {
    tab_to(page, ".skip").await;
    tab_to(page, "#gateway").await;
    page.keys("\u{E009}a\u{E000}bar").await;
    tab_to(page, ".send button").await;
    let outline = page.ask("getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid", "what has the focus must be seen to have it");
    page.keys(ENTER).await;
    page.until_says("#sent .answer", "DONE").await;
    page.until_says("[data-gateway=bar] .pod", "pod-gateway-bar.gateway-system.svc.cluster.local").await;
    tab_to(page, ".again").await;
    page.keys(ENTER).await;
    page.until_says("#sent", "Sent twice, answered twice with one and the same event.").await;
    assert_eq!(page.count(".pod").await, 1);
    // What changed around it has not taken the focus away.
    assert_eq!(page.ask("document.activeElement.matches('.again')").await, true);
    tab_to(page, "[value=api-fails]").await;
    page.keys(" ").await;
    page.until("document.querySelector('[value=api-fails]').ariaPressed === 'true'").await;
}

async fn the_page_works_without_javascript(page: &mut Page) {
    page.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    page.load().await;
    page.fill("gateway", "foo").await;
    page.click(".send button").await;
    page.until("document.readyState === 'complete' && location.search.includes('gateway=foo')").await;
    // Nothing comes by itself: whoever wants to see more loads the page again, as it says.
    page.until_says("noscript", "load it again").await;
    let is_done = || async {
        page.click("noscript a").await;
        page.text("#sent").await.contains("DONE")
    };
    until("done", is_done).await;
    page.set("api-fails").await;
    page.until_says("#sent", "DONE").await;
}

async fn an_error_of_the_script_is_shown(page: &mut Page) {
    assert_eq!(page.ask("document.getElementById('trouble').hidden").await, true);
    // What the script needs is gone: it fails when the answer is to be shown, and again when a change is told.
    page.execute("document.getElementById('board').remove()").await;
    page.click(".send button").await;
    page.until_says("#trouble", "The page's script failed: ").await;
    page.until_says("#trouble", "Load the page again.").await;
}

async fn a_command_that_stops_is_said_to_be_gone(page: &mut Page) {
    page.command = None;
    page.until_says("#trouble", "The connection to the command is lost").await;
    page.click(".send button").await;
    page.until_says("#trouble", "The command does not answer").await;
}

/// An event of each kind: done, failed, ended by another, and retried until the API was there again.
async fn tell_of_every_kind(page: &Page) {
    for (gateway, id) in [("foo", "crawler-1"), ("foo", "crawler-2"), ("bar", "crawler-3"), ("nope", "crawler-4")] {
        page.send(gateway, id).await;
        page.until("document.querySelector('#sent .answer') !== null").await;
    }
    page.until_says("#sent .answer", "GatewayNotInjected").await;
    page.until_says("[data-gateway=nope]", "no gateway has this name").await;
    page.until_says("[data-gateway=nope] .pod", "it never had a node").await;
    page.end("foo", "terminate").await;
    page.until_says("#gateway-foo li:first-child", "was ended by an event that asked for it").await;
    page.until_says("#steps", "Terminated").await;
    page.set("api-fails").await;
    page.send("bar", "crawler-5").await;
    page.until_says("#sent", "retried twice").await;
    page.until_says("#steps [data-kind=retry]", "because it was answered 503").await;
    page.set("fair").await;
    page.until_says("#sent .answer", "DONE").await;
    page.until("document.querySelectorAll('.pod[data-progress=running]').length === 3").await;
    assert_eq!(page.count(".pod[data-progress=ended], .pod[data-progress=removed]").await, 2);
}

/// Makes the pictures in the README, where `UPDATE_DOCS` is set.
async fn what_becomes_of_events_is_seen_in_light_and_in_dark_and_on_a_phone(page: &mut Page) {
    page.resize(1440, 1240).await;
    page.prefer("light").await;
    tell_of_every_kind(page).await;
    page.execute("scrollTo(0, 0)").await;
    let mut backgrounds = Vec::new();
    for (scheme, picture) in [("light", "page.png"), ("dark", "page-dark.png")] {
        page.prefer(scheme).await;
        assert_eq!(page.execute(FAINT).await, json!([]), "in {scheme}");
        backgrounds.push(page.ask("getComputedStyle(document.body).backgroundColor").await);
        keep(picture, &page.screenshot().await);
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
    page.resize(390, 844).await;
    keep("page-phone.png", &page.screenshot().await);
    page.send("foo", "an-id-that-has-no-place-to-be-broken-and-is-longer-than-a-phone-is-wide").await;
    page.until_says("#sent .answer", "DONE").await;
    page.click("#steps [data-kind=done] summary").await;
    page.click(".ends summary").await;
    assert_eq!(page.execute(FAINT).await, json!([]), "of a client that runs");
    assert_eq!(page.ask("document.documentElement.scrollWidth").await, 390, "the page can be scrolled sideways");
    let small = "Array.from(document.querySelectorAll('button')).filter(button => button.offsetHeight < 40).length";
    assert_eq!(page.ask(small).await, 0, "a thumb is wider than that");
    // What is open stays open while more happens.
    page.click("[value=lose-node]").await;
    page.until_says("body", "was ended by Kubernetes: its node has gone").await;
    page.until_says("#steps", "NodeLost").await;
    assert_eq!(page.count("#steps details[open]").await, 1);
}

fn keep(name: &str, picture: &[u8]) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(repository().join("docs/images").join(name), picture).expect("a picture can be written");
    }
}
