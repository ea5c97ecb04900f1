//! The Helm post-renderer of `deploy/`, by which a gateway's webhook is called for its own clients alone.

use std::io::Write;

use serde_json::{Value, json};

use crate::Part;
use crate::readme::{Ended, end};

const OTHER: &str =
    "kind: ConfigMap\napiVersion: v1\ndata:\n  nat.conf: |\n    # none\nmetadata:\n  name: pod-gateway-foo\n";
const CONFIGURATION: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: \"pod-gateway-foo\"
webhooks:
- name: \"pod-gateway-foo.svc.cluster.local\"
  namespaceSelector:
    matchLabels:
      routed-gateway: \"true\"
  sideEffects: None
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

/// What it says to what Helm gives it.
fn render(label: &str, documents: &[&str]) -> Ended {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(documents.join("---\n# Source: pod-gateway/templates/x.yaml\n").as_bytes()).unwrap();
    end(&format!("deploy/own-clients.sh {label} <{}", file.path().display()), &[])
}

fn it_adds_the_selector_or_says_why_not() {
    let parsed = |text: &str| -> Vec<Value> { serde_saphyr::from_multiple(text).unwrap() };
    for (label, labels) in [
        ("setGateway=foo", json!({"setGateway": "foo"})),
        ("example.com/exit=true", json!({"example.com/exit": "true"})),
    ] {
        let Ended { code, stdout, stderr } = render(label, &[OTHER, CONFIGURATION]);
        assert_eq!(code, Some(0), "{stderr}");
        let mut expected = [OTHER, CONFIGURATION].map(|text| parsed(text).remove(0));
        expected[1]["webhooks"][0]["objectSelector"] = json!({"matchLabels": labels});
        assert_eq!(parsed(&stdout), expected);
    }
    for (label, documents, why) in [
        ("setGateway=foo", [OTHER], "no MutatingWebhookConfiguration"),
        ("foo", [CONFIGURATION], "setGateway=foo"),
        ("", [CONFIGURATION], "setGateway=foo"),
    ] {
        let Ended { code, stdout, stderr } = render(label, &documents);
        assert!(code == Some(1) && stdout.is_empty() && stderr.contains(why), "{stdout}{stderr}");
    }
}
