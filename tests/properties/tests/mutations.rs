//! What the properties are about: inputs that are known to be interesting, and what is near them.

use std::iter;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::de::IgnoredAny;
use serde_json::{Deserializer, json};

/// What a part of an input is; only the like of it can take its place.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Line,
    /// A value in JSON.
    Value,
    /// A member of an object in JSON, with its name.
    Member,
    /// Any text, which goes in between.
    Text,
}

/// A part, the place of what it replaces, and whether that stays before it.
type Change = ((Shape, String), Index, bool);

/// One of the inputs with up to three changes: parts of other inputs, and any text.
pub fn mutated(inputs: Vec<String>) -> impl Strategy<Value = String> {
    let parts =
        |input: &String| parts(input).map(|(shape, range)| (shape, input[range].to_owned())).collect::<Vec<_>>();
    let parts: Vec<_> = inputs.iter().flat_map(parts).collect();
    let part = prop_oneof![
        6 => select(parts),
        1 => text().prop_map(|text| (Shape::Value, json!(text).to_string())),
        1 => text().prop_map(|text| (Shape::Text, text)),
    ];
    let changes = vec((part, any::<Index>(), any::<bool>()), 0..4);
    (select(inputs), changes).prop_map(|(input, changes)| changes.into_iter().fold(input, changed))
}

fn changed(mut input: String, ((shape, part), at, stays): Change) -> String {
    if shape == Shape::Text {
        input.insert_str(input.floor_char_boundary(at.index(input.len() + 1)), &part);
        return input;
    }
    let places: Vec<_> = parts(&input).filter(|(found, _)| *found == shape).collect();
    if places.is_empty() {
        return input;
    }
    let place = at.get(&places).1.clone();
    let part = match shape {
        Shape::Line if stays => format!("{}\n{part}", &input[place.clone()]),
        Shape::Member if stays => format!("{}, {part}", &input[place.clone()]),
        _ => part,
    };
    input.replace_range(place, &part);
    input
}

/// The lines of an input, and whatever in it is JSON.
fn parts(input: &str) -> impl Iterator<Item = (Shape, Range<usize>)> {
    let starts = iter::once(0).chain(input.match_indices('\n').map(|(at, _)| at + 1));
    let line = |start| start..input[start..].find('\n').map_or(input.len(), |length| start + length);
    let lines = starts.clone().map(move |start| (Shape::Line, line(start)));
    let after = input.match_indices(['{', '[', ',', ':']).map(|(at, _)| at + 1);
    lines.chain(starts.chain(after).filter_map(|start| {
        let end = value_end(input, start)?;
        let member = input[end..].starts_with(':').then(|| value_end(input, end + 1)).flatten();
        Some(member.map_or((Shape::Value, start..end), |end| (Shape::Member, start..end)))
    }))
}

/// Where the JSON value ends that begins here.
fn value_end(text: &str, start: usize) -> Option<usize> {
    let mut values = Deserializer::from_str(&text[start..]).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(start + values.byte_offset())
}

/// Any text; what headers, JSON and shells have to escape comes up often.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ \"'\\\\%{}\\[\\]#$\t\n\u{0}-\u{1f}a-zä€😀]{1,20}", any::<String>()]
}
