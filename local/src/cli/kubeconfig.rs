//! A kubeconfig in, an API server and how to speak to it out.
//!
//! Only what the component can use under Spin is taken, and everything else is an error that says what to do: Spin
//! trusts the CA that it is given and takes a client certificate from a file, but it runs no credential plugin and
//! skips no verification. Source of the format: Kubernetes, "client-go/tools/clientcmd/api/v1".

use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;

/// How to reach one API server as one user.
#[derive(Debug)]
pub struct Cluster {
    /// Scheme, host and port.
    pub url: String,
    /// The CA in PEM; `None` for the public roots.
    pub ca: Option<Vec<u8>>,
    /// Who asks.
    pub user: Credentials,
}

/// How a user proves who they are.
pub enum Credentials {
    /// A bearer token.
    Token(String),
    /// A client certificate and its key, in PEM.
    Certificate {
        /// The certificate.
        cert: Vec<u8>,
        /// The key.
        key: Vec<u8>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Certificate { .. } => "Certificate",
        })
    }
}

/// Why a kubeconfig can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// It, or a file that it names, can't be read.
    #[error("cannot read {}: {reason}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// It is no kubeconfig.
    #[error("{} is not a kubeconfig: {reason}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that it refers to is missing.
    #[error("the kubeconfig has no {0}: choose a context with kubectl config use-context")]
    Missing(String),
    /// It asks for something that can't be done here.
    #[error("the kubeconfig's {0}")]
    Unsupported(String),
}

impl Cluster {
    /// Reads the current context of the kubeconfig at `path`, or of several with colons in between, merged as kubectl
    /// merges those of `KUBECONFIG`: the first to name a thing says what it is, and those that aren't there are passed
    /// over. Files that one names are relative to its directory.
    pub fn load(path: &Path) -> Result<Self, KubeconfigError> {
        let files: Vec<PathBuf> = match path.exists() {
            true => vec![path.to_owned()],
            false => std::env::split_paths(path).filter(|file| !file.as_os_str().is_empty()).collect(),
        };
        let mut merged = Kubeconfig::default();
        for file in files.iter().filter(|file| files.len() == 1 || file.exists()) {
            merged.add(Kubeconfig::read(file)?);
        }
        merged.resolve()
    }

    /// The host in the URL, as `[[client_tls]]` wants it.
    pub fn host(&self) -> String {
        let uri: Option<http::Uri> = self.url.parse().ok();
        uri.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<Named<Context>>,
    #[serde(default)]
    clusters: Vec<Named<ClusterEntry>>,
    #[serde(default)]
    users: Vec<Named<User>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    value: T,
    /// Where the kubeconfig is that says this.
    #[serde(skip)]
    directory: PathBuf,
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

#[derive(Deserialize)]
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
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
    r#as: Option<String>,
}

impl Kubeconfig {
    fn read(path: &Path) -> Result<Self, KubeconfigError> {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let mut config: Self = serde_saphyr::from_str(&text).map_err(|e| {
            let reason = e.to_string().lines().next().unwrap_or_default().to_owned();
            KubeconfigError::Parse { path: path.to_owned(), reason }
        })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        config.clusters.iter_mut().for_each(|cluster| cluster.directory = directory.to_owned());
        config.users.iter_mut().for_each(|user| user.directory = directory.to_owned());
        Ok(config)
    }

    fn add(&mut self, other: Self) {
        if self.current_context.is_empty() {
            self.current_context = other.current_context;
        }
        self.contexts.extend(other.contexts);
        self.clusters.extend(other.clusters);
        self.users.extend(other.users);
    }

    fn resolve(self) -> Result<Cluster, KubeconfigError> {
        let context = find(self.contexts, "context", &self.current_context)?.value;
        let cluster = find(self.clusters, "cluster", &context.cluster)?;
        let user = find(self.users, "user", &context.user)?;
        let (url, ca) = (cluster.value.url()?, cluster.value.ca(&cluster.directory)?);
        Ok(Cluster { url, ca, user: user.value.credentials(&user.directory)? })
    }
}

fn find<T>(list: Vec<Named<T>>, what: &str, name: &str) -> Result<Named<T>, KubeconfigError> {
    let found = list.into_iter().find(|named| named.name == name);
    found.ok_or_else(|| KubeconfigError::Missing(format!("{what} named {name:?}")))
}

impl ClusterEntry {
    fn url(&self) -> Result<String, KubeconfigError> {
        let unsupported = |problem: &str| Err(KubeconfigError::Unsupported(problem.to_owned()));
        if self.insecure_skip_tls_verify {
            return unsupported("cluster skips TLS verification, which Spin can't: give it certificate-authority");
        }
        if self.tls_server_name.is_some() {
            return unsupported("cluster has a tls-server-name, which Spin can't set: use that name as the server");
        }
        if self.proxy_url.is_some() {
            return unsupported("cluster has a proxy-url, which Spin can't use: run kubectl proxy and use its address");
        }
        let uri: Option<http::Uri> = self.server.parse().ok();
        match uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?, uri.path()))) {
            Some((scheme, authority, "/" | "")) => Ok(format!("{scheme}://{authority}")),
            Some(_) => unsupported(
                "server has a path, which Spin's allowed hosts can't: run kubectl proxy and use its address",
            ),
            None => unsupported("server is no URL: write it as https://host:port"),
        }
    }

    fn ca(&self, directory: &Path) -> Result<Option<Vec<u8>>, KubeconfigError> {
        pem(directory, "certificate-authority", &self.certificate_authority_data, &self.certificate_authority)
    }
}

impl User {
    fn credentials(&self, directory: &Path) -> Result<Credentials, KubeconfigError> {
        let certificate =
            pem(directory, "client-certificate", &self.client_certificate_data, &self.client_certificate)?;
        let key = pem(directory, "client-key", &self.client_key_data, &self.client_key)?;
        match (&self.token, &self.token_file, certificate.zip(key)) {
            _ if self.r#as.is_some() => Err(self.unsupported()),
            (Some(token), _, _) => Ok(Credentials::Token(token.clone())),
            (None, Some(file), _) => {
                let token = read(&directory.join(file))?;
                Ok(Credentials::Token(String::from_utf8_lossy(&token).trim().to_owned()))
            }
            (None, None, Some((cert, key))) => Ok(Credentials::Certificate { cert, key }),
            _ => Err(self.unsupported()),
        }
    }

    fn unsupported(&self) -> KubeconfigError {
        let what = match (&self.exec, &self.auth_provider, &self.username, &self.r#as) {
            (_, _, _, Some(_)) => "impersonates another, which is not supported",
            (Some(_), ..) => "runs a credential plugin (exec), which Spin can't",
            (_, Some(_), ..) => "has an auth-provider, which Spin can't use",
            (_, _, Some(_), _) => "has a password, which is not supported",
            _ => "has neither a token nor a client certificate",
        };
        let advice = "use a service account's token, as kubectl create token prints it";
        KubeconfigError::Unsupported(format!("user {what}: {advice}"))
    }
}

/// Inline data wins over a file, as in kubectl.
fn pem(
    directory: &Path,
    what: &str,
    data: &Option<String>,
    file: &Option<PathBuf>,
) -> Result<Option<Vec<u8>>, KubeconfigError> {
    if let Some(data) = data {
        let decoded = BASE64_STANDARD.decode(data.trim());
        let problem = || KubeconfigError::Unsupported(format!("{what}-data is not base64: write it anew"));
        return decoded.map(Some).map_err(|_| problem());
    }
    file.as_ref().map(|file| read(&directory.join(file))).transpose()
}

fn read(path: &Path) -> Result<Vec<u8>, KubeconfigError> {
    std::fs::read(path).map_err(|reason| KubeconfigError::Read { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests;
