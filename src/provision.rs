//! The decisions, in order: create gated, verify, release or remove.
//!
//! Every step ends in an [`Outcome`], and everything outside is reached through [`Outbound`], so that the whole of it
//! runs natively against a scripted peer. What is absent on purpose: retries (the broker owns them), state (the Pod is
//! the state, and a crash between any two calls leaves at worst a gated Pod that a redelivery settles), and clocks.
//! `docs/architecture.md`, "The decisions".

use http::Request;
use serde_json::Value;

use crate::config::{Config, Verification};
use crate::event::Pending;
use crate::gateway::{has_gateway, verify};
use crate::kubernetes::{Api, ApiError, Call, DryRun, Retry, Verdict, advice};
use crate::kubernetes::{read_deletion, read_object, read_pod, read_readiness, verdict};
use crate::manifest::manifest;
use crate::outbound::{Bounds, Outbound};
use crate::pod::{Metadata, Pod};
use crate::reason::{Failure, Reason};
use crate::template;

/// How a delivery of a pending event ends.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The client is there, routed, and nothing of ours holds it back.
    Done(Box<Metadata>),
    /// There will never be a client of this event.
    Failed(Failure),
    /// Something that can heal is in the way: the broker redelivers.
    Retry(Retry),
}

/// The steps for one client.
pub struct Provisioning<'a, O> {
    /// What is asked for.
    pub pending: &'a Pending<'a>,
    /// How the provisioner was set up.
    pub config: &'a Config,
    /// The Kubernetes API.
    pub api: Api<'a>,
    /// The way to it.
    pub outbound: &'a O,
}

/// The largest answer that is read, in bytes: well above the largest object that etcd holds, 1.5 MiB by default.
pub const LARGEST_ANSWER: usize = 2 << 20;

impl<O: Outbound> Provisioning<'_, O> {
    /// Makes the client, or finds it where an earlier delivery made it.
    pub async fn provision(&self) -> Outcome {
        let manifest = match self.manifest().await {
            Ok(manifest) => manifest,
            // An earlier delivery may have had a template that could be used: then its Pod is this event's answer.
            Err(failed @ Outcome::Failed(_)) => return self.settle_or(failed).await,
            Err(other) => return other,
        };
        let error = match self.create(&manifest, DryRun::No).await {
            Ok(pod) => return self.settle(pod).await,
            Err(error) => error,
        };
        // The API server asks for rights, quota and webhooks before it looks at the name: a refusal says nothing of
        // the Pod that an earlier delivery may have made, which may even be what used the quota up.
        match verdict(Call::Create, &error) {
            Verdict::Heals(retry) => Outcome::Retry(retry),
            Verdict::AlreadyExists => self.settle_or(retry("the Pod that was there a moment ago is gone")).await,
            _ => self.settle_or(end(Call::Create, &error)).await,
        }
    }

    /// What the API server would make of the event's Pod, without making it: the same steps up to the release.
    ///
    /// # Errors
    /// The outcome that a delivery would have in place of a client.
    pub async fn rehearse(&self) -> Result<Pod, Outcome> {
        let manifest = self.manifest().await?;
        let pod = self.create(&manifest, DryRun::All).await.map_err(|error| end(Call::Create, &error))?;
        self.verify(&pod).map_err(Outcome::Failed)?;
        Ok(pod)
    }

    /// Settles an event for which no Pod may be made: its Pod is finished, and where there is none it ends in `absent`.
    pub async fn settle_or(&self, absent: Outcome) -> Outcome {
        let error = match self.pod(self.api.get(&self.pending.pod_name)).await {
            Ok(pod) => return self.settle_found(pod).await,
            Err(error) => error,
        };
        let is_forbidden = matches!(&absent, Outcome::Failed(failure) if failure.reason == Reason::Forbidden);
        let call = if is_forbidden { Call::GetAfterForbidden } else { Call::Get };
        match verdict(call, &error) {
            Verdict::NotFound => absent,
            Verdict::Terminal(_) => self.settle_forbidden(absent).await,
            _ => end(call, &error),
        }
    }

    /// Both the create and the look for the Pod were forbidden. The refusal stands, if it is meant.
    async fn settle_forbidden(&self, refused: Outcome) -> Outcome {
        let answer = self.outbound.send(self.api.get_readiness(), self.bounds()).await;
        match read_readiness(answer).map_err(|error| end(Call::Readiness, &error)) {
            Err(unready @ Outcome::Retry(_)) => unready,
            _ => refused,
        }
    }

    async fn settle_found(&self, pod: Pod) -> Outcome {
        if !pod.belongs_to(self.pending.context) {
            let name = &self.pending.pod_name;
            return conflict(format!("a Pod {name} exists that was not made of this event: remove or rename it"));
        }
        match (pod.is_gated(), pod.is_being_deleted()) {
            (true, true) => retry("the Pod is being removed by another delivery"),
            (true, false) => self.settle(pod).await,
            (false, _) => self.settle_released(pod).await,
        }
    }

    /// A client that was released is never taken away, whatever the configuration says today, unless nothing in it is a
    /// gateway's. It runs, and another could follow it before it has ended.
    async fn settle_released(&self, pod: Pod) -> Outcome {
        let gateway = pod.annotation(&self.config.gateway_key);
        // Whoever sends an id a second time with another wish must not end the client that it stands for.
        if let Some(other) = gateway.filter(|gateway| *gateway != self.pending.gateway) {
            return conflict(format!(
                "the event with this source and id has its client already, at the gateway {other}: give each event an \
                 id of its own"
            ));
        }
        if !self.is_verifying() || has_gateway(&pod) {
            return done(pod.metadata);
        }
        let message = "it ran without its gateway: nothing in it is a gateway's";
        match pod.is_being_deleted() {
            true => retry(message),
            false => self.remove(&pod, Failure::new(Reason::GatewayNotInjected, message)).await,
        }
    }

    /// Releases a Pod that is routed, and removes one that isn't.
    async fn settle(&self, pod: Pod) -> Outcome {
        match self.verify(&pod) {
            Ok(()) if pod.is_gated() => self.release(pod).await,
            Ok(()) => done(pod.metadata),
            Err(failure) => self.remove(&pod, failure).await,
        }
    }

    async fn release(&self, pod: Pod) -> Outcome {
        let error = match self.pod(self.api.release(&pod)).await {
            Ok(released) if !released.is_gated() => return done(released.metadata),
            Ok(_) => return retry("the gate is still there after its removal"),
            Err(error) => error,
        };
        match end(Call::Release, &error) {
            // What can't be released for good must not be left behind, or a later delivery would answer otherwise.
            Outcome::Failed(Failure { reason, message }) => {
                self.remove(&pod, Failure::new(reason, format!("its gate could not be removed: {message}"))).await
            }
            other => other,
        }
    }

    /// Removes a Pod and answers with `failure`, whose message speaks of the Pod as "it". The answer waits until the
    /// Pod is gone.
    async fn remove(&self, pod: &Pod, Failure { reason, message }: Failure) -> Outcome {
        let name = &pod.metadata.name;
        let answer = self.outbound.send(self.api.delete(pod), self.bounds()).await;
        match read_deletion(answer, name) {
            Err(error) if verdict(Call::Delete, &error) != Verdict::NotFound => end(Call::Delete, &error),
            Ok(retry_after @ Some(_)) => {
                Outcome::Retry(Retry { retry_after, ..Retry::because(format!("the Pod {name} is ending: {message}")) })
            }
            Ok(None) | Err(_) => {
                let when = if pod.is_gated() { " before it could run" } else { "" };
                Outcome::Failed(Failure::new(reason, format!("the Pod {name} was removed{when}: {message}")))
            }
        }
    }

    /// The Pod that this event is to have, made from the PodTemplate where there is one.
    async fn manifest(&self) -> Result<Value, Outcome> {
        let Some(name) = &self.config.client_pod_template else {
            return Ok(manifest(self.pending, self.config, None));
        };
        let answer = self.outbound.send(self.api.get_template(name), self.bounds()).await;
        let template = read_object(answer, "PodTemplate").map_err(|error| match end(Call::GetTemplate, &error) {
            Outcome::Failed(Failure { reason: Reason::PodTemplateInvalid, message }) => {
                Outcome::Failed(template::invalid(name, &message))
            }
            other => other,
        })?;
        let base = template::base(name, template).map_err(Outcome::Failed)?;
        Ok(manifest(self.pending, self.config, Some(base)))
    }

    async fn create(&self, manifest: &Value, dry_run: DryRun) -> Result<Pod, ApiError> {
        self.pod(self.api.create(manifest, dry_run)).await
    }

    async fn pod(&self, request: Request<Vec<u8>>) -> Result<Pod, ApiError> {
        let answer = self.outbound.send(request, self.bounds()).await;
        read_pod(answer, self.api.namespace(), &self.pending.pod_name)
    }

    fn verify(&self, pod: &Pod) -> Result<(), Failure> {
        if self.is_verifying() { verify(pod, self.pending, self.config) } else { Ok(()) }
    }

    fn is_verifying(&self) -> bool {
        self.config.gateway_verification == Verification::Required
    }

    fn bounds(&self) -> Bounds {
        Bounds { answer: LARGEST_ANSWER, ..self.config.bounds() }
    }
}

/// The outcome of a delivery whose `call` ended in `error`, where no further call is to be made.
fn end(call: Call, error: &ApiError) -> Outcome {
    match verdict(call, error) {
        Verdict::Heals(retry) | Verdict::NotYet(retry) => Outcome::Retry(retry),
        Verdict::Terminal(reason) => Outcome::Failed(Failure::new(reason, format!("{error}{}", advice(error)))),
        Verdict::AlreadyExists | Verdict::NotFound => retry(error),
    }
}

fn done(client: Metadata) -> Outcome {
    Outcome::Done(Box::new(client))
}

fn conflict(message: String) -> Outcome {
    Outcome::Failed(Failure::new(Reason::PodNameConflict, message))
}

fn retry(cause: impl ToString) -> Outcome {
    Outcome::Retry(Retry::because(cause.to_string()))
}

#[cfg(test)]
mod tests;
