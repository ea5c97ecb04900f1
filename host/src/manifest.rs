//! `spin.toml`, manifest version 2.
//!
//! Reads what one HTTP component needs. A key that Spin knows and this host doesn't play is an error with its name and
//! line, so that an application that loads here is the application that Spin would load. What only a build or a person
//! reads is accepted and unused, as it is by a running Spin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{LoadError, read_toml, refuse};

/// Host directories laid over a component's `files`, by guest destination.
pub type Mounts = BTreeMap<String, PathBuf>;

/// An application with its one component.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// `[application] name`.
    pub name: String,
    /// `[variables]`, by name.
    pub variables: BTreeMap<String, Variable>,
    /// The component that the HTTP trigger names.
    pub component: Component,
}

/// An application variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// What it holds when nobody sets it. There is none when it is required.
    pub default: Option<String>,
    /// Whether it must be set.
    #[serde(default)]
    pub required: bool,
    #[serde(rename = "secret")]
    pub(crate) _secret: Option<bool>,
    #[serde(rename = "description")]
    pub(crate) _description: Option<String>,
}

/// The component.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Its name in `[component.<id>]`.
    #[serde(skip)]
    pub id: String,
    /// The `.wasm` file.
    pub source: PathBuf,
    /// Directories that it may read.
    #[serde(default)]
    pub files: Vec<FilesMount>,
    /// `allowed_outbound_hosts` as written, templates included.
    #[serde(default)]
    pub allowed_outbound_hosts: Vec<String>,
    /// Its variables: names and templates.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    #[serde(rename = "description")]
    pub(crate) _description: Option<IgnoredAny>,
    #[serde(rename = "build")]
    pub(crate) _build: Option<IgnoredAny>,
    #[serde(rename = "targets")]
    pub(crate) _targets: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    pub(crate) _tool: Option<IgnoredAny>,
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
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
    #[serde(rename = "description")]
    _description: Option<IgnoredAny>,
    #[serde(rename = "authors")]
    _authors: Option<IgnoredAny>,
    #[serde(rename = "targets")]
    _targets: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    _tool: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTriggers {
    http: Vec<RawTrigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTrigger {
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    route: String,
    component: String,
}

impl Manifest {
    /// Reads the manifest at `path`. Directories in `mounts` take the place of the `files` with the same destination, and
    /// need not lie inside the application's directory.
    ///
    /// # Errors
    /// What Spin would refuse, and what this host doesn't support.
    pub fn load(path: &Path, mounts: &Mounts) -> Result<Self, LoadError> {
        let Raw { spin_manifest_version, application, variables, trigger, mut component } = read_toml(path)?;
        let told = |key: &str, words: &str| refuse(format_args!("{}: {key}: {words}", path.display()));
        if spin_manifest_version != 2 {
            return told("spin_manifest_version", "this host takes version 2 only");
        }
        for (name, variable) in &variables {
            check_id("variables", name, '_')?;
            if variable.required == variable.default.is_some() {
                return told(&format!("variables.{name}"), "give it either `required = true` or a `default`");
            }
        }
        let [RawTrigger { route, component: id, .. }] = &trigger.http[..] else {
            return told("trigger.http", "this host takes exactly one HTTP trigger");
        };
        if route != "/..." {
            return told("trigger.http.route", "this host takes the route \"/...\" only");
        }
        let Some(mut one) = component.remove(id) else {
            return told("trigger.http.component", &format!("there is no [component.{id}]"));
        };
        if let Some(other) = component.keys().next() {
            return told(
                &format!("component.{other}"),
                "this host takes the one component that the HTTP trigger names",
            );
        }
        one.complete(id, directory(path), mounts)?;
        Ok(Self { name: application.name, variables, component: one })
    }
}

impl Component {
    /// Checks what it names, and finds it in the application's directory.
    fn complete(&mut self, id: &str, root: &Path, mounts: &Mounts) -> Result<(), LoadError> {
        check_id("component", id, '-')?;
        self.variables.keys().try_for_each(|name| check_id(&format!("component.{id}.variables"), name, '_'))?;
        self.id = id.to_owned();
        self.source = root.join(&self.source);
        for mount in &mut self.files {
            if let Err(reason) = mount.complete(root, mounts) {
                return refuse(format_args!("component.{id}.files: {reason}"));
            }
        }
        match mounts.keys().find(|over| self.files.iter().all(|mount| mount.destination != **over)) {
            Some(over) => {
                refuse(format_args!("component.{id}.files: no entry has the destination {over:?} to mount over"))
            }
            None => Ok(()),
        }
    }
}

impl FilesMount {
    fn complete(&mut self, root: &Path, mounts: &Mounts) -> Result<(), String> {
        if !self.destination.starts_with('/') {
            return Err(format!("destination {:?} must be absolute", self.destination));
        }
        let over = mounts.get(&self.destination);
        let source = over.cloned().unwrap_or_else(|| root.join(&self.source));
        if !source.is_dir() {
            return Err(format!("{} is no directory, and only directories can be mounted", source.display()));
        }
        let inside = || Some(source.canonicalize().ok()?.starts_with(root.canonicalize().ok()?));
        if over.is_none() && (self.source.is_absolute() || inside() != Some(true)) {
            return Err(format!("source {:?} must be relative, and inside the application's directory", self.source));
        }
        self.source = source;
        Ok(())
    }
}

/// The directory that paths in the manifest are relative to.
fn directory(manifest: &Path) -> &Path {
    match manifest.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Spin's names are words joined by `separator`, each a letter followed by letters and digits; a word of a component's id
/// may also be upper-case.
pub(crate) fn check_id(what: &str, id: &str, separator: char) -> Result<(), LoadError> {
    let of = |word: &str, is_letter: fn(&char) -> bool| word.chars().all(|c| is_letter(&c) || c.is_ascii_digit());
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && (of(word, char::is_ascii_lowercase) || separator == '-' && of(word, char::is_ascii_uppercase))
    };
    if id.split(separator).all(is_word) {
        return Ok(());
    }
    refuse(format_args!(
        "{what}: {id:?} is no name: use lower-case words joined by single {separator:?}, each beginning with a letter"
    ))
}

#[cfg(test)]
mod tests;
