//! Findings of `istioctl analyze` in Istio's own tests against ours: everything that the analyzer under test reports
//! must be found, and nothing that `istioctl analyze` as a whole does not report.
//!
//! Analyzers whose findings cannot change traffic (annotations, images, webhooks, telemetry, EnvoyFilter, Gateway API,
//! the control plane's own setup) are left out and counted by name.

use std::collections::BTreeSet;
use std::path::Path;

use mesh_config::analysis::analyze;
use mesh_config::diagnostic::{Code, Diagnostic, codes};
use mesh_config::input::InputFile;
use mesh_config::load::{admission, read_into, read_text};
use mesh_config::mesh::config_layers;
use mesh_config::source::Sources;
use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Verdict};
use serde::Deserialize;
use serde_json::json;

use crate::conformance::case::lines;
use crate::loaded::{LoadedMesh, MeshInput};

/// Analyzers that are not ours, and why.
const LEFT_OUT: [(&str, &str); 16] = [
    ("annotations.", "annotations that change no traffic"),
    ("applicationUID.", "user ids of containers"),
    ("authn.BlockedCIDRs", "istiod's own settings"),
    ("conditions.", "status of a running cluster"),
    ("deprecation.", "deprecated fields and CRDs"),
    ("envoyfilter.", "EnvoyFilter is not modelled"),
    ("externalcontrolplane.", "istiod's own settings"),
    ("injection.Analyzer", "running pods without the proxy that injection adds"),
    ("injection.ImageAutoAnalyzer", "admission webhooks of a running cluster"),
    ("injection.ImageAnalyzer", "images of a running cluster"),
    ("k8sgateway.", "Gateway API is not modelled"),
    ("meshnetworks.", "one cluster only"),
    ("multicluster.", "one cluster only"),
    ("telemetry.", "telemetry changes no traffic"),
    ("webhook.", "admission webhooks of a running cluster"),
    ("gateway.SecretAnalyzer", "certificates' content"),
];

/// What the case's base installation has (README of the cases): an ingress gateway.
const BASE: &str = "
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  ports: [{name: http2, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]
---
apiVersion: v1
kind: Pod
metadata: {name: istio-ingressgateway, namespace: istio-system, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy, image: proxyv2}]}
";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    files: Vec<String>,
    mesh_config: Option<String>,
    analyzer: String,
    /// Of the analyzer under test.
    expected: Vec<Message>,
    /// Of `istioctl analyze` as a whole.
    all_analyzers: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    code: String,
    origin: String,
}

/// Judges the group.
///
/// # Errors
/// When a file cannot be read.
pub fn judge(root: &Path) -> Result<ConformanceReport, String> {
    let dir = root.join("analyze");
    let cases: Vec<Case> = lines(&dir.join("cases.jsonl")).map_err(|e| e.to_string())?;
    let mut report = ConformanceReport::default();
    let numbers = numbers();
    for case in &cases {
        let left_out = LEFT_OUT.iter().find(|(prefix, _)| case.analyzer.starts_with(prefix));
        let mut result = match left_out {
            Some((_, why)) => outcome(case, Verdict::Unsupported, Vec::new(), Some((*why).to_owned())),
            None => compare(case, &dir, &numbers)?,
        };
        if left_out.is_some() {
            result.mesh = "analyze (out of scope)".to_owned();
        }
        report.push(result);
    }
    Ok(report)
}

fn outcome(
    case: &Case,
    verdict: Verdict,
    differences: Vec<Difference>,
    reason: Option<String>,
) -> CaseResult {
    CaseResult {
        mesh: "analyze".to_owned(),
        id: case.id.clone(),
        verdict,
        reason,
        predicted: Vec::new(),
        differences,
        also: Vec::new(),
    }
}

/// The numbers that have a code of ours, without those that never come from analyzing a mesh's YAML alone.
fn numbers() -> BTreeSet<String> {
    codes::ALL.iter().filter_map(|i| number(i.code)).filter(|n| !FOREIGN.contains(&n.as_str())).collect()
}

/// `image: auto`: depends on the webhooks of a running cluster, which the cases hold and manifests do not.
const FOREIGN: [&str; 2] = ["IST0146", "IST0147"];

fn compare(case: &Case, dir: &Path, numbers: &BTreeSet<String>) -> Result<CaseResult, String> {
    let mut ours = BTreeSet::new();
    let mut texts = Vec::new();
    for diagnostic in findings(case, dir)? {
        let Some(number) = number(diagnostic.code).filter(|n| numbers.contains(n)) else { continue };
        let Some(object) = &diagnostic.object else { continue };
        texts.push(json!(format!("{number} {object}: {}", diagnostic.message)));
        ours.insert(format!("{number} {} {}", object.kind, object.name));
    }
    let named = |messages: &[Message]| -> BTreeSet<String> {
        let ours = |m: &&Message| numbers.contains(&m.code) && OUR_KINDS.contains(&kind(&m.origin));
        let name = |m: &Message| format!("{} {} {}", m.code, kind(&m.origin), plain(&m.origin));
        messages.iter().filter(ours).map(name).collect()
    };
    let (must, may) = (named(&case.expected), named(&case.all_analyzers));
    let only =
        |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).map(|m| json!(m)).collect::<Vec<_>>();
    let (missing, extra) = (only(&must, &ours), only(&ours, &may));
    if missing.is_empty() && extra.is_empty() {
        return Ok(outcome(case, Verdict::Agree, Vec::new(), None));
    }
    let difference = Difference { key: case.analyzer.clone(), predicted: extra, observed: json!(missing) };
    let said = Difference { key: "messages".to_owned(), predicted: texts, observed: json!(null) };
    Ok(outcome(case, Verdict::Disagree, vec![difference, said], None))
}

/// Kinds whose findings are compared; the others are not simulated.
const OUR_KINDS: [&str; 10] = [
    "AuthorizationPolicy",
    "Deployment",
    "DestinationRule",
    "Gateway",
    "Namespace",
    "Pod",
    "Service",
    "ServiceEntry",
    "Sidecar",
    "VirtualService",
];

fn kind(origin: &str) -> &str {
    origin.split_once(' ').map_or(origin, |(kind, _)| kind)
}

/// The name in `Kind name` and `Kind namespace/name`.
fn plain(origin: &str) -> &str {
    let name = origin.split_once(' ').map_or(origin, |(_, name)| name);
    name.rsplit('/').next().unwrap_or(name)
}

/// Istio's number stands at the end of a code's explanation.
fn number(code: Code) -> Option<String> {
    let text = codes::info(code)?.explanation;
    let at = text.rfind("(IST")?;
    text.get(at + 1..at + 8).map(str::to_owned)
}

fn findings(case: &Case, dir: &Path) -> Result<Vec<Diagnostic>, String> {
    let mut sources = Sources::default();
    let base = sources.add("base.yaml".to_owned(), BASE.to_owned());
    let (mut objects, _) = read_text(base, BASE);
    let mut input = MeshInput::default();
    let mut files = Vec::new();
    for name in &case.files {
        let bytes = std::fs::read(dir.join(name)).map_err(|e| format!("{name}: {e}"))?;
        files.push(InputFile { display_name: name.clone(), bytes });
    }
    if let Some(name) = &case.mesh_config {
        let text = std::fs::read_to_string(dir.join(name)).map_err(|e| format!("{name}: {e}"))?;
        let file = sources.add(name.clone(), text.clone());
        input.words.config = config_layers::of_text(file, &text).0;
    }
    objects.extend(read_into(&mut sources, files).0);
    let mut found = admission(&objects);
    let mesh = LoadedMesh::of_objects(sources, objects, &input, Vec::new());
    found.extend(analyze(&mesh.lowering.mesh));
    Ok(found)
}
