//! One delivery of an event, and its one end.

use std::cell::Cell;

use chrono::{DateTime, Utc};
use cloudevents::Event;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode};

use super::{Answered, Surroundings};
use crate::cloudevents::{Extensions, Mode, Received, write};
use crate::config::Config;
use crate::context::Context;
use crate::event::{PENDING, Pending, expired, is_expired, requested_gateway, undeliverable};
use crate::kubernetes::{Api, Retry};
use crate::log::{Entry, Kind};
use crate::outbound::{Answer, Bounds, Outbound};
use crate::provision::{Outcome, Provisioning};
use crate::reason::Failure;
use crate::sink::Sink;
use crate::text::{Redactor, cut};
use crate::{reply, response};

/// The longest text that is told, in bytes.
const LONGEST_MESSAGE: usize = 2_048;

const NO_SINK: &str = "dead letters are settled by way of a sink, because Knative throws away what a dead letter sink \
                       answers: set k_sink, which a SinkBinding does";

/// By which way an event comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// As the Trigger's subscriber.
    Subscriber,
    /// As the Trigger's dead letter sink, after the broker gave up.
    DeadLetter,
}

/// An event, read once: everything that its end needs to know of it.
pub(super) struct Delivery {
    route: Route,
    mode: Mode,
    ty: String,
    context: Context,
    extensions: Extensions,
    /// The gateway asked for, of a pending event.
    gateway: Result<String, Failure>,
}

/// How a pending event ended, and what it took.
struct Ended {
    outcome: Outcome,
    /// The name of the client's Pod, where one may be had.
    pod: Option<String>,
    api_calls: u32,
    redactor: Redactor,
}

impl Delivery {
    pub(super) fn new(route: Route, received: Received) -> Self {
        let Received { ty, context, extensions, data, mode } = received;
        Self { route, mode, ty, context, extensions, gateway: requested_gateway(&data) }
    }

    /// Brings the delivery to its end.
    pub(super) async fn end(self, surroundings: &Surroundings<'_>, outbound: &impl Outbound) -> Answered {
        if self.ty != PENDING {
            return Answered::logged(response::empty(StatusCode::ACCEPTED), self.entry(Kind::Ignored));
        }
        let config = surroundings.config().and_then(|config| match (self.route, &config.sink) {
            (Route::DeadLetter, None) => Err(NO_SINK.to_owned()),
            _ => Ok(config),
        });
        match config {
            Ok(config) => {
                let ended = self.settle(&config, surroundings, outbound).await;
                self.tell(ended, &config, surroundings.now, outbound).await
            }
            Err(missing) => {
                let response = response::problem(StatusCode::SERVICE_UNAVAILABLE, &missing);
                Answered::logged(response, Entry { message: Some(missing), ..self.entry(Kind::Retry) })
            }
        }
    }

    async fn settle(&self, config: &Config, surroundings: &Surroundings<'_>, outbound: &impl Outbound) -> Ended {
        let ended = |outcome| Ended { outcome, pod: None, api_calls: 0, redactor: Redactor::default() };
        let (pending, is_expired) = match self.pending(config, surroundings.now) {
            Ok(pending) => pending,
            Err(failure) => return ended(Outcome::Failed(failure)),
        };
        let pod = Some(pending.pod_name.clone());
        let token = match surroundings.token(config) {
            Ok(token) => token,
            Err(problem) => return Ended { pod, ..ended(Outcome::Retry(Retry::because(problem))) },
        };
        let outbound = Counting { inner: outbound, calls: Cell::new(0) };
        let api = Api::new(config, &token, self.context.trace());
        let provisioning = Provisioning { pending: &pending, config, api, outbound: &outbound };
        let outcome = match self.route {
            Route::DeadLetter => provisioning.settle_or(Outcome::Failed(undeliverable(&self.extensions))).await,
            // An earlier delivery may have made the Pod while there was time: then that is this event's answer.
            Route::Subscriber if is_expired => provisioning.settle_or(Outcome::Failed(expired())).await,
            Route::Subscriber => provisioning.provision().await,
        };
        Ended { pod, api_calls: outbound.calls.get(), redactor: Redactor::new(token.secret()), outcome }
    }

    /// The client asked for, and whether it is too late for it.
    fn pending(&self, config: &Config, now: DateTime<Utc>) -> Result<(Pending<'_>, bool), Failure> {
        let gateway = self.gateway.as_ref().map_err(Clone::clone)?;
        let pending = Pending::new(&self.context, gateway, config)?;
        Ok((pending, is_expired(&self.extensions, now)?))
    }

    /// Tells the end: to the sink where there is one, to whoever delivered, and to the log.
    async fn tell(&self, ended: Ended, config: &Config, now: DateTime<Utc>, outbound: &impl Outbound) -> Answered {
        let told = match self.reply(&ended, config, now) {
            Ok(reply) => self.send(reply, &ended.redactor, config, outbound).await,
            Err(retry) => Err(retry),
        };
        let entry = Entry {
            namespace: ended.pod.as_ref().map(|_| config.client_namespace.clone()),
            pod: ended.pod,
            api_calls: ended.api_calls,
            redactor: ended.redactor,
            ..self.entry(Kind::Done)
        };
        match (told, ended.outcome) {
            (Err(retry), _) => {
                let response = response::retry(&retry);
                Answered::logged(response, Entry { outcome: Kind::Retry, message: Some(retry.cause), ..entry })
            }
            (Ok(response), Outcome::Failed(Failure { reason, message })) => {
                let (reason, message) = (Some(reason), Some(message));
                Answered::logged(response, Entry { outcome: Kind::Failed, reason, message, ..entry })
            }
            (Ok(response), _) => Answered::logged(response, entry),
        }
    }

    /// The event that tells the outcome; none while something may heal.
    fn reply(&self, ended: &Ended, config: &Config, now: DateTime<Utc>) -> Result<Event, Retry> {
        let gateway = self.gateway.as_deref().ok();
        match &ended.outcome {
            Outcome::Done(pod) => {
                Ok(reply::done(&self.context, gateway.unwrap_or_default(), pod, config.gateway_verification, now))
            }
            Outcome::Failed(failure) => {
                let message = cut(&failure.message, LONGEST_MESSAGE);
                Ok(reply::failed(&self.context, gateway, &Failure::new(failure.reason, message), now))
            }
            Outcome::Retry(retry) => Err(retry.clone()),
        }
    }

    /// Hands the reply to the sink, where there is one, or else makes it the response.
    async fn send(
        &self,
        reply: Event,
        redactor: &Redactor,
        config: &Config,
        outbound: &impl Outbound,
    ) -> Result<Response<Vec<u8>>, Retry> {
        let Some(sink) = &config.sink else {
            return Ok(response::respond(StatusCode::OK, redacted(write(&reply, self.mode), redactor)));
        };
        let reply = redacted(write(&sink.overridden(reply), self.mode), redactor);
        let answer = outbound.send(sink.request(reply, self.context.trace()), config.bounds()).await;
        Sink::read_answer(answer).map_err(|problem| Retry::because(problem.to_string()))?;
        Ok(response::empty(StatusCode::ACCEPTED))
    }

    /// What the log says of the event, whatever becomes of it.
    fn entry(&self, outcome: Kind) -> Entry {
        let text = |text: &str| Some(cut(text, LONGEST_MESSAGE).to_owned());
        Entry {
            outcome,
            event_source: text(&self.context.source),
            event_id: text(&self.context.id),
            event_type: text(&self.ty),
            gateway: self.gateway.as_deref().ok().and_then(text),
            trace_id: self.context.trace_id().map(str::to_owned),
            dead_letter: self.route == Route::DeadLetter,
            ..Entry::default()
        }
    }
}

/// A message without the token, whatever it quotes.
fn redacted((mut headers, body): (HeaderMap, Vec<u8>), redactor: &Redactor) -> (HeaderMap, Vec<u8>) {
    for value in headers.values_mut() {
        if let Some(clean) = redactor.header(value) {
            *value = clean;
        }
    }
    (headers, redactor.bytes(body))
}

/// Counts the calls that go through.
struct Counting<'a, O> {
    inner: &'a O,
    calls: Cell<u32>,
}

impl<O: Outbound> Outbound for Counting<'_, O> {
    async fn send(&self, request: Request<Vec<u8>>, bounds: Bounds) -> Answer {
        self.calls.set(self.calls.get() + 1);
        self.inner.send(request, bounds).await
    }
}
