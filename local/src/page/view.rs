//! The HTML. Every text that comes from an event or a Pod is escaped by `maud`.
//!
//! What changes stands in [`board`], which is told anew at every change. The children of an element with `data-keyed`
//! have an `id` each, so that the script can leave alone those that are the same.

use chrono::Local;
use cloudevents::event::ExtensionValue;
use maud::{DOCTYPE, Markup, html};

use provisioner::state::EndReason;

use super::act::Act;
use super::clients::{Client, Clients, Progress};
use super::draft::Draft;
use super::story::Story;
use super::weather::Weather;
use super::{PageConfig, Watched};
use crate::broker::{BrokerEvent, Totals, json_data};
use crate::kubernetes::WHAT_IT_IS_NOT;

/// How many steps are shown.
const STEPS: usize = 100;
/// How many clients of a gateway are drawn.
const DRAWN: usize = 12;

/// What the changing part of the page shows, at one moment.
pub struct Board {
    config: PageConfig,
    totals: Totals,
    steps: Vec<BrokerEvent>,
    sent: Option<(Draft, Story)>,
    weather: Option<Weather>,
    gateways: Vec<Column>,
    clients: [(&'static str, usize); 5],
}

/// A gateway and its clients.
struct Column {
    name: String,
    address: Option<String>,
    total: usize,
    drawn: Vec<Client>,
}

impl Board {
    /// What there is to show, and what became of the event that was `sent`, if one was.
    pub fn of(watched: &Watched, sent: &Draft) -> Self {
        let is_sent = !sent.id.is_empty() && !sent.source.is_empty();
        let (totals, steps, story) = watched.broker.look(|steps, totals| {
            let story = is_sent.then(|| Story::of(steps, &sent.source, &sent.id));
            let shown = steps.iter().rev().filter(|step| !step.is_routine());
            (totals, shown.take(STEPS).cloned().collect(), story)
        });
        let clients = watched.clients();
        let count = |progress| clients.count(|is| is == progress);
        Self {
            config: watched.config.clone(),
            totals,
            steps,
            sent: story.map(|story| (sent.clone(), story)),
            weather: watched.api.as_deref().map(Weather::of),
            gateways: columns(watched, &clients),
            clients: [
                ("gated", count(Progress::Gated)),
                ("scheduled", count(Progress::Scheduled)),
                ("running", count(Progress::Running)),
                ("ended", clients.count(|progress| matches!(progress, Progress::Ended(_)))),
                ("removed", count(Progress::Removed)),
            ],
        }
    }
}

fn columns(watched: &Watched, clients: &Clients) -> Vec<Column> {
    let gateways = watched.api.as_ref().map(|api| api.gateways()).unwrap_or_default();
    let known: Vec<&str> = gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    let others = clients.other_gateways(&known).into_iter().map(|name| (name, None));
    let all = gateways.iter().map(|gateway| (gateway.name.as_str(), Some(gateway.address.clone()))).chain(others);
    all.map(|(name, address)| Column {
        name: name.to_owned(),
        address,
        total: clients.of_gateway(name).count(),
        drawn: clients.of_gateway(name).take(DRAWN).cloned().collect(),
    })
    .collect()
}

/// The whole page: the form with `draft` in it, and what is wrong with what was sent last.
pub fn page(board: &Board, draft: &Draft, problem: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Clients of pod-gateways" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/page.css";
                script src="/page.js" defer {}
            }
            body {
                a.skip href="#clients" { "Skip to the clients" }
                header {
                    h1 { "Clients of pod-gateways" }
                    p { "Send an event; get one Pod, and never one that goes out past its gateway." }
                }
                p #trouble role="alert" hidden {}
                noscript {
                    p { "Without JavaScript this page does not follow what happens: " a href="" { "load it again" } " to see." }
                }
                main {
                    (form(board, draft, problem))
                    (self::board(board))
                }
                footer { (addresses(&board.config)) @if board.weather.is_some() { p { (WHAT_IT_IS_NOT) } } }
            }
        }
    }
}

fn addresses(config: &PageConfig) -> Markup {
    html! {
        dl {
            div { dt { "Provisioner" } dd { (config.provisioner) } }
            div { dt { "Kubernetes" } dd { (config.kubernetes) } }
        }
    }
}

fn form(board: &Board, draft: &Draft, problem: Option<&str>) -> Markup {
    html! {
        section.send aria-labelledby="send-title" {
            h2 #send-title { "Send a pending event" }
            form method="post" action="/events" {
                p.problem role="alert" #problem { @if let Some(problem) = problem { (problem) } }
                label for="gateway" { "Gateway" }
                input #gateway name="gateway" list="gateways" value=(draft.gateway) autocomplete="off";
                datalist #gateways { @for column in &board.gateways { option value=(column.name) {} } }
                label for="id" { "Id" }
                input #id name="id" value=(draft.id) autocomplete="off" spellcheck="false" required;
                label for="source" { "Source" }
                input #source name="source" value=(draft.source) autocomplete="off" spellcheck="false" required;
                label for="message" { "Message " small { "(optional)" } }
                input #message name="message" value=(draft.message) autocomplete="off";
                button type="submit" { "Send" }
            }
        }
    }
}

/// The part that changes.
pub fn board(board: &Board) -> Markup {
    html! {
        div #board data-keyed {
            (sent(board))
            (weather(board))
            (flow(board))
            (clients(board))
            (events(board))
        }
    }
}

fn sent(board: &Board) -> Markup {
    html! {
        section #sent.sent role="status" aria-label="What became of the event" {
            @if let Some((draft, story)) = &board.sent {
                h2 { "What became of it" }
                p.identity { code { (draft.source) } " " code { (draft.id) } }
                p { (told(story, draft)) }
                @if let Some(answer) = story.answers.last() {
                    p.answer data-outcome=(answer.outcome) {
                        strong { (answer.outcome) }
                        @if let Some(reason) = &answer.reason { " " code { (reason) } }
                        " — " (answer.message)
                    }
                    @if let Some(pod) = &answer.pod { p { "Pod " code { (pod) } } }
                }
                form method="post" action="/events" {
                    @for (name, value) in [("source", &draft.source), ("id", &draft.id), ("gateway", &draft.gateway),
                        ("message", &draft.message)] {
                        input type="hidden" name=(name) value=(value);
                    }
                    button.again type="submit" { "Send again" }
                    small { " the same event, with the same id" }
                }
            }
        }
    }
}

/// The story in a sentence.
fn told(story: &Story, draft: &Draft) -> String {
    let times = |count: usize| match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    };
    let mut text = format!("Sent {}", times(story.sent));
    if story.retries > 0 {
        text += &format!(", retried {}", times(story.retries));
    }
    text += &match (story.answers.len(), story.distinct_answers(), &story.dead) {
        (_, _, Some(why)) => format!(": the broker gave up on it ({why})."),
        (0, ..) if story.sent == 0 => " by nobody yet.".to_owned(),
        (0, ..) => format!(": waiting for a client of {:?}.", draft.gateway),
        (1, ..) => ", answered once.".to_owned(),
        (count, 1, _) => format!(", answered {} with one and the same event.", times(count)),
        (count, ..) => format!(", answered {}.", times(count)),
    };
    if story.is_over() || story.answers.is_empty() { text } else { text + " One delivery is under way." }
}

fn weather(board: &Board) -> Markup {
    let Some(now) = board.weather else { return html! {} };
    let back = back(board);
    html! {
        section #weather.weather aria-labelledby="weather-title" {
            h2 #weather-title { "The Kubernetes API" }
            form method="post" action="/weather" {
                input type="hidden" name="back" value=(back);
                @for (weather, value, words) in Weather::ALL {
                    button type="submit" name="weather" value=(value) aria-pressed=(weather == now) { (words) }
                }
            }
        }
    }
}

/// The query that leads back to this very page.
fn back(board: &Board) -> String {
    board.sent.as_ref().map(|(draft, _)| super::server::query(draft)).unwrap_or_default()
}

fn flow(board: &Board) -> Markup {
    let totals = &board.totals;
    let told = [
        ("pending", totals.pending),
        ("done", totals.done),
        ("failed", totals.failed),
        ("retries", totals.retries),
        ("dead letters", totals.dead_letters),
    ];
    html! {
        section #flow.flow aria-label="So far" {
            dl { @for (name, count) in told { div data-kind=(name) { dt { (name) } dd { (count) } } } }
            @if board.weather.is_some() {
                dl { @for (name, count) in board.clients { div { dt { "Pods " (name) } dd { (count) } } } }
            }
        }
    }
}

fn clients(board: &Board) -> Markup {
    html! {
        section #clients.clients aria-labelledby="clients-title" tabindex="-1" {
            h2 #clients-title { "Clients" }
            @if board.weather.is_none() {
                p { "The clients are in a cluster: look at them with " code { "kubectl get pods -l app.kubernetes.io/name=podgateway-client" } "." }
            }
            div.gateways { @for gateway in &board.gateways { (column(gateway, &back(board))) } }
        }
    }
}

fn column(gateway: &Column, back: &str) -> Markup {
    let title = format!("gateway-{}", gateway.name);
    html! {
        article.gateway aria-label={ "Gateway " (gateway.name) } data-gateway=(gateway.name) data-known=(gateway.address.is_some()) {
            h3 { (gateway.name) }
            p.address {
                @if let Some(address) = &gateway.address { (address) } @else { "no gateway has this name" }
            }
            ul id=(title) aria-label=(title) data-keyed { @for client in &gateway.drawn { (self::client(client, back)) } }
            @if gateway.total == 0 { p.none { "no clients yet" } }
            @if gateway.total > gateway.drawn.len() { p.none { "and " (gateway.total - gateway.drawn.len()) " more" } }
        }
    }
}

fn client(client: &Client, back: &str) -> Markup {
    let (word, says) = match client.progress {
        Progress::Gated => ("gated", "can't be scheduled before its gateway is seen in it"),
        Progress::Scheduled => ("scheduled", "may run, and is about to start"),
        Progress::Running => ("running", "goes out through"),
        Progress::Removed => ("removed", "was removed behind its gate: it never had a node"),
        Progress::Ended(reason) => ("ended", end_of(reason)),
    };
    html! {
        li.pod id={ "pod-" (client.uid) } data-progress=(word) {
            p.name {
                strong { (word) } " "
                @if let Progress::Ended(reason) = client.progress { b.reason { (format!("{reason:?}")) } " " }
                code title=(client.name) { (client.name) }
            }
            p.event { "event " code { (client.event_id) } }
            p.containers {
                @for name in &client.init_containers { span.container.init { (name) } " " }
                @for name in &client.containers { span.container { (name) } " " }
            }
            p.says {
                (says)
                @if let (Progress::Running, Some(address)) = (client.progress, &client.address) { " " code { (address) } }
            }
            @if client.restarts > 0 { p.says { "was started again, as its restartPolicy says: " (client.restarts) } }
            @if client.progress == Progress::Running { (ends(client, back)) }
        }
    }
}

/// Who ended a client, and how.
fn end_of(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Completed => "ended by itself, and well",
        EndReason::Error => "ended by itself, with an error",
        EndReason::OOMKilled => "was ended by its node: it took more memory than it may",
        EndReason::DeadlineExceeded => "was ended by its node: its time was over",
        EndReason::Evicted => "was ended by Kubernetes: its place was needed",
        EndReason::NodeLost => "was ended by Kubernetes: its node has gone",
        EndReason::Terminated => "was ended by an event that asked for it",
        EndReason::Deleted => "was ended by somebody who deleted its Pod",
    }
}

/// The ways in which a client that runs can come to its end here.
fn ends(client: &Client, back: &str) -> Markup {
    html! {
        details.ends {
            summary { "End it" }
            form method="post" action="/clients" {
                input type="hidden" name="back" value=(back);
                input type="hidden" name="uid" value=(client.uid);
                @for (_, value, words) in Act::ALL { button type="submit" name="act" value=(value) { (words) } }
            }
        }
    }
}

fn events(board: &Board) -> Markup {
    html! {
        section #events.events aria-labelledby="events-title" data-keyed {
            h2 #events-title { "Events" }
            p #events-none.none hidden[!board.steps.is_empty()] { "Nothing has passed the broker yet." }
            ol #steps reversed data-keyed { @for step in &board.steps { (self::step(step)) } }
        }
    }
}

fn step(step: &BrokerEvent) -> Markup {
    let (kind, detail) = step.line();
    html! {
        li id={ "step-" (step.number) } data-kind=(kind) {
            details {
                summary {
                    time datetime=(step.at.to_rfc3339()) { (step.at.with_timezone(&Local).format("%H:%M:%S%.3f")) }
                    " " strong { (kind) } " " span.detail { (detail) }
                }
                (attributes(step))
            }
        }
    }
}

fn attributes(step: &BrokerEvent) -> Markup {
    let event = &step.event;
    let mut rows: Vec<(String, String)> =
        event.iter().map(|(name, value)| (name.to_owned(), value.to_string())).collect();
    rows.sort_by_key(|(name, _)| (event.extension(name).map(ExtensionValue::to_string).is_some(), name.clone()));
    let data = json_data(event).and_then(|data| serde_json::to_string_pretty(&data).ok());
    html! {
        dl.attributes { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
        @if let Some(data) = data { pre tabindex="0" aria-label="data" { (data) } }
    }
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
        let data = json!({"gateway_name": "<script>alert(1)</script>"});
        let event = EventBuilderV10::new().id("\"><b>").source("/s").ty(PENDING).data("application/json", data);
        let kind = Passed::Received;
        let written = step(&BrokerEvent {
            number: 7,
            at: chrono::Utc::now(),
            kind,
            subscriber: None,
            event: event.build().unwrap(),
        });
        let written = written.into_string();
        assert!(written.contains("&lt;script&gt;") && written.contains("&quot;&gt;&lt;b&gt;"), "{written}");
        assert!(!written.contains("<script>") && !written.contains("<b>"), "{written}");
        assert!(written.contains("id=\"step-7\"") && written.contains("data-kind=\"pending\""), "{written}");
    }

    #[test]
    fn a_story_is_told_in_a_sentence() {
        let draft = Draft { gateway: "foo".into(), ..Draft::default() };
        let answer = super::super::story::Answer {
            id: "a".into(),
            outcome: "done".into(),
            reason: None,
            message: String::new(),
            pod: None,
        };
        let story = |sent, retries, answers: usize| Story {
            sent,
            retries,
            answers: vec![answer.clone(); answers],
            ..Story::default()
        };
        assert_eq!(told(&story(1, 0, 0), &draft), "Sent once: waiting for a client of \"foo\".");
        assert_eq!(told(&story(1, 3, 1), &draft), "Sent once, retried 3 times, answered once.");
        assert_eq!(told(&story(2, 0, 2), &draft), "Sent twice, answered twice with one and the same event.");
        assert_eq!(told(&story(2, 0, 1), &draft), "Sent twice, answered once. One delivery is under way.");
    }
}
