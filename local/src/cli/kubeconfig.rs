//! A kubeconfig in, an API server and how to speak to it out.
//!
//! Only what the component can use under Spin is taken, and everything else is an error that says what to do: Spin
//! trusts the CA that it is given and takes a client certificate from a file, but it runs no credential plugin and
//! skips no verification. Source of the format: Kubernetes, "client-go/tools/clientcmd/api/v1".

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use host::{Pem, read};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// How to reach one API server as one user.
pub struct Cluster {
    /// Scheme, host and port.
    pub url: String,
    /// The host in the URL, as `[[client_tls]]` wants it.
    pub host: String,
    /// The CA; `None` for the public roots.
    pub ca: Option<Pem>,
    /// The user's bearer token.
    pub token: Option<String>,
    /// The user's client certificate and its key. Where both are sent, the API server looks at the certificate first.
    pub certificate: Option<[Pem; 2]>,
}

impl Cluster {
    /// Reads the current context of the kubeconfig at `path`, or of several with colons in between, merged as kubectl
    /// merges those of `KUBECONFIG`: the first to name a thing says what it is, and those that aren't there are passed
    /// over. Files that one names are relative to its directory.
    pub fn load(path: &Path) -> Result<Self> {
        let all = || std::env::split_paths(path).filter(|file| !file.as_os_str().is_empty()).collect();
        let files: Vec<PathBuf> = if path.exists() { vec![path.to_owned()] } else { all() };
        let (there, missing): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.exists());
        let files = if there.is_empty() { missing } else { there };
        resolve(&files.into_iter().map(|file| Kubeconfig::read(file)).collect::<Result<Vec<_>>>()?)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Kubeconfig {
    current_context: String,
    contexts: Vec<Named<Context>>,
    clusters: Vec<Named<ClusterEntry>>,
    users: Vec<Named<User>>,
    /// Where it is.
    #[serde(skip)]
    directory: PathBuf,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    value: T,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ClusterEntry {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: Option<String>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    r#as: Option<String>,
}

impl Kubeconfig {
    fn read(path: &Path) -> Result<Self> {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let mut config: Self = serde_saphyr::from_str(&text).map_err(|error| {
            let reason = error.to_string();
            anyhow!("{} is not a kubeconfig: {}", path.display(), reason.lines().next().unwrap_or_default())
        })?;
        config.directory = path.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(config)
    }
}

fn resolve(all: &[Kubeconfig]) -> Result<Cluster> {
    let current = all.iter().map(|one| one.current_context.as_str()).find(|name| !name.is_empty());
    let (context, _) = find(all, |one| &one.contexts, "context", current.unwrap_or_default())?;
    let (cluster, directory) = find(all, |one| &one.clusters, "cluster", &context.cluster)?;
    let (url, host) = cluster.url()?;
    let nobody = User::default();
    let (user, home) = match context.user.is_empty() {
        true => (&nobody, directory),
        false => find(all, |one| &one.users, "user", &context.user)?,
    };
    let (token, certificate) = user.credentials(home, &url)?;
    let ca =
        pem(directory, "certificate-authority", &cluster.certificate_authority_data, &cluster.certificate_authority)?;
    Ok(Cluster { url, host, ca, token, certificate })
}

/// The first of this name, and the directory of the file that it is in.
fn find<'a, T>(
    all: &'a [Kubeconfig],
    list: fn(&Kubeconfig) -> &Vec<Named<T>>,
    what: &str,
    name: &str,
) -> Result<(&'a T, &'a Path)> {
    let named =
        |one: &'a Kubeconfig| Some((&list(one).iter().find(|named| named.name == name)?.value, &*one.directory));
    let missing = "choose a context with kubectl config use-context";
    all.iter().find_map(named).with_context(|| format!("the kubeconfig has no {what} named {name:?}: {missing}"))
}

impl ClusterEntry {
    fn url(&self) -> Result<(String, String)> {
        // Some providers write a host with capitals, and Spin takes none.
        let uri = self.server.to_ascii_lowercase().parse::<http::Uri>().unwrap_or_default();
        let cannot = [
            (self.insecure_skip_tls_verify, "cluster skips TLS verification: give it certificate-authority"),
            (given(&self.tls_server_name).is_some(), "cluster has a tls-server-name: use that name as the server"),
            (given(&self.proxy_url).is_some(), "cluster has a proxy-url: run kubectl proxy and use its address"),
            (!["", "/"].contains(&uri.path()), "server has a path: run kubectl proxy and use its address"),
        ];
        if let Some((_, what)) = cannot.iter().find(|(is_so, _)| *is_so) {
            bail!("Spin can't reach this API: the kubeconfig's {what}");
        }
        let no_url = "the kubeconfig's server is no URL: write it as https://host:port";
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).context(no_url)?;
        Ok((format!("{scheme}://{authority}"), authority.host().to_owned()))
    }
}

impl User {
    /// The user's credentials for the API server at `url`. Over http none are read or sent, as by kubectl: a proxy has its
    /// own.
    fn credentials(&self, directory: &Path, url: &str) -> Result<(Option<String>, Option<[Pem; 2]>)> {
        if url.starts_with("http:") && given(&self.r#as).is_none() {
            return Ok((Some(String::new()), None));
        }
        let chain = pem(directory, "client-certificate", &self.client_certificate_data, &self.client_certificate)?;
        let key = pem(directory, "client-key", &self.client_key_data, &self.client_key)?;
        let certificate = chain.zip(key).map(|(certificate, key)| [certificate, key]);
        let token = match given(&self.token_file) {
            Some(file) => Some(String::from_utf8_lossy(&read(&directory.join(file))?).trim().to_owned()),
            None => given(&self.token).cloned(),
        };
        let what = match () {
            () if given(&self.r#as).is_some() => "impersonates another, which is not supported",
            () if token.is_some() || certificate.is_some() => return Ok((token, certificate)),
            () if self.exec.is_some() => "runs a credential plugin (exec), which Spin can't",
            () if self.auth_provider.is_some() => "has an auth-provider, which Spin can't use",
            () if given(&self.username).is_some() => "has a password, which is not supported",
            () => "has neither a token nor a client certificate",
        };
        bail!("the kubeconfig's user {what}: use a service account's token, as kubectl create token prints it")
    }
}

/// A value that isn't empty: an empty one is as good as none, as in kubectl.
fn given<T: AsRef<OsStr>>(value: &Option<T>) -> Option<&T> {
    value.as_ref().filter(|value| !value.as_ref().is_empty())
}

/// Inline data wins over a file, as in kubectl.
fn pem(directory: &Path, what: &str, data: &Option<String>, file: &Option<PathBuf>) -> Result<Option<Pem>> {
    let bytes = match (given(data), given(file)) {
        (Some(data), _) => BASE64_STANDARD
            .decode(data.split_whitespace().collect::<String>())
            .map_err(|_| anyhow!("the kubeconfig's {what}-data is not base64: write it anew"))?,
        (None, Some(file)) => read(&directory.join(file))?,
        (None, None) => return Ok(None),
    };
    Ok(Some((format!("the kubeconfig's {what}"), bytes)))
}

#[cfg(test)]
mod tests;
