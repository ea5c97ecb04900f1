//! The decisions, in order: create gated, verify, release or remove.
//!
//! Every step ends in an [`Outcome`], and everything outside is reached through [`Outbound`], so that the whole of it
//! runs natively against a scripted peer. What is absent on purpose: retries (the broker owns them), state (the Pod is
//! the state, and a crash between any two calls leaves at worst a gated Pod that a redelivery settles), and clocks.
//! `docs/architecture.md`, "The decisions".

use http::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::config::Verification;
use crate::event::Pending;
use crate::gateway::{has_gateway, verify};
use crate::kubernetes::{Call, Retry, Verdict, read_deletion, read_object};
use crate::manifest::manifest;
use crate::outbound::Outbound;
use crate::pod::{Metadata, Pod};
use crate::reason::{Failure, Reason};
use crate::state::Observed;
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

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Terminal(failure) => Self::Failed(failure),
            passing => Self::Retry(passing.into()),
        }
    }
}

/// The steps for one client.
pub struct Provisioning<'a, O> {
    /// What is asked for.
    pub pending: &'a Pending<'a>,
    /// Where.
    pub cluster: &'a Cluster<'a, O>,
}

impl<O: Outbound> Provisioning<'_, O> {
    /// Makes the client, or finds it where an earlier delivery made it.
    pub async fn provision(&self) -> Outcome {
        let manifest = match self.manifest().await {
            Ok(manifest) => manifest,
            // An earlier delivery may have had a template that could be used: then its Pod is this event's answer.
            Err(failed @ Outcome::Failed(_)) => return self.settle_or(failed).await,
            Err(other) => return other,
        };
        match self.pod(Call::Create, self.cluster.api.create(&manifest)).await {
            Ok(pod) => self.settle(pod).await,
            Err(Verdict::Heals(retry)) => Outcome::Retry(retry),
            Err(Verdict::AlreadyExists(_)) => {
                self.settle_or(retry("the Pod that was there a moment ago is gone")).await
            }
            // The API server asks for rights, quota and webhooks before it looks at the name: a refusal says nothing of
            // the Pod that an earlier delivery may have made, which may even be what used the quota up.
            Err(verdict) => self.settle_or(verdict.into()).await,
        }
    }

    /// What the API server would make of the event's Pod, without making it: the same steps up to the release.
    ///
    /// # Errors
    /// The outcome that a delivery would have in place of a client.
    pub async fn rehearse(&self) -> Result<Pod, Outcome> {
        let manifest = self.manifest().await?;
        let pod = self.pod(Call::Create, self.cluster.api.rehearse(&manifest)).await?;
        self.verify(&pod).map_err(Outcome::Failed)?;
        Ok(pod)
    }

    /// Settles an event for which no Pod may be made: its Pod is finished, and where there is none it ends in `absent`.
    pub async fn settle_or(&self, absent: Outcome) -> Outcome {
        let is_forbidden = matches!(&absent, Outcome::Failed(failure) if failure.reason == Reason::Forbidden);
        let call = if is_forbidden { Call::GetAfterForbidden } else { Call::Get };
        match self.pod(call, self.cluster.api.get(&self.pending.pod_name)).await {
            Ok(pod) => self.settle_found(pod).await,
            Err(Verdict::NotFound(_)) => absent,
            // Both the create and the look for the Pod were forbidden. The refusal stands, if it is meant.
            Err(Verdict::Terminal(_)) => {
                match self.cluster.ask(Call::Readiness, self.cluster.api.get_readiness()).await {
                    Err(unready @ Verdict::Heals(_)) => unready.into(),
                    _ => absent,
                }
            }
            Err(verdict) => verdict.into(),
        }
    }

    async fn settle_found(&self, pod: Pod) -> Outcome {
        if !pod.metadata.belongs_to(self.pending.context) {
            let name = &self.pending.pod_name;
            return conflict(format!("a Pod {name} exists that was not made of this event: remove or rename it"));
        }
        match (pod.is_gated(), pod.metadata.is_being_deleted()) {
            (true, true) => retry("the Pod is being removed by another delivery"),
            (true, false) => self.settle(pod).await,
            (false, _) => self.settle_released(pod).await,
        }
    }

    /// A client that was released is never taken away, whatever the configuration says today, unless nothing in it is a
    /// gateway's. It runs, and another could follow it before it has ended.
    async fn settle_released(&self, pod: Pod) -> Outcome {
        let gateway = pod.metadata.annotation(&self.cluster.config.gateway_key);
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
        match pod.metadata.is_being_deleted() {
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
        match self.pod::<Observed>(Call::Release, self.cluster.api.release(&pod.metadata)).await {
            Ok(released) if !released.is_gated() => done(released.metadata),
            Ok(_) => retry("the gate is still there after its removal"),
            // What can't be released for good must not be left behind, or a later delivery would answer otherwise.
            Err(Verdict::Terminal(Failure { reason, message })) => {
                self.remove(&pod, Failure::new(reason, format!("its gate could not be removed: {message}"))).await
            }
            Err(verdict) => verdict.into(),
        }
    }

    /// Removes a Pod and answers with `failure`, whose message speaks of the Pod as "it". The answer waits until the
    /// Pod is gone.
    async fn remove(&self, pod: &Pod, Failure { reason, message }: Failure) -> Outcome {
        let name = &pod.metadata.name;
        let answer = self.cluster.ask(Call::Delete, self.cluster.api.delete(&pod.metadata, pod.is_gated())).await;
        match answer.and_then(|body| read_deletion(&body, name)) {
            Ok(retry_after @ Some(_)) => {
                Outcome::Retry(Retry { retry_after, ..Retry::because(format!("the Pod {name} is ending: {message}")) })
            }
            Ok(None) | Err(Verdict::NotFound(_)) => {
                let when = if pod.is_gated() { " before it could run" } else { "" };
                Outcome::Failed(Failure::new(reason, format!("the Pod {name} was removed{when}: {message}")))
            }
            Err(verdict) => verdict.into(),
        }
    }

    /// The Pod that this event is to have, made from the PodTemplate where there is one.
    async fn manifest(&self) -> Result<Value, Outcome> {
        let Some(name) = &self.cluster.config.client_pod_template else {
            return Ok(manifest(self.pending, self.cluster.config, None));
        };
        let answer = self.cluster.ask(Call::GetTemplate, self.cluster.api.get_template(name)).await;
        let template = answer.and_then(|body| read_object(&body, "PodTemplate")).map_err(|verdict| match verdict {
            Verdict::Terminal(Failure { reason: Reason::PodTemplateInvalid, message }) => {
                Outcome::Failed(template::invalid(name, &message))
            }
            verdict => verdict.into(),
        })?;
        let base = template::base(name, template).map_err(Outcome::Failed)?;
        Ok(manifest(self.pending, self.cluster.config, Some(base)))
    }

    async fn pod<T: DeserializeOwned + AsRef<Metadata>>(
        &self,
        call: Call,
        request: Request<Vec<u8>>,
    ) -> Result<T, Verdict> {
        self.cluster.pod(call, &self.pending.pod_name, request).await
    }

    fn verify(&self, pod: &Pod) -> Result<(), Failure> {
        if self.is_verifying() { verify(pod, self.pending, self.cluster.config) } else { Ok(()) }
    }

    fn is_verifying(&self) -> bool {
        self.cluster.config.gateway_verification == Verification::Required
    }
}

fn done(client: Metadata) -> Outcome {
    Outcome::Done(Box::new(client))
}

fn conflict(message: String) -> Outcome {
    Outcome::Failed(Failure::new(Reason::PodNameConflict, message))
}

fn retry(cause: &str) -> Outcome {
    Outcome::Retry(Retry::because(cause))
}

#[cfg(test)]
mod tests;
