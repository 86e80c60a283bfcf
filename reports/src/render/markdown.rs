//! Markdown for pull-request comments and step summaries: the counts, then a table of what needs a look.

use std::fmt::Write as _;

use super::style::exact_percent;
use crate::checks::{CaseVerdict, FileResult, Status, TestReport};
use crate::findings::{Finding, Level};
use crate::run::{GateVerdict, RunReport};

/// Verdicts of tests.
#[must_use]
pub fn tests(report: &TestReport) -> String {
    let mut out = format!("### mesh-sim: {}\n", super::tests::summary(report));
    let failing: Vec<(&FileResult, &CaseVerdict)> = report
        .files
        .iter()
        .flat_map(|f| f.cases.iter().map(move |c| (f, c)))
        .filter(|(_, c)| matches!(c.status, Status::Failed | Status::Unknown))
        .collect();
    if !failing.is_empty() {
        out.push_str("\n| verdict | case | what | decided by |\n|---|---|---|---|\n");
    }
    for (file, case) in &failing {
        let what: Vec<String> = case
            .differences
            .iter()
            .map(|d| format!("{}: {}, expected {}", d.key, code(&d.got), code(&d.expected)))
            .chain((!case.reason.is_empty()).then(|| cell(&case.reason)))
            .collect();
        let decided = [&case.decided_by, &case.decided_at];
        let decided: Vec<String> = decided.iter().filter(|t| !t.is_empty()).map(|t| code(t)).collect();
        let _ = writeln!(
            out,
            "| {} | {}<br>{} | {} | {} |",
            case.status.word(),
            cell(&case.name),
            code(if case.place.is_empty() { &file.file } else { &case.place }),
            what.join("<br>"),
            decided.join("<br>")
        );
    }
    if failing.iter().any(|(_, c)| !c.reproduce.is_empty()) {
        out.push_str("\n<details><summary>Reproduce</summary>\n\n```\n");
        for (_, case) in failing.iter().filter(|(_, c)| !c.reproduce.is_empty()) {
            let _ = writeln!(out, "{}", case.reproduce);
        }
        out.push_str("```\n\n</details>\n");
    }
    for file in report.files.iter().filter(|f| !f.broken.is_empty()) {
        let lines: Vec<String> = file.broken.iter().map(Finding::text).collect();
        let _ = writeln!(out, "\n{} cannot be judged:\n\n```\n{}\n```", code(&file.file), lines.join("\n"));
    }
    out
}

/// Findings of lint.
#[must_use]
pub fn findings(findings: &[Finding]) -> String {
    let count = |level: Level| findings.iter().filter(|f| f.severity == level).count();
    let mut out = format!(
        "### mesh-sim lint: {} errors, {} warnings, {} remarks\n",
        count(Level::Error),
        count(Level::Warning),
        count(Level::Info)
    );
    if !findings.is_empty() {
        out.push_str("\n| severity | code | where | what |\n|---|---|---|---|\n");
    }
    for f in findings {
        let help = f.help.as_ref().map(|h| format!("<br>{}", cell(h))).unwrap_or_default();
        let word = match f.severity {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let place = if f.file.is_empty() { String::new() } else { code(&format!("{}:{}", f.file, f.line)) };
        let _ = writeln!(out, "| {word} | {} | {place} | {}{help} |", f.code, cell(&f.message));
    }
    out
}

/// Predictions of runs: splits, traffic, gates.
#[must_use]
pub fn runs(runs: &[RunReport]) -> String {
    let mut out = String::new();
    for run in runs {
        let passed = run.gates.iter().filter(|g| g.verdict == GateVerdict::Passed).count();
        let _ = writeln!(out, "### {}: {passed} of {} gates hold\n", cell(&run.name), run.gates.len());
        out.push_str("| traffic | requests | success | p50 | p99 | outcomes |\n|---|---|---|---|---|---|\n");
        for t in &run.traffic {
            let outcomes: Vec<String> =
                t.outcomes.iter().map(|o| format!("{} × {}", o.what, o.count)).collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                cell(&t.name),
                t.requests,
                exact_percent(t.success),
                super::style::millis(t.latency.p50_ms),
                super::style::millis(t.latency.p99_ms),
                cell(&outcomes.join(", "))
            );
        }
        for split in &run.splits {
            let _ = writeln!(out, "\n| {} | configured | predicted |\n|---|---|---|", cell(&split.host));
            for row in &split.rows {
                let configured = row.configured.map(exact_percent).unwrap_or_default();
                let _ =
                    writeln!(out, "| {} | {configured} | {} |", cell(&row.name), exact_percent(row.observed));
            }
        }
        let failed: Vec<_> = run.gates.iter().filter(|g| g.verdict != GateVerdict::Passed).collect();
        if !failed.is_empty() {
            out.push_str("\n| gate | predicted | expected | where |\n|---|---|---|---|\n");
        }
        for g in failed {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                cell(&g.text),
                cell(&g.got),
                cell(&g.expected),
                code(&g.place)
            );
        }
        out.push('\n');
    }
    out
}

/// Text of a table cell: no line ends, no bars, nothing that is taken for markup.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// Code in a table cell; GitHub takes a bar for the end of the cell even in code.
fn code(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if line.contains('`') { format!("`` {line} ``") } else { format!("`{line}`") }
}
