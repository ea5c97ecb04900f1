//! What the command says: on stdout what happens, as lines to read or as JSON, and on stderr why it ends.
//!
//! Lines are coloured on a terminal only, unless `NO_COLOR` or `CLICOLOR_FORCE` says otherwise.

use std::fmt::Display;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;

const ERROR: Style = AnsiColor::Red.on_default().bold();

/// How stdout says what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines to read
    #[default]
    Text,
    /// JSON to parse
    Json,
}

/// The style of a line that tells of what is as it should be, or of nothing yet.
pub const PLAIN: Style = Style::new();
/// Of a client that is there.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Of one that is not there yet.
pub const WAIT: Style = AnsiColor::Yellow.on_default();
/// Of one that there will never be.
pub const BAD: Style = AnsiColor::Red.on_default();

/// The line in its colour. What others sent is part of it: a control character in it neither steers the terminal nor
/// begins a line of its own.
pub fn coloured(line: &str, style: Style) -> String {
    format!("{style}{}{style:#}", line.replace(char::is_control, "\u{fffd}"))
}

/// Prints one line of text, without its colours where nobody would see them.
///
/// # Errors
/// There is no room where stdout goes. That nobody reads any more, as below `head`, is none.
pub fn print_line(line: impl Display) -> io::Result<()> {
    unless_unread(writeln!(anstream::stdout().lock(), "{line}"))
}

/// Prints one line of JSON.
///
/// # Errors
/// As [`print_line`].
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    print_bytes((serde_json::to_string(value)? + "\n").as_bytes())
}

/// Prints what has its line ends already.
///
/// # Errors
/// As [`print_line`].
pub fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    unless_unread(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn unless_unread(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says on stderr, in one line, why the command ends.
pub fn print_error(error: &impl Display) {
    // There is nobody left to tell that nobody listens.
    _ = writeln!(anstream::stderr().lock(), "{ERROR}error:{ERROR:#} {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_colour_of_its_style() {
        assert_eq!(coloured("x", PLAIN), "x");
        assert_eq!(coloured("x", GOOD), "\u{1b}[32mx\u{1b}[0m");
        assert_ne!(coloured("x", BAD), coloured("x", WAIT));
    }

    #[test]
    fn a_line_stays_one_line_and_cannot_steer_the_terminal() {
        assert_eq!(coloured("a\u{1b}[2Jb\nc", PLAIN), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
