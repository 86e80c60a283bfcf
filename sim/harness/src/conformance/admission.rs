//! What a cluster's admission answered (`admission/cases.jsonl`) against what we say of the same text.
//!
//! Compared: whether it is accepted, the first stage that refuses, and the number of the webhook's warnings. Texts are
//! shown and not compared: their meaning must be the same, their words need not.

use std::path::Path;

use mesh_config::diagnostic::{Diagnostic, Severity, Stage};
use mesh_config::load::{admission, read_text};
use mesh_config::source::FileId;
use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use super::case::{CorpusError, lines};

/// One recorded answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    id: String,
    yaml: String,
    rejected_by: Vec<String>,
    errors: Vec<String>,
    warnings: Vec<String>,
}

/// Reads the answers of a corpus; none if it has no such directory.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn read(dir: &Path) -> Result<Vec<Case>, CorpusError> {
    lines(&dir.join("admission/cases.jsonl"))
}

/// Judges them.
#[must_use]
pub fn judge_all(cases: &[Case]) -> ConformanceReport {
    cases.iter().map(judge).collect()
}

fn judge(case: &Case) -> CaseResult {
    let (objects, mut diagnostics) = read_text(FileId(0), &case.yaml);
    diagnostics.extend(admission(&objects));
    let errors: Vec<&Diagnostic> = diagnostics.iter().filter(|d| d.is_error()).collect();
    let stage = errors.iter().map(|d| d.stage).min().map(Stage::word);
    let recorded = case.rejected_by.first().map(String::as_str);
    let mut differences = Vec::new();
    if stage != recorded {
        let said: Vec<Value> = std::iter::once(json!(stage)).chain(texts(&errors)).collect();
        let observed = json!({"rejected_by": recorded, "errors": case.errors});
        differences.push(Difference { key: "rejected_by".to_owned(), predicted: said, observed });
    }
    // What was refused before istiod's webhook saw it has no warnings of it.
    let warnings: Vec<&Diagnostic> =
        diagnostics.iter().filter(|d| d.stage == Stage::Webhook && d.severity == Severity::Warning).collect();
    if recorded.is_none() && warnings.len() != case.warnings.len() {
        differences.push(Difference {
            key: "warnings".to_owned(),
            predicted: texts(&warnings).collect(),
            observed: json!(case.warnings),
        });
    }
    CaseResult {
        mesh: "admission".to_owned(),
        id: case.id.clone(),
        verdict: if differences.is_empty() { Verdict::Agree } else { Verdict::Disagree },
        reason: None,
        predicted: Vec::new(),
        differences,
        also: Vec::new(),
    }
}

fn texts(diagnostics: &[&Diagnostic]) -> impl Iterator<Item = Value> {
    diagnostics.iter().map(|d| json!(format!("{} {}", d.code.0, d.message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_answer_is_ours() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
        let report = judge_all(&read(&dir).expect("the corpus"));
        assert_eq!((report.total().agree, report.total().all()), (1231, 1231), "{}", report.table());
    }

    #[test]
    fn mutated_documents_are_judged_as_istiods_code_judges_them() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle");
        let report = judge_all(&read(&dir).expect("the documents"));
        assert!(report.total().all() > 100, "{:?}", report.total());
        assert_eq!(report.total().agree, report.total().all(), "{}", report.table());
    }
}
