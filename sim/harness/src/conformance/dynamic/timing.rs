//! Times: ejections and durations, within the accuracy of the recorder (dynamic/README.md).

use std::collections::BTreeMap;

use mesh_reports::conformance::Difference;

use super::judge::difference;
use super::row::{EjectionRow, Row, Run};

/// Ticks drift by about a millisecond each and are seen up to this much later.
const TICK_LATE_MS: f64 = 25.0;
/// Nothing ends earlier than predicted by more than this.
const EARLY_MS: f64 = 3.0;
/// The recorder's processes add up to this to a duration.
const SLOW_MS: f64 = 25.0;
/// Two shared cores: this part of the requests, or a burst of this many, may have met a hiccup …
const HICCUPS: f64 = 0.02;
/// … but none longer than this, ms.
const BURST: f64 = 3.0;
/// The longest hiccup.
const HICCUP_MS: f64 = 100.0;

/// A client that begins later than this may meet what it should not, ms.
const LATE_MS: f64 = 5.0;
/// The recorder's processes add this to the median duration of like requests, ms: at most for one try …
const MEDIAN_MS: f64 = 15.0;
/// … and for each further try.
const MEDIAN_PER_TRY_MS: f64 = 4.0;
/// Deviations of the median between simulated runs.
const SIGMAS: f64 = 5.0;
/// Fewer simulated runs than one in this many say little about one request.
const SCARCE: usize = 2;
/// Like requests that are needed for a median.
const FEW: usize = 3;

/// Predicted alternatives that a difference shows.
const MOST_PREDICTED: usize = 12;

/// Some simulated run has the recorded ejections: same hosts and detectors in the same order, at the same times. Where
/// simulated runs with the same ejections begin them at different times (random hosts), any time between will do.
pub(super) fn ejections(observed: &Run, simulated: &[Run]) -> Option<Difference> {
    // Give or take one position in the rotation (README).
    let begin_ms = rotation_ms(observed) + TICK_LATE_MS;
    let last_ms = observed.rows.iter().map(|r| r.planned_ms).fold(0.0, f64::max);
    let alike: Vec<&Run> = simulated.iter().filter(|run| same_hosts(run, observed)).collect();
    let between = |i: usize, at: f64| {
        let begins = alike.iter().filter_map(|run| Some(run.ejections.get(i)?.from_ms));
        let (first, last) = begins.fold((f64::INFINITY, 0.0_f64), |(a, b), t| (a.min(t), b.max(t)));
        at >= first - begin_ms && at <= last + begin_ms
    };
    let same = |run: &&Run| {
        run.ejections.iter().zip(&observed.ejections).enumerate().all(|(i, (s, o))| {
            let ends = match (s.until_ms, o.until_ms) {
                (Some(s), Some(o)) => o - s >= -EARLY_MS && o - s <= TICK_LATE_MS,
                // What ends after the last request is not in the recording.
                (Some(s), None) => s >= last_ms - TICK_LATE_MS,
                (None, Some(o)) => o >= last_ms - TICK_LATE_MS,
                (None, None) => true,
            };
            ends && between(i, o.from_ms)
        })
    };
    if alike.iter().any(same) {
        return None;
    }
    let text = |run: &Run| run.ejections.iter().map(describe).collect::<Vec<_>>().join("; ");
    let mut predicted: Vec<String> = simulated.iter().map(text).collect();
    predicted.sort();
    predicted.dedup();
    predicted.truncate(MOST_PREDICTED);
    Some(difference("ejections", predicted, text(observed)))
}

/// The same ejections but for their times.
fn same_hosts(one: &Run, other: &Run) -> bool {
    let of = |e: &EjectionRow| (e.workload.clone(), e.by.clone(), e.num);
    one.ejections.iter().map(of).eq(other.ejections.iter().map(of))
}

fn describe(e: &EjectionRow) -> String {
    let until = e.until_ms.map_or_else(|| "end".to_owned(), |t| format!("{t:.0}"));
    format!("{} by {} {:.0}..{until} (#{})", e.workload, e.by, e.from_ms, e.num)
}

/// When something became visible to the balancer: at once, or a second later.
fn changes(observed: &Run) -> Vec<f64> {
    let mut changes: Vec<f64> =
        observed.ejections.iter().flat_map(|e| [Some(e.from_ms), e.until_ms]).flatten().collect();
    changes.extend(changes.clone().into_iter().map(|t| t + 1_000.0));
    changes.sort_by(f64::total_cmp);
    changes
}

/// Requests that meet no change and no hiccup of the recorder, by position.
pub(super) fn calm(observed: &Run) -> Vec<bool> {
    let changes = changes(observed);
    let near_ms = rotation_ms(observed) + TICK_LATE_MS;
    let is_calm = |row: &Row| {
        let begun = row.planned_ms + row.late_ms;
        row.late_ms <= LATE_MS && changes.iter().all(|t| (t - begun).abs() > near_ms)
    };
    observed.rows.iter().map(is_calm).collect()
}

/// Requests that are calm in two runs.
pub(super) fn calm_in_both(one: &Run, two: &Run) -> Vec<bool> {
    calm(one).into_iter().zip(calm(two)).map(|(a, b)| a && b).collect()
}

/// Positions of calm requests between one ejection or return becoming visible and the next.
pub(super) fn periods(observed: &Run, calm: &[bool]) -> Vec<Vec<usize>> {
    let ends = changes(observed);
    let mut periods: Vec<Vec<usize>> = vec![Vec::new(); ends.len() + 1];
    for (i, row) in observed.rows.iter().enumerate().filter(|(i, _)| calm.get(*i) == Some(&true)) {
        let period = ends.iter().filter(|end| **end <= row.planned_ms).count();
        if let Some(period) = periods.get_mut(period) {
            period.push(i);
        }
    }
    periods.retain(|p| !p.is_empty());
    periods
}

/// Time in which a rotation comes round: hosts times the usual gap between requests.
fn rotation_ms(observed: &Run) -> f64 {
    let mut planned: Vec<f64> = observed.rows.iter().map(|r| r.planned_ms).collect();
    planned.sort_by(f64::total_cmp);
    let mut gaps: Vec<f64> = planned.windows(2).filter_map(|w| Some(w.get(1)? - w.first()?)).collect();
    gaps.sort_by(f64::total_cmp);
    let gap = gaps.get(gaps.len() / 2).copied().unwrap_or(0.0);
    let hosts: std::collections::BTreeSet<_> =
        observed.rows.iter().filter_map(|r| r.values.get("workload")).collect();
    gap * hosts.len() as f64
}

/// Requests last as long as simulated ones do, within the recorder's accuracy.
pub(super) fn durations(observed: &Run, simulated: &[Run]) -> Option<Difference> {
    let alike = ranges(simulated);
    let mut wrong = Vec::new();
    let mut hopeless = false;
    for (i, row) in observed.rows.iter().enumerate() {
        let Some((least, most)) = range(row, i, simulated, &alike) else { continue };
        let late = row.lasted_ms - most - SLOW_MS;
        let early = least - EARLY_MS - row.lasted_ms;
        if early > 0.0 || late > 0.0 {
            // A busy machine delays; nothing makes a request end before its time.
            hopeless |= early > 0.0 || late > HICCUP_MS;
            wrong.push((row, least, most));
        }
    }
    let excused = BURST.max(HICCUPS * observed.rows.len() as f64);
    if !hopeless && wrong.len() as f64 <= excused {
        return None;
    }
    let (row, least, most) = wrong.first()?;
    let key = format!("duration of {}#{} and {} more", row.id.0, row.id.1, wrong.len() - 1);
    Some(difference(&key, [format!("{least:.1} to {most:.1} ms")], format!("{:.1} ms", row.lasted_ms)))
}

/// How long the i-th request lasts in the simulated runs in which the same happened, ms. Where that is so in few of
/// them, as with random hosts, like requests of the same traffic stand in.
fn range(row: &Row, i: usize, simulated: &[Run], alike: &Ranges) -> Option<(f64, f64)> {
    let same = |key: &str, r: &Row| r.values.get(key) == row.values.get(key);
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    let mut seen = 0;
    for r in simulated.iter().filter_map(|s| s.rows.get(i)) {
        if same("status", r) && same("attempts", r) && same("flags", r) {
            least = least.min(r.lasted_ms);
            most = most.max(r.lasted_ms);
            seen += 1;
        }
    }
    if seen * SCARCE < simulated.len()
        && let Some((shortest, longest)) = alike.get(&likeness(row))
    {
        least = least.min(*shortest);
        most = most.max(*longest);
    }
    // Few seeds do not show the whole range of random delays.
    let margin = (most - least) * 0.3;
    least.is_finite().then_some((least - margin, most + margin))
}

/// Like requests: same traffic, status, flags and attempts.
type Alike = BTreeMap<[String; 4], Vec<f64>>;

/// Shortest and longest of like requests.
type Ranges = BTreeMap<[String; 4], (f64, f64)>;

fn likeness(row: &Row) -> [String; 4] {
    let text = |key: &str| row.values.get(key).cloned().unwrap_or_default();
    [row.id.0.clone(), text("status"), text("flags"), text("attempts")]
}

fn alike(run: &Run) -> Alike {
    let mut all = Alike::new();
    for row in &run.rows {
        all.entry(likeness(row)).or_default().push(row.lasted_ms);
    }
    all
}

fn ranges(runs: &[Run]) -> Ranges {
    let mut all = Ranges::new();
    for row in runs.iter().flat_map(|run| &run.rows) {
        let (least, most) = all.entry(likeness(row)).or_insert((f64::INFINITY, 0.0));
        *least = least.min(row.lasted_ms);
        *most = most.max(row.lasted_ms);
    }
    all
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get((values.len().max(1) - 1) / 2), values.get(values.len() / 2));
    f64::midpoint(low.copied().unwrap_or(0.0), high.copied().unwrap_or(0.0))
}

/// Like requests last as long as simulated ones in the median, which single hiccups do not move.
pub(super) fn shifts(observed: &Run, simulated: &[Run]) -> Vec<Difference> {
    let runs: Vec<Alike> = simulated.iter().map(alike).collect();
    let mut found = Vec::new();
    for (key, mut lasted) in alike(observed).into_iter().filter(|(_, l)| l.len() >= FEW) {
        let medians: Vec<f64> = runs.iter().filter_map(|r| Some(median(&mut r.get(&key)?.clone()))).collect();
        if medians.is_empty() {
            continue;
        }
        let n = medians.len() as f64;
        let mean = medians.iter().sum::<f64>() / n;
        let deviation = libm::sqrt(medians.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / n);
        let got = median(&mut lasted);
        let [traffic, status, flags, attempts] = key;
        let further = attempts.parse::<f64>().map_or(0.0, |n| n - 1.0);
        let most = mean + SIGMAS * deviation + MEDIAN_MS + MEDIAN_PER_TRY_MS * further.max(0.0);
        if got < mean - SIGMAS * deviation - EARLY_MS || got > most {
            let key = format!("median duration of {traffic}, status {status} {flags}, {attempts} attempts");
            found.push(difference(&key, [format!("{mean:.1} ± {deviation:.1} ms")], format!("{got:.1} ms")));
        }
    }
    found
}
