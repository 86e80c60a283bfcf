//! Runs over time against recordings of a real sidecar, and against deliberately wrong versions of their scenarios.
//!
//! The short recordings only: all of them, and all mutations, are `mesh-sim conformance --judge dynamic` and
//! `cargo run -p mesh-harness --example recordings -- --mutations`.

use std::path::PathBuf;

use mesh_harness::conformance::dynamic::mutation::{mutated, mutations};
use mesh_harness::conformance::dynamic::{Recording, judge_all, read};
use mesh_reports::conformance::{Prediction, Verdict};

/// Requests of a short recording.
const SHORT: usize = 20;

fn short_recordings() -> Vec<Recording> {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/dynamic");
    let mut recordings = read(&corpus).expect("the recordings");
    recordings.retain(|r| r.runs.iter().all(|run| run.rows.len() <= SHORT));
    recordings
}

#[test]
fn short_recordings_agree() {
    let recordings = short_recordings();
    assert!(recordings.len() >= 20, "only {} recordings", recordings.len());
    let report = judge_all(&recordings);
    let wrong = report.cases.iter().filter(|c| c.verdict != Verdict::Agree).count();
    assert_eq!(wrong, 0, "{}", report.table());
    for (recording, case) in recordings.iter().zip(&report.cases) {
        let [Prediction::OverTime(told)] = &case.predicted[..] else {
            panic!("{} tells no prediction", case.id)
        };
        for (run, row) in recording.runs.iter().flat_map(|run| run.rows.iter().map(move |row| (run, row))) {
            let request = told.requests.iter().find(|r| (&r.traffic, r.n) == (&row.id.0, row.id.1));
            let status = request.and_then(|r| r.keys.get("status")?.get(row.values.get("status")?));
            assert!(status.is_some_and(|p| *p > 0.0), "{} {:?} of {}", case.id, row.id, run.rows.len());
        }
    }
}

/// Scenarios that were predicted wrongly once (`tests/recordings/README.md`).
#[test]
fn our_own_recordings_agree() {
    let recordings =
        read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")).expect("the recordings");
    assert!(recordings.len() >= 5, "only {} recordings", recordings.len());
    let report = judge_all(&recordings);
    let wrong = report.cases.iter().filter(|c| c.verdict != Verdict::Agree).count();
    assert_eq!(wrong, 0, "{}", report.table());
}

#[test]
fn wrong_scenarios_are_refused() {
    let recordings = short_recordings();
    let scratch = std::env::temp_dir().join(format!("mesh-sim-wrong-{}", std::process::id()));
    let mut wrong = Vec::new();
    for (i, mutation) in mutations().into_iter().enumerate() {
        let Some(recording) = recordings.iter().find(|r| r.name == mutation.recording) else { continue };
        let changed = mutated(recording, &mutation, &scratch.join(i.to_string())).expect("a wrong scenario");
        wrong.push((mutation, changed));
    }
    assert!(wrong.len() >= 30, "only {} mutations", wrong.len());
    let (all, changed): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
    let report = judge_all(&changed);
    std::fs::remove_dir_all(&scratch).ok();
    let passed: Vec<_> =
        all.iter().zip(&report.cases).filter(|(_, case)| case.verdict != Verdict::Disagree).collect();
    assert!(passed.is_empty(), "not refused: {passed:#?}");
}
