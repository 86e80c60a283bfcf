//! A cluster's recorded admission answers (`tests/conformance/admission`) against ours.
//!
//! `cargo test -p mesh-config corpus -- --nocapture` prints the agreement per stage.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::{Diagnostic, Stage};
use crate::load;
use crate::schema;
use crate::source::FileId;
use crate::webhook;
use serde_json::Value;

fn cases() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/admission/cases.jsonl");
    let text = std::fs::read_to_string(path).expect("the corpus is in the tree");
    text.lines().map(|line| serde_json::from_str(line).expect("a case")).collect()
}

/// The first stage that refuses, by our account. Schema and CEL are one stage of a cluster's.
fn refusal(text: &str) -> (Option<Stage>, Vec<Diagnostic>) {
    let (objects, mut diagnostics) = load::read_text(FileId(0), text);
    for object in &objects {
        diagnostics.extend(schema::admit(object, Some(webhook::validate)));
    }
    let first = diagnostics.iter().filter(|d| d.is_error()).map(|d| d.stage).min();
    (first, diagnostics)
}

#[derive(Default, Debug)]
struct Score {
    agree: usize,
    total: usize,
}

#[test]
#[expect(clippy::print_stderr, reason = "a report for --nocapture")]
fn admission_answers_as_a_cluster_does() {
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in cases() {
        let text = case["yaml"].as_str().expect("yaml");
        let theirs = case["rejected_by"][0].as_str();
        assert_eq!(case["accepted"].as_bool(), Some(theirs.is_none()), "{}", case["id"]);
        let (ours, diagnostics) = refusal(text);
        let score = scores.entry(theirs.unwrap_or("accepted").to_owned()).or_default();
        score.total += 1;
        if ours.map(Stage::word) == theirs {
            score.agree += 1;
        } else {
            let said: Vec<_> = diagnostics.iter().map(|d| format!("{:?} {}", d.stage, d.message)).collect();
            wrong.push(format!(
                "{} [{}]: theirs {theirs:?} {} ours {ours:?} {said:?}",
                case["id"], case["mutation"], case["errors"]
            ));
        }
    }
    for (stage, score) in &scores {
        eprintln!("{stage:10} {} of {}", score.agree, score.total);
    }
    assert!(wrong.is_empty(), "{} disagreements\n{}", wrong.len(), wrong.join("\n"));
}
