//! The page over HTTP.
//!
//! `GET /` is the page, with the event of its query if that names one; `POST /events` sends an event and leads back to
//! the page that tells what became of it; `POST /weather` changes how the embedded API behaves, and `POST /clients` ends a client; `GET /changes` is a
//! stream of server-sent events, each the part of the page that changes, anew. Everything else is a style, a script, or
//! not there.

use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{Form, Query, State};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use tokio::sync::watch;

use super::Watched;
use super::act::Act;
use super::draft::Draft;
use super::view::{self, Board};
use super::weather::Weather;

/// How long changes are gathered before the next are told: a burst is seen as such, and browsers keep up.
const BREATH: Duration = Duration::from_millis(100);

/// Nothing from elsewhere, and no script or style in the text of a page that shows what others have sent.
const POLICY: &str = "default-src 'none'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'; img-src data:; script-src 'self'; style-src 'self'";

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

#[derive(Clone)]
struct Site {
    watched: Arc<Watched>,
    changed: Weak<watch::Sender<u64>>,
}

/// The routes of the page about `watched`, which rings `changed`.
pub fn router(watched: Arc<Watched>, changed: Weak<watch::Sender<u64>>) -> Router {
    let doors = watched.config.doors.clone();
    let router = Router::new()
        .route("/", get(page))
        .route("/events", post(send))
        .route("/weather", post(change_weather))
        .route("/clients", post(end_client))
        .route("/changes", get(changes))
        .route("/page.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/page.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .with_state(Site { watched, changed });
    doors.guard(router, |why| (StatusCode::FORBIDDEN, why).into_response()).layer(middleware::map_response(protect))
}

/// Tells the browser to load nothing from elsewhere, and to keep nothing.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn asset(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, media_type)], text)
}

async fn page(State(site): State<Site>, Query(sent): Query<Draft>) -> Html<String> {
    let draft = sent.next();
    Html(view::page(&Board::of(&site.watched, &sent), &draft, None).into_string())
}

async fn send(State(site): State<Site>, Form(draft): Form<Draft>) -> Response {
    let publish = |event| match site.watched.broker.publish(event) {
        true => Ok(()),
        false => Err("The broker did not take the event.".to_owned()),
    };
    match draft.event().and_then(publish) {
        Ok(()) => Redirect::to(&format!("/?{}", query(&draft))).into_response(),
        Err(problem) => {
            let board = Board::of(&site.watched, &Draft::default());
            let page = view::page(&board, &draft, Some(&problem)).into_string();
            (StatusCode::BAD_REQUEST, Html(page)).into_response()
        }
    }
}

/// The query of the page that tells what became of a draft.
pub fn query(draft: &Draft) -> String {
    let fields =
        [("source", &draft.source), ("id", &draft.id), ("gateway", &draft.gateway), ("message", &draft.message)];
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[derive(Deserialize)]
struct Change {
    weather: Weather,
    /// The query of the page that it was changed from, to lead back there.
    #[serde(default)]
    back: String,
}

async fn change_weather(State(site): State<Site>, Form(change): Form<Change>) -> Response {
    let Some(api) = &site.watched.api else {
        return (StatusCode::NOT_FOUND, "only the embedded Kubernetes API can be made to fail").into_response();
    };
    change.weather.set(api);
    if let Some(changed) = site.changed.upgrade() {
        changed.send_modify(|count| *count += 1);
    }
    lead_back(&change.back)
}

/// Only ever to this page's own query, so that the redirect can't lead elsewhere.
fn lead_back(query: &str) -> Response {
    Redirect::to(&format!("/?{}", query.trim_start_matches('?'))).into_response()
}

#[derive(Deserialize)]
struct Ending {
    act: Act,
    uid: String,
    #[serde(default)]
    back: String,
}

async fn end_client(State(site): State<Site>, Form(ending): Form<Ending>) -> Response {
    let client = site.watched.clients().with_uid(&ending.uid).cloned();
    match client.is_some_and(|client| ending.act.on(&client, &site.watched)) {
        true => lead_back(&ending.back),
        false => (StatusCode::CONFLICT, "this client does not run any more").into_response(),
    }
}

async fn changes(State(site): State<Site>, Query(sent): Query<Draft>) -> Response {
    let Some(changed) = site.changed.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let mut receiver = changed.subscribe();
    drop(changed);
    // Whatever came since the browser read the page is told at once.
    receiver.mark_changed();
    let stream = futures::stream::unfold(receiver, move |mut receiver| {
        let (watched, sent) = (site.watched.clone(), sent.clone());
        async move {
            receiver.changed().await.ok()?;
            tokio::time::sleep(BREATH).await;
            receiver.mark_unchanged();
            let board = view::board(&Board::of(&watched, &sent)).into_string();
            Some((Ok::<_, Infallible>(Message::default().data(board)), receiver))
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}
