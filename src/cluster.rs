//! Sends calls to the Kubernetes API, and returns the object or what becomes of the delivery.

use http::Request;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::kubernetes::{Api, Call, Verdict, read_deletion, read_pod, verdict};
use crate::outbound::{Answer, Bounds, Outbound};
use crate::pod::Metadata;
use crate::reason::Reason;

/// The largest answer that is read, in bytes: well above the largest object in etcd, 1.5 MiB by default.
pub const LARGEST_ANSWER: usize = 2 << 20;

/// The clients' cluster.
pub struct Cluster<'a, O> {
    /// The configuration.
    pub config: &'a Config,
    /// The Kubernetes API.
    pub api: Api<'a>,
    /// Sends the calls.
    pub outbound: &'a O,
}

impl<O: Outbound> Cluster<'_, O> {
    /// Sends a call, and returns the body of a success.
    ///
    /// # Errors
    /// What becomes of the delivery otherwise.
    pub async fn ask(&self, call: Call, request: Request<Vec<u8>>) -> Result<Vec<u8>, Verdict> {
        let answer = verdict(call, self.send(request).await);
        let is_forbidden = matches!(&answer, Err(Verdict::Terminal(failure)) if failure.reason == Reason::Forbidden);
        // An API server that has just started refuses everybody, until it knows who has which rights.
        if is_forbidden && call != Call::GetAfterForbidden {
            let readiness = verdict(Call::Readiness, self.send(self.api.get_readiness()).await);
            if let Err(unready @ Verdict::Heals(_)) = readiness {
                return Err(unready);
            }
        }
        answer
    }

    /// The same for a call whose answer is the Pod `name`.
    ///
    /// # Errors
    /// What becomes of the delivery otherwise.
    pub async fn pod<T: DeserializeOwned + AsRef<Metadata>>(
        &self,
        call: Call,
        name: &str,
        request: Request<Vec<u8>>,
    ) -> Result<T, Verdict> {
        read_pod(&self.ask(call, request).await?, &self.config.client_namespace, name)
    }

    /// Deletes a Pod: `None` if it is gone, or the seconds that it has left.
    ///
    /// # Errors
    /// What becomes of the delivery otherwise.
    pub async fn delete(&self, call: Call, pod: &Metadata, is_gated: bool) -> Result<Option<u64>, Verdict> {
        read_deletion(&self.ask(call, self.api.delete(pod, is_gated)).await?, &pod.name)
    }

    /// Sends a call whose answer the caller judges.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Answer {
        self.outbound.send(request, Bounds { answer: LARGEST_ANSWER, ..self.config.bounds() }).await
    }
}
