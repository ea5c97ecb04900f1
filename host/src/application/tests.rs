//! Hand-written components: what happens around a guest, whatever it does.

use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::code::INSTANCES;
use crate::observer::Recorder;

/// A component that handles HTTP by running `code`, which may call `$sleep`
/// with a number of milliseconds.
pub(crate) fn component(code: &str, extra_import: &str) -> String {
    format!(
        r#"(component $component
  {extra_import}
  (import "wasi:http/types@0.2.0" (instance $types
    (export "incoming-request" (type (sub resource)))
    (export "response-outparam" (type (sub resource)))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $response))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer $component $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $code
    (import "" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "" "block" (func $block (param i32)))
    (func $sleep (param $milliseconds i64)
      (call $block (call $subscribe (i64.mul (local.get $milliseconds) (i64.const 1000000)))))
    (func (export "handle") (param i32 i32) {code}))
  (core instance $core (instantiate $code (with "" (instance
    (export "subscribe" (func $subscribe))
    (export "block" (func $block))))))
  (type $handle (func (param "request" (own $request)) (param "response-out" (own $response))))
  (func $handle (type $handle) (canon lift (core func $core "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))"#
    )
}

struct App {
    dir: TempDir,
    recorder: Arc<Recorder>,
}

impl App {
    fn new(wat: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        let manifest = "spin_manifest_version = 2\n[application]\nname = \"app\"\n\
            [[trigger.http]]\nroute = \"/...\"\ncomponent = \"one\"\n\
            [component.one]\nsource = \"one.wasm\"\n\
            files = [{ source = \"data\", destination = \"/data\" }]\n";
        std::fs::write(dir.path().join("spin.toml"), manifest).unwrap();
        let wasm = wat::parse_str(wat).unwrap();
        std::fs::write(dir.path().join("one.wasm"), wasm).unwrap();
        Self { dir, recorder: Arc::default() }
    }

    fn running(code: &str) -> Self {
        Self::new(&component(code, ""))
    }

    fn load(&self) -> Result<Application> {
        let options = Options { observer: Some(self.recorder.clone()), ..Default::default() };
        Application::load(&self.dir.path().join("spin.toml"), options, Compile::default())
    }
}

fn request() -> Request<Empty<Bytes>> {
    Request::get("http://h/").body(Empty::new()).unwrap()
}

#[tokio::test]
async fn a_trap_is_a_500_and_a_line_in_the_log() {
    let app = App::running("unreachable");
    let response = app.load().unwrap().handle(request()).await;
    assert_eq!(response.status(), 500);
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    assert_eq!(
        app.recorder.text(),
        "answered 500: the component failed: wasm trap: wasm `unreachable` instruction executed\n"
    );
}

#[tokio::test]
async fn no_response_is_a_500_and_a_line_in_the_log() {
    let app = App::running("");
    let response = app.load().unwrap().handle(request()).await;
    assert_eq!(response.status(), 500);
    let log = app.recorder.text();
    assert_eq!(log, "answered 500: the component gave no response\n");
}

#[tokio::test]
async fn dropping_the_future_kills_the_instance() {
    let app = App::running("(call $sleep (i64.const 200)) unreachable");
    let application = app.load().unwrap();
    let handled = application.handle(request());
    let cut = tokio::time::timeout(Duration::from_millis(50), handled).await;
    assert!(cut.is_err());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(app.recorder.text(), "");
}

#[tokio::test]
async fn more_requests_than_there_is_room_for_wait_for_their_turn() {
    let app = App::running("(call $sleep (i64.const 300))");
    let application = app.load().unwrap();
    let requests = INSTANCES as usize + 100;
    let handled = (0..requests).map(|_| {
        let application = application.clone();
        tokio::spawn(async move { application.handle(request()).await })
    });
    for handled in handled.collect::<Vec<_>>() {
        handled.await.unwrap();
    }
    let log = app.recorder.text();
    assert_eq!(log.lines().filter(|line| line.ends_with("the component gave no response")).count(), requests, "{log}");
}

#[tokio::test]
async fn instances_run_beside_each_other() {
    let app = App::running("(call $sleep (i64.const 200))");
    let application = app.load().unwrap();
    let started = Instant::now();
    let handled = (0..10).map(|_| {
        let application = application.clone();
        tokio::spawn(async move { application.handle(request()).await })
    });
    for response in handled.collect::<Vec<_>>() {
        assert_eq!(response.await.unwrap().status(), 500);
    }
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn an_unknown_import_is_named() {
    let import = r#"(import "fermyon:spin/key-value@2.0.0" (instance (export "open" (func))))"#;
    let error = App::new(&component("", import)).load().err().unwrap().to_string();
    assert!(error.contains("fermyon:spin/key-value@2.0.0"), "{error}");
}

#[tokio::test]
async fn what_is_no_component_or_handles_no_http_is_refused() {
    let error = App::new("(module)").load().err().unwrap().to_string();
    assert!(error.contains("wasm32-wasip2"), "{error}");
    let error = App::new("(component)").load().err().unwrap().to_string();
    assert!(error.contains("incoming-handler"), "{error}");
    let app = App::new("(component)");
    std::fs::remove_file(app.dir.path().join("one.wasm")).unwrap();
    let error = app.load().err().unwrap().to_string();
    assert!(error.contains("build it first"), "{error}");
}

#[tokio::test]
async fn what_no_instance_can_have_is_a_500_that_names_it() {
    let app = App::running("unreachable");
    let application = app.load().unwrap();
    let response = application.handle(Request::get("/").body(Empty::new()).unwrap()).await;
    assert_eq!(response.status(), 500);
    std::fs::remove_dir(app.dir.path().join("data")).unwrap();
    assert_eq!(application.handle(request()).await.status(), 500);
    let log = app.recorder.text();
    assert!(log.contains("missing authority") && log.contains("cannot mount"), "{log}");
}
