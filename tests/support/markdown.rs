//! Markdown as its parser sees it: links, headings with GitHub's anchors, fenced blocks and tables, so that tests can hold
//! documents against what they prove.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use properties::wire::structured;
use pulldown_cmark::{BrokenLink, Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;

use crate::provisioner::repository;

/// The cells of a table, row by row, as they are written.
pub type Table = Vec<Vec<String>>;

/// What of a document other documents and tests refer to.
#[derive(Debug, Default)]
pub struct Page {
    /// Where its links and pictures lead, as they are written.
    pub links: Vec<String>,
    /// The anchors of its headings.
    pub anchors: Vec<String>,
    /// Its fenced blocks: the heading above, the word behind the fence, and the text.
    pub blocks: Vec<(String, String, String)>,
    /// Its tables without their heads: the heading above, and the cells.
    pub tables: Vec<(String, Table)>,
}

impl Page {
    /// Reads a document of the repository.
    ///
    /// # Panics
    /// When there is none.
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let (mut page, mut slugs) = (Self::default(), BTreeMap::new());
        let (mut heading, mut open) = (String::new(), None);
        // A reference without a definition is plain text to the parser, and a mistake here.
        let broken = |link: BrokenLink| Some((format!("undefined:{}", link.reference).into(), "".into()));
        let parser = Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(broken));
        for (event, range) in parser.into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. } | Tag::CodeBlock(_)) => open = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    heading = open.take().unwrap_or_default();
                    page.anchors.push(unique(slug(&heading), &mut slugs));
                }
                Event::End(TagEnd::CodeBlock) => {
                    let word = text[range].lines().next().unwrap_or_default().trim_start_matches('`').to_owned();
                    page.blocks.push((heading.clone(), word, open.take().unwrap_or_default()));
                }
                Event::Start(Tag::Table(_)) => page.tables.push((heading.clone(), Table::new())),
                Event::Start(Tag::TableRow) => page.tables.last_mut().expect("a row's table").1.push(Vec::new()),
                Event::Start(Tag::TableCell) => {
                    let row = page.tables.last_mut().and_then(|(_, table)| table.last_mut());
                    row.into_iter().for_each(|row| row.push(text[range.clone()].trim_matches([' ', '|']).to_owned()));
                }
                Event::Text(text) | Event::Code(text) => open.iter_mut().for_each(|open| open.push_str(&text)),
                _ => (),
            }
        }
        page
    }

    /// The blocks behind whose fence this word stands.
    pub fn blocks_of<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.blocks.iter().filter(move |(_, found, _)| found == word).map(|(_, _, text)| text.as_str())
    }
}

/// The first table below the heading `heading` in the document `path`.
///
/// # Panics
/// When there is no such document, heading or table.
pub fn rows(path: &str, heading: &str) -> Table {
    let found = Page::read(path).tables.into_iter().find(|(above, _)| above == heading);
    found.unwrap_or_else(|| panic!("{path} has no table below {heading:?}")).1
}

/// Its first column.
///
/// # Panics
/// When there is no such document, heading or table.
pub fn first_column(path: &str, heading: &str) -> Vec<String> {
    rows(path, heading).into_iter().map(|mut cells| cells.swap_remove(0)).collect()
}

/// The event of an HTTP message in a block, as structured mode writes it.
///
/// # Panics
/// When there is none, or its length is another than its head says.
pub fn event(block: &str) -> Value {
    let (head, body) = block.trim_end().split_once("\n\n").expect("a head and a body");
    let headers = head.lines().skip(1).map(|line| line.split_once(": ").expect("a header"));
    let headers: HeaderMap = headers
        .map(|(name, value)| (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value")))
        .collect();
    let length = body.len().to_string();
    assert!(headers.get("content-length").is_none_or(|said| *said == length), "the body has {length} bytes");
    structured(&headers, body.as_bytes()).expect("an event")
}

/// GitHub's rule: lower case; letters, digits, `_` and `-` stay, a space becomes `-`, all else goes.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// A heading that was there before gets a number.
fn unique(slug: String, seen: &mut BTreeMap<String, usize>) -> String {
    let count = seen.entry(slug.clone()).and_modify(|count| *count += 1).or_default();
    if *count == 0 { slug } else { format!("{slug}-{count}") }
}
