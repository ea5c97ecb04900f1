//! How the page looks and feels: without a mouse, on a phone, in dark and light, without JavaScript, and in trouble.

use tests::provisioner::repository;

use crate::browser::{Page, Test};
use crate::sending::send;
use crate::tests;

/// The keys of WebDriver that have no character.
const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

/// For every text that is seen: its contrast with what is behind it (WCAG 2.2, 1.4.3), where that is too low.
const FAINT: &str = include_str!("contrast.js");

pub fn tests() -> Vec<Test> {
    tests![
        everything_can_be_done_without_a_mouse,
        the_page_fits_a_phone,
        every_text_can_be_read_in_dark_and_in_light,
        the_page_works_without_javascript,
        an_error_of_the_script_is_shown,
        a_command_that_stops_is_said_to_be_gone,
        the_page_is_seen_as_the_readme_shows_it,
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

async fn everything_can_be_done_without_a_mouse(page: Page) {
    tab_to(&page, ".skip").await;
    tab_to(&page, "#gateway").await;
    page.keys("\u{E009}a\u{E000}bar").await;
    tab_to(&page, ".send button").await;
    let outline = page.ask("getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid", "what has the focus must be seen to have it");
    page.keys(ENTER).await;
    page.until_says("#sent .answer", "DONE").await;
    tab_to(&page, ".again").await;
    page.keys(ENTER).await;
    page.until_says("#sent", "Sent twice, answered twice").await;
    // What changed around it has not taken the focus away.
    assert_eq!(page.ask("document.activeElement.matches('.again')").await, true);
    tab_to(&page, "[value=api-fails]").await;
    page.keys(" ").await;
    page.until("document.querySelector('[value=api-fails]').ariaPressed === 'true'").await;
    tab_to(&page, "#steps summary").await;
    page.keys(ENTER).await;
    page.until("document.querySelectorAll('#steps details[open]').length === 1").await;
}

async fn the_page_fits_a_phone(page: Page) {
    page.resize(360, 740).await;
    send(&page, "foo", "an-id-that-has-no-place-to-be-broken-and-is-longer-than-a-phone-is-wide").await;
    page.until_says("#sent .answer", "DONE").await;
    page.click("#steps [data-kind=done] summary").await;
    page.until_says("[data-gateway=foo] .pod", "running").await;
    page.click(".ends summary").await;
    let width = page.ask("document.documentElement.scrollWidth").await;
    assert_eq!(width, 360, "the page can be scrolled sideways");
    let small =
        page.ask("Array.from(document.querySelectorAll('button')).filter(b => b.offsetHeight < 40).length").await;
    assert_eq!(small, 0, "a thumb is wider than that");
}

async fn every_text_can_be_read_in_dark_and_in_light(page: Page) {
    send(&page, "nope", "1").await;
    page.until_says("#sent .answer", "FAILED").await;
    send(&page, "foo", "2").await;
    page.until_says("[data-gateway=foo] .pod", "running").await;
    page.click(".ends summary").await;
    assert_eq!(page.execute(FAINT).await, serde_json::json!([]), "of a client that runs");
    page.click("[value=terminate]").await;
    page.until_says("[data-gateway=foo] .pod", "Terminated").await;
    page.click("[value=api-fails]").await;
    send(&page, "bar", "3").await;
    page.until_says("#steps", "retry").await;
    let mut backgrounds = Vec::new();
    for scheme in ["light", "dark"] {
        page.prefer(scheme).await;
        assert_eq!(page.execute(FAINT).await, serde_json::json!([]), "in {scheme}");
        backgrounds.push(page.ask("getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(backgrounds[0], backgrounds[1]);
}

async fn the_page_works_without_javascript(page: Page) {
    page.disable_scripts().await;
    page.go("").await;
    page.fill("gateway", "foo").await;
    page.click(".send button").await;
    page.until("document.readyState === 'complete' && location.search.includes('gateway=foo')").await;
    // Nothing comes by itself: whoever wants to see more loads the page again, as it says.
    page.until_says("noscript", "load it again").await;
    let begin = std::time::Instant::now();
    while !page.text("#sent").await.contains("DONE") {
        assert!(begin.elapsed().as_secs() < 30, "never done");
        page.click("noscript a").await;
    }
    page.click("[value=api-fails]").await;
    page.until("document.querySelector('[value=api-fails]').ariaPressed === 'true'").await;
    assert!(page.text("#sent").await.contains("DONE"), "the page has forgotten what it was about");
}

async fn an_error_of_the_script_is_shown(page: Page) {
    assert_eq!(page.ask("document.getElementById('trouble').hidden").await, true);
    // What the script needs is gone: it fails when the answer is to be shown, and again when a change is told.
    page.execute("document.getElementById('board').remove()").await;
    page.click(".send button").await;
    page.until_says("#trouble", "The page's script failed: ").await;
    page.until_says("#trouble", "Load the page again.").await;
}

async fn a_command_that_stops_is_said_to_be_gone(mut page: Page) {
    page.stop_command();
    page.until_says("#trouble", "The connection to the command is lost").await;
    page.click(".send button").await;
    page.until_says("#trouble", "The command does not answer").await;
}

/// Makes the picture in the README: with `UPDATE_DOCS` it is written there, and otherwise to `target/`.
async fn the_page_is_seen_as_the_readme_shows_it(page: Page) {
    page.resize(1440, 1240).await;
    page.prefer("light").await;
    for (gateway, id) in [("foo", "crawler-1"), ("foo", "crawler-2"), ("bar", "crawler-3"), ("nope", "crawler-4")] {
        send(&page, gateway, id).await;
        page.until("document.querySelector('#sent .answer') !== null").await;
    }
    page.until("document.querySelectorAll('.pod[data-progress=running]').length === 3").await;
    page.click("#gateway-foo li:last-child .ends summary").await;
    page.click("#gateway-foo li:last-child [value=terminate]").await;
    page.until_says("#gateway-foo", "Terminated").await;
    page.click("[value=api-fails]").await;
    send(&page, "bar", "crawler-5").await;
    page.until_says("#sent", "retried twice").await;
    page.click("[value=fair]").await;
    page.until_says("#sent .answer", "DONE").await;
    page.until("document.querySelectorAll('.pod[data-progress=running]').length === 3").await;
    assert_eq!(page.count(".pod[data-progress=ended]").await, 1);
    assert_eq!(page.count(".pod[data-progress=removed]").await, 1);
    page.execute("scrollTo(0, 0)").await;
    keep("page.png", &page.screenshot().await);
    page.prefer("dark").await;
    keep("page-dark.png", &page.screenshot().await);
    page.resize(390, 844).await;
    keep("page-phone.png", &page.screenshot().await);
}

/// Keeps a picture, and makes sure that the repository has one of this name: a picture has no words to be compared.
fn keep(name: &str, picture: &[u8]) {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    assert!(picture.starts_with(PNG));
    let documented = repository().join("docs/images").join(name);
    let path = match std::env::var_os("UPDATE_DOCS") {
        Some(_) => documented.clone(),
        None => repository().join("target").join(name),
    };
    std::fs::create_dir_all(path.parent().expect("it lies in the repository")).expect("a directory can be made");
    std::fs::write(&path, picture).expect("a picture can be written");
    let kept = std::fs::read(&documented).unwrap_or_default();
    assert!(kept.starts_with(PNG), "no picture at docs/images/{name}: UPDATE_DOCS=1 make e2e makes it");
}
