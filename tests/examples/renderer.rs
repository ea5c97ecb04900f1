//! The Helm post-renderer of `deploy/`, by which a gateway's webhook is called for its own clients alone.

use std::io::Write;

use serde_json::{Value, json};

use crate::Part;
use crate::readme::{fail, run};

const OTHER: &str =
    "kind: ConfigMap\napiVersion: v1\ndata:\n  nat.conf: |\n    # none\nmetadata:\n  name: pod-gateway-foo\n";
const CONFIGURATION: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: \"pod-gateway-foo\"}
webhooks: [{name: \"pod-gateway-foo.svc\", namespaceSelector: {matchLabels: {routed-gateway: \"true\"}}}]
";

/// The tests.
pub fn part() -> Part {
    Part {
        name: "post-renderer",
        needs: vec!["kubectl version --client".to_owned()],
        builds: Vec::new(),
        tests: vec![("it adds the selector, or says why it can't", Box::new(it_adds_the_selector_or_says_why_not))],
    }
}

fn it_adds_the_selector_or_says_why_not() {
    let render = |label: &str, documents: &[&str]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(documents.join("---\n# Source: pod-gateway/templates/x.yaml\n").as_bytes()).unwrap();
        let line = format!("deploy/own-clients.sh {label} <{}", file.path().display());
        (line, file)
    };
    let parsed = |text: &str| -> Vec<Value> { serde_saphyr::from_multiple(text).unwrap() };
    for (label, key, value) in
        [("setGateway=foo", "setGateway", "foo"), ("example.com/exit=true", "example.com/exit", "true")]
    {
        let (line, _file) = render(label, &[OTHER, CONFIGURATION]);
        let mut expected = [OTHER, CONFIGURATION].map(|text| parsed(text).remove(0));
        expected[1]["webhooks"][0]["objectSelector"] = json!({"matchLabels": {key: value}});
        assert_eq!(parsed(&run(&line, "").unwrap()), expected);
    }
    for (label, document, why) in [
        ("setGateway=foo", OTHER, "no MutatingWebhookConfiguration"),
        ("foo", CONFIGURATION, "setGateway=foo"),
        ("", CONFIGURATION, "setGateway=foo"),
    ] {
        let (line, _file) = render(label, &[document]);
        fail(&line, "", 1, &[why]);
    }
}
