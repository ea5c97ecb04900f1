//! `spin.toml`, manifest version 2.
//!
//! Reads what one HTTP component needs. A key that Spin knows and this host doesn't play is an error with its name and
//! line, so that an application that loads here is the application that Spin would load. What only a build or a person
//! reads is accepted and unused, as it is by a running Spin.

#![expect(dead_code, reason = "what only a build or a person reads is accepted, and unused")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::read_toml;

/// Host directories laid over a component's `files`, by guest destination.
pub type Mounts = BTreeMap<String, PathBuf>;

/// An application with its one component.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `[variables]`, by name.
    pub variables: BTreeMap<String, Variable>,
    /// The component that the HTTP trigger names.
    pub component: Component,
}

/// An application variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variable {
    /// What it holds when nobody sets it. There is none when it is required.
    pub default: Option<String>,
    /// Whether it must be set.
    pub required: bool,
    pub(crate) secret: Option<bool>,
    pub(crate) description: Option<String>,
}

/// The component.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Component {
    /// Its name in `[component.<id>]`.
    #[serde(skip)]
    pub id: String,
    /// The `.wasm` file.
    pub source: PathBuf,
    /// Directories that it may read.
    pub files: Vec<FilesMount>,
    /// `allowed_outbound_hosts` as written, templates included.
    pub allowed_outbound_hosts: Vec<String>,
    /// Its variables: names and templates.
    pub variables: BTreeMap<String, String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    pub(crate) description: Option<IgnoredAny>,
    pub(crate) build: Option<IgnoredAny>,
    pub(crate) targets: Option<IgnoredAny>,
    pub(crate) tool: Option<IgnoredAny>,
}

/// A directory of the host and where the component sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FilesMount {
    /// On the host.
    pub source: PathBuf,
    /// In the component.
    pub destination: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    spin_manifest_version: u32,
    application: RawApplication,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: RawTriggers,
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApplication {
    name: String,
    version: Option<IgnoredAny>,
    description: Option<IgnoredAny>,
    authors: Option<IgnoredAny>,
    targets: Option<IgnoredAny>,
    tool: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTriggers {
    http: Vec<RawTrigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    id: Option<IgnoredAny>,
    route: String,
    component: String,
}

impl Manifest {
    /// Reads the manifest at `path`. Directories in `mounts` take the place of the `files` with the same destination, and
    /// need not lie inside the application's directory.
    ///
    /// # Errors
    /// What Spin would refuse, and what this host doesn't support.
    pub fn load(path: &Path, mounts: &Mounts) -> Result<Self> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        read_toml::<Raw>(path)?.check(directory, mounts).with_context(|| path.display().to_string())
    }
}

impl Raw {
    fn check(mut self, root: &Path, mounts: &Mounts) -> Result<Manifest> {
        ensure!(self.spin_manifest_version == 2, "spin_manifest_version: this host takes version 2 only");
        for (name, variable) in &self.variables {
            check_id("variables", name, '_')?;
            let is_either = variable.required != variable.default.is_some();
            ensure!(is_either, "variables.{name}: give it either `required = true` or a `default`");
        }
        let [RawTrigger { route, component: id, .. }] = &self.trigger.http[..] else {
            bail!("trigger.http: this host takes exactly one HTTP trigger");
        };
        ensure!(route == "/...", "trigger.http.route: this host takes the route \"/...\" only");
        let one = self.component.remove(id);
        let mut component = one.with_context(|| format!("trigger.http.component: there is no [component.{id}]"))?;
        if let Some(other) = self.component.keys().next() {
            bail!("component.{other}: this host takes the one component that the HTTP trigger names");
        }
        component.complete(id, root, mounts)?;
        Ok(Manifest { variables: self.variables, component })
    }
}

impl Component {
    /// Checks what it names, and finds it in the application's directory.
    fn complete(&mut self, id: &str, root: &Path, mounts: &Mounts) -> Result<()> {
        check_id("component", id, '-')?;
        self.variables.keys().try_for_each(|name| check_id(&format!("component.{id}.variables"), name, '_'))?;
        ensure!(!self.source.as_os_str().is_empty(), "component.{id}.source: name its .wasm file");
        self.id = id.to_owned();
        self.source = root.join(&self.source);
        let mounted = self.files.iter_mut().try_for_each(|mount| mount.complete(root, mounts));
        mounted.with_context(|| format!("component.{id}.files"))?;
        if let Some(over) = mounts.keys().find(|over| self.files.iter().all(|mount| mount.destination != **over)) {
            bail!("component.{id}.files: no entry has the destination {over:?} to mount over");
        }
        Ok(())
    }
}

impl FilesMount {
    fn complete(&mut self, root: &Path, mounts: &Mounts) -> Result<()> {
        ensure!(self.destination.starts_with('/'), "destination {:?} must be absolute", self.destination);
        let over = mounts.get(&self.destination);
        let source = over.cloned().unwrap_or_else(|| root.join(&self.source));
        ensure!(source.is_dir(), "{} is no directory, and only directories can be mounted", source.display());
        let inside = || Some(source.canonicalize().ok()?.starts_with(root.canonicalize().ok()?));
        let is_own = over.is_some() || self.source.is_relative() && inside() == Some(true);
        ensure!(is_own, "source {:?} must be relative, and inside the application's directory", self.source);
        self.source = source;
        Ok(())
    }
}

/// Spin's names are words joined by `separator`, each a letter followed by letters and digits; a word of a component's id
/// may also be upper-case.
pub(crate) fn check_id(what: &str, id: &str, separator: char) -> Result<()> {
    let of = |word: &str, is_letter: fn(&char) -> bool| word.chars().all(|c| is_letter(&c) || c.is_ascii_digit());
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && (of(word, char::is_ascii_lowercase) || separator == '-' && of(word, char::is_ascii_uppercase))
    };
    ensure!(
        id.split(separator).all(is_word),
        "{what}: {id:?} is no name: use lower-case words joined by single {separator:?}, each beginning with a letter"
    );
    Ok(())
}

#[cfg(test)]
mod tests;
