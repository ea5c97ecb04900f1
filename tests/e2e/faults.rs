//! The fault table again, with the fault proxy in front of the real API server: what the embedded one is believed about
//! in `tests/faults` is seen here.
//!
//! The address faults and the sink's are left to `tests/faults`: there is no API server in them.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use provisioner::context::name_based_uuid;
use serde_json::json;
use tests::events::pending;
use tests::fault::{Call, Fault, Proxy, Trap, Upstream};
use tests::{Provisioner, Reply};

use crate::cluster::Cluster;
use crate::gateway::FOO;
use crate::harness::Test;
use crate::namespace::{Namespace, ROUTED, with_namespace};
use crate::outcome::{is_released, is_routed};
use crate::table::{Event, Expected, Kind, Trouble, expected, troubles};

const AT_ONCE: usize = 8;
const PATIENT: &str = "20s";
const IMPATIENT: &str = "2s";
const CALLS: [Call; 5] = [Call::Create, Call::Get, Call::Release, Call::Delete, Call::Template];

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![every_cell_of_the_fault_table_ends_as_it_says_before_a_real_api_server]
}

async fn every_cell_of_the_fault_table_ends_as_it_says_before_a_real_api_server(cluster: Arc<Cluster>) {
    with_namespace(cluster, "faults", &[ROUTED], |namespace| async move {
        let _webhook = FOO.serve(&namespace).await;
        let template = json!({
            "metadata": {"name": "base"},
            "template": {"spec": {"containers": [{"name": "client", "image": "crawler:1"}]}},
        });
        namespace.admin().create(&namespace.path("podtemplates"), &template).await;
        let cells = CALLS.into_iter().flat_map(|call| faults().map(move |cell| (call, cell)));
        let cells: Vec<_> =
            cells.filter(|(call, (trouble, _))| ends(*call, &trouble.kind) != Expected::NotMet).collect();
        let count = cells.len();
        let running = cells.into_iter().enumerate().map(|(number, (call, (trouble, fault)))| {
            let cell = Cell { namespace: namespace.clone(), call, fault, id: format!("cell-{number}") };
            let name = format!("{call:?}: {} {:?}", trouble.label, trouble.kind);
            async move { cell.check(ends(call, &trouble.kind)).await.map_err(|problem| format!("{name}: {problem}")) }
        });
        let results: Vec<_> = futures::stream::iter(running).buffer_unordered(AT_ONCE).collect().await;
        let wrong: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert!(wrong.is_empty(), "{} of {count} cells:\n{}", wrong.len(), wrong.join("\n"));
        assert_one_pod_each(&namespace).await;
        println!("{count} cells");
    })
    .await;
}

/// What a pending event ends in.
fn ends(call: Call, kind: &Kind) -> Expected {
    expected((Event::Pending, call), kind)
}

/// What can go wrong on the wire, or be said by somebody on it.
fn faults() -> impl Iterator<Item = (Trouble, Fault)> {
    troubles().into_iter().filter_map(|trouble| {
        let fault = match &trouble.kind {
            Kind::Wire(fault) => fault.clone(),
            Kind::Odd(spoken) | Kind::Ending(spoken) => Fault::Replace(spoken.clone()),
            Kind::Redirect(spoken) | Kind::Page(spoken) | Kind::Status(spoken, _) => Fault::Refuse(spoken.clone()),
            Kind::Refused | Kind::Unresolved | Kind::Untrusted | Kind::NeverConnected => return None,
        };
        Some((trouble, fault))
    })
}

/// The API server, with the provisioner's calls as they are.
pub fn upstream(namespace: &Namespace) -> Upstream {
    let client = namespace.provisioners_client();
    Arc::new(move |request| {
        let client = client.clone();
        Box::pin(async move { client.forward(request).await })
    })
}

struct Cell {
    namespace: Arc<Namespace>,
    call: Call,
    fault: Fault,
    id: String,
}

impl Cell {
    async fn check(&self, expected: Expected) -> Result<(), String> {
        let trap = Trap::default();
        let proxy = Proxy::start(upstream(&self.namespace), trap.plan()).await;
        let well = self.provisioner(&proxy, PATIENT);
        if self.call == Call::Get {
            // An earlier delivery made the Pod and never heard of it.
            trap.set(Call::Create, Fault::LoseAnswer);
            self.expect(&well, Expected::Retry(false)).await?;
        }
        let hangs = matches!(self.fault, Fault::HoldCall | Fault::HoldAnswer | Fault::Drip | Fault::DripBody);
        let unwell = self.provisioner(&proxy, if hangs { IMPATIENT } else { PATIENT });
        trap.set(self.call, self.fault.clone());
        let first = self.expect(&unwell, expected).await?;
        if !trap.has_sprung() {
            return Err("the call was never made".into());
        }
        let healed = self.expect(&well, Expected::AsUsual).await?;
        let again = self.expect(&well, Expected::AsUsual).await?;
        match first.attribute("id") == healed.attribute("id") || expected != Expected::AsUsual {
            true if healed.attribute("id") == again.attribute("id") => Ok(()),
            _ => Err("a redelivery was answered with another event".into()),
        }
    }

    fn provisioner(&self, proxy: &Proxy, timeout: &str) -> Provisioner {
        let mut variables = vec![("client_namespace", self.namespace.name.as_str()), ("kube_api_timeout", timeout)];
        if self.call == Call::Template {
            variables.push(("client_pod_template", "base"));
        }
        let provisioner = Provisioner::start(&proxy.url(), &variables);
        provisioner.write_token(&self.namespace.token);
        provisioner
    }

    /// Delivers the event and compares its end, and what is left of it.
    async fn expect(&self, provisioner: &Provisioner, expected: Expected) -> Result<Reply, String> {
        let gateway = if self.call == Call::Delete { "nope" } else { "foo" };
        let reply = provisioner.deliver(pending(&self.id, gateway)).await;
        let reason = reply.json()["reason"].as_str().unwrap_or_default().to_owned();
        let is_expected = match (reply.status.as_u16(), reply.outcome(), expected) {
            (503, "", Expected::Retry(false)) | (429, "", Expected::Retry(true)) => true,
            (200, "failed", Expected::Failed(meant)) => reason == meant,
            (200, "failed", Expected::AsUsual) => self.call == Call::Delete && reason == "GatewayNotInjected",
            (200, "done", Expected::AsUsual) => self.call != Call::Delete,
            _ => false,
        };
        let pods = self.pods().await?;
        match reply.outcome() {
            _ if !is_expected => Err(format!(
                "{} {:?} in place of {expected:?}: {}",
                reply.status,
                reply.body,
                provisioner.logs().text()
            )),
            "done" if pods != 1 => Err("done, and there is no Pod".into()),
            // A 404 in place of a removal is a lie, and the one fault here that no API server has.
            "failed" if pods != 0 && self.call != Call::Delete => Err("failed, and a Pod is left".into()),
            _ => Ok(reply),
        }
    }

    /// Whether the event has its Pod; that must not be free without its gateway.
    async fn pods(&self) -> Result<usize, String> {
        let name = name_based_uuid(&["/test", &self.id]).to_string();
        let answer = self.namespace.admin().get(&self.namespace.path(&format!("pods/{name}"))).await;
        match answer.code {
            200 if is_released(&answer.body) && !is_routed(&answer.body) => {
                Err(format!("a Pod was free without a gateway: {}", answer.body))
            }
            200 => Ok(1),
            404 => Ok(0),
            code => Err(format!("the Pod can't be looked at: {code}")),
        }
    }
}

/// No event has two Pods, by whatever names.
async fn assert_one_pod_each(namespace: &Namespace) {
    let pods = namespace.pods().await;
    let events: BTreeSet<_> =
        pods.iter().map(|pod| pod["metadata"]["annotations"]["podgateway.io/event-id"].to_string()).collect();
    assert_eq!(events.len(), pods.len());
}
