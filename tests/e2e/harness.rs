//! Tests by name, in parts that run one after the other; within a part, tests run at the same time.
//!
//! A test is a future that panics when it fails. The command line is `cargo test`'s: a filter, `--list`, `--nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Handle;

use crate::cluster::Cluster;

type Run = Box<dyn FnOnce(Arc<Cluster>) -> LocalBoxFuture<'static, ()> + Send>;

/// How many tests of a part run at once: most of them wait for the API server most of the time.
const AT_ONCE: usize = 6;

static IS_VERBOSE: AtomicBool = AtomicBool::new(false);

/// Whether whoever runs the tests wants to read along.
pub fn is_verbose() -> bool {
    IS_VERBOSE.load(Ordering::Relaxed)
}

/// A test, whose name is a sentence.
pub struct Test {
    name: String,
    run: Run,
    is_ignored: bool,
}

impl Test {
    /// A test with its name.
    pub fn new<F>(name: &str, run: impl FnOnce(Arc<Cluster>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self { name: name.to_owned(), run: Box::new(|cluster| Box::pin(run(cluster))), is_ignored: false }
    }

    /// The same, where it may be that it can't run on this machine.
    pub fn ignored_if(self, is_ignored: bool) -> Self {
        Self { is_ignored, ..self }
    }

    fn trial(self, part: &str, runtime: Handle, cluster: Arc<Cluster>) -> Trial {
        let run = move || {
            runtime.block_on((self.run)(cluster));
            Ok(())
        };
        Trial::test(format!("{part}: {}", self.name), run).with_ignored_flag(self.is_ignored)
    }
}

/// Tests of these functions, named after them.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        vec![$($crate::harness::Test::new(&stringify!($test).replace('_', " "), $test)),*]
    };
}

/// A part: what it is called, and its tests.
pub type Part = (&'static str, Vec<Test>);

/// Runs the parts; gives the time of each and whether all is well.
pub fn run(parts: Vec<Part>, runtime: &Handle, cluster: &Arc<Cluster>) -> (Vec<(&'static str, Duration)>, bool) {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(AT_ONCE));
    IS_VERBOSE.store(arguments.nocapture, Ordering::Relaxed);
    let (mut times, mut all_well) = (Vec::new(), true);
    for (name, tests) in parts {
        let begin = Instant::now();
        let trials = tests.into_iter().map(|test| test.trial(name, runtime.clone(), cluster.clone())).collect();
        all_well &= !libtest_mimic::run(&arguments, trials).has_failed();
        times.push((name, begin.elapsed()));
    }
    (times, all_well)
}
