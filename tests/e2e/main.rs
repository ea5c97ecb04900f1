//! End-to-end tests: the built component, in its host, against a real kube-apiserver and its etcd.
//!
//! `make e2e` builds the two and runs this. One API server serves the whole run; every test has a namespace of its
//! own, and the provisioner in it has the rights of `deploy/rbac.yaml` and no others. The gateways' admission is a real
//! webhook, registered as the gateways' chart does it. What the contract tests script is seen here as it is. A client's life
//! has the rest of a control plane around it: a scheduler, controllers, and a node whose kubelet is played.
//!
//! Each test is a future that panics when it fails, and is named by a sentence behind the module that it is in. The command
//! line is `cargo test`'s.
//!
//! Whatever was started is ended by its process id before this ends, and by a shell that waits for this to be killed.

mod account;
mod clients;
mod deploy;
mod doctor;
mod embedded;
mod knative;
mod life;
mod outage;
mod outcome;
mod refusals;
mod senders;
mod webhooks;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use tests::cluster::{Cluster, control_plane};
use tokio::runtime::{Handle, Runtime};

/// How many tests run at once: most of them wait for the API server most of the time.
const AT_ONCE: usize = 6;

/// A test of a module, named by a sentence.
fn test<F: Future<Output = ()>>(
    cluster: &Arc<Cluster>,
    module: &str,
    name: &str,
    run: impl FnOnce(Arc<Cluster>) -> F + Send + 'static,
) -> Trial {
    let (runtime, cluster) = (Handle::current(), cluster.clone());
    let run = move || {
        runtime.block_on(run(cluster));
        Ok(())
    };
    Trial::test(format!("{module}: {name}"), run)
}

/// The tests of these functions, named after them.
macro_rules! tests {
    ($cluster:expr, $($module:ident::$test:ident),+ $(,)?) => {
        vec![$(test($cluster, stringify!($module), &stringify!($test).replace('_', " "), $module::$test)),+]
    };
}

/// The tests in parts that run one after the other.
fn parts(cluster: &Arc<Cluster>) -> [Vec<Trial>; 5] {
    let by_themselves = tests![
        cluster,
        refusals::what_the_cluster_has_yet_to_make_is_waited_for_and_a_used_up_quota_is_named,
        refusals::rights_and_a_namespace_that_are_not_there_are_named,
        refusals::pod_security_and_the_end_of_a_namespace_refuse_the_client,
        account::a_token_that_is_refused_is_a_retry_until_the_mount_is_rotated,
        account::the_provisioner_may_do_five_things_to_pods_and_read_templates_where_its_clients_are,
        doctor::a_check_sees_that_a_label_is_missing,
        doctor::a_check_tells_what_would_become_of_clients_and_whom_each_webhook_is_asked_for,
        embedded::the_embedded_api_answers_as_a_real_one_does,
        embedded::gateways_webhooks_are_the_same_to_a_pod,
    ];
    // They give the provisioner one right more in the whole cluster.
    let with_reviews = tests![
        cluster,
        senders::a_sender_is_served_with_a_reviewed_token_of_the_right_subject_and_audience_and_with_no_other,
        deploy::every_manifest_is_accepted_and_the_policies_let_the_provisioner_work_and_nobody_past_it,
    ];
    let outage = tests![cluster, outage::an_api_server_that_is_killed_and_comes_back_costs_retries_and_nothing_else];
    let clients = tests![
        cluster,
        clients::every_event_has_one_answer_and_every_client_one_end_while_the_provisioner_is_killed_again_and_again,
    ];
    let on_a_node = |test: Trial| test.with_ignored_flag(control_plane::missing().is_some());
    [
        webhooks::tests(cluster).into_iter().chain(by_themselves).collect(),
        with_reviews,
        outage,
        life::tests(cluster).into_iter().map(on_a_node).collect(),
        clients.into_iter().map(on_a_node).collect(),
    ]
}

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("this machine has threads");
    let _entered = runtime.enter();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = tempfile::Builder::new().prefix("e2e-").tempdir_in(scratch).expect("target/ can be written").keep();
    let cluster = Arc::new(runtime.block_on(Cluster::start(&directory)));
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    if parts(&cluster).map(|part| libtest_mimic::run(&arguments, part).has_failed()).contains(&true) {
        println!("the logs of the API server and of what is around it are in {}", directory.display());
        return ExitCode::FAILURE;
    }
    drop(cluster);
    std::fs::remove_dir_all(directory).expect("target/ can be written");
    if let Some(program) = control_plane::missing() {
        println!("NOT RUN: the tests of a client's life: there is no {} (make e2e builds it)", program.display());
        // Whoever merges by what CI says must not take this for a success.
        return ExitCode::from(u8::from(std::env::var_os("CI").is_some()));
    }
    ExitCode::SUCCESS
}
