//! The container image, laid out by the Dockerfile's own lines, runs in the host as a Pod of `deploy/` would run it:
//! the image's root as root, the token volume over the mount point, the runtime config, the environment by the shim's
//! rules.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use host::{Application, Compile, Options, RuntimeConfig, VariableSources};
use tests::events::{bare, pending};
use tests::manifests::application;
use tests::peer::{accepts, happy};
use tests::provisioner::repository;
use tests::recorder::Recorder;
use tests::{Peer, Reply, TOKEN};

use crate::deploy::{OBJECTS, knative_container, named_values, runtime_config, spin_app};

const COMPONENT: &str = "target/wasm32-wasip2/release/provisioner.wasm";

/// The lines of a file that say something, each with its continuation lines.
fn lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(path)).unwrap().replace("\\\n", "");
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

/// What is copied, and where to.
fn copies() -> Vec<(String, String)> {
    let lines = lines("Dockerfile");
    let copies = lines.iter().filter_map(|line| line.strip_prefix("COPY ")?.split_once(" /"));
    copies.map(|(source, destination)| (source.to_owned(), destination.to_owned())).collect()
}

/// Lays the image's root out. `.dockerignore` leaves nothing in a directory, which a test below holds.
fn lay_out(root: &Path) {
    for (source, destination) in copies() {
        let (from, to) = (repository().join(&source), root.join(destination));
        fs::create_dir_all(if from.is_dir() { &to } else { to.parent().unwrap() }).unwrap();
        if !from.is_dir() {
            fs::copy(from, to).unwrap_or_else(|e| panic!("{source}: {e} (make test builds the component first)"));
        }
    }
}

/// Puts what the volumes hold into the root: the service account, and the Secret's runtime config, which is read there.
fn mount(root: &Path) -> RuntimeConfig {
    let account = root.join("serviceaccount");
    let ca = rcgen::generate_simple_self_signed(["kubernetes.default.svc".to_owned()]).unwrap();
    fs::write(account.join("token"), TOKEN).unwrap();
    fs::write(account.join("ca.crt"), ca.cert.pem()).unwrap();
    let file = root.join("runtime-config.toml");
    // The shim's root is the image's; the host's is this machine's.
    let here = format!("\"{}/serviceaccount/", root.display());
    fs::write(&file, runtime_config(&OBJECTS).replace("\"/serviceaccount/", &here)).unwrap();
    RuntimeConfig::from_file(&file).unwrap()
}

/// The container's environment as the shim gives it to Spin: for a variable that the application declares, `FOO` beats
/// `SPIN_VARIABLE_FOO`, an empty one too.
fn of_the_shim(mut env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for name in application().variables.keys().map(|name| name.to_ascii_uppercase()) {
        env.remove(&name).and_then(|value| env.insert(format!("SPIN_VARIABLE_{name}"), value));
    }
    env
}

#[test]
fn the_image_holds_the_application_and_three_empty_directories() {
    assert_eq!(application().component.source, repository().join(COMPONENT));
    let directories = ["serviceaccount", "oidc", ".spin"].map(|directory| ("serviceaccount", directory));
    let expected = [&[("spin.toml", "spin.toml"), (COMPONENT, COMPONENT)][..], &directories].concat();
    let copies = copies();
    assert_eq!(copies.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect::<Vec<_>>(), expected);
    // An allow list that says more would hand a build what is in the checkout, a token say.
    let mut sources: Vec<_> = copies.into_iter().map(|(source, _)| source).collect();
    sources.dedup();
    let allowed = sources.iter().flat_map(|source| {
        let inside = repository().join(source).is_dir().then(|| format!("{source}/*"));
        [format!("!{source}")].into_iter().chain(inside)
    });
    assert_eq!(lines(".dockerignore"), ["*".to_owned()].into_iter().chain(allowed).collect::<Vec<_>>());
}

#[test]
fn nothing_is_published_while_there_may_be_a_token() {
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    for target in ["\nimage:", "\npush/artifact:"] {
        assert!(makefile.contains(&format!("{target} serviceaccount/clean ")), "{target} has to look for one first");
    }
    let checkout = tempfile::tempdir().unwrap();
    fs::write(checkout.path().join("Makefile"), makefile).unwrap();
    fs::create_dir(checkout.path().join("serviceaccount")).unwrap();
    for (name, says) in [("README.md", ""), ("..data", "serviceaccount/..data")] {
        fs::write(checkout.path().join("serviceaccount").join(name), "x").unwrap();
        let mut make = Command::new("make");
        let ran =
            make.current_dir(checkout.path()).arg("serviceaccount/clean").env_remove("MAKEFLAGS").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() == says.is_empty() && said.contains(says), "{name}: {said}");
    }
}

#[test]
fn the_image_has_what_the_shim_and_a_registry_want() {
    let lines = lines("Dockerfile");
    // Or Spin never gives back what a burst has taken.
    let memory = "ENV SPIN_WASMTIME_LINEAR_MEMORY_KEEP_RESIDENT=0";
    for line in ["FROM scratch", "WORKDIR /", "ENTRYPOINT [\"/spin.toml\"]", memory] {
        assert!(lines.iter().any(|found| found == line), "no {line}");
    }
    let labels = lines.iter().find(|line| line.starts_with("LABEL ")).unwrap();
    for label in ["title", "description", "licenses", "source", "version", "revision"] {
        assert!(labels.contains(&format!("org.opencontainers.image.{label}=")), "{label}");
    }
    assert_eq!(spin_app()["spec"]["image"], knative_container()["image"]);
}

/// The Deployment of the SpinApp, whose variables spin-operator puts into the environment, and the Knative Service.
#[tokio::test]
async fn the_pods_of_the_spin_app_and_of_the_knative_service_serve_probes_and_events() {
    let by_operator = |(name, value): (String, String)| (format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()), value);
    let of_app = named_values(&spin_app()["spec"]["variables"]).into_iter().map(by_operator).collect();
    for (mut env, prefix) in [(of_app, "SPIN_VARIABLE_"), (named_values(&knative_container()["env"]), "")] {
        let peer = Peer::start(happy().into_iter().chain([accepts()]).collect()).await;
        for name in ["KUBE_API_URL", "SINK_ORIGIN"] {
            *env.get_mut(&format!("{prefix}{name}")).expect("deploy/ says where it is") = peer.url();
        }
        // As a SinkBinding sets them in the container.
        env.insert("K_SINK".into(), format!("{}/client-system/default", peer.url()));
        env.insert("K_CE_OVERRIDES".into(), String::new());
        let root = tempfile::tempdir().unwrap();
        lay_out(root.path());
        let variables = VariableSources { env: of_the_shim(env), ..VariableSources::default() };
        let observer = Some(Arc::<Recorder>::default() as _);
        let options = Options { variables, runtime_config: mount(root.path()), observer, ..Options::default() };
        let pod = Application::load(&root.path().join("spin.toml"), options, Compile::default()).unwrap();
        for path in ["/healthz", "/readyz"] {
            assert_eq!(Reply::read(pod.handle(bare("GET", path)).await).await.status, 200, "{path}");
        }
        let reply = Reply::read(pod.handle(pending("1", "foo")).await).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (202, 0));
        let calls = peer.finish();
        assert!(calls[0].path.starts_with("/api/v1/namespaces/routed-clients/pods"));
        assert_eq!(calls[0].headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(calls[2].path, "/client-system/default");
        assert_eq!(calls[2].headers["ce-type"], provisioner::reply::DONE);
    }
}
