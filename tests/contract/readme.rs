//! The README tells the truth: its curl gets its answer, and its size is the component's.

use serde_json::Value;
use tests::Provisioner;
use tests::costs::component_bytes;
use tests::markdown::{Page, event};
use tests::provisioner::{embedded_api, repository};

/// The request that a curl command line stands for.
fn request_of(curl: &str) -> tests::events::Delivery {
    let words = shell_words::split(&curl.replace("\\\n", " ")).unwrap();
    let mut request = http::Request::post("/").header("host", "localhost");
    let mut body = bytes::Bytes::new();
    for pair in words.windows(2) {
        match (pair[0].as_str(), &pair[1]) {
            ("-H", header) => {
                let (name, value) = header.split_once(": ").unwrap();
                request = request.header(name, value);
            }
            ("-d", data) => body = data.clone().into(),
            _ => (),
        }
    }
    request.body(body.into()).unwrap()
}

/// An event without what differs from run to run.
fn stable(mut event: Value) -> Value {
    event["time"].take();
    event["data"]["pod_uid"].take();
    event
}

#[tokio::test]
async fn the_curl_gets_the_answer_that_is_printed_below_it() {
    let blocks = Page::read("README.md").blocks;
    let block = |beginning: &str| &blocks.iter().find(|(_, _, text)| text.starts_with(beginning)).unwrap().2;
    let api = embedded_api().await;
    let provisioner = Provisioner::start(&api.url(), &[]);
    let reply = provisioner.deliver(request_of(block("curl"))).await;
    assert_eq!(stable(reply.event), stable(event(block("HTTP/1.1 200 OK"))));
    api.shutdown().await;
}

#[test]
fn the_size_that_is_stated_is_the_size_that_is_built() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let stated = readme.split("The component is ").nth(1).and_then(|rest| rest.split(" KB").next()).unwrap();
    // Toolchains differ by a little; a README that is off by more tells a story of another build.
    let difference = (stated.parse::<u64>().unwrap() * 1_000).abs_diff(component_bytes());
    assert!(difference <= 10_000, "the README says {stated} KB, which is {difference} bytes off");
}
