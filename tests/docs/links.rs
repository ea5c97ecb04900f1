//! Every link in every document: a file that is in the repository, a heading that is in the file, or a URL by https.

use std::collections::BTreeSet;
use std::process::Command;

use tests::markdown::Page;
use tests::provisioner::repository;
use url::Url;

/// Where the repository is while links are resolved: what leads out of it is seen.
const ROOT: &str = "repository://here/in/its/top/folder/";

/// The files of the repository: those that git tracks, and new ones that it doesn't ignore.
pub fn files() -> BTreeSet<String> {
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
            let Some(target) = url.as_str().strip_prefix(ROOT).and_then(|rest| rest.split('#').next()) else {
                return false;
            };
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

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let files = files();
    let good = "../README.md schemas/ faults.md #names-and-ids contract.md#the-answer https://a.example/b#c \
                http://localhost:8080/";
    let bad = "README.md ../../README.md /README.md ../target #nothing faults.md#nothing ../spin.toml#name \
               http://a.example https:// https://host ftp://a.example undefined:x docs\\faults.md";
    for (links, is_expected) in [(good, true), (bad, false)] {
        for link in links.split(' ') {
            assert_eq!(is_good("docs/contract.md", link, &files), is_expected, "{link}");
        }
    }
}
