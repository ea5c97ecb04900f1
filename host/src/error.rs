//! Why an application can't be run.

use std::fmt::Display;
use std::path::Path;

use serde::de::DeserializeOwned;

/// Why an application can't be run: one line, which says what to change.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(String);

/// An error of these words.
pub(crate) fn refuse<T>(words: impl Display) -> Result<T, LoadError> {
    Err(LoadError(words.to_string().replace('\n', " ")))
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).or_else(|error| refuse(format_args!("cannot read {}: {error}", path.display())))
}

/// Reads a TOML file. What may not be in it is told by its line and its key.
pub(crate) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, LoadError> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    toml::from_str(&text).or_else(|error| {
        let before = text[..error.span().map_or(0, |span| span.start)].matches('\n').count();
        // The value stays untold: it may be a secret.
        let key = text.lines().nth(before).unwrap_or_default().split('=').next().unwrap_or_default().trim();
        let hint = if is_unsupported(error.message()) { "; this host supports nothing else here" } else { "" };
        refuse(format_args!("{}:{}: {key}: {}{hint}", path.display(), before + 1, error.message()))
    })
}

fn is_unsupported(message: &str) -> bool {
    ["unknown field", "invalid type", "invalid length"].iter().any(|start| message.starts_with(start))
}

/// The whole of an error on one line: its causes, each by its first line. A guest's stack follows after that.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let first_lines = causes.filter_map(|cause| cause.lines().next().map(str::to_owned));
    let told: Vec<_> = first_lines.filter(|line| !line.starts_with("error while executing")).collect();
    told.join(": ")
}
