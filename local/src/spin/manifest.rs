//! `spin.toml`, manifest version 2.
//!
//! Reads what one HTTP component needs: the application's variables, the
//! component's source, files, variables, environment and allowed hosts. A key
//! that Spin knows and this host doesn't play is an error with its name and
//! line, so that an application that loads here is the application that Spin
//! would load.
//!
//! `build`, `tool` and `targets` are accepted and unused, as they are by a
//! running Spin. What the values mean is for the other files to say; here they
//! are only checked for their shape and for the directories they name.

use std::collections::BTreeMap;
use std::path::{Component as PathPart, Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

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
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// What it holds when nobody sets it. There is none when it is required.
    pub default: Option<String>,
    /// Whether it must be set.
    #[serde(default)]
    pub required: bool,
    /// Whether its value should not be shown.
    #[serde(default)]
    pub secret: bool,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// The component.
#[derive(Clone, Debug)]
pub struct Component {
    /// Its name in `[component.<id>]`.
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
}

/// A directory of the host and where the component sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FilesMount {
    /// On the host.
    pub source: PathBuf,
    /// In the component.
    pub destination: String,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file can't be read.
    #[error("cannot read {}: {reason}", .path.display())]
    Read {
        /// The manifest.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// It is no manifest, or has a key that isn't supported here.
    #[error("{}:{line}: {message}", .path.display())]
    Syntax {
        /// The manifest.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A value can't be used.
    #[error("{}: {key}: {message}", .path.display())]
    Value {
        /// The manifest.
        path: PathBuf,
        /// The key, with the tables it stands in.
        key: String,
        /// What is wrong, and what would do.
        message: String,
    },
}

impl Manifest {
    /// Reads the manifest at `path`. Directories in `mounts` take the place of
    /// the `files` with the same destination, and need not lie inside the
    /// application's directory.
    pub fn load(path: &Path, mounts: &Mounts) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|reason| ManifestError::Read { path: path.into(), reason })?;
        let reader = Reader { path };
        let raw = reader.parse(&text)?;
        reader.manifest(raw, mounts)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest {
    spin_manifest_version: i64,
    application: RawApplication,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: RawTriggers,
    #[serde(default)]
    component: BTreeMap<String, RawComponent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApplication {
    name: String,
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "authors")]
    _authors: Option<Vec<String>>,
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
    _id: Option<String>,
    route: toml::Value,
    component: toml::Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponent {
    source: toml::Value,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(default)]
    files: Vec<toml::Value>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(rename = "build")]
    _build: Option<RawBuild>,
    #[serde(rename = "targets")]
    _targets: Option<IgnoredAny>,
    #[serde(rename = "tool")]
    _tool: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBuild {
    #[serde(rename = "command")]
    _command: toml::Value,
    #[serde(rename = "workdir")]
    _workdir: Option<String>,
    #[serde(rename = "watch")]
    _watch: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMount {
    source: String,
    destination: String,
}

/// Knows which file it reads, for the error messages.
struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn parse(&self, text: &str) -> Result<RawManifest, ManifestError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let unknown = error.message().starts_with("unknown field");
            let hint = if unknown { "; this host supports no other key here" } else { "" };
            ManifestError::Syntax {
                path: self.path.into(),
                line: text[..start].matches('\n').count() + 1,
                message: format!("{}{hint}", error.message().replace('\n', " ")),
            }
        })
    }

    fn manifest(&self, raw: RawManifest, mounts: &Mounts) -> Result<Manifest, ManifestError> {
        if raw.spin_manifest_version != 2 {
            return self.refuse("spin_manifest_version", "only version 2 is supported");
        }
        for (name, variable) in &raw.variables {
            self.check_variable(name, variable)?;
        }
        let id = self.component_id(&raw.trigger.http)?;
        let mut components = raw.component;
        let Some(component) = components.remove(&id) else {
            return self.refuse("trigger.http.component", format!("there is no [component.{id}]"));
        };
        if let Some(other) = components.keys().next() {
            return self.refuse(
                &format!("component.{other}"),
                "not supported: this host runs the one component that the HTTP trigger names",
            );
        }
        Ok(Manifest {
            name: raw.application.name,
            variables: raw.variables,
            component: self.component(id, component, mounts)?,
        })
    }

    fn check_variable(&self, name: &str, variable: &Variable) -> Result<(), ManifestError> {
        let key = format!("variables.{name}");
        if let Err(reason) = check_id(name, '_') {
            return self.refuse(&key, reason);
        }
        if variable.required == variable.default.is_some() {
            return self.refuse(&key, "give it either `required = true` or a `default`");
        }
        Ok(())
    }

    fn component_id(&self, triggers: &[RawTrigger]) -> Result<String, ManifestError> {
        let [trigger] = triggers else {
            return self.refuse("trigger.http", "this host supports exactly one HTTP trigger");
        };
        if trigger.route.as_str() != Some("/...") {
            return self.refuse("trigger.http.route", "not supported: this host serves the route \"/...\" only");
        }
        match trigger.component.as_str() {
            Some(id) => match check_id(id, '-') {
                Ok(()) => Ok(id.to_owned()),
                Err(reason) => self.refuse("trigger.http.component", reason),
            },
            None => self.refuse(
                "trigger.http.component",
                "not supported: name a [component.<id>], inline components don't work here",
            ),
        }
    }

    fn component(&self, id: String, raw: RawComponent, mounts: &Mounts) -> Result<Component, ManifestError> {
        let key = |name: &str| format!("component.{id}.{name}");
        let Some(source) = raw.source.as_str() else {
            return self.refuse(&key("source"), "not supported: give the path of a file, not a URL or a registry");
        };
        for name in raw.variables.keys() {
            if let Err(reason) = check_id(name, '_') {
                return self.refuse(&key(&format!("variables.{name}")), reason);
            }
        }
        let files = self.files(&key("files"), raw.files, mounts)?;
        Ok(Component {
            source: self.root().join(source),
            files,
            allowed_outbound_hosts: raw.allowed_outbound_hosts,
            variables: raw.variables,
            environment: raw.environment,
            id,
        })
    }

    fn files(&self, key: &str, raw: Vec<toml::Value>, mounts: &Mounts) -> Result<Vec<FilesMount>, ManifestError> {
        let files = raw.into_iter().map(|value| self.mount(key, value, mounts)).collect::<Result<Vec<_>, _>>()?;
        for destination in mounts.keys() {
            if !files.iter().any(|mount| mount.destination == *destination) {
                return self.refuse(key, format!("no entry has the destination {destination:?} to mount over"));
            }
        }
        Ok(files)
    }

    fn mount(&self, key: &str, value: toml::Value, mounts: &Mounts) -> Result<FilesMount, ManifestError> {
        if let Some(pattern) = value.as_str() {
            return self
                .refuse(key, format!("{pattern:?} is not supported: only {{ source = DIR, destination = PATH }} is"));
        }
        let RawMount { source, destination } = match value.try_into() {
            Ok(mount) => mount,
            Err(error) => return self.refuse(key, error.message().replace('\n', " ")),
        };
        if !destination.starts_with('/') {
            return self.refuse(key, format!("destination {destination:?} must be absolute"));
        }
        let source = match mounts.get(&destination) {
            Some(over) => self.directory(key, over)?.to_owned(),
            None => self.source_directory(key, &source)?,
        };
        Ok(FilesMount { source, destination })
    }

    /// A `source` of `files`: relative, there, and inside the application.
    fn source_directory(&self, key: &str, source: &str) -> Result<PathBuf, ManifestError> {
        let relative = Path::new(source);
        let inside = relative.components().all(|part| matches!(part, PathPart::Normal(_) | PathPart::CurDir));
        if !inside {
            return self
                .refuse(key, format!("source {source:?} must be relative and inside the application's directory"));
        }
        let directory = self.root().join(relative);
        self.directory(key, &directory)?;
        match (directory.canonicalize(), self.root().canonicalize()) {
            (Ok(directory), Ok(root)) if directory.starts_with(&root) => {}
            _ => {
                return self.refuse(key, format!("source {source:?} leads out of the application's directory"));
            }
        }
        Ok(directory)
    }

    fn directory<'p>(&self, key: &str, path: &'p Path) -> Result<&'p Path, ManifestError> {
        if path.is_dir() {
            return Ok(path);
        }
        self.refuse(key, format!("{} is not a directory; only directories can be mounted", path.display()))
    }

    /// The directory that paths in the manifest are relative to.
    fn root(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }

    fn refuse<T>(&self, key: &str, message: impl Into<String>) -> Result<T, ManifestError> {
        Err(ManifestError::Value { path: self.path.into(), key: key.into(), message: message.into() })
    }
}

/// Spin's names are words joined by `separator`, each a letter followed by
/// letters and digits; a word of a component's id may also be upper-case.
pub(super) fn check_id(id: &str, separator: char) -> Result<(), String> {
    let shouting_allowed = separator == '-';
    let fine = id.split(separator).all(|word| {
        let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && (word.chars().all(lower) || shouting_allowed && word.chars().all(upper))
    });
    if fine {
        return Ok(());
    }
    Err(format!("{id:?} is no name: use lower-case words joined by single {separator:?}, each beginning with a letter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
spin_manifest_version = 2
[application]
name = "app"
[[trigger.http]]
route = "/..."
component = "one"
[component.one]
source = "one.wasm"
"#;

    fn load(text: &str, mounts: &Mounts) -> Result<Manifest, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(dir.path().join("one.wasm"), "").unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("out")).unwrap();
        let path = dir.path().join("spin.toml");
        std::fs::write(&path, text).unwrap();
        Manifest::load(&path, mounts).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let message = load(text, &Mounts::new()).expect_err("should be refused");
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(!message.contains('\n'), "{message:?} is more than one line");
    }

    fn with(extra: &str) -> String {
        format!("{MINIMAL}{extra}\n")
    }

    #[test]
    fn a_manifest_with_everything_supported_loads() {
        let text = r#"
spin_manifest_version = 2
[application]
name = "app"
version = "0.1.0"
description = "d"
authors = ["a"]
targets = ["spinkube:0.4"]
[variables]
url = { default = "http://x" }
token = { required = true, secret = true, description = "d" }
[[trigger.http]]
route = "/..."
component = "one"
[component.one]
source = "one.wasm"
description = "d"
files = [{ source = "data", destination = "/data" }]
allowed_outbound_hosts = ["{{ url }}"]
variables = { url = "{{ url }}/" }
environment = { A = "b" }
[component.one.build]
command = ["true"]
workdir = "."
watch = ["src"]
"#;
        let manifest = load(text, &Mounts::new()).unwrap();
        assert_eq!(manifest.component.id, "one");
        assert_eq!(manifest.component.files[0].destination, "/data");
        assert_eq!(manifest.component.environment["A"], "b");
        assert!(manifest.variables["token"].required);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        refused(&with("key_value_stores = [\"default\"]"), "spin.toml:10: unknown field `key_value_stores`");
        refused(&with("exclude_files = []"), "`exclude_files`");
        refused(&with("[[trigger.redis]]\nchannel = \"c\""), "unknown field `redis`");
        refused(&with("files = [\"*.txt\"]"), "\"*.txt\" is not supported");
        refused(&with("[component.two]\nsource = \"two.wasm\""), "component.two: not supported");
        refused(&MINIMAL.replace("\"/...\"", "\"/a\""), "trigger.http.route");
        refused(&MINIMAL.replace("\"/...\"", "{ private = true }"), "trigger.http.route");
        refused(&MINIMAL.replace("= \"one\"", "= { source = \"one.wasm\" }"), "inline components");
        refused(&MINIMAL.replace("version = 2", "version = 1"), "only version 2");
        refused(
            &MINIMAL.replace("\"one.wasm\"", "{ url = \"https://x\", digest = \"sha256:0\" }"),
            "component.one.source: not supported",
        );
        refused(&with("[[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\""), "exactly one");
        refused(&MINIMAL.replace("component = \"one\"", "component = \"other\""), "no [component.other]");
    }

    #[test]
    fn a_variable_is_lower_snake_and_has_a_string_default_or_is_required() {
        for (line, expected) in [
            ("a = {}", "either `required = true` or a `default`"),
            ("a = { required = true, default = \"\" }", "either"),
            ("a = { default = 3 }", "expected a string"),
            ("A = { default = \"\" }", "\"A\" is no name"),
            ("a__b = { default = \"\" }", "is no name"),
            ("a_1 = { default = \"\" }", "is no name"),
            ("a-b = { default = \"\" }", "is no name"),
            ("a = { default = \"\", extra = 1 }", "unknown field `extra`"),
        ] {
            refused(&with(&format!("[variables]\n{line}")), expected);
        }
        assert!(load(&with("[variables]\na_b2 = { default = \"\" }"), &Mounts::new()).is_ok());
    }

    #[test]
    fn a_mounted_directory_is_relative_there_and_inside() {
        for (source, expected) in [
            ("/tmp", "must be relative"),
            ("../x", "inside the application's directory"),
            ("gone", "gone is not a directory"),
            ("one.wasm", "is not a directory"),
            ("out", "leads out of"),
        ] {
            refused(&with(&format!("files = [{{ source = \"{source}\", destination = \"/d\" }}]")), expected);
        }
        refused(&with("files = [{ source = \"data\", destination = \"d\" }]"), "must be absolute");
    }

    #[test]
    fn another_directory_can_be_mounted_over_a_source() {
        let text = with("files = [{ source = \"gone\", destination = \"/d\" }]");
        let over = tempfile::tempdir().unwrap();
        let mounts = Mounts::from([("/d".to_owned(), over.path().to_owned())]);
        let manifest = load(&text, &mounts).unwrap();
        assert_eq!(manifest.component.files[0].source, over.path());

        let elsewhere = Mounts::from([("/e".to_owned(), over.path().to_owned())]);
        let with_source = with("files = [{ source = \"data\", destination = \"/d\" }]");
        assert!(load(&with_source, &elsewhere).unwrap_err().contains("\"/e\""));
    }
}
