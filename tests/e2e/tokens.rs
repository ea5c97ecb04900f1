//! The service account's token, as the kubelet mounts and rotates it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use crate::cluster::Cluster;
use crate::gateway::FOO;
use crate::harness::Test;
use crate::namespace::{ROUTED, with_namespace};
use crate::outcome::{assert_pods, deliver};
use crate::token;

/// The tests.
pub fn tests() -> Vec<Test> {
    crate::tests![an_expired_token_is_a_retry_until_the_mount_is_rotated]
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

async fn an_expired_token_is_a_retry_until_the_mount_is_rotated(cluster: Arc<Cluster>) {
    with_namespace(cluster, "expired", &[ROUTED], |namespace| async move {
        let _gateway = FOO.serve(&namespace).await;
        let provisioner = namespace.provisioner(&[]);
        let file = provisioner.token_file();
        let mount = file.parent().expect("a file has a directory");
        std::fs::remove_file(&file).expect("there is a token");
        project(mount, "..2026_01_01_00_00_00.1", &token::expired(&namespace.token, &namespace.cluster));
        symlink("..data/token", &file).expect("a link can be made");
        assert_eq!(deliver(&provisioner, "1").await, "503");
        assert_pods(&namespace, 0).await;
        project(mount, "..2026_01_01_01_00_00.2", &namespace.token);
        assert_eq!(deliver(&provisioner, "1").await, "`done`");
        // And on, with the next.
        project(mount, "..2026_01_01_02_00_00.3", &token::request(&namespace.cluster).await);
        assert_eq!(deliver(&provisioner, "2").await, "`done`");
        assert_pods(&namespace, 2).await;
    })
    .await;
}
