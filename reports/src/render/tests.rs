//! The verdicts of `mesh-sim test` as the terminal shows them.

use std::fmt::Write as _;

use crate::checks::{CaseVerdict, FileResult, Status, Stopped, TestReport};

/// The terminal table: one line per file, everything about what did not pass. `quiet` hides files that passed.
#[must_use]
pub fn table(report: &TestReport, quiet: bool) -> String {
    let mut out = String::new();
    for file in &report.files {
        file_lines(file, quiet, &mut out);
    }
    for file in &report.not_run {
        let _ = writeln!(out, "NOT RUN {file}");
    }
    let _ = writeln!(out, "{}", summary(report));
    out
}

/// The counts, and why they are not of everything.
#[must_use]
pub fn summary(report: &TestReport) -> String {
    let t = report.totals();
    let mut text = format!(
        "{} files · {} passed · {} failed · {} unknown · {} skipped",
        t.files, t.passed, t.failed, t.unknown, t.skipped
    );
    if let Some(why) = report.stopped {
        let why = match why {
            Stopped::Interrupted => "interrupted",
            Stopped::FailFast => "stopped at the first failure",
        };
        let _ = write!(text, " · {} files not judged ({why})", t.not_run);
    }
    text
}

fn status_of(file: &FileResult) -> Status {
    if !file.broken.is_empty() {
        return Status::Failed;
    }
    let has = |s: Status| file.cases.iter().any(|c| c.status == s);
    if has(Status::Failed) {
        Status::Failed
    } else if has(Status::Unknown) {
        Status::Unknown
    } else if file.cases.iter().all(|c| c.status == Status::Skipped) {
        Status::Skipped
    } else {
        Status::Passed
    }
}

fn file_lines(file: &FileResult, quiet: bool, out: &mut String) {
    let status = status_of(file);
    // What the filter leaves out is counted, not listed.
    if status == Status::Skipped || (quiet && status == Status::Passed) {
        return;
    }
    let passed = file.cases.iter().filter(|c| c.status == Status::Passed).count();
    let rows = if file.rows.is_empty() { String::new() } else { format!("  [{}]", file.rows.join(", ")) };
    let _ = writeln!(
        out,
        "{:<8}{}  {passed} of {} {}{rows}",
        status.word().to_uppercase(),
        file.file,
        file.cases.iter().filter(|c| c.status != Status::Skipped).count(),
        if file.kind == "Scenario" { "gates" } else { "cases" }
    );
    for finding in &file.broken {
        for l in finding.text().lines() {
            let _ = writeln!(out, "  ✗ {l}");
        }
    }
    for case in file.cases.iter().filter(|c| matches!(c.status, Status::Failed | Status::Unknown)) {
        case_lines(case, out);
    }
}

fn case_lines(case: &CaseVerdict, out: &mut String) {
    let mark = if case.status == Status::Unknown { "?" } else { "✗" };
    let _ = writeln!(out, "  {mark} {}   {}", case.name, case.place);
    for d in &case.differences {
        let _ = writeln!(out, "      {}: predicted {}   expected {}", d.key, d.got, d.expected);
    }
    if !case.reason.is_empty() {
        let _ = writeln!(out, "      {}", case.reason);
    }
    let decided: Vec<&str> =
        [case.decided_by.as_str(), case.decided_at.as_str()].into_iter().filter(|t| !t.is_empty()).collect();
    if !decided.is_empty() {
        let _ = writeln!(out, "      decided by {}", decided.join("  "));
    }
    if !case.reproduce.is_empty() {
        let _ = writeln!(out, "      try: {}", case.reproduce);
    }
}
