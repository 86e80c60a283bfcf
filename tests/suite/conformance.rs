//! Predictions against recorded answers of a real mesh. Every disagreement stands in DIVERGENCES.md, every line of
//! that file still holds, and nothing is unsupported that is not listed there.

use std::collections::BTreeSet;

use mesh_harness::conformance::{Selection, case, predictor, run};
use mesh_reports::conformance::{ConformanceReport, Verdict};

use crate::program::root;

/// Case ids of the lines `* \`id\` …`.
fn known() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("DIVERGENCES.md")).expect("DIVERGENCES.md");
    text.lines()
        .filter(|line| line.starts_with("* `"))
        .flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn judged(dir: &str) -> ConformanceReport {
    let corpus = case::read_corpus(&root().join(dir)).expect("the corpus");
    run(&corpus, &Selection::default(), |mesh| {
        let loaded = predictor::load(mesh)?;
        Ok(move |case: &case::Case| predictor::predict_case(&loaded, case))
    })
}

#[test]
fn requests_of_our_own_recordings_agree() {
    let report = judged("tests/requests");
    assert!(report.cases.len() > 550, "only {} cases", report.cases.len());
    let differ: Vec<&str> =
        report.cases.iter().filter(|c| c.verdict != Verdict::Agree).map(|c| c.id.as_str()).collect();
    assert!(differ.is_empty(), "{differ:?}\n{}", report.table());
}

#[test]
fn recorded_requests_agree() {
    let report = judged("tests/conformance");
    assert!(report.cases.len() > 900, "only {} cases", report.cases.len());
    let differ: BTreeSet<String> =
        report.cases.iter().filter(|c| c.verdict != Verdict::Agree).map(|c| c.id.clone()).collect();
    let known = known();
    let new: Vec<&String> = differ.difference(&known).collect();
    let stale: Vec<&String> =
        known.difference(&differ).filter(|id| report.cases.iter().any(|c| c.id == **id)).collect();
    assert!(new.is_empty(), "disagreements that DIVERGENCES.md does not list: {new:?}\n{}", report.table());
    assert!(stale.is_empty(), "DIVERGENCES.md lists what agrees by now: {stale:?}");
}
