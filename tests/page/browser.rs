//! A browser with the page in it.

use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tests::cluster::client::until;
use tests::command::Running;
use url::Url;

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
    /// The command, until a test stops it.
    pub command: Option<Running>,
}

impl Page {
    /// Starts a command, and has the driver start a browser that shows its page.
    pub async fn open(driver: &str) -> Self {
        let command = Running::start(&[]);
        let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
                     --disable-component-update --disable-sync";
        let flags: Vec<&str> = flags.split(' ').collect();
        let options = json!({"args": flags, "binary": "/usr/bin/chromium"});
        let capabilities = Capabilities::from_iter([("goog:chromeOptions".to_owned(), options)]);
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(driver).await.expect("a browser starts");
        let page = Self { client, url: command.address("page"), command: Some(command) };
        page.load().await;
        page
    }

    /// Closes the browser.
    pub async fn close(self) {
        self.client.close().await.expect("the browser can be closed");
    }

    /// Loads the page.
    pub async fn load(&self) {
        self.client.goto(&self.url).await.expect("the page opens");
    }

    /// What a script's expression says in the page.
    pub async fn ask(&self, expression: &str) -> Value {
        self.execute(&format!("return {expression}")).await
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
        until(&format!("{selector} says {expected}"), || async { self.text(selector).await.contains(expected) }).await;
    }

    /// Waits until an expression is true.
    pub async fn until(&self, expression: &str) {
        until(expression, || async { self.ask(expression).await == true }).await;
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

    /// Sets the weather, and waits until it is.
    pub async fn set(&self, weather: &str) {
        self.click(&format!("[value={weather}]")).await;
        self.until(&format!("document.querySelector('[value={weather}]').ariaPressed === 'true'")).await;
    }

    /// Sends an event to `gateway` with this id, by the form.
    pub async fn send(&self, gateway: &str, id: &str) {
        self.fill("gateway", gateway).await;
        self.fill("id", id).await;
        self.click(".send button").await;
        self.until_says("#sent .identity", id).await;
    }

    /// Has the newest client of the gateway, once it runs, end in this way.
    pub async fn end(&self, gateway: &str, act: &str) {
        let client = format!("#gateway-{gateway} li:first-child");
        self.until_says(&client, "running").await;
        self.click(&format!("{client} .ends summary")).await;
        self.click(&format!("{client} [value={act}]")).await;
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

    /// Has Chromium itself do something.
    pub async fn devtools(&self, command: &'static str, parameters: Value) {
        self.client.issue_cmd(Devtools(command, parameters)).await.expect("the browser does it");
    }

    /// What is seen, as a PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("the browser takes a picture")
    }
}
