//! The page over HTTP.
//!
//! `GET /` is the page, with the event of its query if that names one; `POST /events` sends an event and leads back to
//! the page that tells what became of it; `POST /weather` changes how the embedded API behaves, and `POST /clients` ends a
//! client; `GET /changes` is a stream of server-sent events, each the part of the page that changes, anew. Everything else
//! is a style, a script, or not there.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Form, Query, State};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use super::act::{Act, Weather};
use super::draft::Draft;
use super::{Watched, view};
use crate::sync::lock;

/// How long changes are gathered before the next are told: a burst is seen as such, and browsers keep up.
const BREATH: Duration = Duration::from_millis(100);

/// Nothing from elsewhere, and no script or style in the text of a page that shows what others have sent.
const POLICY: &str = "default-src 'none'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
    base-uri 'none'; img-src data:; script-src 'self'; style-src 'self'";

const STYLE: &str = include_str!("assets/page.css");
const SCRIPT: &str = include_str!("assets/page.js");

type Site = State<Arc<Watched>>;

/// The routes of the page about `watched`.
pub fn router(watched: Arc<Watched>) -> Router {
    let doors = watched.config.doors.clone();
    let router = Router::new()
        .route("/", get(page))
        .route("/events", post(send))
        .route("/weather", post(change_weather))
        .route("/clients", post(end_client))
        .route("/changes", get(changes))
        .route("/page.css", get(([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
        .route("/page.js", get(([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)))
        .with_state(watched);
    doors.guard(router, |why| (StatusCode::FORBIDDEN, why).into_response()).layer(middleware::map_response(protect))
}

/// Tells the browser to load nothing from elsewhere, and to keep nothing.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn page(State(watched): Site, Query(sent): Query<Draft>) -> Html<String> {
    Html(view::page(&watched, &sent, &sent.next(), ""))
}

async fn send(State(watched): Site, Form(draft): Form<Draft>) -> Response {
    let problem = match draft.event().map(|event| watched.broker.publish(event)) {
        Ok(true) => return lead_back(&draft.query()),
        Ok(false) => "The broker did not take the event.".to_owned(),
        Err(problem) => problem,
    };
    (StatusCode::BAD_REQUEST, Html(view::page(&watched, &Draft::default(), &draft, &problem))).into_response()
}

#[derive(Deserialize)]
struct Change {
    weather: Weather,
    /// The query of the page that it was changed from, to lead back there.
    #[serde(default)]
    back: String,
}

async fn change_weather(State(watched): Site, Form(change): Form<Change>) -> Response {
    let Some(api) = &watched.api else {
        return (StatusCode::NOT_FOUND, "only the embedded Kubernetes API can be made to fail").into_response();
    };
    change.weather.set(api);
    watched.changed.send_replace(());
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

async fn end_client(State(watched): Site, Form(ending): Form<Ending>) -> Response {
    let client = lock(&watched.clients).with_uid(&ending.uid).cloned();
    match client.is_some_and(|client| ending.act.on(&client, &watched)) {
        true => lead_back(&ending.back),
        false => (StatusCode::CONFLICT, "this client does not run any more").into_response(),
    }
}

async fn changes(State(watched): Site, Query(sent): Query<Draft>) -> Response {
    let mut changed = watched.changed.subscribe();
    // Whatever came since the browser read the page is told at once.
    changed.mark_changed();
    let stream = futures::stream::unfold(changed, move |mut changed| {
        let (watched, sent) = (watched.clone(), sent.clone());
        async move {
            changed.changed().await.ok()?;
            tokio::time::sleep(BREATH).await;
            changed.mark_unchanged();
            Some((Ok::<_, Infallible>(Message::default().data(view::board(&watched, &sent))), changed))
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}
