//! Made-up recordings against made-up runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mesh_reports::conformance::Verdict;

use super::judge::judge;
use super::recording::Recording;
use super::row::{EjectionRow, Row, Run, TryRow};

fn run(statuses: &[&str], workloads: &[&str]) -> Run {
    let rows = statuses.iter().zip(workloads).enumerate().map(|(i, (status, workload))| Row {
        id: ("users".into(), i as u64),
        planned_ms: i as f64 * 10.0,
        late_ms: 0.0,
        lasted_ms: 2.0,
        tries: Vec::new(),
        values: BTreeMap::from([("status", (*status).to_owned()), ("workload", (*workload).to_owned())]),
    });
    Run { rows: rows.collect(), ..Run::default() }
}

fn recording(runs: Vec<Run>) -> Recording {
    Recording { name: "case".into(), scenario: PathBuf::new(), runs }
}

/// Rotation over two hosts that begins with host `start`; host 1 answers 500.
fn rotation(start: usize, n: usize) -> Run {
    let hosts: Vec<usize> = (0..n).map(|i| (start + i) % 2).collect();
    let statuses: Vec<&str> = hosts.iter().map(|h| ["200", "500"][*h]).collect();
    let workloads: Vec<&str> = hosts.iter().map(|h| ["a", "b"][*h]).collect();
    run(&statuses, &workloads)
}

fn verdict(observed: Run, simulated: &[Run]) -> Verdict {
    judge(&recording(vec![observed]), &BTreeMap::new(), simulated).verdict
}

fn of_two(observed: [Run; 2], simulated: &[Run]) -> Verdict {
    judge(&recording(observed.into()), &BTreeMap::new(), simulated).verdict
}

/// Requests fall on one of four hosts, by a hash of request and seed.
fn scattered(seed: u64, n: u64) -> Run {
    let host = |i: u64| {
        let x = (i << 20 | seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let x = (x ^ x >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 62) as usize
    };
    let workloads: Vec<&str> = (0..n).map(|i| ["a", "b", "c", "d"][host(i)]).collect();
    run(&vec!["200"; n as usize], &workloads)
}

#[test]
fn what_never_varies_must_not_be_predicted_as_random() {
    let simulated: Vec<Run> = (1..=32).map(|seed| scattered(seed, 120)).collect();
    assert_eq!(of_two([scattered(100, 120), scattered(200, 120)], &simulated), Verdict::Agree);
    // Each run by itself looks as random as the prediction; that both are the same does not.
    assert_eq!(of_two([scattered(100, 120), scattered(100, 120)], &simulated), Verdict::Disagree);
    // A rotation with two starts may well begin at the same place twice.
    let rotations: Vec<Run> = (0..8).map(|seed| rotation(seed, 60)).collect();
    assert_eq!(of_two([rotation(1, 60), rotation(1, 60)], &rotations), Verdict::Agree);
}

#[test]
fn each_of_the_runs_must_be_met() {
    let simulated: Vec<Run> = (0..8).map(|_| run(&["200"; 40], &["a"; 40])).collect();
    let right = || run(&["200"; 40], &["a"; 40]);
    let mut other = ["200"; 40];
    other[20] = "503";
    assert_eq!(of_two([right(), right()], &simulated), Verdict::Agree);
    assert_eq!(of_two([right(), run(&other, &["a"; 40])], &simulated), Verdict::Disagree);
}

/// Host `b` fails every 10 ms from the start and is ejected with the `threshold`-th failure.
fn ejecting(threshold: usize, from_ms: f64) -> Run {
    let mut run = run(&["500"; 40], &["b"; 40]);
    for (i, row) in run.rows.iter_mut().enumerate() {
        let at_ms = row.planned_ms;
        let (workload, end_ms) = ("b".to_owned(), Some(at_ms + 1.0));
        row.tries =
            if i < threshold { vec![TryRow { workload, failed: true, at_ms, end_ms }] } else { Vec::new() };
    }
    let (workload, by) = ("b".into(), "client".into());
    run.ejections = vec![EjectionRow { workload, by, from_ms, until_ms: None, num: 1 }];
    run
}

#[test]
fn which_failure_ejects_is_exact() {
    let simulated: Vec<Run> = (0..8).map(|_| ejecting(5, 41.0)).collect();
    assert_eq!(verdict(ejecting(5, 42.0), &simulated), Verdict::Agree);
    assert_eq!(verdict(ejecting(6, 51.0), &simulated), Verdict::Disagree, "one failure more");
    assert_eq!(verdict(ejecting(4, 31.0), &simulated), Verdict::Disagree, "one failure less");
}

#[test]
fn what_proxies_counted_is_compared() {
    let counting = |n: u64| Run {
        statistics: BTreeMap::from([("client c upstream_rq_retry".to_owned(), n)]),
        counting: BTreeSet::from(["client".to_owned()]),
        ..run(&["200"; 40], &["a"; 40])
    };
    let simulated: Vec<Run> = (0..8).map(|_| counting(12)).collect();
    assert_eq!(verdict(counting(12), &simulated), Verdict::Agree);
    assert_eq!(verdict(counting(14), &simulated), Verdict::Disagree);
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
