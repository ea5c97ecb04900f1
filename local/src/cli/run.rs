//! Wires the parts together, says where they are, and stops them.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use host::{Application, ClientTls, Code, Compile, Options, RuntimeConfig, Setup, VariableSources};
use serde_json::{Value, json};
use tempfile::TempDir;

use provisioner::config::Config as Settings;
use provisioner::kubernetes::Token;

use super::args::Args;
use super::check::{check, lines};
use super::client::{Client, reach};
use super::kubeconfig::Cluster;
use super::output::{Output, print_bytes, print_json, print_line};
use super::progress::shown;
use super::triggers::triggers;
use super::{console, sources};
use crate::broker::{Broker, BrokerConfig};
use crate::doors;
use crate::kubernetes::{Config, EmbeddedApi, WHAT_IT_IS_NOT};
use crate::listener::{Server, listen};
use crate::page::{Page, PageConfig};

/// The guest's directory for the service account.
const SERVICE_ACCOUNT: &str = "/serviceaccount";
/// What stands in for a token where the client certificate says who asks; the API server looks at that first.
const NO_TOKEN: &str = "the-client-certificate-counts";
/// There are no threads, temporary directories or signals.
const NO_MACHINE: &str = "this machine does not let it run";
/// There is no room where stdout goes.
const NO_STDOUT: &str = "cannot write to stdout";
/// How long each step of the kubelet takes that is played: long enough to be seen.
const KUBELET: Duration = Duration::from_millis(500);
/// How long the provisioner's requests may take to end when it is stopped.
const PATIENCE: Duration = Duration::from_secs(10);
/// A free port of this machine.
const ANY_PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Runs until Ctrl-C or SIGTERM; or prints the page that is asked for.
///
/// # Errors
/// What is wrong, in one line.
pub fn run(args: Args) -> Result<()> {
    if let Some(page) = args.page() {
        return print_bytes(&page).context(NO_STDOUT);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context(NO_MACHINE)?;
    let ended = runtime.block_on(serve(args));
    // Without waiting for a component that is still being compiled for nobody.
    runtime.shutdown_background();
    ended
}

async fn serve(args: Args) -> Result<()> {
    let mut stop = Box::pin(stop_signal().context(NO_MACHINE)?);
    let mut options = options(&args)?;
    let kubernetes = match &args.kubeconfig {
        Some(path) => Kubernetes::of_cluster(Cluster::load(path)?, &mut options)?,
        None => Kubernetes::embedded(&args, &mut options).await?,
    };
    // After the surroundings, so that the variables given by hand win.
    options.variables.flags.extend(args.flags());
    let setup = Setup::load(&args.from, options.clone())?;
    if args.check {
        return unless_stopped(&mut stop, check_gateways(&args, &setup, &kubernetes)).await;
    }
    let component = setup.component()?.to_owned();
    let compiling = tokio::task::spawn_blocking(move || Code::compile(&component, Compile::default()));
    if kubernetes.embedded.is_none() {
        let (settings, client) = as_the_provisioner(&setup)?;
        unless_stopped(&mut stop, waiting_for(&kubernetes, reach(&client, &settings))).await?;
    }
    let (listener, provisioner) = listen(args.listen).await?;
    let settling = listen(ANY_PORT.into()).await?;
    let triggers = triggers(provisioner, settling.1).chain(args.triggers.clone()).collect();
    let broker = Broker::bind(BrokerConfig { listen: args.broker_listen, doors: args.doors(), triggers }).await;
    let broker = Arc::new(broker?);
    let page = page(&args, provisioner, &broker, &kubernetes).await?;
    // Subscribed to before the addresses are told: from then on nothing that happens is missed.
    let (events, changes) = (broker.journal.subscribe(), kubernetes.embedded.as_ref().map(|api| api.subscribe()));
    if let Some(api) = &kubernetes.embedded {
        tokio::spawn(sources::tell_changes(api.subscribe(), api.url(), Arc::downgrade(&broker)));
    }
    tokio::spawn(sources::ping(Arc::downgrade(&broker)));
    introduce(args.output, &page, provisioner, &broker, &kubernetes).context(NO_STDOUT)?;
    // Both listen already, so what is sent to them meanwhile waits.
    let compiled = shown("compiling the component", compiling);
    let code = unless_stopped(&mut stop, async { compiled.await.context(NO_MACHINE)? }).await?;
    let has_sink = !setup.variable("k_sink").unwrap_or_default().is_empty();
    let application = Application::new(setup, code.clone());
    let with_sink = if has_sink { application.clone() } else { with_sink(&args, options, code, &broker)? };
    let _settling = Server::start(settling, args.doors().guard(with_sink.router(), doors::refuse));
    tokio::spawn(console::print_events(events, args.output));
    if let Some(changes) = changes {
        tokio::spawn(console::print_pods(changes, args.output));
    }
    // What runs around it is there until its last request has ended.
    host::serve(listener, args.doors().guard(application.router(), doors::refuse), stop, PATIENCE).await;
    Ok(())
}

async fn page(args: &Args, provisioner: SocketAddr, broker: &Arc<Broker>, kubernetes: &Kubernetes) -> Result<Page> {
    let config = PageConfig {
        listen: args.page_listen,
        doors: args.doors(),
        provisioner: format!("http://{provisioner}"),
        kubernetes: kubernetes.description.clone(),
    };
    Page::bind(config, broker.clone(), kubernetes.embedded.clone()).await
}

/// Checks each gateway of the variable `gateways`; the embedded API's own where that is empty.
async fn check_gateways(args: &Args, setup: &Setup, kubernetes: &Kubernetes) -> Result<()> {
    let (settings, client) = as_the_provisioner(setup)?;
    let named: Vec<_> = settings.gateways().map(str::to_owned).collect();
    let gateways = match (named, &kubernetes.embedded) {
        (named, _) if !named.is_empty() => named,
        (_, Some(api)) => api.gateways().into_iter().map(|gateway| gateway.name).collect(),
        _ => bail!("name the gateways to check: --variable gateways=foo,bar"),
    };
    let token = std::fs::read_to_string(kubernetes.service_account.path().join("token")).context(NO_MACHINE)?;
    let token = Token::parse(&token, &settings.kube_api_url).map_err(|error| anyhow!("{error}"))?;
    let rows = waiting_for(kubernetes, check(&gateways, &settings, &token, &client)).await;
    match args.output {
        Output::Text => lines(&rows).iter().try_for_each(print_line),
        Output::Json => print_json(&rows),
    }
    .context(NO_STDOUT)?;
    let failed = rows.iter().filter(|row| row.problem.is_some()).count();
    ensure!(failed == 0, "{failed} of {} gateways can't take clients", gateways.len());
    Ok(())
}

/// Shows that a cluster is waited for; the embedded API is there.
async fn waiting_for<T>(kubernetes: &Kubernetes, work: impl Future<Output = T>) -> T {
    match &kubernetes.embedded {
        Some(_) => work.await,
        None => shown(&format!("waiting for {}", kubernetes.url), work).await,
    }
}

/// The provisioner's settings, and a way out that is the provisioner's.
fn as_the_provisioner(setup: &Setup) -> Result<(Settings, Client)> {
    let variable = |name: &str| setup.variable(name).map(str::to_owned).ok_or_else(|| format!("there is no {name:?}"));
    Ok((Settings::from_variables(variable)?, Client(setup.outbound.clone())))
}

/// The application with the broker for its sink: what it answers a dead letter is thrown away, and a sweep has no single
/// answer.
fn with_sink(args: &Args, mut options: Options, code: Code, broker: &Broker) -> Result<Application> {
    let sink = [("k_sink", broker.url().to_owned()), ("sink_origin", format!("http://{}", broker.local_addr()))];
    options.variables.flags.extend(sink.map(|(name, value)| (name.to_owned(), value)));
    Ok(Application::new(Setup::load(&args.from, options)?, code))
}

/// What `work` comes to, unless it is stopped first.
async fn unless_stopped<T>(
    stop: &mut (impl Future<Output = ()> + Unpin),
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        result = work => result,
        () = stop => Err(anyhow!("stopped before it was done")),
    }
}

fn options(args: &Args) -> Result<Options> {
    let runtime_config = args.runtime_config_file.as_deref().map(RuntimeConfig::from_file).transpose()?;
    // No variable that isn't text is one of ours.
    let env = std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let variables = VariableSources { env: env.collect(), ..VariableSources::default() };
    Ok(Options { variables, runtime_config: runtime_config.unwrap_or_default(), ..Options::default() })
}

/// Where the Pods go. Keeps what the provisioner needs for it alive.
struct Kubernetes {
    embedded: Option<Arc<EmbeddedApi>>,
    url: String,
    description: String,
    service_account: TempDir,
}

impl Kubernetes {
    async fn embedded(args: &Args, options: &mut Options) -> Result<Self> {
        let templates = ["default", "routed-clients"].map(client_template).to_vec();
        let open_to = Some(args.doors());
        let config = Config { open_to, kubelet: Some(KUBELET), pod_templates: templates, ..Config::demo() };
        let service_account = mount_token(options, &config.token)?;
        let api = EmbeddedApi::bind(config, args.kubernetes_listen).await?;
        let url = api.url();
        options.variables.flags.insert("kube_api_url".to_owned(), url.clone());
        let description = format!("{url}  embedded: kubectl --server={url} get pods -A");
        Ok(Self { embedded: Some(Arc::new(api)), url, description, service_account })
    }

    fn of_cluster(Cluster { url, host, ca, token, certificate }: Cluster, options: &mut Options) -> Result<Self> {
        let service_account = mount_token(options, token.as_deref().unwrap_or(NO_TOKEN))?;
        options.runtime_config.client_tls.push(ClientTls::new(host, ca, certificate)?);
        options.variables.flags.insert("kube_api_url".to_owned(), url.clone());
        Ok(Self { embedded: None, description: url.clone(), url, service_account })
    }
}

/// A PodTemplate whose clients have an end of their own, as in `deploy/client-pod-template.yaml`.
fn client_template(namespace: &str) -> Value {
    let client = json!({"name": "client", "image": "alpine/curl:8.17.0", "command": ["sleep", "infinity"]});
    json!({
        "metadata": {"name": "client", "namespace": namespace},
        "template": {"spec": {"restartPolicy": "OnFailure", "containers": [client]}},
    })
}

/// Lays a directory with the token over the application's own.
fn mount_token(options: &mut Options, token: &str) -> Result<TempDir> {
    let this_users_alone = std::fs::Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new().permissions(this_users_alone).tempdir().context(NO_MACHINE)?;
    std::fs::write(directory.path().join("token"), token).context(NO_MACHINE)?;
    options.mounts.insert(SERVICE_ACCOUNT.to_owned(), directory.path().to_owned());
    Ok(directory)
}

fn introduce(
    output: Output,
    page: &Page,
    provisioner: SocketAddr,
    broker: &Broker,
    kubernetes: &Kubernetes,
) -> io::Result<()> {
    let (page, broker, provisioner) = (page.url(), broker.url(), format!("http://{provisioner}"));
    if output == Output::Json {
        let kubernetes = &kubernetes.url;
        let addresses = json!({"page": page, "provisioner": provisioner, "broker": broker, "kubernetes": kubernetes});
        return print_json(&addresses);
    }
    print_line(format_args!("page         {page}  open it in a browser: send events, and see what becomes of them"))?;
    print_line(format_args!("provisioner  {provisioner}  POST an event here and read the answer"))?;
    print_line(format_args!("broker       {broker}  POST it here instead and watch it below"))?;
    print_line(format_args!("kubernetes   {}", kubernetes.description))?;
    if kubernetes.embedded.is_some() {
        print_line(format_args!("\n{WHAT_IT_IS_NOT}"))?;
    }
    print_line("\nCtrl-C stops it.\n")
}

/// Ctrl-C, Ctrl-\, a request to end, or the end of the terminal. Whatever it is, the mounted token is removed.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    let mut signals = kinds.into_iter().map(signal).collect::<io::Result<Vec<_>>>()?;
    Ok(async move {
        _ = futures::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
    })
}
