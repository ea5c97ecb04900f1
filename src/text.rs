//! Texts from outside, before somebody reads them: shortened, and without tokens.

use std::borrow::Cow;

use http::HeaderValue;

/// The beginning of a text: at most `limit` bytes, and whole characters only.
///
/// ```
/// assert_eq!(provisioner::text::cut("größer", 3), "gr");
/// ```
pub fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// The shortest token that is searched for, in bytes. API servers issue no token as short as this, and a shorter one
/// could be part of an ordinary word.
const SHORTEST_TOKEN: usize = 6;

/// The shortest beginning of a token that is searched for, in bytes. A shorter beginning, a JWT's header up to the key
/// id, is the same in every token of a service account.
const SHORTEST_BEGINNING: usize = 40;

const REDACTED: &str = "[redacted]";

/// Removes tokens from everything that leaves: responses, events, log lines.
#[derive(Clone, Default)]
pub struct Redactor(Vec<String>);

impl Redactor {
    /// Removes these tokens.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let long = tokens.into_iter().filter(|token| token.len() >= SHORTEST_TOKEN);
        Self(long.map(str::to_owned).collect())
    }

    /// The text without a token or the beginning of one, because quotations may be cut.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.iter().fold(text.into(), |text, token| match without(token, &text) {
            Some(clean) => clean.into(),
            None => text,
        })
    }

    /// A header's value without the token; `None` if it doesn't contain one.
    pub fn header(&self, value: &HeaderValue) -> Option<HeaderValue> {
        match self.text(value.to_str().ok()?) {
            Cow::Owned(text) => HeaderValue::try_from(text).ok(),
            Cow::Borrowed(_) => None,
        }
    }

    /// The same for a body. A body that isn't text contains no token.
    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let redacted = std::str::from_utf8(&bytes).map(|text| self.text(text));
        match redacted {
            Ok(Cow::Owned(text)) => text.into_bytes(),
            _ => bytes,
        }
    }
}

/// The text without the token; `None` if it isn't in it.
fn without(token: &str, text: &str) -> Option<String> {
    let beginning = &token[..token.ceil_char_boundary(SHORTEST_BEGINNING)];
    // Most texts are too short to contain a token, and checking that first is faster than preparing the search.
    if text.len() < beginning.len() {
        return None;
    }
    let (mut clean, mut rest) = (String::new(), text);
    while let Some((before, _)) = rest.split_once(beginning) {
        let found = &rest[before.len()..];
        let same = found.bytes().zip(token.bytes()).take_while(|(found, sought)| found == sought).count();
        // Another token of the same issuer begins alike: all that can belong to a token goes.
        let end = found.bytes().skip(same).position(|byte| !is_of_token(byte)).map_or(found.len(), |more| same + more);
        clean += before;
        clean += REDACTED;
        rest = &found[found.ceil_char_boundary(end)..];
    }
    if clean.is_empty() { None } else { Some(clean + rest) }
}

/// RFC 6750, section 2.1: b64token.
fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

#[cfg(test)]
mod tests;
