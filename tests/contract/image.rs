//! The container image, laid out by the Dockerfile's own lines, runs in the host as a Pod of `deploy/` would run it:
//! the image's root as root, the token volume over the mount point, the runtime config, the environment by the shim's
//! rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use host::{Application, Compile, Options, RuntimeConfig, VariableSources};
use tempfile::TempDir;
use tests::events::{Delivery, bare, pending};
use tests::manifests::{knative_container, knative_service, named_values, runtime_config, spin_app, spin_app_env};
use tests::peer::{accepts, happy};
use tests::provisioner::repository;
use tests::recorder::Recorder;
use tests::{Peer, Reply, TOKEN};

/// The lines of a file that say something, each with its continuation lines.
fn lines(path: &str) -> Vec<String> {
    let text = fs::read_to_string(repository().join(path)).unwrap().replace("\\\n", "");
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(str::to_owned).collect()
}

/// Dockerfile instructions: (`COPY`, `spin.toml /spin.toml`).
fn dockerfile() -> Vec<(String, String)> {
    let split = |line: &String| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned())).unwrap();
    lines("Dockerfile").iter().map(split).collect()
}

/// What is copied, and where to.
fn copies() -> Vec<(String, PathBuf)> {
    let copy = |arguments: &str| {
        let [source, destination] = arguments.split(' ').collect::<Vec<_>>()[..] else { panic!("COPY {arguments}") };
        (source.to_owned(), destination.strip_prefix('/').expect("an absolute destination").into())
    };
    dockerfile().iter().filter(|(name, _)| name == "COPY").map(|(_, arguments)| copy(arguments)).collect()
}

/// The image's root directory. `.dockerignore` leaves nothing in a directory, which a test below holds.
fn root() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (source, destination) in copies() {
        let (from, to) = (repository().join(&source), root.path().join(destination));
        fs::create_dir_all(if from.is_dir() { &to } else { to.parent().unwrap() }).unwrap();
        if !from.is_dir() {
            fs::copy(from, to).unwrap_or_else(|e| panic!("{source}: {e} (make test builds the component first)"));
        }
    }
    root
}

/// A Pod: the image's root, what is mounted over it, and the application that runs there.
struct Pod {
    _root: TempDir,
    application: Application,
    logs: Arc<Recorder>,
}

impl Pod {
    /// Starts with the environment of a container, with what the kubelet mounts or without.
    fn start(env: BTreeMap<String, String>, mounted: bool) -> Self {
        let root = root();
        let logs = Arc::<Recorder>::default();
        let mut options = Options {
            variables: VariableSources { env: of_the_shim(env), ..VariableSources::default() },
            observer: Some(logs.clone()),
            ..Options::default()
        };
        if mounted {
            options.runtime_config = mount(root.path());
        }
        let application = Application::load(&root.path().join("spin.toml"), options, Compile::default()).unwrap();
        Self { _root: root, application, logs }
    }

    async fn deliver(&self, request: Delivery) -> Reply {
        Reply::read(self.application.handle(request).await).await
    }
}

/// The container's environment as the shim gives it to Spin: for a variable that the application declares, `FOO` beats
/// `SPIN_VARIABLE_FOO`, an empty one too.
fn of_the_shim(mut env: BTreeMap<String, String>) -> BTreeMap<String, String> {
    for name in tests::manifests::application().variables.keys().map(|name| name.to_ascii_uppercase()) {
        if let Some(value) = env.remove(&name) {
            env.insert(format!("SPIN_VARIABLE_{name}"), value);
        }
    }
    env
}

/// Puts what the volumes hold into the root: the service account and the Secret's runtime config, which is read from
/// there.
fn mount(root: &Path) -> RuntimeConfig {
    let account = root.join("serviceaccount");
    let ca = rcgen::generate_simple_self_signed(["kubernetes.default.svc".to_owned()]).unwrap();
    fs::write(account.join("token"), TOKEN).unwrap();
    fs::write(account.join("ca.crt"), ca.cert.pem()).unwrap();
    fs::write(account.join("namespace"), "client-system").unwrap();
    let file = root.join("runtime-config.toml");
    // The shim's root is the image's; the host's is this machine's.
    let here = format!("\"{}/serviceaccount/", root.display());
    fs::write(&file, runtime_config().replace("\"/serviceaccount/", &here)).unwrap();
    RuntimeConfig::from_file(&file).unwrap()
}

/// The environment with the API server's address in place of the cluster's, by whichever name it has there.
fn at(mut env: BTreeMap<String, String>, peer: &Peer) -> BTreeMap<String, String> {
    let url = env.iter_mut().find(|(name, _)| name.ends_with("KUBE_API_URL"));
    *url.expect("the API server is named").1 = peer.url();
    env
}

#[test]
fn the_image_holds_the_application_and_three_empty_directories() {
    let component = "target/wasm32-wasip2/release/provisioner.wasm";
    let (directories, files): (Vec<_>, Vec<_>) =
        copies().into_iter().map(|(source, _)| source).partition(|source| repository().join(source).is_dir());
    assert_eq!((directories.len(), &files), (3, &vec!["spin.toml".to_owned(), component.to_owned()]));
    let destinations = copies().into_iter().map(|(_, destination)| destination).collect::<BTreeSet<_>>();
    let expected = [".spin", "oidc", "serviceaccount", "spin.toml", component].map(PathBuf::from);
    assert_eq!(destinations, BTreeSet::from(expected));
    let sizes = files.iter().map(|file| repository().join(file).metadata().unwrap().len());
    assert!(sizes.sum::<u64>() < 1 << 20);
    assert_eq!(tests::manifests::application().component.source, repository().join(component));
}

/// Line by line: an allow list that says more would hand a build what is in the checkout, a token say.
#[test]
fn a_build_is_given_what_the_dockerfile_copies_and_of_a_directory_nothing_in_it() {
    let mut sources: Vec<_> = copies().into_iter().map(|(source, _)| source).collect();
    sources.dedup();
    let allowed = sources.iter().flat_map(|source| {
        let inside = repository().join(source).is_dir().then(|| format!("{source}/*"));
        [format!("!{source}")].into_iter().chain(inside)
    });
    assert_eq!(lines(".dockerignore"), ["*".to_owned()].into_iter().chain(allowed).collect::<Vec<_>>());
}

#[test]
fn nothing_is_published_while_there_may_be_a_token() {
    let checkout = tempfile::tempdir().unwrap();
    fs::copy(repository().join("Makefile"), checkout.path().join("Makefile")).unwrap();
    fs::create_dir(checkout.path().join("serviceaccount")).unwrap();
    let write = |name: &str| fs::write(checkout.path().join("serviceaccount").join(name), "x").unwrap();
    let check = || {
        let mut make = Command::new("make");
        make.current_dir(checkout.path()).arg("serviceaccount/clean").env_remove("MAKEFLAGS");
        make.output().expect("make is there")
    };
    write("README.md");
    assert!(check().status.success());
    write("..data");
    let refused = check();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("serviceaccount/..data"));
}

#[test]
fn both_ways_to_publish_look_for_a_token_first() {
    let makefile = fs::read_to_string(repository().join("Makefile")).unwrap();
    for target in ["image:", "push/artifact:"] {
        let rule = makefile.lines().find(|line| line.starts_with(target)).unwrap();
        assert!(rule.starts_with(&format!("{target} serviceaccount/clean ")), "{rule}");
    }
}

#[test]
fn the_image_has_what_the_shim_and_a_registry_want() {
    let lines = dockerfile();
    let one = |instruction: &str| {
        let mut found = lines.iter().filter(|(name, _)| name == instruction);
        let (Some((_, rest)), None) = (found.next(), found.next()) else { panic!("one {instruction}") };
        rest.as_str()
    };
    assert_eq!((one("FROM"), one("WORKDIR"), one("ENTRYPOINT")), ("scratch", "/", "[\"/spin.toml\"]"));
    // Or Spin never gives back what a burst has taken.
    assert_eq!(one("ENV"), "SPIN_WASMTIME_LINEAR_MEMORY_KEEP_RESIDENT=0");
    // Nothing can be run in it.
    assert!(lines.iter().all(|(name, _)| name != "RUN"));
    for label in ["title", "description", "licenses", "source", "version", "revision"] {
        assert!(one("LABEL").contains(&format!("org.opencontainers.image.{label}=")), "{label}");
    }

    let version = env!("CARGO_PKG_VERSION");
    assert!(lines.contains(&("ARG".to_owned(), format!("VERSION={version}"))));
    let image = format!("ghcr.io/podgateway/cloudevents-podgateway-client-provisioner:{version}");
    assert_eq!(spin_app()["spec"]["image"], image.as_str());
    assert_eq!(knative_service()["spec"]["template"]["spec"]["containers"][0]["image"], image.as_str());
}

#[tokio::test]
async fn the_pods_of_the_spin_app_and_of_the_knative_service_serve_probes_and_events() {
    for env in [spin_app_env(), named_values(&knative_container()["env"])] {
        let peer = Peer::start(happy()).await;
        let pod = Pod::start(at(env, &peer), true);
        for path in ["/healthz", "/readyz"] {
            assert_eq!(pod.deliver(bare("GET", path)).await.status, 200, "{path}: {}", pod.logs.text());
        }
        assert_eq!(pod.deliver(pending("1", "foo")).await.outcome(), "done", "{}", pod.logs.text());
        let calls = peer.finish();
        assert!(calls[0].path.starts_with("/api/v1/namespaces/routed-clients/pods"));
        assert_eq!(calls[0].headers["authorization"], format!("Bearer {TOKEN}"));
    }
}

#[tokio::test]
async fn without_the_token_volume_it_is_alive_and_not_ready() {
    let pod = Pod::start(spin_app_env(), false);
    assert_eq!(pod.deliver(bare("GET", "/healthz")).await.status, 200);
    let reply = pod.deliver(bare("GET", "/readyz")).await;
    assert_eq!(reply.status, 503);
    assert!(reply.json()["detail"].as_str().unwrap().contains("/serviceaccount/token"));
}

#[tokio::test]
async fn the_sink_of_the_sink_binding_gets_the_answer() {
    let peer = Peer::start(happy().into_iter().chain([accepts()]).collect()).await;
    let mut env = at(spin_app_env(), &peer);
    // As SinkBinding sets them in the container, whose names the shim takes as they are.
    env.insert("K_SINK".into(), format!("{}/client-system/default", peer.url()));
    env.insert("K_CE_OVERRIDES".into(), String::new());
    env.insert("SPIN_VARIABLE_SINK_ORIGIN".into(), peer.url());
    let pod = Pod::start(env, true);
    let reply = pod.deliver(pending("1", "foo")).await;
    assert_eq!((reply.status.as_u16(), reply.body.is_empty()), (202, true), "{}", pod.logs.text());
    let calls = peer.finish();
    assert_eq!(calls[2].path, "/client-system/default");
    assert_eq!(calls[2].headers["ce-type"], "io.podgateway.client.scheduling.done");
}
