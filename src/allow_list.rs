//! The gateways that may be asked for.
//!
//! The list is read anew for every event and may hold a thousand names, of which one is asked for. So it stays the text
//! that the variable has, and is held against its grammar and searched without being taken apart: what an event costs
//! must not grow with the gateways that it does not ask for.

use memchr::{memmem, memrchr};

use crate::names::{LABEL_MAX, is_label_value};

/// Names of gateways, separated by commas and white space around them: empty for any gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList(String);

impl AllowList {
    /// Takes the list as it is written.
    ///
    /// # Errors
    /// The first name in it that can't be a label value, as the gateway's name becomes one.
    pub fn parse(text: String) -> Result<Self, String> {
        let list = Self(text);
        if is_plainly_sound(list.0.as_bytes()) {
            return Ok(list);
        }
        let unsound = list.names().find(|name| !is_label_value(name)).map(str::to_owned);
        unsound.map_or(Ok(list), Err)
    }

    /// Whether clients of `gateway` may be made.
    pub fn allows(&self, gateway: &str) -> bool {
        let list = self.0.as_bytes();
        // A name holds neither a comma nor white space: where both its neighbours are one, it stands there whole.
        let is_end = |at: Option<&u8>| at.is_none_or(|&c| is_separator(c));
        let is_whole = |at: usize| is_end(list[..at].last()) && is_end(list.get(at + gateway.len()));
        self.is_empty() || is_label_value(gateway) && memmem::find_iter(list, gateway).any(is_whole)
    }

    fn is_empty(&self) -> bool {
        self.0.bytes().all(is_separator)
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').map(str::trim_ascii).filter(|name| !name.is_empty())
    }
}

fn is_separator(c: u8) -> bool {
    c == b',' || c.is_ascii_whitespace()
}

/// Whether the list can be seen at a glance to hold nothing but label values. Where it can't, it may be sound all the
/// same: with white space elsewhere than behind a comma, or with one punctuation mark after another.
///
/// The loops have no way out, so that the compiler can make them take 16 bytes at a time.
fn is_plainly_sound(list: &[u8]) -> bool {
    let ends = [list.first(), list.last()];
    let pairs = list.iter().zip(list.get(1..).unwrap_or_default());
    ends.iter().all(|end| end.is_none_or(u8::is_ascii_alphanumeric))
        && pairs.fold(true, |all, (&before, &c)| all & may_follow(before, c))
        && has_short_names(list)
}

/// Whether no two commas have more than a label value between them. It goes by the last of all commas in reach.
fn has_short_names(mut list: &[u8]) -> bool {
    while let Some((reach, _)) = list.split_at_checked(LABEL_MAX + 1) {
        let Some(comma) = memrchr(b',', reach) else { return false };
        list = &list[comma + 1..];
    }
    true
}

/// Whether `c` may stand behind `before`: a space behind a comma alone, and all else next to a letter or a digit.
fn may_follow(before: u8, c: u8) -> bool {
    let is_known = c.is_ascii_alphanumeric() | matches!(c, b',' | b' ' | b'-' | b'.' | b'_');
    let is_bounded = c.is_ascii_alphanumeric() | before.is_ascii_alphanumeric();
    is_known & if c == b' ' { before == b',' } else { is_bounded }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> AllowList {
        AllowList::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn whole_names_are_allowed_and_parts_of_names_are_not() {
        let list = list("foo, bar ,b-foo\n,foo-b,a.b_c");
        for name in ["foo", "bar", "b-foo", "foo-b", "a.b_c"] {
            assert!(list.allows(name), "{name}");
        }
        for name in ["fo", "oo", "o", "b", "foo-", "nope", "a.b", "", "foo, bar", ","] {
            assert!(!list.allows(name), "{name}");
        }
    }

    #[test]
    fn a_list_without_a_name_allows_any() {
        for text in ["", " ", " , ,"] {
            assert!(list(text).allows("foo"), "{text:?}");
            assert_eq!(list(text).names().next(), None);
        }
    }

    #[test]
    fn each_name_is_a_label_value_however_the_list_is_written() {
        let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
        let many = format!("{}last", "gateway-1, gateway.2,".repeat(500));
        for text in ["foo", "foo,bar", "foo, bar", "foo ,bar,", " foo\t,,bar", "a--b", &longest, &many] {
            assert!(AllowList::parse(text.to_owned()).is_ok(), "{text:?}");
        }
        let bad = ["a/b", "a b", "-a", "a-", "\u{e4}", "a;b", "_", &too_long];
        for name in bad {
            for text in [name.to_owned(), format!("foo,{name}"), format!("{name}, foo"), format!("{many},{name},foo")] {
                assert_eq!(AllowList::parse(text.clone()), Err(name.to_owned()), "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_seen_at_a_glance_is_so_by_the_grammar() {
        let pieces = ["a", "9", "Z", "-", ".", "_", ",", " ", "\n", "/", "\u{e4}", &"b".repeat(62)];
        let count = pieces.len();
        for number in 0..count.pow(4) {
            let text: String = (0..4).map(|place| pieces[number / count.pow(place) % count]).collect();
            let list = AllowList(text);
            let is_sound = list.names().all(is_label_value);
            assert!(is_sound || !is_plainly_sound(list.0.as_bytes()), "{list:?}");
        }
    }

    #[test]
    fn an_ordinary_list_is_seen_at_a_glance() {
        for list in ["foo", "foo, bar-1,vpn.example_2"] {
            assert!(is_plainly_sound(list.as_bytes()), "{list}");
        }
    }
}
