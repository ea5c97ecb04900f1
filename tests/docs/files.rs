//! What the files of the repository refer to: every link leads to a file that is in the repository, a heading that is in
//! the file, or a URL by https, and every version of the project is the one in `Cargo.toml`.

use std::collections::BTreeSet;
use std::process::Command;

use tests::markdown::Page;
use tests::provisioner::repository;
use url::Url;

/// Where the repository is while links are resolved: what leads out of it is seen.
const ROOT: &str = "repository://here/in/its/top/folder/";

/// The files of the repository: those that git tracks, and new ones that it doesn't ignore.
fn files() -> BTreeSet<String> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(arguments).current_dir(repository()).output().expect("git is installed");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    names.split_terminator('\0').filter(|file| repository().join(file).exists()).map(str::to_owned).collect()
}

/// Whether a link of the document `from` leads somewhere.
fn is_good(from: &str, link: &str, files: &BTreeSet<String>) -> bool {
    let Ok(url) = Url::parse(&format!("{ROOT}{from}")).unwrap().join(link) else { return false };
    match (url.scheme(), url.host_str()) {
        ("https", Some(host)) => host.contains('.'),
        // What runs on the reader's own machine has no certificate.
        ("http", Some(host)) => matches!(host, "localhost" | "127.0.0.1"),
        ("mailto", _) => url.path().contains('@'),
        ("repository", _) => {
            let target = url.as_str().strip_prefix(ROOT).and_then(|rest| rest.split('#').next()).unwrap_or_default();
            let folder = format!("{}/", target.trim_end_matches('/'));
            let is_folder = files.iter().any(|file| file.starts_with(&folder));
            let has = |anchor| target.ends_with(".md") && Page::read(target).anchors.iter().any(|own| own == anchor);
            (files.contains(target) || is_folder) && url.fragment().is_none_or(has)
        }
        // A reference that is not defined, too: `undefined:x`.
        _ => false,
    }
}

#[test]
fn every_link_leads_somewhere() {
    let files = files();
    let documents = files.iter().filter(|file| file.ends_with(".md"));
    let links = documents.flat_map(|path| Page::read(path).links.into_iter().map(move |link| (path, link)));
    let bad: Vec<_> = links.filter(|(path, link)| !is_good(path, link, &files)).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What stands before the version, wherever it stands.
const MARKS: [&str; 4] = [
    "cloudevents-podgateway-client-provisioner:",
    "ARG VERSION=",
    "name = \"podgateway-client-provisioner\"\nversion = \"",
    "title: CloudEvents pod-gateway client provisioner\n  version: ",
];

#[test]
fn every_file_that_names_a_version_names_this_one() {
    for mark in MARKS {
        let mut found = 0;
        for file in files() {
            let text = std::fs::read_to_string(repository().join(&file)).unwrap_or_default();
            for rest in text.split(mark).skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                assert!(rest.starts_with(VERSION), "{file} has another version behind {mark}");
                found += 1;
            }
        }
        assert!(found > 0, "no file has a version behind {mark}");
    }
}
