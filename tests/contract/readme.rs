//! The README tells the truth: its curl gets its answer, and its size is the component's.

use tests::Provisioner;
use tests::events::Reply;
use tests::markdown::Page;
use tests::provisioner::{embedded_api, repository};

/// The first fenced block that begins with `beginning`.
fn block(beginning: &str) -> String {
    let block =
        Page::read("README.md").blocks.into_iter().map(|(_, _, text)| text).find(|text| text.starts_with(beginning));
    block.unwrap_or_else(|| panic!("no block {beginning:?}"))
}

/// The request that a curl command line stands for.
fn request_of(curl: &str) -> tests::events::Delivery {
    let words = shell_words::split(&curl.replace("\\\n", " ")).unwrap();
    let after =
        |flag: &str| words.windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].clone()).collect::<Vec<_>>();
    let mut request = http::Request::builder().method("POST").uri("/").header("host", "localhost");
    for header in after("-H") {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(bytes::Bytes::from(after("-d").remove(0)).into()).unwrap()
}

fn lines_of(reply: &Reply) -> Vec<String> {
    let mut lines = vec![format!("HTTP/1.1 {}", reply.status)];
    lines.extend(reply.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
    lines.push(String::from_utf8(reply.body.to_vec()).unwrap());
    lines
}

/// A line without what differs from run to run.
fn stable(line: &str) -> String {
    let cut = |marker| line.find(marker).map(|at| line[..at].to_owned());
    cut("ce-time: ").or_else(|| cut("\"pod_uid\":")).unwrap_or_else(|| line.to_owned())
}

#[tokio::test]
async fn the_curl_gets_the_answer_that_is_printed_below_it() {
    let api = embedded_api().await;
    let provisioner = Provisioner::start(&api.url(), &[]);
    let reply = provisioner.deliver(request_of(&block("curl"))).await;
    let mut answered: Vec<String> = lines_of(&reply).iter().map(|line| stable(line)).collect();
    let printed = block("HTTP/1.1 200 OK");
    // The date is the server's, which isn't asked here.
    let printed = printed.lines().filter(|line| !line.is_empty() && !line.starts_with("date: "));
    let mut printed: Vec<String> = printed.map(stable).collect();
    answered.sort();
    printed.sort();
    assert_eq!(answered, printed);
    api.shutdown().await;
}

#[test]
fn the_size_that_is_stated_is_the_size_that_is_built() {
    let wasm = repository().join("target/wasm32-wasip2/release/provisioner.wasm");
    let kilobytes = (std::fs::metadata(wasm).unwrap().len() + 500) / 1000;
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let stated = readme.split("The component is ").nth(1).and_then(|rest| rest.split(" KB").next()).unwrap();
    let stated: u64 = stated.parse().unwrap();
    // Toolchains differ by a little; a README that is off by more tells a story of another build.
    assert!(stated.abs_diff(kilobytes) <= 10, "the README says {stated} KB, and it is {kilobytes} KB");
}
