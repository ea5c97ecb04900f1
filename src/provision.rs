//! The decisions, in order: create gated, verify, release or remove.
//!
//! Every step ends in the client's Pod or in a [`Verdict`], and all calls go through [`Outbound`], so all of it runs
//! natively against a scripted peer. It has no retries (the broker has them), no clock, and no state but the Pod: a crash
//! between two calls leaves at worst a gated Pod, which a redelivery settles. `docs/architecture.md`, "The decisions".

use serde_json::Value;

use crate::cluster::Cluster;
use crate::config::Verification;
use crate::event::Pending;
use crate::gateway::{has_gateway, verify};
use crate::kubernetes::{Call, Retry, Verdict, read_object};
use crate::manifest::{check_room, manifest};
use crate::outbound::Outbound;
use crate::pod::{Metadata, Pod};
use crate::reason::{Failure, Reason};
use crate::state::Observed;
use crate::template::{self, Base};

/// How a delivery of a pending event ends: with the Pod of a routed client without our gate, or with a [`Verdict`].
/// After a terminal verdict the event never has a client.
pub type Outcome = Result<Metadata, Verdict>;

/// The steps for one client.
pub struct Provisioning<'a, O> {
    /// The requested client.
    pub pending: &'a Pending<'a>,
    /// The cluster in which it is created.
    pub cluster: &'a Cluster<'a, O>,
}

impl<O: Outbound> Provisioning<'_, O> {
    /// Creates the client, or finds the one of an earlier delivery.
    pub async fn provision(&self) -> Outcome {
        let manifest = match self.manifest().await {
            Ok(manifest) => manifest,
            // An earlier delivery may have had a template that could be used: then its Pod is this event's answer.
            Err(failed @ Verdict::Terminal(_)) => return self.settle_or(failed).await,
            Err(passing) => return Err(passing),
        };
        match self.cluster.pod(Call::Create, &self.pending.pod_name, self.cluster.api.create(&manifest)).await {
            Ok(pod) => self.settle(pod).await,
            Err(heals @ Verdict::Heals(_)) => Err(heals),
            Err(Verdict::AlreadyExists(_)) => {
                self.settle_or(Verdict::heals("the Pod that was there a moment ago is gone")).await
            }
            // The API server asks for rights, quota and webhooks before it looks at the name: a refusal says nothing of
            // the Pod that an earlier delivery may have made, which may even be what used the quota up.
            Err(verdict) => self.settle_or(verdict).await,
        }
    }

    /// Tries the event's Pod as a dry run: the same steps up to the release, and nothing is created.
    ///
    /// # Errors
    /// How a delivery would end.
    pub async fn rehearse(&self) -> Result<Pod, Verdict> {
        let manifest = self.manifest().await?;
        let request = self.cluster.api.rehearse(&manifest);
        let pod = self.cluster.pod(Call::Create, &self.pending.pod_name, request).await?;
        self.verify(&pod)?;
        Ok(pod)
    }

    /// Settles an event that may not get a new Pod: releases or removes the Pod that it has, or returns `absent` if
    /// there is none.
    pub async fn settle_or(&self, absent: Verdict) -> Outcome {
        let is_forbidden = matches!(&absent, Verdict::Terminal(failure) if failure.reason == Reason::Forbidden);
        let call = if is_forbidden { Call::GetAfterForbidden } else { Call::Get };
        let name = &self.pending.pod_name;
        match self.cluster.pod(call, name, self.cluster.api.get(name)).await {
            Ok(pod) => self.settle_found(pod).await,
            // It isn't there; or the look for it was forbidden as the create was, and the refusal stands.
            Err(Verdict::NotFound(_) | Verdict::Terminal(_)) => Err(absent),
            Err(verdict) => Err(verdict),
        }
    }

    async fn settle_found(&self, pod: Pod) -> Outcome {
        if !pod.metadata.belongs_to(self.pending.context) {
            let message = format!("a Pod {} exists that belongs to another event: remove it", self.pending.pod_name);
            return Err(Failure::new(Reason::PodNameConflict, message).into());
        }
        match (pod.is_gated(), pod.metadata.is_being_deleted()) {
            // It never runs, so its answer is certain if it isn't routed, whoever holds its object.
            (true, true) => {
                self.verify(&pod)?;
                Err(Verdict::heals("the Pod is being removed by another delivery"))
            }
            (true, false) => self.settle(pod).await,
            (false, _) => self.settle_released(pod).await,
        }
    }

    /// A change of the configuration never removes a released client, because a second one could start before the first
    /// has ended. A Pod without any gateway's container is removed.
    async fn settle_released(&self, pod: Pod) -> Outcome {
        let gateway = pod.metadata.annotation(&self.cluster.config.gateway_key);
        // A second event with the same id but another gateway must not end the first one's client.
        if let Some(other) = gateway.filter(|gateway| *gateway != self.pending.gateway) {
            let message = format!(
                "the event with this source and id has its client already, at the gateway {other}: \
                 give each event an id of its own"
            );
            return Err(Failure::new(Reason::PodNameConflict, message).into());
        }
        if !self.is_verifying() || has_gateway(&pod) {
            return Ok(pod.metadata);
        }
        let message = "it ran without its gateway: none of its containers is a gateway's";
        match pod.metadata.is_being_deleted() {
            true => Err(Verdict::heals(message)),
            false => self.remove(&pod, Failure::new(Reason::GatewayNotInjected, message)).await,
        }
    }

    /// Releases a Pod that is routed, and removes any other.
    async fn settle(&self, pod: Pod) -> Outcome {
        // It was created without a gate.
        if !self.is_verifying() && !pod.is_gated() {
            return Ok(pod.metadata);
        }
        match self.release(&pod, false).await {
            // A Pod that can never be released must not stay, or a later delivery would answer differently.
            Err(Verdict::Terminal(failure)) => self.remove(&pod, failure).await,
            released => released,
        }
    }

    /// Verifies a gated Pod and removes its gate. With `is_owed` it records that the answer is still to be sent.
    ///
    /// # Errors
    /// A terminal verdict says that the Pod can never be released.
    pub async fn release(&self, pod: &Pod, is_owed: bool) -> Outcome {
        self.verify(pod)?;
        let request = self.cluster.api.release(&pod.metadata, is_owed);
        match self.cluster.pod::<Observed>(Call::Release, &pod.metadata.name, request).await {
            Ok(released) if !released.is_gated() => Ok(released.metadata),
            Ok(_) => Err(Verdict::heals("the gate is still there after its removal")),
            Err(Verdict::Terminal(Failure { reason, message })) => {
                Err(Failure::new(reason, format!("its gate could not be removed: {message}")).into())
            }
            Err(verdict) => Err(verdict),
        }
    }

    async fn remove(&self, pod: &Pod, Failure { reason, message }: Failure) -> Outcome {
        let name = &pod.metadata.name;
        match self.cluster.delete(Call::Delete, &pod.metadata, pod.is_gated()).await {
            Ok(retry_after @ Some(_)) => {
                let cause = format!("the Pod {name} is ending: {message}");
                Err(Verdict::Heals(Retry { retry_after, ..Retry::because(cause) }))
            }
            Ok(None) | Err(Verdict::NotFound(_)) => {
                let when = if pod.is_gated() { " before it could run" } else { "" };
                Err(Failure::new(reason, format!("the Pod {name} was removed{when}: {message}")).into())
            }
            Err(verdict) => Err(verdict),
        }
    }

    /// The manifest of this event's Pod, made from the PodTemplate if one is configured.
    async fn manifest(&self) -> Result<Value, Verdict> {
        let base = match &self.cluster.config.client_pod_template {
            Some(name) => Some(self.base(name).await?),
            None => None,
        };
        let manifest = manifest(self.pending, self.cluster.config, base);
        check_room(&manifest)?;
        Ok(manifest)
    }

    async fn base(&self, name: &str) -> Result<Base, Verdict> {
        let answer = self.cluster.ask(Call::GetTemplate, self.cluster.api.get_template(name)).await;
        let template = answer.and_then(|body| read_object(&body, "PodTemplate")).map_err(|verdict| match verdict {
            Verdict::Terminal(Failure { reason: Reason::PodTemplateInvalid, message }) => {
                template::invalid(name, &message).into()
            }
            verdict => verdict,
        })?;
        Ok(template::base(name, template)?)
    }

    /// Verifies a Pod, unless verification is off.
    fn verify(&self, pod: &Pod) -> Result<(), Failure> {
        if self.is_verifying() { verify(pod, self.pending, self.cluster.config) } else { Ok(()) }
    }

    fn is_verifying(&self) -> bool {
        self.cluster.config.gateway_verification == Verification::Required
    }
}

#[cfg(test)]
mod tests;
