//! Markdown as its parser sees it: links, headings with GitHub's anchors, and fenced blocks.

use std::collections::BTreeMap;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What of a document other documents and tests refer to.
#[derive(Debug, Default)]
pub struct Page {
    /// Where its links and pictures lead, as they are written.
    pub links: Vec<String>,
    /// The anchors of its headings.
    pub anchors: Vec<String>,
    /// Its fenced blocks: the word behind the fence, and the text.
    pub blocks: Vec<(String, String)>,
}

impl Page {
    /// Reads a document.
    pub fn parse(text: &str) -> Self {
        let (mut page, mut slugs) = (Self::default(), BTreeMap::new());
        let (mut heading, mut block): (Option<String>, Option<(String, String)>) = (None, None);
        // A reference without a definition is plain text to the parser, and a mistake here.
        let broken =
            |link: pulldown_cmark::BrokenLink| Some((format!("undefined:{}", link.reference).into(), "".into()));
        for event in Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(broken)) {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors.push(unique(slug(&heading.take().unwrap_or_default()), &mut slugs));
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(word))) => {
                    block = Some((word.into_string(), String::new()));
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Text(text) | Event::Code(text) => {
                    let open = block.as_mut().map(|(_, text)| text).or(heading.as_mut());
                    if let Some(open) = open {
                        open.push_str(&text);
                    }
                }
                _ => (),
            }
        }
        page
    }

    /// The blocks behind whose fence this word stands.
    pub fn blocks_of<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.blocks.iter().filter(move |(found, _)| found == word).map(|(_, text)| text.as_str())
    }
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

#[test]
fn anchors_are_those_of_github() {
    let page =
        Page::parse("# `done` and `failed`, when a *webhook* flips\n\n## From a_b to C-d\n\n## Tests\n\n## Tests\n");
    assert_eq!(page.anchors, ["done-and-failed-when-a-webhook-flips", "from-a_b-to-c-d", "tests", "tests-1"]);
}

#[test]
fn links_are_found_in_every_form_and_not_in_code() {
    let text = "[a](b.md) ![p](c.svg) <https://d.example> [e] [f][g]\n\n| [h](i.md) |\n|---|\n\n`[no](no.md)`\n\n```\n[no](no)\n```\n\n[e]: e.md\n";
    let page = Page::parse(text);
    assert_eq!(page.links, ["b.md", "c.svg", "https://d.example", "e.md", "undefined:g", "i.md"]);
    assert_eq!(page.blocks, [(String::new(), "[no](no)\n".to_owned())]);
}
