//! The provisioner's service account: its rights by the API server's word, and its token as the kubelet mounts it.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use provisioner::pod::{each, text};
use serde_json::{Value, json};
use tests::cluster::account;
use tests::cluster::{Cluster, FOO, Namespace, ROUTED};

use crate::outcome::{assert_pods, deliver};

/// By the list of its rights, so that nothing is forgotten.
pub async fn the_provisioner_may_do_five_things_to_pods_and_read_templates_where_its_clients_are(
    cluster: Arc<Cluster>,
) {
    let namespace = Namespace::create(cluster, "role", &[ROUTED]).await;
    let rights: Vec<_> = rights_in(&namespace, &namespace.name).await.into_iter().collect();
    let pods = ["create pods", "delete pods", "get pods", "get podtemplates", "list pods", "patch pods"];
    assert_eq!(rights, pods);
    for other in ["default".to_owned(), "kube-system".to_owned(), account::service_account().0] {
        assert_eq!(rights_in(&namespace, &other).await, BTreeSet::new(), "{other}");
    }
}

/// What the provisioner may do in a namespace, beyond what every service account may do to learn about itself.
async fn rights_in(namespace: &Namespace, place: &str) -> BTreeSet<String> {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let review = namespace.provisioners_client().create(path, &json!({"spec": {"namespace": place}})).await;
    let rights = |rule: &Value| {
        let resources = || each(&rule["resources"]).map(text);
        let of_verb = |verb| resources().map(move |what| format!("{verb} {what}"));
        each(&rule["verbs"]).map(text).flat_map(of_verb).collect::<Vec<_>>()
    };
    let rights = each(&review["status"]["resourceRules"]).flat_map(rights);
    rights.filter(|right| !right.contains(" selfsubject")).collect()
}

/// Lays the files out as the kubelet lays a projected volume: the file that is read is a link into `..data`, which is
/// a link to a directory with a name of its own, and is swapped in one step.
fn project(mount: &Path, version: &str, token: &str) {
    let directory = mount.join(version);
    std::fs::create_dir(&directory).expect("a directory can be made");
    std::fs::write(directory.join("token"), token).expect("a token can be written");
    let swapped = mount.join("..data_tmp");
    symlink(version, &swapped).expect("a link can be made");
    std::fs::rename(swapped, mount.join("..data")).expect("a link can be swapped");
}

pub async fn a_token_that_is_refused_is_a_retry_until_the_mount_is_rotated(cluster: Arc<Cluster>) {
    let namespace = Namespace::create(cluster, "rotated", &[ROUTED]).await;
    let _gateway = FOO.serve(&namespace).await;
    let provisioner = namespace.provisioner(&[]);
    let file = provisioner.token_file();
    let mount = file.parent().expect("a file has a directory");
    std::fs::remove_file(&file).expect("there is a token");
    symlink("..data/token", &file).expect("a link can be made");
    let of_others = account::request_token(&namespace.cluster, (&namespace.name, "default"), Some("others")).await;
    project(mount, "..2026_01_01_00_00_00.1", &of_others);
    assert_eq!(deliver(&provisioner, "1").await, "503");
    assert_pods(&namespace, 0).await;
    project(mount, "..2026_01_01_01_00_00.2", &namespace.token);
    assert_eq!(deliver(&provisioner, "1").await, "`done`");
    assert_pods(&namespace, 1).await;
}
