//! The recorded answers of Go's YAML reader (`tests/conformance/yaml`) against ours.

use std::path::Path;

use crate::diagnostic::{Diagnostic, codes};
use crate::load;
use crate::source::FileId;
use crate::yaml;
use base64::Engine as _;
use serde_json::Value;

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/yaml/cases.jsonl");
    let text = std::fs::read_to_string(path).expect("the corpus is in the tree");
    text.lines().map(|line| serde_json::from_str(line).expect("a case")).collect()
}

fn text_of(case: &Value) -> String {
    match case.get("yaml_base64").and_then(Value::as_str) {
        Some(encoded) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).expect("base64");
            load::text_of_bytes(&bytes)
        }
        None => case["yaml"].as_str().expect("yaml").to_owned(),
    }
}

/// Go's numbers and ours may spell one value in two ways (`1e-07`); values are compared.
fn same(ours: &str, theirs: &Value) -> bool {
    serde_json::from_str::<Value>(ours).is_ok_and(|v| equal(&v, theirs))
}

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

/// What our reader says of one document: its JSON or the fact that it is broken.
fn answers(results: (Vec<yaml::Document>, Vec<Diagnostic>)) -> (Vec<Result<String, String>>, bool) {
    let (documents, diagnostics) = results;
    let strict = diagnostics.iter().any(|d| d.code == codes::DUPLICATE_KEY && d.is_error());
    let mut all: Vec<(u32, Result<String, String>)> =
        documents.iter().map(|d| (d.span.start, Ok(d.node.to_json()))).collect();
    for d in diagnostics.iter().filter(|d| d.is_error() && d.code != codes::DUPLICATE_KEY) {
        all.push((d.span().start, Err(d.message.clone())));
    }
    all.sort_by_key(|(at, _)| *at);
    (all.into_iter().map(|(_, a)| a).collect(), strict)
}

fn agrees(ours: &Result<String, String>, theirs: &Value) -> bool {
    match (ours, theirs.get("json")) {
        (Ok(ours), Some(theirs)) => same(ours, theirs),
        (Err(_), None) => true,
        _ => false,
    }
}

#[test]
fn every_recorded_document_is_read_as_in_a_cluster() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (id, text) = (case["id"].as_str().expect("id"), text_of(&case));
        #[expect(clippy::single_range_in_vec_init, reason = "one piece is the whole file")]
        let (whole, strict) = answers(yaml::parse_pieces(FileId(0), &text, &[0..text.len()]));
        let whole = whole.into_iter().next().unwrap_or(Ok("null".to_owned()));
        let their_strict = case.get("strict_error").is_some();
        if !agrees(&whole, &case) || (their_strict && !strict && whole.is_ok()) || (strict && !their_strict) {
            wrong.push(format!("{id}: whole {whole:?} strict {strict}\n   {case}"));
        }
        let (docs, _) = answers(yaml::parse_stream(FileId(0), &text));
        let theirs = case["docs"].as_array().expect("docs");
        let docs_agree = docs.len() == theirs.len() && docs.iter().zip(theirs).all(|(o, t)| agrees(o, t));
        if !docs_agree {
            wrong.push(format!("{id}: docs {docs:?}\n   {}", case["docs"]));
        }
    }
    assert!(wrong.is_empty(), "{} disagreements\n{}", wrong.len(), wrong.join("\n"));
}
