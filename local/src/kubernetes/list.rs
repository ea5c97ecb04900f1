//! Lists: those objects that are selected, page by page.
//!
//! In: objects in their order, and the query of a request. Out: the list as JSON. A page goes on behind the object that
//! its `continue` token names, whatever was made or removed in between.

use super::route::{Kind, Query};
use super::selector::Selector;
use super::status::Status;
use super::store::{Key, key};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

/// The objects that a request asks for.
pub fn page<'a>(
    kind: Kind,
    objects: impl Iterator<Item = &'a Value>,
    version: u64,
    query: &Query,
) -> Result<Value, Status> {
    let selector = Selector::parse(query.get("labelSelector"), query.get("fieldSelector"))?;
    let (limit, after) = (limit(query.get("limit"))?, position(query.get("continue"))?);
    let mut objects = objects.skip_while(|object| after.as_ref().is_some_and(|after| key(object) <= *after)).peekable();
    let mut items: Vec<&Value> = Vec::new();
    while items.len() < limit
        && let Some(object) = objects.next()
    {
        items.extend(selector.selects(object).then_some(object));
    }
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if objects.peek().is_some() {
        metadata["continue"] = json!(items.last().map(|last| BASE64.encode(json!(key(last)).to_string())));
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(objects.count());
        }
    }
    Ok(json!({"kind": format!("{}List", kind.words().0), "apiVersion": "v1", "metadata": metadata, "items": items}))
}

fn limit(text: &str) -> Result<usize, Status> {
    match text {
        "" | "0" => Ok(usize::MAX),
        text => text.parse().map_err(|_| Status::bad_request(format!("parsing limit {text:?}: invalid syntax"))),
    }
}

fn position(token: &str) -> Result<Option<Key>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let key = BASE64.decode(token).ok().and_then(|json| serde_json::from_slice(&json).ok());
    key.map(Some).ok_or_else(|| Status::bad_request("invalid continue token: continue key is not valid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_every_object_once() {
        let objects: Vec<_> = (0..5).map(|name| json!({"metadata": {"name": format!("{name}")}})).collect();
        let (mut names, mut next, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let query = Query::of(&format!("/?limit=2&continue={next}").parse().unwrap());
            let list = page(Kind::Pod, objects.iter(), 1, &query).unwrap();
            names.extend(list["items"].as_array().unwrap().iter().map(|item| key(item).1));
            pages += 1;
            match list["metadata"]["continue"].as_str() {
                Some(token) => next = token.to_owned(),
                None => break,
            }
        }
        assert_eq!((names, pages), (["0", "1", "2", "3", "4"].map(str::to_owned).to_vec(), 3));
    }

    #[test]
    fn token_of_nobodys_is_a_bad_request() {
        assert_eq!(position("odd").unwrap_err().code, 400);
        assert_eq!(limit("x").unwrap_err().code, 400);
    }
}
