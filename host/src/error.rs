//! Why an application can't be run: one line, which says what to change.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;

/// Reads a file.
///
/// # Errors
/// It can't be read: which one, and why.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads a TOML file. What may not be in it is told by its line and its key.
pub(crate) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    toml::from_str(&text).map_err(|error| {
        let before = text[..error.span().map_or(0, |span| span.start)].matches('\n').count();
        // The value stays untold: it may be a secret.
        let key = text.lines().nth(before).unwrap_or_default().split('=').next().unwrap_or_default().trim();
        let message = error.message().replace('\n', " ");
        let is_unsupported =
            ["unknown field", "invalid type", "invalid length"].iter().any(|start| message.starts_with(start));
        let hint = if is_unsupported { "; this host supports nothing else here" } else { "" };
        anyhow!("{}:{}: {key}: {message}{hint}", path.display(), before + 1)
    })
}

/// The whole of an error on one line: its causes, each by its first line. A guest's stack follows after that.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let first_lines = causes.filter_map(|cause| cause.lines().next().map(str::to_owned));
    let told: Vec<_> = first_lines.filter(|line| !line.starts_with("error while executing")).collect();
    told.join(": ")
}
