//! A browser with the page in it.
//!
//! One driver serves all tests and starts a browser for each. A browser is closed whatever becomes of its test.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::{Value, json};
use tests::cluster::client::until_within;
use tests::command::Running;
use tests::process::Process;
use url::Url;

/// How long anything that has to happen may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(25);

type Run = Box<dyn FnOnce(Page) -> LocalBoxFuture<'static, ()> + Send>;

/// A test, whose name is a sentence.
pub struct Test {
    /// Its name.
    pub name: String,
    /// The test itself.
    pub run: Run,
}

impl Test {
    /// A test that is named after its function.
    pub fn new<F: Future<Output = ()> + 'static>(name: &str, run: impl FnOnce(Page) -> F + Send + 'static) -> Self {
        Self { name: name.replace('_', " "), run: Box::new(|page| Box::pin(run(page))) }
    }
}

/// Tests of these functions, named after them.
#[macro_export]
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        vec![$($crate::browser::Test::new(stringify!($test), $test)),*]
    };
}

/// Chromium's driver.
pub struct Driver {
    url: String,
    _process: Process,
    _directory: tempfile::TempDir,
}

impl Driver {
    /// Starts the driver on a free port, or says what is missing.
    pub fn start() -> Result<Arc<Self>, String> {
        let driver = Path::new("/usr/bin/chromedriver");
        if !driver.exists() {
            return Err("they need Chromium and its driver (Debian: apt-get install chromium chromium-driver)".into());
        }
        let directory = tempfile::tempdir().expect("there is room for a log");
        let process = Process::start(driver, &["--port=0".to_owned()], directory.path().join("driver.log"));
        let begin = Instant::now();
        loop {
            let said = process.output();
            let port = said.split("successfully on port ").nth(1).and_then(|rest| rest.split_once('.'));
            if let Some((port, _)) = port {
                let url = format!("http://127.0.0.1:{port}");
                return Ok(Arc::new(Self { url, _process: process, _directory: directory }));
            }
            assert!(begin.elapsed() < PATIENCE, "the driver doesn't start: {said}");
            std::thread::sleep(LOOK);
        }
    }

    /// Runs a test in a browser that shows the page of a command of its own.
    pub async fn run(&self, test: Run) {
        let command = Running::start(&[]);
        let client = self.open().await;
        let page = Page { client: client.clone(), url: command.address("page"), command: Some(command) };
        let outcome = AssertUnwindSafe(async {
            page.go("").await;
            test(page).await;
        });
        let outcome = outcome.catch_unwind().await;
        client.close().await.expect("the browser can be closed");
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    }

    async fn open(&self) -> Client {
        let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                     --disable-component-update --disable-sync";
        let flags: Vec<&str> = flags.split(' ').collect();
        let options = json!({"args": flags, "binary": "/usr/bin/chromium"});
        let capabilities = Capabilities::from_iter([("goog:chromeOptions".to_owned(), options)]);
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities).connect(&self.url).await.expect("a browser starts")
    }
}

/// A command of Chromium's own protocol, for what WebDriver has no word for.
#[derive(Debug)]
struct Devtools(&'static str, Value);

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({"cmd": self.0, "params": self.1}).to_string()))
    }
}

/// The page in a browser, and the command that serves it.
pub struct Page {
    client: Client,
    url: String,
    command: Option<Running>,
}

impl Page {
    /// The command that serves it.
    pub fn command(&self) -> &Running {
        self.command.as_ref().expect("it hasn't been stopped")
    }

    /// Stops the command.
    pub fn stop_command(&mut self) {
        self.command = None;
    }

    /// Opens the page, with this query.
    pub async fn go(&self, query: &str) {
        self.client.goto(&format!("{}{query}", self.url)).await.expect("the page opens");
    }

    /// What a script's expression says in the page.
    pub async fn ask(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression}"), vec![]).await.expect("the script runs")
    }

    /// Runs statements in the page.
    pub async fn execute(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.expect("the script runs")
    }

    /// The visible text of the first element that matches, or nothing.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.ask(&format!("document.querySelector({selector:?})?.innerText ?? ''")).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// How many elements match.
    pub async fn count(&self, selector: &str) -> u64 {
        self.ask(&format!("document.querySelectorAll({selector:?}).length")).await.as_u64().expect("it is a number")
    }

    /// Waits until the text of an element holds `expected`.
    pub async fn until_says(&self, selector: &str, expected: &str) {
        self.until(&format!("(document.querySelector({selector:?})?.innerText ?? '').includes({expected:?})")).await;
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) {
        until_within(PATIENCE, expression, || async { self.ask(expression).await == true }).await;
    }

    /// Puts a text into a field in place of what is there.
    pub async fn fill(&self, field: &str, text: &str) {
        let field = self.client.find(Locator::Id(field)).await.expect("the field is there");
        field.clear().await.expect("the field can be emptied");
        field.send_keys(text).await.expect("the field can be written in");
    }

    /// Clicks on what matches.
    pub async fn click(&self, selector: &str) {
        let button = self.client.find(Locator::Css(selector)).await.unwrap_or_else(|_| panic!("no {selector}"));
        button.click().await.unwrap_or_else(|error| panic!("{selector} can't be clicked: {error}"));
    }

    /// Types keys at whatever has the focus.
    pub async fn keys(&self, keys: &str) {
        let element = self.client.active_element().await.expect("something has the focus");
        element.send_keys(keys).await.expect("keys can be typed");
    }

    /// Sets the size of what is seen, in CSS pixels.
    pub async fn resize(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Sets what the system prefers: `light` or `dark`.
    pub async fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Lets no script of the page run, from the next page on.
    pub async fn disable_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    }

    async fn devtools(&self, command: &'static str, parameters: Value) {
        self.client.issue_cmd(Devtools(command, parameters)).await.expect("the browser does it");
    }

    /// What is seen, as a PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("the browser takes a picture")
    }
}
