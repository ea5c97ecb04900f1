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
use crate::kubernetes::{Api, Retry, Token, Verdict, settled};
use crate::lifecycle::{Lifecycle, Report};
use crate::log::{Entry, Kind};
use crate::outbound::{Answer, Bounds, Outbound, retry_after};
use crate::provision::{Outcome, Provisioning};
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
pub(super) struct Delivery<'a> {
    route: Route,
    /// The sender's token, if it was reviewed.
    sender: Option<&'a str>,
    mode: Mode,
    ty: String,
    context: Context,
    /// `None` if there is nothing to do.
    command: Option<Command>,
}

/// How a delivery ended: its response, and what the log says.
struct End {
    response: Response<Vec<u8>>,
    outcome: Kind,
    failure: Option<Failure>,
}

impl<'a> Delivery<'a> {
    pub(super) fn new(route: Route, sender: Option<&'a str>, received: Received) -> Self {
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
        Self { route, sender, mode, ty, context, command }
    }

    /// Handles the delivery.
    pub(super) async fn end(self, surroundings: &Surroundings<'_>, outbound: &impl Outbound) -> Answered {
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
            Ok(config) => Means::new(&self, &config, surroundings, outbound).settle(command).await,
            Err(missing) => {
                let response = response::problem(StatusCode::SERVICE_UNAVAILABLE, &missing);
                Answered::logged(response, Entry { message: Some(missing), ..self.entry(Kind::Retry) })
            }
        }
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
            api_calls: self.sender.is_some().into(),
            dead_letter: self.route == Route::DeadLetter,
            // A line might quote the sender's token.
            redactor: Redactor::new(self.sender),
            ..Entry::default()
        }
    }
}

/// What a delivery works with.
struct Means<'a, O> {
    delivery: &'a Delivery<'a>,
    config: &'a Config,
    token: Result<Token, String>,
    sink_token: Result<Option<Token>, String>,
    redactor: Redactor,
    now: DateTime<Utc>,
    outbound: Counting<'a, O>,
}

impl<'a, O: Outbound> Means<'a, O> {
    fn new(delivery: &'a Delivery, config: &'a Config, surroundings: &Surroundings<'_>, outbound: &'a O) -> Self {
        let token = surroundings.token(config);
        let sink_token = config.sink.as_ref().map_or(Ok(None), |_| surroundings.sink_token());
        let secrets = [token.as_ref().ok(), sink_token.as_ref().ok().and_then(Option::as_ref)];
        let redactor = Redactor::new(secrets.into_iter().flatten().map(Token::secret).chain(delivery.sender));
        // The review of the sender's token was a call.
        let outbound = Counting { inner: outbound, calls: Cell::new(delivery.sender.is_some().into()) };
        Self { delivery, config, token, sink_token, redactor, now: surroundings.now, outbound }
    }

    async fn settle(&self, command: &Command) -> Answered {
        let end = match command {
            Command::Schedule(gateway) => self.schedule(gateway).await,
            Command::Terminate(client) => self.terminate(client).await,
            Command::Report(pod, is_deletion) => self.report(pod, *is_deletion).await,
            Command::Sweep => self.sweep().await,
        };
        let pod = match command {
            Command::Schedule(gateway) => gateway.is_ok().then(|| self.delivery.context.pod_name()),
            Command::Terminate(client) => client.as_ref().ok().map(Context::pod_name),
            Command::Report(pod, _) => Some(pod.metadata.name.clone()),
            Command::Sweep => None,
        };
        // An answer without a call says nothing about a Pod.
        let api_calls = self.outbound.calls.get();
        let pod = pod.filter(|_| api_calls > self.delivery.sender.is_some().into() || end.is_err());
        let entry = Entry {
            namespace: pod.as_ref().map(|_| self.config.client_namespace.clone()),
            pod,
            api_calls,
            redactor: self.redactor.clone(),
            ..self.delivery.entry(Kind::Retry)
        };
        match end {
            Ok(End { response, outcome, failure }) => {
                let (reason, message) = failure.map(|failure| (failure.reason, failure.message)).unzip();
                Answered::logged(response, Entry { outcome, reason, message, ..entry })
            }
            Err(retry) => Answered::logged(response::retry(&retry), Entry { message: Some(retry.cause), ..entry }),
        }
    }

    async fn schedule(&self, gateway: &Result<String, Failure>) -> Result<End, Retry> {
        let outcome = settled(self.client(gateway).await)?;
        let (context, gateway) = (&self.delivery.context, gateway.as_deref().ok());
        let event = reply::scheduling(context, gateway, &outcome, self.config.gateway_verification, self.now);
        self.end(event, outcome.err()).await
    }

    /// Provisions or settles the requested client. An invalid request fails without a call.
    async fn client(&self, gateway: &Result<String, Failure>) -> Outcome {
        let context = &self.delivery.context;
        let pending = Pending::new(context, gateway.as_ref().map_err(Clone::clone)?, self.config)?;
        let is_expired = is_expired(context, self.now)?;
        let provisioning = Provisioning { pending: &pending, cluster: &self.cluster()? };
        match self.delivery.route {
            Route::DeadLetter => provisioning.settle_or(undeliverable(context).into()).await,
            // An earlier delivery may have created the Pod in time: then that is this event's answer.
            Route::Subscriber if is_expired => provisioning.settle_or(expired().into()).await,
            Route::Subscriber => provisioning.provision().await,
        }
    }

    async fn terminate(&self, client: &Result<Context, Failure>) -> Result<End, Retry> {
        let context = &self.delivery.context;
        let ended = async {
            let client = client.as_ref().map_err(Clone::clone)?;
            let lifecycle = Lifecycle { cluster: &self.cluster()?, now: self.now };
            lifecycle.terminate(client, &context.answer_id(reply::TERMINATED)).await
        };
        let ended = settled(ended.await)?;
        let event = reply::termination(context, client.as_ref().ok(), &ended, self.now);
        self.end(event, ended.err()).await
    }

    fn cluster(&self) -> Result<Cluster<'_, Counting<'a, O>>, Verdict> {
        let token = self.token.as_ref().map_err(Verdict::heals)?;
        let api = Api::new(self.config, token, self.delivery.context.trace());
        Ok(Cluster { config: self.config, api, outbound: &self.outbound })
    }

    async fn report(&self, pod: &Observed, is_deletion: bool) -> Result<End, Retry> {
        let cluster = self.cluster()?;
        let lifecycle = Lifecycle { cluster: &cluster, now: self.now };
        let tell = async |event| self.tell(event).await.map(drop);
        let Some(Report { event, is_end, pod }) = lifecycle.report(pod, is_deletion, &tell).await? else {
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
            return Ok(response::respond(StatusCode::OK, self.redacted(write(&event, self.delivery.mode))));
        };
        let token = self.sink_token.as_ref().map_err(Retry::because)?.as_ref().map(Token::header);
        let message = self.redacted(write(&sink.overridden(event), self.delivery.mode));
        let request = sink.request(message, self.delivery.context.trace(), token);
        let answer = self.outbound.inner.send(request, self.config.bounds()).await;
        let retry_after = answer.as_ref().ok().and_then(retry_after);
        Sink::read_answer(answer).map_err(|problem| Retry { retry_after, ..Retry::because(problem.to_string()) })?;
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
