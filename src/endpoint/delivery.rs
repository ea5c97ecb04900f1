//! One delivery of an event, and how it ends.

use std::cell::Cell;

use chrono::{DateTime, Utc};
use cloudevents::Event;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode};

use super::{Answered, Surroundings};
use crate::cloudevents::{Mode, Received, write};
use crate::cluster::Cluster;
use crate::config::Config;
use crate::context::Context;
use crate::event::{self, Pending, expired, is_expired, undeliverable};
use crate::kubernetes::{Api, Retry, Token, settled};
use crate::lifecycle::{Lifecycle, Report};
use crate::log::{Entry, Kind};
use crate::outbound::{Answer, Bounds, Outbound};
use crate::provision::Provisioning;
use crate::reason::Failure;
use crate::reply;
use crate::response;
use crate::sink::Sink;
use crate::state::Observed;
use crate::text::{Redactor, cut};

/// The longest text of an event that is kept for the log, in bytes.
const LONGEST_TEXT: usize = 2_048;

/// What the log says about a hint without a Pod.
const NO_POD: &str = "its data is not a Pod: the ApiServerSource needs mode Resource, and only Pods as its resources";

const NO_SINK: &str = "set k_sink, which a SinkBinding does: dead letters and sweeps are answered through the sink, because \
                       Knative discards what a dead letter sink answers";

/// The route by which an event came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// To the Trigger's subscriber.
    Subscriber,
    /// To the Trigger's dead letter sink, after the broker gave up.
    DeadLetter,
}

/// What an event asks for.
enum Command {
    /// A client of this gateway.
    Schedule(Result<String, Failure>),
    /// The end of the client of this pending event.
    Terminate(Result<Context, Failure>),
    /// A report on this Pod, and whether it was deleted.
    Report(Box<Observed>, bool),
    /// A sweep of all clients.
    Sweep,
}

/// An event, as far as the delivery needs it.
pub(super) struct Delivery {
    route: Route,
    mode: Mode,
    ty: String,
    context: Context,
    /// Removes the sender's token, which a line of the log might quote.
    redactor: Redactor,
    /// `None` if there is nothing to do.
    command: Option<Command>,
}

/// How a delivery ended: its response, and what the log says.
struct End {
    response: Response<Vec<u8>>,
    outcome: Kind,
    failure: Option<Failure>,
}

impl Delivery {
    pub(super) fn new(route: Route, received: Received, redactor: Redactor) -> Self {
        let Received { ty, context, data, mode } = received;
        let report = |is_deletion| Some(Command::Report(event::observed(&data)?, is_deletion));
        let command = match ty.as_str() {
            event::PENDING => Some(Command::Schedule(event::requested_gateway(&data))),
            event::TERMINATION => Some(Command::Terminate(event::pending_event(&data))),
            // No sweep finds a deleted Pod, so this dead letter counts too.
            event::DELETED => report(true),
            // The next sweep finds what the others would have reported.
            _ if route == Route::DeadLetter => None,
            event::PING => Some(Command::Sweep),
            event::ADDED | event::UPDATED => report(false),
            _ => None,
        };
        Self { route, mode, ty, context, redactor, command }
    }

    /// Handles the delivery. `sender` is the sender's token, if it was reviewed.
    pub(super) async fn end(
        self,
        sender: Option<&str>,
        surroundings: &Surroundings<'_>,
        outbound: &impl Outbound,
    ) -> Answered {
        let Some(command) = &self.command else {
            let is_hint = self.route == Route::Subscriber && self.ty.starts_with(event::HINTS);
            let entry = Entry { message: is_hint.then(|| NO_POD.to_owned()), ..self.entry(Kind::Ignored) };
            return Answered::logged(response::empty(StatusCode::ACCEPTED), entry);
        };
        let needs_sink = self.route == Route::DeadLetter || matches!(command, Command::Sweep);
        let config = surroundings.config().and_then(|config| match needs_sink && config.sink.is_none() {
            true => Err(NO_SINK.to_owned()),
            false => Ok(config),
        });
        match config {
            Ok(config) => self.settle(command, &Means::new(&self, sender, &config, surroundings, outbound)).await,
            Err(missing) => {
                let response = response::problem(StatusCode::SERVICE_UNAVAILABLE, &missing);
                Answered::logged(response, Entry { message: Some(missing), ..self.entry(Kind::Retry) })
            }
        }
    }

    async fn settle(&self, command: &Command, means: &Means<'_, impl Outbound>) -> Answered {
        let end = match command {
            Command::Schedule(gateway) => self.schedule(gateway, means).await,
            Command::Terminate(client) => self.terminate(client, means).await,
            Command::Report(pod, is_deletion) => means.report(pod, *is_deletion).await,
            Command::Sweep => means.sweep().await,
        };
        let pod = match command {
            Command::Schedule(gateway) => gateway.is_ok().then(|| self.context.pod_name()),
            Command::Terminate(client) => client.as_ref().ok().map(Context::pod_name),
            Command::Report(pod, _) => Some(pod.metadata.name.clone()),
            Command::Sweep => None,
        };
        // An answer without a call says nothing about a Pod.
        let api_calls = means.outbound.calls.get();
        let pod = pod.filter(|_| api_calls > 0 || end.is_err());
        let entry = Entry {
            namespace: pod.as_ref().map(|_| means.config.client_namespace.clone()),
            pod,
            api_calls,
            redactor: means.redactor.clone(),
            ..self.entry(Kind::Retry)
        };
        match end {
            Ok(End { response, outcome, failure }) => {
                let (reason, message) = failure.map(|failure| (failure.reason, failure.message)).unzip();
                Answered::logged(response, Entry { outcome, reason, message, ..entry })
            }
            Err(retry) => Answered::logged(response::retry(&retry), Entry { message: Some(retry.cause), ..entry }),
        }
    }

    async fn schedule(
        &self,
        gateway: &Result<String, Failure>,
        means: &Means<'_, impl Outbound>,
    ) -> Result<End, Retry> {
        let outcome = match self.pending(gateway, means) {
            // An invalid request fails without a call.
            Err(failure) => Err(failure.into()),
            Ok((pending, is_expired)) => {
                let provisioning = Provisioning { pending: &pending, cluster: &means.cluster()? };
                match self.route {
                    Route::DeadLetter => provisioning.settle_or(undeliverable(&self.context).into()).await,
                    // An earlier delivery may have created the Pod in time: then that is this event's answer.
                    Route::Subscriber if is_expired => provisioning.settle_or(expired().into()).await,
                    Route::Subscriber => provisioning.provision().await,
                }
            }
        };
        let (outcome, gateway) = (settled(outcome)?, gateway.as_deref().ok());
        let verification = means.config.gateway_verification;
        let event = reply::scheduling(&self.context, gateway, &outcome, verification, means.now);
        means.end(event, outcome.err()).await
    }

    /// The requested client, and whether the event has expired.
    fn pending<'a>(
        &'a self,
        gateway: &'a Result<String, Failure>,
        means: &Means<'_, impl Outbound>,
    ) -> Result<(Pending<'a>, bool), Failure> {
        let gateway = gateway.as_ref().map_err(Clone::clone)?;
        let pending = Pending::new(&self.context, gateway, means.config)?;
        Ok((pending, is_expired(&self.context, means.now)?))
    }

    async fn terminate(
        &self,
        client: &Result<Context, Failure>,
        means: &Means<'_, impl Outbound>,
    ) -> Result<End, Retry> {
        let ended = match client {
            Ok(client) => {
                let lifecycle = Lifecycle { cluster: &means.cluster()?, now: means.now };
                lifecycle.terminate(client, &self.context.answer_id(reply::TERMINATED)).await
            }
            Err(failure) => Err(failure.clone().into()),
        };
        let ended = settled(ended)?;
        let event = reply::termination(&self.context, client.as_ref().ok(), &ended, means.now);
        means.end(event, ended.err()).await
    }

    /// What every log line says about the event.
    fn entry(&self, outcome: Kind) -> Entry {
        let text = |text: &str| Some(cut(text, LONGEST_TEXT).to_owned());
        let gateway = if let Some(Command::Schedule(Ok(gateway))) = &self.command { text(gateway) } else { None };
        Entry {
            outcome,
            event_source: text(&self.context.source),
            event_id: text(&self.context.id),
            event_type: text(&self.ty),
            gateway,
            trace_id: self.context.trace_id().map(str::to_owned),
            dead_letter: self.route == Route::DeadLetter,
            redactor: self.redactor.clone(),
            ..Entry::default()
        }
    }
}

/// What a delivery works with.
struct Means<'a, O> {
    config: &'a Config,
    token: Result<Token, String>,
    sink_token: Result<Option<Token>, String>,
    redactor: Redactor,
    now: DateTime<Utc>,
    mode: Mode,
    trace: HeaderMap,
    outbound: Counting<'a, O>,
}

impl<'a, O: Outbound> Means<'a, O> {
    fn new(
        delivery: &Delivery,
        sender: Option<&str>,
        config: &'a Config,
        surroundings: &Surroundings<'_>,
        outbound: &'a O,
    ) -> Self {
        let token = surroundings.token(config);
        let sink_token = config.sink.as_ref().map_or(Ok(None), |_| surroundings.sink_token());
        let secrets = [token.as_ref().ok(), sink_token.as_ref().ok().and_then(Option::as_ref)];
        let redactor = Redactor::new(secrets.into_iter().flatten().map(Token::secret).chain(sender));
        let (mode, trace) = (delivery.mode, delivery.context.trace());
        // The review of the sender's token was a call.
        let outbound = Counting { inner: outbound, calls: Cell::new(sender.is_some().into()) };
        Self { config, token, sink_token, redactor, now: surroundings.now, mode, trace, outbound }
    }

    fn cluster(&self) -> Result<Cluster<'_, Counting<'a, O>>, Retry> {
        let token = self.token.as_ref().map_err(Retry::because)?;
        let api = Api::new(self.config, token, self.trace.clone());
        Ok(Cluster { config: self.config, api, outbound: &self.outbound })
    }

    async fn report(&self, pod: &Observed, is_deletion: bool) -> Result<End, Retry> {
        let cluster = self.cluster()?;
        let lifecycle = Lifecycle { cluster: &cluster, now: self.now };
        let Some(Report { event, is_end, pod }) = lifecycle.report(pod, is_deletion).await? else {
            return Ok(End { response: response::empty(StatusCode::ACCEPTED), outcome: Kind::Ignored, failure: None });
        };
        let response = self.tell(event).await?;
        // Nobody knows whether a response arrives, so only what a sink has taken is recorded.
        if let Some(pod) = pod.filter(|_| self.config.sink.is_some()) {
            lifecycle.note(&pod, is_end).await?;
        }
        let outcome = if is_end { Kind::Ended } else { Kind::Running };
        Ok(End { response, outcome, failure: None })
    }

    async fn sweep(&self) -> Result<End, Retry> {
        let tell = async |event| self.tell(event).await.map(drop);
        Lifecycle { cluster: &self.cluster()?, now: self.now }.sweep(&tell).await?;
        Ok(End { response: response::empty(StatusCode::ACCEPTED), outcome: Kind::Swept, failure: None })
    }

    /// The end of a delivery with this answer.
    async fn end(&self, event: Event, failure: Option<Failure>) -> Result<End, Retry> {
        let outcome = if failure.is_some() { Kind::Failed } else { Kind::Done };
        Ok(End { response: self.tell(event).await?, outcome, failure })
    }

    /// Gives an event to the sink if there is one, or makes it the response.
    async fn tell(&self, event: Event) -> Result<Response<Vec<u8>>, Retry> {
        let Some(sink) = &self.config.sink else {
            return Ok(response::respond(StatusCode::OK, self.redacted(write(&event, self.mode))));
        };
        let token = self.sink_token.as_ref().map_err(Retry::because)?.as_ref().map(Token::header);
        let message = self.redacted(write(&sink.overridden(event), self.mode));
        let request = sink.request(message, self.trace.clone(), token);
        let answer = self.outbound.inner.send(request, self.config.bounds()).await;
        Sink::read_answer(answer).map_err(|problem| Retry::because(problem.to_string()))?;
        Ok(response::empty(StatusCode::ACCEPTED))
    }

    /// Removes tokens from a message.
    fn redacted(&self, (mut headers, body): (HeaderMap, Vec<u8>)) -> (HeaderMap, Vec<u8>) {
        for value in headers.values_mut() {
            if let Some(clean) = self.redactor.header(value) {
                *value = clean;
            }
        }
        (headers, self.redactor.bytes(body))
    }
}

/// Counts the calls.
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
