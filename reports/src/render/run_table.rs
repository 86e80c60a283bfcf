//! The terminal report of a run. `wide` adds columns, never rows.

use std::fmt::Write as _;

use super::flags::meaning;
use super::style::{count, exact_percent, millis, moment, percent, span, table};
use crate::run::{GateVerdict, RunReport, SplitTable};

/// The report as a terminal shows it.
#[must_use]
pub fn run_table(report: &RunReport, wide: bool) -> String {
    let mut out = String::new();
    head(report, &mut out);
    for split in &report.splits {
        split_table(split, wide, &mut out);
    }
    traffic(report, wide, &mut out);
    flags(report, &mut out);
    ejections(report, &mut out);
    denials(report, &mut out);
    overflows(report, &mut out);
    retries(report, &mut out);
    compared(report, &mut out);
    notes(report, &mut out);
    gates(report, &mut out);
    out
}

fn head(report: &RunReport, out: &mut String) {
    let runs =
        if report.replications == 1 { "1 run".to_owned() } else { format!("{} runs", report.replications) };
    let _ = writeln!(
        out,
        "{}  seed {} · {} simulated · {} requests · {runs}",
        report.name,
        report.seed,
        span(report.duration_ms),
        count(report.requests)
    );
    let inputs = &report.inputs;
    let _ = writeln!(
        out,
        "{} objects from {} files · {} services · {} pods, {} with a sidecar, {} gateways · {}",
        inputs.objects,
        inputs.files,
        inputs.services,
        inputs.pods,
        inputs.sidecars,
        inputs.gateways,
        report.profile
    );
}

fn split_table(split: &SplitTable, wide: bool, out: &mut String) {
    let decided = match (split.decided_by.as_str(), split.place.as_str()) {
        ("", _) => "load balancing".to_owned(),
        (by, "") => by.to_owned(),
        (by, place) => format!("{by}, {place}"),
    };
    let _ = writeln!(out, "\nSPLIT  {}  ({decided})", split.host);
    let name = split.by.to_uppercase();
    let mut header =
        vec![name.as_str(), "CONFIGURED", "PREDICTED", "95% CI", "RPS", "P50", "P95", "P99", "ERRORS"];
    if wide {
        header.extend(["REQUESTS", "MEAN", "MAX"]);
    }
    let rows: Vec<Vec<String>> = split
        .rows
        .iter()
        .map(|row| {
            let mut cells = vec![
                row.name.clone(),
                row.configured.map_or_else(|| "-".to_owned(), exact_percent),
                percent(row.observed),
                format!("{}–{}", percent(row.low).trim_end_matches('%'), percent(row.high)),
                format!("{:.1}", row.rps),
                millis(row.latency.p50_ms),
                millis(row.latency.p95_ms),
                millis(row.latency.p99_ms),
                percent(row.error_share),
            ];
            if wide {
                cells.extend([count(row.requests), millis(row.latency.mean_ms), millis(row.latency.max_ms)]);
            }
            cells
        })
        .collect();
    out.push_str(&table(&header, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], &rows));
}

fn traffic(report: &RunReport, wide: bool, out: &mut String) {
    if report.traffic.is_empty() {
        return;
    }
    out.push_str("\nTRAFFIC\n");
    let mut header = vec![
        "NAME", "REQUESTS", "RPS", "SUCCESS", "EXACT", "P50", "P95", "P99", "MAX", "ATTEMPTS", "OUTCOMES",
    ];
    if wide {
        header.extend(["FROM", "REQUEST"]);
    }
    let rows: Vec<Vec<String>> = report
        .traffic
        .iter()
        .map(|t| {
            let outcomes: Vec<String> = t
                .outcomes
                .iter()
                .take(if wide { usize::MAX } else { 4 })
                .map(|o| format!("{}×{}", count(o.count), o.what))
                .collect();
            let mut text = outcomes.join("  ");
            if !wide && t.outcomes.len() > 4 {
                let _ = write!(text, "  +{} more", t.outcomes.len() - 4);
            }
            let mut cells = vec![
                t.name.clone(),
                count(t.requests),
                format!("{:.1}", t.rps),
                percent(t.success),
                t.success_exact.map_or_else(|| "-".to_owned(), exact_percent),
                millis(t.latency.p50_ms),
                millis(t.latency.p95_ms),
                millis(t.latency.p99_ms),
                millis(t.latency.max_ms),
                format!("{:.3}", t.attempts_mean),
                text,
            ];
            if wide {
                cells.extend([t.from.clone(), t.request.clone()]);
            }
            cells
        })
        .collect();
    out.push_str(&table(&header, &[1, 2, 3, 4, 5, 6, 7, 8, 9], &rows));
}

fn ejections(report: &RunReport, out: &mut String) {
    if report.ejections.is_empty() {
        return;
    }
    out.push_str("\nEJECTIONS\n");
    let rows: Vec<Vec<String>> = report
        .ejections
        .iter()
        .map(|e| {
            vec![
                e.host.clone(),
                e.by.clone(),
                format!("{} (#{})", e.kind, e.number),
                moment(e.at_ms),
                moment(e.visible_ms),
                e.until_ms.map_or_else(|| "still out".to_owned(), moment),
                e.until_ms.map_or_else(|| "-".to_owned(), |until| span(until - e.at_ms)),
            ]
        })
        .collect();
    out.push_str(&table(
        &["HOST", "BY", "WHY", "EJECTED", "UNUSED FROM", "RETURNED", "OUT FOR"],
        &[3, 4, 5, 6],
        &rows,
    ));
}

fn denials(report: &RunReport, out: &mut String) {
    if report.denials.is_empty() {
        return;
    }
    out.push_str("\nDENIALS\n");
    for d in &report.denials {
        let status = if d.status == 0 { "connection ended".to_owned() } else { d.status.to_string() };
        let place = if d.place.is_empty() { String::new() } else { format!(" ({})", d.place) };
        let _ = writeln!(
            out,
            "  {}  {} of requests ({}): {status} by {}{place}  {}",
            d.workload,
            percent(d.share),
            count(d.count),
            d.by,
            d.details
        );
    }
}

/// Why answers are what they are; nothing where every request went through unflagged.
fn flags(report: &RunReport, out: &mut String) {
    let rows = || report.flags.iter().filter(|row| row.what != "-");
    if rows().next().is_none() {
        return;
    }
    out.push_str("\nFLAGS\n");
    for row in rows() {
        let _ = writeln!(out, "  {} × {}  {}", count(row.count), row.what, meaning(&row.what));
    }
}

fn overflows(report: &RunReport, out: &mut String) {
    if report.overflows.is_empty() {
        return;
    }
    out.push_str("\nOVERFLOW\n");
    for o in &report.overflows {
        let place = if o.place.is_empty() { String::new() } else { format!(" ({})", o.place) };
        let cluster = if o.cluster.is_empty() { String::new() } else { format!(" to {}", o.cluster) };
        let _ = writeln!(out, "  {}{cluster}  {} × {}{place}", o.at, count(o.count), o.what);
    }
}

fn retries(report: &RunReport, out: &mut String) {
    let r = &report.retries;
    if r.retries == 0 && r.worst_case_attempts <= 1 && r.storm_rps.is_none() {
        return;
    }
    let _ = write!(
        out,
        "\nRETRIES  {} retries · {} recovered · amplification {:.3} · worst case {} attempts for one request",
        count(r.retries),
        count(r.recovered),
        r.amplification,
        count(r.worst_case_attempts)
    );
    match r.storm_rps {
        Some(rps) => {
            let _ = writeln!(
                out,
                " · retries sustain an overload of {} from {rps:.1} rps on (it serves {:.1} rps without)",
                r.storm_at, r.capacity_rps
            );
        }
        None => out.push('\n'),
    }
}

fn compared(report: &RunReport, out: &mut String) {
    if report.compared.is_empty() {
        return;
    }
    let tolerance = exact_percent(report.tolerance);
    let _ = writeln!(
        out,
        "\nEXACT AND SAMPLED  (closed form on the idle mesh; runs that bring the error below {tolerance}, once in a million wrong)"
    );
    let number = |what: &str, value: f64| {
        if what.ends_with(": attempts") { format!("{value:.4}") } else { exact_percent(value) }
    };
    let rows: Vec<Vec<String>> = report
        .compared
        .iter()
        .map(|c| {
            vec![
                c.what.clone(),
                number(&c.what, c.exact),
                number(&c.what, c.sampled),
                number(&c.what, c.error),
                count(c.runs_needed),
            ]
        })
        .collect();
    out.push_str(&table(&["QUANTITY", "EXACT", "SAMPLED", "± 95%", "RUNS"], &[1, 2, 3, 4], &rows));
}

fn notes(report: &RunReport, out: &mut String) {
    if report.notes.is_empty() && report.unknown == 0 {
        return;
    }
    out.push_str("\nNOTES\n");
    if report.unknown > 0 {
        let _ =
            writeln!(out, "  unknown  {} requests met something that is not modelled", count(report.unknown));
    }
    for n in &report.notes {
        let place = if n.place.is_empty() { String::new() } else { format!("  ({})", n.place) };
        let _ = writeln!(out, "  {}  {}{place}", n.kind, n.text);
    }
}

fn gates(report: &RunReport, out: &mut String) {
    if report.gates.is_empty() {
        return;
    }
    let passed = report.gates.iter().filter(|g| g.verdict == GateVerdict::Passed).count();
    let _ = writeln!(out, "\nEXPECT  {passed} of {} passed", report.gates.len());
    for g in &report.gates {
        let mark = match g.verdict {
            GateVerdict::Passed => "✓",
            GateVerdict::Failed => "✗",
            GateVerdict::Unknown => "?",
            GateVerdict::Refused => "!",
        };
        let _ = write!(out, "  {mark} {}", g.text);
        if g.verdict == GateVerdict::Passed {
            let _ = writeln!(out, "   {}", g.got);
        } else {
            let _ = write!(out, "\n      predicted {}   expected {}   {}", g.got, g.expected, g.place);
            if !g.decided_by.is_empty() {
                let _ = write!(out, "\n      decided by {}", g.decided_by);
            }
            out.push('\n');
        }
    }
}
