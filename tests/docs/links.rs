//! Every link in every document: a file that is in the repository, a heading that is in the file, or a URL by https.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use http::Uri;
use tests::markdown::Page;
use tests::provisioner::repository;

/// The files of the repository: those that git tracks, and new ones that it doesn't ignore.
pub fn files() -> BTreeSet<PathBuf> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(arguments).current_dir(repository()).output().expect("git is installed");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    let files: BTreeSet<PathBuf> = names.split_terminator('\0').map(PathBuf::from).collect();
    files.into_iter().filter(|file| repository().join(file).exists()).collect()
}

/// What is wrong with a link of the document `from`.
fn problem(from: &Path, link: &str, files: &BTreeSet<PathBuf>) -> Option<String> {
    if let Some(reference) = link.strip_prefix("undefined:") {
        return Some(format!("the reference [{reference}] is not defined"));
    }
    if link.contains("://") || link.starts_with("mailto:") {
        return outside(link);
    }
    if link.starts_with('/') || link.contains('\\') {
        return Some("an absolute path: write it relative to the document".to_owned());
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let Some(target) = resolve(from, path) else { return Some("leads out of the repository".to_owned()) };
    let is_folder = files.iter().any(|file| file.starts_with(&target) && *file != target);
    match anchor {
        _ if !files.contains(&target) && !is_folder => Some(format!("there is no {}", target.display())),
        Some(anchor) if !anchors(&target).iter().any(|known| known == anchor) => {
            Some(format!("{} has no heading #{anchor}", target.display()))
        }
        _ => None,
    }
}

fn outside(link: &str) -> Option<String> {
    if let Some(address) = link.strip_prefix("mailto:") {
        return (!address.contains('@')).then(|| "no address".to_owned());
    }
    let uri: Option<Uri> = link.split('#').next().and_then(|url| url.parse().ok());
    let host = |scheme| uri.as_ref().filter(|uri| uri.scheme_str() == Some(scheme)).and_then(Uri::host);
    // What runs on the reader's own machine has no certificate.
    let is_own = host("http").is_some_and(|host| matches!(host, "localhost" | "127.0.0.1"));
    let is_well_formed = is_own || host("https").is_some_and(|host| host.contains('.'));
    (!is_well_formed).then(|| "not a well-formed https URL".to_owned())
}

/// The target of a link as a path of the repository; an empty path is the document itself.
fn resolve(from: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut target = from.parent()?.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir if !target.pop() => return None,
            Component::Normal(name) => target.push(name),
            _ => (),
        }
    }
    Some(target)
}

fn anchors(path: &Path) -> Vec<String> {
    let is_markdown = path.extension().is_some_and(|extension| extension == "md");
    if is_markdown { Page::read(&path.to_string_lossy()).anchors } else { Vec::new() }
}

#[test]
fn every_link_leads_somewhere() {
    let files = files();
    let documents = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md"));
    let (mut checked, mut problems) = (0, Vec::new());
    for path in documents {
        for link in Page::read(&path.to_string_lossy()).links {
            checked += 1;
            problems.extend(problem(path, &link, &files).map(|what| format!("{}: {link}: {what}", path.display())));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(checked > 20, "the documents have more than {checked} links");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let files = files();
    let check = |link: &str| problem(Path::new("docs/contract.md"), link, &files);
    let good = "../README.md schemas/ faults.md #names-and-ids contract.md#the-answer https://a.example/b#c \
                http://localhost:8080/";
    for good in good.split(' ') {
        assert_eq!(check(good), None, "{good}");
    }
    let bad = "README.md ../../README.md /README.md ../target #nothing faults.md#nothing ../spin.toml#name \
               http://a.example https:// https://host ftp://a.example undefined:x docs\\faults.md";
    for bad in bad.split(' ') {
        assert!(check(bad).is_some(), "{bad}");
    }
}
