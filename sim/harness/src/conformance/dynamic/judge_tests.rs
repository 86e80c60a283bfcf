//! Made-up recordings against made-up runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mesh_reports::conformance::Verdict;

use super::judge::judge;
use super::recording::Recording;
use super::row::{EjectionRow, Row, Run};

fn run(statuses: &[&str], workloads: &[&str]) -> Run {
    let rows = statuses.iter().zip(workloads).enumerate().map(|(i, (status, workload))| Row {
        id: ("users".into(), i as u64),
        planned_ms: i as f64 * 10.0,
        lasted_ms: 2.0,
        values: BTreeMap::from([("status", (*status).to_owned()), ("workload", (*workload).to_owned())]),
    });
    Run { rows: rows.collect(), ejections: Vec::new() }
}

fn recording(runs: Vec<Run>) -> Recording {
    Recording {
        name: "case".into(),
        scenario: PathBuf::new(),
        runs,
        ejection_spread_ms: 0.0,
        same_ejections: true,
    }
}

/// Rotation over two hosts that begins with host `start`; host 1 answers 500.
fn rotation(start: usize, n: usize) -> Run {
    let hosts: Vec<usize> = (0..n).map(|i| (start + i) % 2).collect();
    let statuses: Vec<&str> = hosts.iter().map(|h| ["200", "500"][*h]).collect();
    let workloads: Vec<&str> = hosts.iter().map(|h| ["a", "b"][*h]).collect();
    run(&statuses, &workloads)
}

fn verdict(observed: Run, simulated: &[Run]) -> Verdict {
    judge(&recording(vec![observed]), simulated).verdict
}

#[test]
fn one_of_the_starts_is_enough_and_another_order_is_not() {
    let simulated: Vec<Run> = (0..8).map(|seed| rotation(seed, 60)).collect();
    assert_eq!(verdict(rotation(1, 60), &simulated), Verdict::Agree);
    let halves = {
        let mut run = rotation(0, 60);
        run.rows.truncate(30);
        let mut late = rotation(0, 60).rows.split_off(30);
        late.reverse();
        // Same counts, but the second half runs the other way round.
        for (i, row) in late.iter_mut().enumerate() {
            row.id.1 = 30 + i as u64;
        }
        run.rows.extend(late);
        run
    };
    assert_eq!(verdict(halves, &simulated), Verdict::Disagree);
}

#[test]
fn what_is_certain_must_be_so() {
    let simulated: Vec<Run> = (0..8).map(|_| run(&["200"; 40], &["a"; 40])).collect();
    assert_eq!(verdict(run(&["200"; 40], &["a"; 40]), &simulated), Verdict::Agree);
    let mut other = ["200"; 40];
    other[..8].fill("503");
    assert_eq!(verdict(run(&other, &["a"; 40]), &simulated), Verdict::Disagree);
    let mut one = ["200"; 4];
    one[2] = "503";
    let few: Vec<Run> = (0..8).map(|_| run(&["200"; 4], &["a"; 4])).collect();
    assert_eq!(verdict(run(&one, &["a"; 4]), &few), Verdict::Disagree, "few requests, no excuse");
}

#[test]
fn random_picks_are_judged_by_their_counts() {
    let random = |seed: u64, n: u64, share: u64| {
        let hit = |i: u64| (i * 7919 + seed * 104_729) % 100 < share;
        let workloads: Vec<&str> = (0..n).map(|i| if hit(i * i + i / 3) { "a" } else { "b" }).collect();
        run(&vec!["200"; n as usize], &workloads)
    };
    let simulated: Vec<Run> = (1..=32).map(|seed| random(seed, 400, 50)).collect();
    assert_eq!(verdict(random(77, 400, 50), &simulated), Verdict::Agree);
    assert_eq!(verdict(random(77, 400, 90), &simulated), Verdict::Disagree);
}

#[test]
fn ejections_are_compared_in_time() {
    let out = |from_ms, until_ms| EjectionRow {
        workload: "b".into(),
        by: "client".into(),
        from_ms,
        until_ms: Some(until_ms),
        num: 1,
    };
    let with = |from, until| Run { ejections: vec![out(from, until)], ..rotation(0, 600) };
    let simulated = [with(152.0, 2_000.0)];
    assert_eq!(verdict(with(154.0, 2_006.0), &simulated), Verdict::Agree);
    assert_eq!(verdict(with(154.0, 3_006.0), &simulated), Verdict::Disagree);
    assert_eq!(verdict(with(900.0, 2_006.0), &simulated), Verdict::Disagree);
    assert_eq!(verdict(rotation(0, 600), &simulated), Verdict::Disagree);
}

#[test]
fn durations_must_fit() {
    let simulated: Vec<Run> = (0..4).map(|_| run(&["200"; 50], &["a"; 50])).collect();
    let slow = |extra: f64| {
        let mut run = run(&["200"; 50], &["a"; 50]);
        run.rows.iter_mut().for_each(|r| r.lasted_ms += extra);
        run
    };
    assert_eq!(verdict(slow(4.0), &simulated), Verdict::Agree);
    assert_eq!(verdict(slow(200.0), &simulated), Verdict::Disagree);
}
