//! Which kubeconfigs can be used, and what is said of the others.

use super::*;

fn load(cluster: &str, user: &str) -> Result<Cluster> {
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
    let error = format!("{:#}", load(cluster, user).err().unwrap());
    assert!(error.contains(expected), "{error}");
    assert_eq!(error.lines().count(), 1);
}

const SERVER: &str = "server: 'https://10.0.0.1:6443/', certificate-authority: ca.crt";

#[test]
fn a_token_user_and_a_ca_file_are_taken() {
    let cluster = load(SERVER, "token: abc").unwrap();
    assert_eq!((cluster.url.as_str(), cluster.host.as_str()), ("https://10.0.0.1:6443", "10.0.0.1"));
    assert_eq!(cluster.ca.unwrap().1, b"the ca");
    assert_eq!(cluster.token.as_deref(), Some("abc"));
    assert_eq!(load(SERVER, "token: abc, tokenFile: token").unwrap().token.as_deref(), Some("from a file"));
}

#[test]
fn a_certificate_user_and_inline_data_are_taken() {
    let cluster = load(
        "server: 'https://h:1', certificate-authority-data: Y2E=",
        // The base64 of many tools has line ends.
        "client-certificate-data: \"Y2Vy\\ndA==\\n\", client-key-data: a2V5",
    );
    let cluster = cluster.unwrap();
    assert_eq!((cluster.ca.unwrap().1, cluster.token), (b"ca".to_vec(), None));
    assert_eq!(cluster.certificate.unwrap().map(|pem| pem.1), [b"cert".to_vec(), b"key".to_vec()]);
}

/// The API server decides which of them counts, as with kubectl.
#[test]
fn a_certificate_and_a_token_are_both_taken() {
    let user = "client-certificate-data: Y2VydA==, client-key-data: a2V5, token: abc";
    let cluster = load("server: 'https://ABC.gr7.eks.example:443'", user).unwrap();
    assert_eq!((cluster.certificate.is_some(), cluster.token.as_deref()), (true, Some("abc")));
    let (url, host) = ("https://abc.gr7.eks.example:443", "abc.gr7.eks.example");
    assert_eq!((cluster.url.as_str(), cluster.host.as_str()), (url, host), "Spin takes no capitals");
}

/// `kubectl proxy` has its own credentials, and would pass on any other.
#[test]
fn a_server_over_http_needs_no_credentials() {
    let server = "server: 'http://127.0.0.1:8001'";
    assert_eq!(load(server, "").unwrap().token.as_deref(), Some(""));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: ''}}}}]\n\
         clusters: [{{name: k, cluster: {{{server}}}}}]\nusers: null\n"
    );
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Cluster::load(&path).unwrap().token.as_deref(), Some(""));
    std::fs::write(&path, text.replace("http:", "https:")).unwrap();
    assert!(Cluster::load(&path).err().unwrap().to_string().contains("neither a token nor"));
    for user in ["token: a", "exec: {command: aws}", "username: a", "tokenFile: none"] {
        assert_eq!(load(server, user).unwrap().token.as_deref(), Some(""), "{user}");
    }
    check_error(server, "token: a, as: somebody", "impersonates another");
}

#[test]
fn what_is_empty_is_not_there() {
    let server = "server: 'https://h', proxy-url: '', tls-server-name: '', certificate-authority-data: ''";
    let user = "as: '', token: '', username: '', client-certificate-data: '', tokenFile: token";
    let cluster = load(&format!("{server}, certificate-authority: ca.crt"), user).unwrap();
    assert_eq!((cluster.ca.unwrap().1, cluster.token.as_deref()), (b"the ca".to_vec(), Some("from a file")));
    assert!(load(&format!("{server}, certificate-authority: ''"), user).unwrap().ca.is_none());
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
        let error = Cluster::load(&path).err().unwrap().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
    for none in ["none", "none:nor this"] {
        assert!(Cluster::load(&directory.path().join(none)).err().unwrap().to_string().contains("cannot read"));
    }
}

#[test]
fn several_kubeconfigs_are_merged_as_kubectl_merges_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::create_dir_all(directory.path().join(name)).unwrap();
        std::fs::write(directory.path().join(name).join("config"), text).unwrap();
        directory.path().join(name).join("config")
    };
    let first = file(
        "first",
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
         users: [{name: u, user: {tokenFile: token}}]\n",
    );
    let second = file(
        "second",
        "current-context: other\nusers: [{name: u, user: {token: second}}]\n\
         clusters: [{name: k, cluster: {server: 'https://h:1', certificate-authority: ca.crt}}]\n",
    );
    std::fs::write(directory.path().join("first/token"), "first").unwrap();
    std::fs::write(directory.path().join("second/ca.crt"), "the ca").unwrap();
    let paths = std::env::join_paths([first, directory.path().join("gone"), second]).unwrap();
    let cluster = Cluster::load(Path::new(&paths)).unwrap();
    assert_eq!((cluster.url.as_str(), cluster.ca.unwrap().1), ("https://h:1", b"the ca".to_vec()));
    assert_eq!(cluster.token.as_deref(), Some("first"));
}
