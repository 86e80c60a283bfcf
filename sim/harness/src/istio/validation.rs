//! The validation cases: rows of Istio's validation tests, judged by the verdicts of the webhook and of a whole cluster.
//!
//! `valid` and `warning` are istiod's webhook alone; `accepted` is all of admission (schema, CEL, webhook). Messages are
//! not compared: ours are our own.

use std::path::Path;

use mesh_config::diagnostic::{Diagnostic, Severity, Stage};
use mesh_config::load;
use mesh_config::source::FileId;
use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Verdict};
use serde::Deserialize;
use serde_json::json;

/// Name of the group, and its row of the table.
const GROUP: &str = "validation";

#[derive(Deserialize)]
struct Case {
    id: String,
    yaml: String,
    valid: bool,
    warning: bool,
    accepted: bool,
    #[serde(default)]
    actual: Actual,
}

/// What Istio said.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Actual {
    /// Stages of a whole cluster that refuse; where they are told, `valid` is the cluster's verdict.
    rejected_by: Option<Vec<String>>,
}

/// Judges the group.
///
/// # Errors
/// When the file cannot be read.
pub fn judge(root: &Path) -> Result<ConformanceReport, String> {
    let mut report = ConformanceReport::default();
    let path = root.join(GROUP).join("cases.jsonl");
    if !path.is_file() {
        return Ok(report);
    }
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    for (index, line) in text.lines().enumerate() {
        let case: Case =
            serde_json::from_str(line).map_err(|e| format!("{}:{}: {e}", path.display(), index + 1))?;
        report.push(one(case));
    }
    Ok(report)
}

fn one(case: Case) -> CaseResult {
    let (objects, mut found) = load::read_text(FileId(0), &case.yaml);
    found.extend(load::admission(&objects));
    let is = |d: &&Diagnostic, severity| d.severity == severity;
    let webhook: Vec<&Diagnostic> = found.iter().filter(|d| d.stage == Stage::Webhook).collect();
    let warning = webhook.iter().any(|d| is(d, Severity::Warning));
    let accepted = !found.iter().any(|d| d.severity == Severity::Error);
    let valid = match case.actual.rejected_by {
        Some(_) => accepted,
        None => !webhook.iter().any(|d| is(d, Severity::Error)),
    };
    let mut differences = Vec::new();
    for (key, ours, theirs) in [
        ("valid", valid, case.valid),
        // A refused object's warnings reach nobody.
        ("warning", warning, case.warning || (!case.valid && warning)),
        ("accepted", accepted, case.accepted),
    ] {
        if ours != theirs {
            differences.push(Difference {
                key: key.to_owned(),
                predicted: vec![json!(ours)],
                observed: json!(theirs),
            });
        }
    }
    let said: Vec<String> = found.iter().map(|d| d.message.clone()).collect();
    CaseResult {
        mesh: GROUP.to_owned(),
        id: case.id,
        verdict: if differences.is_empty() { Verdict::Agree } else { Verdict::Disagree },
        reason: (!differences.is_empty()).then(|| said.join("; ")),
        predicted: vec![],
        differences,
        also: vec![],
    }
}
