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
    /// Reads the current context of the kubeconfig at `path`. Files that it names are relative to its directory.
    pub fn load(path: &Path) -> Result<Self, KubeconfigError> {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let directory = path.parent().unwrap_or(Path::new("."));
        let config: Kubeconfig = serde_saphyr::from_str(&text).map_err(|e| {
            let reason = e.to_string().lines().next().unwrap_or_default().to_owned();
            KubeconfigError::Parse { path: path.to_owned(), reason }
        })?;
        config.resolve(directory)
    }

    /// The host in the URL, as `[[client_tls]]` wants it.
    pub fn host(&self) -> String {
        let uri: Option<http::Uri> = self.url.parse().ok();
        uri.and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default()
    }
}

#[derive(Deserialize)]
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
    fn resolve(self, directory: &Path) -> Result<Cluster, KubeconfigError> {
        let context = find(self.contexts, "context", &self.current_context)?;
        let cluster = find(self.clusters, "cluster", &context.cluster)?;
        let user = find(self.users, "user", &context.user)?;
        Ok(Cluster { url: cluster.url()?, ca: cluster.ca(directory)?, user: user.credentials(directory)? })
    }
}

fn find<T>(list: Vec<Named<T>>, what: &str, name: &str) -> Result<T, KubeconfigError> {
    let found = list.into_iter().find(|named| named.name == name);
    found.map(|named| named.value).ok_or_else(|| KubeconfigError::Missing(format!("{what} named {name:?}")))
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
mod tests {
    use super::*;

    fn load(cluster: &str, user: &str) -> Result<Cluster, KubeconfigError> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.crt"), "the ca").unwrap();
        std::fs::write(directory.path().join("token"), "from a file\n").unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\npreferences: {{}}\n\
             contexts: [{{name: c, context: {{cluster: k, user: u, namespace: x}}}}]\n\
             clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        );
        let path = directory.path().join("config");
        std::fs::write(&path, text).unwrap();
        Cluster::load(&path)
    }

    #[track_caller]
    fn check_error(cluster: &str, user: &str, expected: &str) {
        let error = load(cluster, user).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1);
    }

    const SERVER: &str = "server: 'https://10.0.0.1:6443/', certificate-authority: ca.crt";

    #[test]
    fn a_token_user_and_a_ca_file_are_taken() {
        let cluster = load(SERVER, "token: abc").unwrap();
        assert_eq!((cluster.url.as_str(), cluster.host().as_str()), ("https://10.0.0.1:6443", "10.0.0.1"));
        assert_eq!(cluster.ca.as_deref(), Some("the ca".as_bytes()));
        assert!(matches!(cluster.user, Credentials::Token(token) if token == "abc"));
        let user = load(SERVER, "tokenFile: token").unwrap().user;
        assert!(matches!(user, Credentials::Token(token) if token == "from a file"));
    }

    #[test]
    fn a_certificate_user_and_inline_data_are_taken() {
        let cluster = load(
            "server: 'https://h:1', certificate-authority-data: Y2E=",
            "client-certificate-data: Y2VydA==, client-key-data: a2V5",
        );
        let cluster = cluster.unwrap();
        assert_eq!(cluster.ca.as_deref(), Some("ca".as_bytes()));
        assert!(matches!(cluster.user, Credentials::Certificate { cert, key } if cert == b"cert" && key == b"key"));
    }

    #[test]
    fn what_spin_cannot_do_is_said() {
        check_error("server: 'https://h', insecure-skip-tls-verify: true", "token: a", "certificate-authority");
        check_error("server: 'https://h/k8s/c1'", "token: a", "kubectl proxy");
        check_error("server: 'nothing at all'", "token: a", "https://host:port");
        check_error("server: 'https://h', proxy-url: 'http://p'", "token: a", "proxy-url");
        check_error("server: 'https://h', tls-server-name: n", "token: a", "tls-server-name");
        check_error("server: 'https://h', certificate-authority-data: '?'", "token: a", "not base64");
        check_error(SERVER, "exec: {command: aws}", "kubectl create token");
        check_error(SERVER, "username: a, password: b", "password");
        check_error(SERVER, "", "neither a token nor a client certificate");
        check_error(SERVER, "tokenFile: gone", "cannot read");
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_said_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        for (text, expected) in [("a: [", "is not a kubeconfig"), ("{}", "no context named \"\"")] {
            std::fs::write(&path, text).unwrap();
            let error = Cluster::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
        assert!(Cluster::load(&directory.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }
}
