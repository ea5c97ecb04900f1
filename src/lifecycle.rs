//! A client's life after its release: reports that it runs and that it has ended, ends it on request, and deletes its
//! Pod later.
//!
//! The Pod is the only state, as for provisioning. An event about a Pod is only a hint; the Pod itself says what is
//! true. [`Lifecycle::sweep`] looks at every client and finds what no hint reported. `docs/architecture.md`, "A
//! client's life".

use chrono::{DateTime, Utc};
use cloudevents::Event;

use crate::cluster::Cluster;
use crate::config::Verification;
use crate::context::Context;
use crate::event::{Pending, forgotten};
use crate::kubernetes::{Call, Retry, Verdict, read_page, verdict};
use crate::outbound::{NoAnswer, Outbound};
use crate::pod::{Metadata, OWED, Pod, REPORTED, TERMINATION};
use crate::provision::{Outcome, Provisioning};
use crate::reason::{Failure, Reason};
use crate::reply;
use crate::state::{Observed, State};

/// The largest number of clients in one `LIST`.
const PAGE: usize = 50;

/// The clients of a cluster at one time.
pub struct Lifecycle<'a, O> {
    /// The cluster.
    pub cluster: &'a Cluster<'a, O>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Gives an event to the sink.
pub trait Tell: AsyncFn(Event) -> Result<(), Retry> {}

impl<T: AsyncFn(Event) -> Result<(), Retry>> Tell for T {}

/// A report on a client.
#[derive(Clone, Debug)]
pub struct Report {
    /// The event.
    pub event: Event,
    /// Whether the client has ended.
    pub is_end: bool,
    /// The Pod that is annotated once the report is sent; `None` if it is gone.
    pub pod: Option<Metadata>,
}

impl<O: Outbound> Lifecycle<'_, O> {
    /// The report on the client that a hint is about; `None` if it was sent already or the Pod isn't a client.
    ///
    /// The hint's own state only counts if it says that the Pod was deleted and the Pod is really gone. No sweep can
    /// send what such a Pod owes any more, so that is sent first.
    ///
    /// # Errors
    /// Why the Pod can't be read.
    pub async fn report(&self, hint: &Observed, is_deletion: bool, tell: &impl Tell) -> Result<Option<Report>, Retry> {
        let metadata = &hint.metadata;
        let is_here = metadata.namespace == self.cluster.config.client_namespace;
        let Some(context) = metadata.context().filter(|_| is_here) else { return Ok(None) };
        let found: Result<Observed, _> =
            self.cluster.pod(Call::Get, &metadata.name, self.cluster.api.get(&metadata.name)).await;
        match found {
            Ok(found) if !is_deletion || found.metadata.uid == metadata.uid => {
                let Some(context) = found.metadata.context() else { return Ok(None) };
                let unsent = self.unsent(&found, &context, &found.state());
                Ok(unsent.map(|(event, is_end)| Report { event, is_end, pod: Some(found.metadata) }))
            }
            // A gated client never ran, so it has no end.
            Ok(_) | Err(Verdict::NotFound(_)) if is_deletion => {
                if metadata.annotation(OWED).is_some() {
                    self.tell_done(metadata, &context, tell).await?;
                }
                let state = if hint.is_gated() { hint.state() } else { State::Ended(hint.end()) };
                let unsent = self.unsent(hint, &context, &state);
                Ok(unsent.map(|(event, is_end)| Report { event, is_end, pod: None }))
            }
            Ok(_) | Err(Verdict::NotFound(_)) => Ok(None),
            Err(verdict) => Err(verdict.into()),
        }
    }

    /// Records on the Pod that a report was sent, so that it isn't sent again.
    ///
    /// # Errors
    /// Why the Pod can't be changed.
    pub async fn note(&self, pod: &Metadata, is_end: bool) -> Result<(), Retry> {
        self.annotate(pod, REPORTED, Some(if is_end { "ended" } else { "running" })).await
    }

    async fn annotate(&self, pod: &Metadata, key: &str, value: Option<&str>) -> Result<(), Retry> {
        let request = self.cluster.api.annotate(&pod.name, Some(&pod.uid), key, value);
        Ok(or_gone(self.cluster.pod::<Observed>(Call::Annotate, &pod.name, request).await)?)
    }

    /// Ends the client of a pending event in any state, and returns whether it had a Pod. `answer_id` is the id of the
    /// answer.
    ///
    /// # Errors
    /// What becomes of the delivery otherwise.
    pub async fn terminate(&self, client: &Context, answer_id: &str) -> Result<bool, Verdict> {
        let name = client.pod_name();
        let request = self.cluster.api.annotate(&name, None, TERMINATION, Some(answer_id));
        let pod: Observed = match self.cluster.pod(Call::Annotate, &name, request).await {
            Err(Verdict::NotFound(_)) => return Ok(false),
            pod => pod?,
        };
        if !pod.metadata.belongs_to(client) {
            let message = format!("the Pod {name} belongs to another event: it is not ended");
            return Err(Failure::new(Reason::PodNameConflict, message).into());
        }
        or_gone(self.cluster.delete(Call::End, &pod.metadata, pod.is_gated()).await)?;
        Ok(true)
    }

    /// Looks at every client, page by page: sends reports that are due, settles Pods that stayed gated, and deletes
    /// Pods of clients that ended long ago.
    ///
    /// A problem with one client doesn't stop the others. The next sweep tries again.
    ///
    /// # Errors
    /// The first problem.
    pub async fn sweep(&self, tell: &impl Tell) -> Result<(), Retry> {
        let (mut limit, mut from, mut trouble) = (PAGE, String::new(), Ok(()));
        loop {
            let answer = match self.cluster.send(self.cluster.api.list(limit, &from)).await {
                // Long annotations make a page too large: ask for fewer clients.
                Err(NoAnswer::TooLarge(_)) if limit > 1 => {
                    limit = (limit / 4).max(1);
                    continue;
                }
                answer => verdict(Call::List, answer),
            };
            let page = answer.and_then(|body| read_page(&body))?;
            for pod in page.items.iter().flatten() {
                trouble = trouble.and(self.settle(pod, tell).await);
            }
            from = page.next();
            if from.is_empty() {
                return trouble;
            }
        }
    }

    async fn settle(&self, pod: &Observed, tell: &impl Tell) -> Result<(), Retry> {
        let Some(context) = pod.metadata.context() else { return Ok(()) };
        if pod.is_gated() {
            return self.settle_gated(pod, &context, tell).await;
        }
        let mut noted = Ok(());
        if pod.metadata.annotation(OWED).is_some() {
            self.tell_done(&pod.metadata, &context, tell).await?;
            noted = self.annotate(&pod.metadata, OWED, None).await;
        }
        let state = pod.state();
        if let Some((event, is_end)) = self.unsent(pod, &context, &state) {
            tell(event).await?;
            noted = noted.and(self.note(&pod.metadata, is_end).await);
        }
        // A webhook may have every note refused. What was told is told.
        if self.is_due(pod, &state) {
            or_gone(self.cluster.delete(Call::Delete, &pod.metadata, false).await)?;
        }
        noted
    }

    /// Settles a Pod that stayed gated, as the dead letter route would. Perhaps no delivery of its event comes any
    /// more, so the answer must not get lost if the sink is down: a failure is sent before its Pod is deleted, and a
    /// release is recorded until `done` is sent.
    async fn settle_gated(&self, pod: &Observed, context: &Context, tell: &impl Tell) -> Result<(), Retry> {
        if !self.is_older(&pod.metadata, 1) || pod.metadata.is_being_deleted() {
            return Ok(());
        }
        let name = &pod.metadata.name;
        let found: Pod = match self.cluster.pod(Call::Get, name, self.cluster.api.get(name)).await {
            Err(Verdict::NotFound(_)) => return tell(self.answer(&pod.metadata, context, &Err(forgotten()))).await,
            found => found?,
        };
        // Another delivery settles it, somebody deletes it, or it is somebody else's.
        let metadata = &found.metadata;
        if !found.is_gated() || metadata.is_being_deleted() || !metadata.belongs_to(context) {
            return Ok(());
        }
        let Failure { reason, message } = match self.release(&found, context).await {
            Ok(released) => {
                self.tell_done(&released, context, tell).await?;
                return self.annotate(&released, OWED, None).await;
            }
            Err(Verdict::Terminal(failure)) => failure,
            Err(passing) => return Err(passing.into()),
        };
        let failure = Failure::new(reason, format!("the Pod {name} is removed before it can run: {message}"));
        tell(self.answer(metadata, context, &Err(failure))).await?;
        Ok(or_gone(self.cluster.delete(Call::Delete, metadata, true).await)?)
    }

    async fn release(&self, pod: &Pod, context: &Context) -> Outcome {
        // Without the annotation nothing can be verified, so it is removed.
        let gateway = pod.metadata.annotation(&self.cluster.config.gateway_key).unwrap_or_default();
        let pending = Pending::new(context, gateway, self.cluster.config)?;
        Provisioning { pending: &pending, cluster: self.cluster }.release(pod, true).await
    }

    /// Sends the `done` of a Pod that a sweep released.
    async fn tell_done(&self, pod: &Metadata, context: &Context, tell: &impl Tell) -> Result<(), Retry> {
        tell(self.answer(pod, context, &Ok(pod.clone()))).await
    }

    fn answer(&self, pod: &Metadata, context: &Context, outcome: &Result<Metadata, Failure>) -> Event {
        let (config, gateway) = (self.cluster.config, pod.annotation(&self.cluster.config.gateway_key));
        reply::scheduling(context, gateway, outcome, config.gateway_verification, self.now)
    }

    /// Whether the Pod is older than this many times `client_patience`. Its event is delivered for less than one, and
    /// its dead letter, which Knative retries as often, for less than two.
    fn is_older(&self, pod: &Metadata, times: i32) -> bool {
        pod.creation_timestamp.is_some_and(|created| created < self.now - self.cluster.config.client_patience * times)
    }

    /// Whether the Pod of a client that has ended is to be deleted. Before that age, a redelivery would create a second
    /// Pod, and a dead letter would fail its event.
    fn is_due(&self, pod: &Observed, state: &State) -> bool {
        let (State::Ended(end), Some(retention)) = (state, self.cluster.config.client_retention) else {
            return false;
        };
        let is_over = end.ended_at.is_some_and(|ended| ended <= self.now - retention);
        is_over && self.is_older(&pod.metadata, 2) && !pod.metadata.is_being_deleted()
    }

    /// The report that has not been sent, and whether it says that the client has ended.
    fn unsent(&self, pod: &Observed, context: &Context, state: &State) -> Option<(Event, bool)> {
        let gateway = pod.metadata.annotation(&self.cluster.config.gateway_key).unwrap_or_default();
        let told = pod.metadata.annotation(REPORTED);
        let verification = self.cluster.config.gateway_verification;
        // A Pod without a gateway's container, which isn't ours then, runs behind none.
        let may_be_routed = pod.has_init_containers() || verification == Verification::Off;
        match state {
            State::Running(since) if told.is_none() && may_be_routed => {
                Some((reply::running(pod, context, gateway, verification, since.unwrap_or(self.now)), false))
            }
            State::Ended(end) if told != Some("ended") => {
                Some((reply::ended(pod, context, gateway, end, self.now), true))
            }
            _ => None,
        }
    }
}

/// A Pod that is already gone is fine.
fn or_gone<T>(answer: Result<T, Verdict>) -> Result<(), Verdict> {
    match answer {
        Ok(_) | Err(Verdict::NotFound(_)) => Ok(()),
        Err(verdict) => Err(verdict),
    }
}

#[cfg(test)]
mod tests;
