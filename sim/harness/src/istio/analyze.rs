//! Findings of `istioctl analyze` in Istio's own tests against ours: of the one analyzer each case is about, which
//! objects it reports under which number.
//!
//! Analyzers whose findings cannot change traffic (annotations, images, webhooks, telemetry, EnvoyFilter, Gateway API,
//! the control plane's own setup) are left out and counted by name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mesh_config::analysis::analyze;
use mesh_config::diagnostic::{Diagnostic, codes};
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
const LEFT_OUT: [(&str, &str); 15] = [
    ("annotations.", "annotations that change no traffic"),
    ("applicationUID.", "user ids of containers"),
    ("authn.BlockedCIDRs", "istiod's own settings"),
    ("conditions.", "status of a running cluster"),
    ("deprecation.", "deprecated fields and CRDs"),
    ("envoyfilter.", "EnvoyFilter is not modelled"),
    ("externalcontrolplane.", "istiod's own settings"),
    ("injection.Analyzer", "running pods without the proxy that injection adds"),
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
    expected: Vec<Message>,
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
    // The numbers an analyzer reports, from all its cases.
    let mut numbers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for case in &cases {
        numbers.entry(&case.analyzer).or_default().extend(case.expected.iter().map(|m| m.code.as_str()));
    }
    for case in &cases {
        let left_out = LEFT_OUT.iter().find(|(prefix, _)| case.analyzer.starts_with(prefix));
        let mut result = match left_out {
            Some((_, why)) => outcome(case, Verdict::Unsupported, Vec::new(), Some((*why).to_owned())),
            None => compare(case, &dir, numbers.get(case.analyzer.as_str()).unwrap_or(&BTreeSet::new()))?,
        };
        if left_out.is_some() {
            result.mesh = "analyze (out of scope)".to_owned();
        }
        report.push(result);
    }
    Ok(report)
}

fn outcome(case: &Case, verdict: Verdict, differences: Vec<Difference>, reason: Option<String>) -> CaseResult {
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

fn compare(case: &Case, dir: &Path, numbers: &BTreeSet<&str>) -> Result<CaseResult, String> {
    let mut ours: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut texts = Vec::new();
    for diagnostic in findings(case, dir)? {
        let Some(number) = number(&diagnostic).filter(|n| numbers.contains(n.as_str())) else { continue };
        let Some(object) = &diagnostic.object else { continue };
        texts.push(json!(format!("{number} {object}: {}", diagnostic.message)));
        *ours.entry((number, format!("{} {}", object.kind, object.name))).or_default() += 1;
    }
    let mut theirs: BTreeMap<(String, String), u32> = BTreeMap::new();
    for message in &case.expected {
        let (kind, name) = message.origin.split_once(' ').unwrap_or((&message.origin, ""));
        let name = name.rsplit(['/', '.']).next().unwrap_or(name);
        let short = format!("{kind} {}", if message.origin.contains('/') { name } else { plain(&message.origin) });
        *theirs.entry((message.code.clone(), short)).or_default() += 1;
    }
    if ours == theirs {
        return Ok(outcome(case, Verdict::Agree, Vec::new(), None));
    }
    let show = |m: &BTreeMap<(String, String), u32>| {
        m.iter().map(|((code, object), n)| json!(format!("{code} {object} x{n}"))).collect::<Vec<_>>()
    };
    let difference =
        Difference { key: case.analyzer.clone(), predicted: show(&ours), observed: json!(show(&theirs)) };
    let said = Difference { key: "messages".to_owned(), predicted: texts, observed: json!(null) };
    Ok(outcome(case, Verdict::Disagree, vec![difference, said], None))
}

/// `Kind name.namespace` without the namespace.
fn plain(origin: &str) -> &str {
    let name = origin.split_once(' ').map_or(origin, |(_, name)| name);
    name.split_once('.').map_or(name, |(name, _)| name)
}

fn number(diagnostic: &Diagnostic) -> Option<String> {
    let text = codes::info(diagnostic.code)?.explanation;
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
        input.words.config = config_layers::of_text(file, &text).0.into_iter().next_back();
    }
    objects.extend(read_into(&mut sources, files).0);
    let mut found = admission(&objects);
    let mesh = LoadedMesh::of_objects(sources, objects, &input, Vec::new());
    found.extend(analyze(&mesh.lowering.mesh));
    Ok(found)
}
