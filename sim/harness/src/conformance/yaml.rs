//! What Kubernetes reads out of YAML texts (`yaml/cases.jsonl`) against what our reader makes of them.

use std::path::Path;

use base64::Engine as _;
use mesh_config::diagnostic::{Diagnostic, codes};
use mesh_config::load::text_of_bytes;
use mesh_config::source::FileId;
use mesh_config::yaml::{Document, parse_pieces, parse_stream};
use mesh_reports::conformance::{CaseResult, ConformanceReport, Difference, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};

use super::case::{CorpusError, lines};

/// One recorded text.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    id: String,
    #[serde(default)]
    yaml: String,
    /// Texts that are not UTF-8.
    yaml_base64: Option<String>,
    /// The first document; absent if it is broken, may be null.
    #[serde(default, deserialize_with = "present")]
    json: Option<Value>,
    /// What strict reading says (duplicate keys).
    strict_error: Option<String>,
    /// Document by document.
    docs: Vec<Answer>,
}

#[derive(Debug, Clone, Deserialize)]
struct Answer {
    /// Absent if the document is broken; may be null.
    #[serde(default, deserialize_with = "present")]
    json: Option<Value>,
}

/// `null` is a value here, not absence.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads the texts of a corpus; none if it has no such directory.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn read(dir: &Path) -> Result<Vec<Case>, CorpusError> {
    lines(&dir.join("yaml/cases.jsonl"))
}

/// Judges them.
#[must_use]
pub fn judge_all(cases: &[Case]) -> ConformanceReport {
    cases.iter().map(judge).collect()
}

/// A document as JSON text, or why it is none.
type Reading = Result<String, String>;

fn judge(case: &Case) -> CaseResult {
    let mut differences = Vec::new();
    let mut reason = None;
    match text(case) {
        Ok(text) => differences = compare(case, &text),
        Err(e) => reason = Some(e),
    }
    CaseResult {
        mesh: "yaml".to_owned(),
        id: case.id.clone(),
        verdict: match (&reason, differences.is_empty()) {
            (Some(_), _) => Verdict::Unsupported,
            (None, true) => Verdict::Agree,
            (None, false) => Verdict::Disagree,
        },
        reason,
        predicted: Vec::new(),
        differences,
        also: Vec::new(),
    }
}

fn text(case: &Case) -> Result<String, String> {
    let Some(encoded) = &case.yaml_base64 else { return Ok(case.yaml.clone()) };
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
    bytes.map(|b| text_of_bytes(&b)).map_err(|e| format!("yaml_base64: {e}"))
}

fn compare(case: &Case, text: &str) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |key: &str, predicted: Vec<Value>, observed: Value| {
        differences.push(Difference { key: key.to_owned(), predicted, observed });
    };
    #[expect(clippy::single_range_in_vec_init, reason = "one piece is the whole file")]
    let (whole, strict) = readings(parse_pieces(FileId(0), text, &[0..text.len()]));
    let whole = whole.into_iter().next().unwrap_or_else(|| Ok("null".to_owned()));
    if !agrees(&whole, case.json.as_ref()) {
        differ("json", vec![shown(&whole)], json!(case.json));
    }
    let refused = strict || whole.is_err();
    if refused != (case.strict_error.is_some() || case.json.is_none()) {
        differ("strict_error", vec![json!(refused)], json!(case.strict_error));
    }
    let (docs, _) = readings(parse_stream(FileId(0), text));
    let same = docs.len() == case.docs.len()
        && docs.iter().zip(&case.docs).all(|(ours, theirs)| agrees(ours, theirs.json.as_ref()));
    if !same {
        let observed: Vec<&Option<Value>> = case.docs.iter().map(|d| &d.json).collect();
        differ("docs", docs.iter().map(shown).collect(), json!(observed));
    }
    differences
}

/// Every document in order of place, and whether a key occurs twice.
fn readings((documents, diagnostics): (Vec<Document>, Vec<Diagnostic>)) -> (Vec<Reading>, bool) {
    let twice = |d: &&Diagnostic| d.code == codes::DUPLICATE_KEY;
    let mut all: Vec<(u32, Reading)> =
        documents.iter().map(|d| (d.span.start, Ok(d.node.to_json()))).collect();
    for d in diagnostics.iter().filter(|d| d.is_error() && !twice(d)) {
        all.push((d.span().start, Err(d.message.clone())));
    }
    all.sort_by_key(|(at, _)| *at);
    let strict = diagnostics.iter().filter(|d| d.is_error()).any(|d| twice(&d));
    (all.into_iter().map(|(_, reading)| reading).collect(), strict)
}

fn shown(reading: &Reading) -> Value {
    match reading {
        Ok(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        Err(why) => json!({ "error": why }),
    }
}

fn agrees(ours: &Reading, theirs: Option<&Value>) -> bool {
    match (ours, theirs) {
        (Ok(ours), Some(theirs)) => serde_json::from_str(ours).is_ok_and(|v| equal(&v, theirs)),
        (Err(_), None) => true,
        _ => false,
    }
}

/// Go's numbers and ours may spell one value in two ways (`1e-07`); values are compared.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_answer_is_ours() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
        let report = judge_all(&read(&dir).expect("the corpus"));
        assert_eq!((report.total().agree, report.total().all()), (80, 80), "{}", report.table());
    }
}
