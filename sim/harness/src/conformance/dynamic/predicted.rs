//! Simulated runs, summed up for a reader who wants to judge a recording by other rules.

use std::collections::BTreeMap;

use mesh_reports::over_time::{EjectionOverTime, EjectionsOfRun, OverTime, RequestOverTime};

use super::row::{EjectionRow, Row, Run};

/// All runs of one scenario; they have the same requests.
pub(super) fn over_time(runs: &[Run]) -> OverTime {
    let share = 1.0 / (runs.len() as f64).max(1.0);
    let first = runs.first().map_or(&[][..], |run| &run.rows[..]);
    let requests = first.iter().enumerate().map(|(i, row)| {
        let all: Vec<&Row> = runs.iter().filter_map(|run| run.rows.get(i)).collect();
        request(row, &all, share)
    });
    OverTime {
        p: 1.0,
        runs: runs.len() as u32,
        requests: requests.collect(),
        ejections: ejections(runs, share),
        statistics: statistics(runs),
    }
}

fn request(row: &Row, all: &[&Row], share: f64) -> RequestOverTime {
    let mut counts: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
    let mut lasted_ms = [f64::INFINITY, 0.0];
    for row in all {
        let [least, most] = lasted_ms;
        lasted_ms = [least.min(rounded(row.lasted_ms)), most.max(rounded(row.lasted_ms))];
        for (key, value) in &row.values {
            *counts.entry((*key).to_owned()).or_default().entry(value.clone()).or_default() += 1;
        }
    }
    let shares = |values: BTreeMap<String, u32>| -> BTreeMap<String, f64> {
        values.into_iter().map(|(value, n)| (value, f64::from(n) * share)).collect()
    };
    let (traffic, n) = row.id.clone();
    let keys = counts.into_iter().map(|(key, values)| (key, shares(values))).collect();
    RequestOverTime { traffic, n, planned_ms: row.planned_ms, lasted_ms, keys }
}

/// Microseconds are enough.
fn rounded(ms: f64) -> f64 {
    libm::round(ms * 1e3) / 1e3
}

fn ejections(runs: &[Run], share: f64) -> Vec<EjectionsOfRun> {
    let mut all: Vec<EjectionsOfRun> = Vec::new();
    for run in runs {
        let ejections: Vec<EjectionOverTime> = run.ejections.iter().map(ejection).collect();
        match all.iter_mut().find(|known| known.ejections == ejections) {
            Some(known) => known.p += share,
            None => all.push(EjectionsOfRun { p: share, ejections }),
        }
    }
    all
}

fn ejection(row: &EjectionRow) -> EjectionOverTime {
    EjectionOverTime {
        workload: row.workload.clone(),
        by: row.by.clone(),
        from_ms: rounded(row.from_ms),
        until_ms: row.until_ms.map(rounded),
        num: row.num,
    }
}

fn statistics(runs: &[Run]) -> BTreeMap<String, [u64; 2]> {
    let names = runs.iter().flat_map(|run| run.statistics.keys());
    let range = |name: &String| {
        let values = runs.iter().map(|run| run.statistics.get(name).copied().unwrap_or(0));
        values.fold([u64::MAX, 0], |[least, most], v| [least.min(v), most.max(v)])
    };
    let mut all = BTreeMap::new();
    for name in names {
        all.entry(name.clone()).or_insert_with(|| range(name));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_ranges_are_over_all_runs() {
        let run = |status: &str, lasted_ms: f64| Run {
            rows: vec![Row {
                id: ("users".into(), 0),
                lasted_ms,
                values: BTreeMap::from([("status", status.to_owned())]),
                ..Row::default()
            }],
            statistics: BTreeMap::from([(format!("retries{status}"), 3)]),
            ..Run::default()
        };
        let told = over_time(&[run("200", 2.0), run("200", 1.0), run("503", 4.0), run("200", 1.5)]);
        let [request] = &told.requests[..] else { panic!("{told:?}") };
        assert_eq!(request.lasted_ms, [1.0, 4.0]);
        let status = BTreeMap::from([("200".to_owned(), 0.75), ("503".to_owned(), 0.25)]);
        assert_eq!(request.keys.get("status"), Some(&status));
        assert_eq!(told.ejections, [EjectionsOfRun { p: 1.0, ejections: vec![] }]);
        assert_eq!(told.statistics.get("retries200"), Some(&[0, 3]));
    }
}
