//! The HTML: `templates/page.html`, and what it shows. Every text that comes from an event or a Pod is escaped by `askama`.

use askama::Template;
use provisioner::pod::EVENT_ID;
use provisioner::state::EndReason;
use provisioner::text::cut;

use super::act::Weather;
use super::clients::{Clients, Progress};
use super::draft::Draft;
use super::story::Story;
use super::{PageConfig, Watched};
use crate::broker::{BrokerEvent, Totals, json_data};
use crate::kubernetes::WHAT_IT_IS_NOT;
use crate::sync::lock;

/// How many steps are shown.
const STEPS: usize = 100;
/// How many clients of a gateway are drawn.
const DRAWN: usize = 12;
/// How much of a text is shown, in bytes: each of the steps may have 4 MiB.
const LONGEST_TEXT: usize = 4 << 10;

/// What the page shows, at one moment.
#[derive(Template)]
#[template(path = "page.html", blocks = ["board"], whitespace = "minimize")]
struct View<'a> {
    config: &'a PageConfig,
    draft: &'a Draft,
    problem: &'a str,
    /// The event that was sent, if one was, and what became of it.
    sent: Option<(&'a Draft, Story)>,
    /// The query that leads back to this very page.
    back: String,
    weather: Option<Weather>,
    totals: Totals,
    steps: Vec<BrokerEvent>,
    /// The gateways, and the addresses of those that there are.
    gateways: Vec<(String, Option<String>)>,
    clients: &'a Clients,
}

/// The whole page: what became of the event that was `sent`, the form with `draft` in it, and what is wrong with that.
pub fn page(watched: &Watched, sent: &Draft, draft: &Draft, problem: &str) -> String {
    let clients = lock(&watched.clients);
    rendered(View { draft, problem, ..View::of(watched, sent, &clients) }.render())
}

/// The part that changes.
pub fn board(watched: &Watched, sent: &Draft) -> String {
    let clients = lock(&watched.clients);
    rendered(View::of(watched, sent, &clients).as_board().render())
}

fn rendered(html: askama::Result<String>) -> String {
    html.expect("a String takes everything")
}

impl<'a> View<'a> {
    fn of(watched: &'a Watched, sent: &'a Draft, clients: &'a Clients) -> Self {
        let is_sent = !sent.id.is_empty() && !sent.source.is_empty();
        let (totals, steps, story) = watched.broker.journal.look(|steps, totals| {
            let story = is_sent.then(|| Story::of(steps, &sent.source, &sent.id));
            let shown = steps.iter().rev().filter(|step| !step.is_routine());
            (totals, shown.take(STEPS).cloned().collect(), story)
        });
        Self {
            config: &watched.config,
            draft: sent,
            problem: "",
            sent: story.map(|story| (sent, story)),
            back: if is_sent { sent.query() } else { String::new() },
            weather: watched.api.as_deref().map(Weather::of),
            totals,
            steps,
            gateways: gateways(watched, clients),
            clients,
        }
    }
}

fn gateways(watched: &Watched, clients: &Clients) -> Vec<(String, Option<String>)> {
    let known = watched.api.as_ref().map(|api| api.gateways()).unwrap_or_default();
    let asked = clients.gateways().into_iter();
    let unknown: Vec<_> = asked.filter(|name| known.iter().all(|gateway| gateway.name != *name)).collect();
    let known = known.into_iter().map(|gateway| (gateway.name, Some(gateway.address)));
    known.chain(unknown.into_iter().map(|name| (name.to_owned(), None))).collect()
}

/// The attributes of a step's event, the extensions last.
fn attributes(step: &BrokerEvent) -> Vec<(&str, String)> {
    let mut rows: Vec<_> = step.event.iter().map(|(name, value)| (name, brief(value.to_string()))).collect();
    rows.sort_by_key(|(name, _)| (step.event.extension(name).is_some(), *name));
    rows
}

/// The data of a step's event, where it is JSON.
fn data(step: &BrokerEvent) -> Option<String> {
    serde_json::to_string_pretty(&json_data(&step.event)?).ok().map(brief)
}

/// The text, or its beginning if it is long.
fn brief(text: String) -> String {
    let beginning = cut(&text, LONGEST_TEXT);
    if beginning.len() < text.len() { format!("{beginning}…") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Passed;
    use cloudevents::{EventBuilder, EventBuilderV10};
    use provisioner::event::PENDING;
    use serde_json::json;

    #[test]
    fn what_an_event_says_is_text_and_never_markup() {
        let data = json!({"gateway_name": "<script>alert(1)</script>", "message": "a".repeat(1 << 20)});
        let event = EventBuilderV10::new().id("\"><b>").source("/s").ty(PENDING).data("application/json", data);
        let kind = Passed::Received;
        let step =
            BrokerEvent { number: 7, at: chrono::Utc::now(), kind, subscriber: None, event: event.build().unwrap() };
        let nothing = Draft::default();
        let view = View {
            config: &PageConfig {
                listen: ([127, 0, 0, 1], 0).into(),
                doors: Default::default(),
                provisioner: String::new(),
                kubernetes: String::new(),
            },
            draft: &nothing,
            problem: "",
            sent: None,
            back: String::new(),
            weather: None,
            totals: Totals::default(),
            steps: vec![step],
            gateways: Vec::new(),
            clients: &Clients::default(),
        };
        let written = view.as_board().render().unwrap();
        assert!(written.contains("&#60;script&#62;") && written.contains("&#34;&#62;&#60;b&#62;"), "{written}");
        assert!(!written.contains("<script>") && !written.contains("<b>"), "{written}");
        assert!(written.len() < 64 << 10, "{}", written.len());
        assert!(written.contains("id=\"step-7\"") && written.contains("data-kind=\"pending\""), "{written}");
    }
}
