//! The service account's token, as the kubelet mounts and rotates it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use tests::cluster::token;
use tests::cluster::{Cluster, FOO, Namespace, ROUTED};

use crate::outcome::{assert_pods, deliver};

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
    let of_others = token::request_for(&namespace.cluster, (&namespace.name, "default"), Some("others")).await;
    project(mount, "..2026_01_01_00_00_00.1", &of_others);
    assert_eq!(deliver(&provisioner, "1").await, "503");
    assert_pods(&namespace, 0).await;
    project(mount, "..2026_01_01_01_00_00.2", &namespace.token);
    assert_eq!(deliver(&provisioner, "1").await, "`done`");
    assert_pods(&namespace, 1).await;
}
