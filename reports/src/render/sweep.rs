//! A sweep as tables: one line per point and traffic, seeds joined; every run on a line of its own for spreadsheets.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::matrix::csv_field;
use super::style::{count, millis, percent, table};
use crate::run::GateVerdict;
use crate::sweep::{SweepReport, SweepRow, SweepTraffic};

/// Values of a parameter shown in the heading; the rest is counted.
const VALUES: usize = 8;

/// The runs of one point.
struct Point<'a> {
    values: &'a [String],
    rows: Vec<&'a SweepRow>,
}

fn points(report: &SweepReport) -> Vec<Point<'_>> {
    let mut points: Vec<Point<'_>> = Vec::new();
    for row in &report.rows {
        match points.iter_mut().find(|p| p.values == row.values) {
            Some(point) => point.rows.push(row),
            None => points.push(Point { values: &row.values, rows: vec![row] }),
        }
    }
    points
}

/// Numbers of one traffic at one point: sums and means over seeds, and the worst of them.
struct Joined {
    requests: u64,
    success: f64,
    worst: f64,
    attempts: f64,
    mean_ms: f64,
    p99_ms: f64,
    worst_p99_ms: f64,
}

fn joined(runs: &[&SweepTraffic]) -> Joined {
    let requests: u64 = runs.iter().map(|t| t.requests).sum();
    let weighted = |number: &dyn Fn(&SweepTraffic) -> f64| {
        let sum: f64 = runs.iter().map(|t| number(t) * t.requests as f64).sum();
        if requests == 0 { 0.0 } else { sum / requests as f64 }
    };
    let p99 = runs.iter().map(|t| t.latency.p99_ms);
    Joined {
        requests,
        success: weighted(&|t| t.success),
        worst: runs.iter().map(|t| t.success).fold(1.0, f64::min),
        attempts: weighted(&|t| t.attempts_mean),
        mean_ms: weighted(&|t| t.latency.mean_ms),
        p99_ms: p99.clone().sum::<f64>() / runs.len().max(1) as f64,
        worst_p99_ms: p99.fold(0.0, f64::max),
    }
}

/// For people; failing points at the end, with the command that repeats the first of their runs.
#[must_use]
pub fn sweep_table(report: &SweepReport, strict: bool) -> String {
    let mut out = head(report);
    let (header, rows) = cells(report, strict);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let left = report.heading.parameters.len() + usize::from(header.contains(&"TRAFFIC"));
    let right: Vec<usize> = (left..header.len()).collect();
    out.push_str(&table(&header, &right, &rows));
    out.push('\n');
    out.push_str(&failures(report, strict));
    out
}

/// The same for pull requests.
#[must_use]
pub fn sweep_markdown(report: &SweepReport, strict: bool) -> String {
    let (header, rows) = cells(report, strict);
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|c| c.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = format!("**{}**\n\n", head(report).lines().next().unwrap_or_default());
    out.push_str(&line(&header));
    let _ = writeln!(out, "|{}", "---|".repeat(header.len()));
    out.extend(rows.iter().map(|row| line(row)));
    let _ = write!(out, "\n```text\n{}```\n", failures(report, strict));
    out
}

fn head(report: &SweepReport) -> String {
    let heading = &report.heading;
    let seeds = heading.seeds.len();
    let all = heading.tasks / (seeds as u64).max(1);
    let mut out =
        format!("{}  {} × {}", heading.scenario, plural(all, "point"), plural(seeds as u64, "seed"));
    if let Some(shard) = report.shard {
        let _ = write!(out, "  part {} of 0..{}", shard.index, shard.of - 1);
    }
    out.push('\n');
    for parameter in &heading.parameters {
        let mut shown: Vec<&str> = parameter.values.iter().take(VALUES).map(String::as_str).collect();
        let more = format!("… ({} in all)", parameter.values.len());
        if parameter.values.len() > VALUES {
            shown.push(&more);
        }
        let _ = writeln!(out, "  {} = {}", parameter.path, shown.join(", "));
    }
    out.push('\n');
    out
}

/// `1 point`, `2 points`.
fn plural(n: u64, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// Header and rows of the table.
fn cells(report: &SweepReport, strict: bool) -> (Vec<String>, Vec<Vec<String>>) {
    let several = report.heading.seeds.len() > 1;
    let mut header: Vec<String> =
        report.heading.parameters.iter().map(|p| p.short().to_uppercase()).collect();
    header.extend(["TRAFFIC", "REQUESTS", "SUCCESS"].map(str::to_owned));
    if several {
        header.push("WORST".to_owned());
    }
    header.extend(["TRIES", "MEAN", "P99"].map(str::to_owned));
    if several {
        header.push("WORST P99".to_owned());
    }
    header.extend(["EJECTED", "OVERFLOWS", "GATES"].map(str::to_owned));
    let mut rows = Vec::new();
    for point in points(report) {
        let names: Vec<&str> = names(&point);
        for (i, name) in names.iter().enumerate() {
            let runs: Vec<&SweepTraffic> =
                point.rows.iter().flat_map(|r| &r.traffic).filter(|t| t.name == *name).collect();
            let numbers = joined(&runs);
            let mut row: Vec<String> = match i {
                0 => point.values.to_vec(),
                _ => point.values.iter().map(|_| String::new()).collect(),
            };
            row.extend([(*name).to_owned(), count(numbers.requests), percent(numbers.success)]);
            if several {
                row.push(percent(numbers.worst));
            }
            row.extend([format!("{:.2}", numbers.attempts), millis(numbers.mean_ms), millis(numbers.p99_ms)]);
            if several {
                row.push(millis(numbers.worst_p99_ms));
            }
            row.extend(match i {
                0 => of_point(&point, strict),
                _ => Default::default(),
            });
            rows.push(row);
        }
        if names.is_empty() {
            let mut row = point.values.to_vec();
            row.push("refused".to_owned());
            row.resize(header.len(), String::new());
            rows.push(row);
        }
    }
    telling(header, rows, report.heading.parameters.len())
}

/// Without the columns that say the same, and nothing of interest, in every row.
fn telling(
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    parameters: usize,
) -> (Vec<String>, Vec<Vec<String>>) {
    let dull = |column: usize, name: &str| {
        let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|c| !c.is_empty());
        match name {
            "TRAFFIC" => {
                let first = cells.next();
                cells.all(|c| Some(c) == first)
            }
            "TRIES" => cells.all(|c| c == "1.00"),
            "EJECTED" | "OVERFLOWS" => cells.all(|c| c == "0"),
            "GATES" => cells.all(|c| c == "-"),
            _ => false,
        }
    };
    let keep: Vec<bool> =
        header.iter().enumerate().map(|(i, name)| i < parameters || !dull(i, name)).collect();
    let kept = |row: Vec<String>| -> Vec<String> {
        row.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(cell, _)| cell).collect()
    };
    (kept(header), rows.into_iter().map(kept).collect())
}

/// Traffics of a point in their order.
fn names<'a>(point: &Point<'a>) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for traffic in point.rows.iter().flat_map(|r| &r.traffic) {
        if !names.contains(&traffic.name.as_str()) {
            names.push(&traffic.name);
        }
    }
    names
}

/// Ejections, overflows and gates, which are of all traffics.
fn of_point(point: &Point<'_>, strict: bool) -> [String; 3] {
    let gates: usize = point.rows.iter().map(|r| r.gates.len()).sum();
    let failed: usize = point.rows.iter().map(|r| r.failed(strict).count()).sum();
    let gates = if gates == 0 { "-".to_owned() } else { format!("{} of {gates}", gates - failed) };
    [
        count(point.rows.iter().map(|r| r.ejections).sum()),
        count(point.rows.iter().map(|r| r.overflows).sum()),
        gates,
    ]
}

fn failures(report: &SweepReport, strict: bool) -> String {
    let mut out = String::new();
    let points = points(report);
    let fails = |row: &&SweepRow| row.error.is_some() || row.failed(strict).next().is_some();
    let failing: Vec<&Point<'_>> = points.iter().filter(|p| p.rows.iter().any(fails)).collect();
    let unknown = report.rows.iter().filter(|r| r.unknown > 0).count();
    if unknown > 0 {
        let _ = writeln!(out, "{} met something that is not modelled", plural(unknown as u64, "run"));
    }
    if failing.is_empty() {
        let gated = report.rows.iter().any(|row| !row.gates.is_empty());
        let said = if gated { "every gate holds at every point" } else { "no gates to judge" };
        let _ = writeln!(out, "{said} ({})", plural(points.len() as u64, "point"));
        return out;
    }
    let _ = writeln!(out, "{} of {} fail:", failing.len(), plural(points.len() as u64, "point"));
    for point in failing {
        let rows: Vec<&&SweepRow> = point.rows.iter().filter(|row| fails(row)).collect();
        let Some(first) = rows.first() else { continue };
        let seeds: Vec<String> = rows.iter().take(VALUES).map(|r| r.seed.to_string()).collect();
        let more = if rows.len() > VALUES { ", …" } else { "" };
        let named: Vec<String> = report
            .heading
            .parameters
            .iter()
            .zip(point.values)
            .map(|(parameter, value)| format!("{}={value}", parameter.short()))
            .collect();
        let _ = writeln!(out, "  {} under seed {}{more}", named.join(" "), seeds.join(", "));
        if let Some(error) = &first.error {
            let _ = writeln!(out, "    refused: {error}");
        }
        for (text, (got, times)) in reasons(&rows, strict) {
            let _ = writeln!(out, "    {text}: got {got}{}", times_of(times, rows.len()));
        }
        let _ = writeln!(out, "    {}", command(report, first));
    }
    out
}

fn times_of(times: usize, runs: usize) -> String {
    if runs > 1 { format!(" ({times} of {runs} runs)") } else { String::new() }
}

/// Failing gates with what the first run got and how many runs they fail in.
fn reasons<'a>(rows: &[&&'a SweepRow], strict: bool) -> BTreeMap<&'a str, (&'a str, usize)> {
    let mut reasons: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for gate in rows.iter().flat_map(|row| row.failed(strict)) {
        reasons.entry(&gate.text).or_insert((&gate.got, 0)).1 += 1;
    }
    reasons
}

/// What repeats a run.
fn command(report: &SweepReport, row: &SweepRow) -> String {
    let sets: String = report
        .heading
        .parameters
        .iter()
        .zip(&row.values)
        .map(|(parameter, value)| format!(" --set {}", quoted(&format!("{}={value}", parameter.path))))
        .collect();
    format!("mesh-sim run {}{sets} --seed {}", quoted(&report.heading.file), row.seed)
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%+@".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Every run and traffic on a line (RFC 4180).
#[must_use]
pub fn sweep_csv(report: &SweepReport) -> String {
    const NUMBERS: [&str; 16] = [
        "requests",
        "success",
        "attempts_mean",
        "mean_ms",
        "p50_ms",
        "p90_ms",
        "p95_ms",
        "p99_ms",
        "p999_ms",
        "max_ms",
        "ejections",
        "retries",
        "overflows",
        "gates_failed",
        "unknown",
        "error",
    ];
    let line = |cells: &[String]| {
        let quoted: Vec<String> = cells.iter().map(|c| csv_field(c)).collect();
        quoted.join(",") + "\r\n"
    };
    let paths = report.heading.parameters.iter().map(|p| p.path.clone());
    let head: Vec<String> = std::iter::once("task".to_owned())
        .chain(paths)
        .chain(["seed", "traffic"].map(str::to_owned))
        .chain(NUMBERS.map(str::to_owned))
        .collect();
    let mut out = line(&head);
    for row in &report.rows {
        let none = SweepTraffic::default();
        let traffic: Vec<&SweepTraffic> = match row.traffic.as_slice() {
            [] => vec![&none],
            all => all.iter().collect(),
        };
        for one in traffic {
            let l = one.latency;
            let failed = row.gates.iter().filter(|g| g.verdict != GateVerdict::Passed).count();
            let mut cells = vec![row.task.to_string()];
            cells.extend(row.values.iter().cloned());
            cells.extend([row.seed.to_string(), one.name.clone(), one.requests.to_string()]);
            cells.extend(
                [
                    one.success,
                    one.attempts_mean,
                    l.mean_ms,
                    l.p50_ms,
                    l.p90_ms,
                    l.p95_ms,
                    l.p99_ms,
                    l.p999_ms,
                    l.max_ms,
                ]
                .map(|n| n.to_string()),
            );
            cells.extend(
                [row.ejections, row.retries, row.overflows, failed as u64, row.unknown]
                    .map(|n| n.to_string()),
            );
            cells.push(row.error.clone().unwrap_or_default());
            out.push_str(&line(&cells));
        }
    }
    out
}
