//! The verdicts of `mesh-sim test` as table, TAP 14, GitHub annotations, Markdown and JUnit.

use std::fmt::Write as _;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::checks::{CaseVerdict, FileResult, Status, TestReport};

/// The terminal table: one line per file, everything about what did not pass. `quiet` hides files that passed.
#[must_use]
pub fn table(report: &TestReport, quiet: bool) -> String {
    let mut out = String::new();
    for file in &report.files {
        file_lines(file, quiet, &mut out);
    }
    let t = report.totals();
    let _ = writeln!(
        out,
        "{} files · {} passed · {} failed · {} unknown · {} skipped",
        t.files, t.passed, t.failed, t.unknown, t.skipped
    );
    out
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
    if quiet && matches!(status, Status::Passed | Status::Skipped) {
        return;
    }
    let passed = file.cases.iter().filter(|c| c.status == Status::Passed).count();
    let rows = if file.rows.is_empty() { String::new() } else { format!("  [{}]", file.rows.join(", ")) };
    let _ = writeln!(
        out,
        "{:<8}{}  {passed} of {} {}{rows}",
        status.word().to_uppercase(),
        file.file,
        file.cases.len(),
        if file.kind == "Scenario" { "gates" } else { "cases" }
    );
    for line in &file.broken {
        for l in line.lines() {
            let _ = writeln!(out, "  {l}");
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
    if !case.decided_by.is_empty() {
        let _ = writeln!(out, "      decided by {}  {}", case.decided_by, case.decided_at);
    }
    if !case.reproduce.is_empty() {
        let _ = writeln!(out, "      try: {}", case.reproduce);
    }
}

/// What went wrong in one line.
#[must_use]
pub fn message(case: &CaseVerdict) -> String {
    let mut parts: Vec<String> = case
        .differences
        .iter()
        .map(|d| format!("{}: predicted {}, expected {}", d.key, d.got, d.expected))
        .collect();
    if !case.reason.is_empty() {
        parts.push(case.reason.clone());
    }
    if !case.decided_by.is_empty() {
        parts.push(format!("decided by {} ({})", case.decided_by, case.decided_at));
    }
    parts.join("; ")
}

/// TAP version 14.
#[must_use]
pub fn tap(report: &TestReport) -> String {
    let mut lines: Vec<(bool, String, Vec<String>)> = Vec::new();
    for file in &report.files {
        if !file.broken.is_empty() {
            lines.push((false, file.file.clone(), file.broken.clone()));
        }
        for case in &file.cases {
            let directive = match case.status {
                Status::Skipped => " # SKIP filtered".to_owned(),
                Status::Unknown => format!(" # TODO unknown: {}", one_line(&case.reason)),
                Status::Passed | Status::Failed => String::new(),
            };
            let name = format!("{} - {}", file.file, case.name).replace('#', "\\#");
            let notes = if case.status == Status::Failed {
                vec![message(case), case.place.clone()]
            } else {
                Vec::new()
            };
            lines.push((
                matches!(case.status, Status::Passed | Status::Skipped),
                format!("{}{directive}", one_line(&name)),
                notes,
            ));
        }
    }
    let mut out = format!("TAP version 14\n1..{}\n", lines.len());
    for (i, (ok, name, notes)) in lines.iter().enumerate() {
        let _ = writeln!(out, "{} {} - {name}", if *ok { "ok" } else { "not ok" }, i + 1);
        if !notes.is_empty() {
            out.push_str("  ---\n");
            let _ = writeln!(out, "  message: {}", serde_json::Value::from(notes.join(" | ")));
            out.push_str("  ...\n");
        }
    }
    out
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// GitHub workflow commands: one annotation per case that did not pass, then a summary line.
#[must_use]
pub fn github(report: &TestReport) -> String {
    let mut out = String::new();
    for file in &report.files {
        for broken in &file.broken {
            let _ = writeln!(out, "::error file={},title=mesh-sim::{}", property(&file.file), data(broken));
        }
        for case in file.cases.iter().filter(|c| matches!(c.status, Status::Failed | Status::Unknown)) {
            let level = if case.status == Status::Failed { "error" } else { "warning" };
            let (path, line, column) = place(&case.place);
            let _ = writeln!(
                out,
                "::{level} file={},line={line},col={column},title={}::{}",
                property(path),
                property(&case.name),
                data(&message(case))
            );
        }
    }
    let t = report.totals();
    let _ = writeln!(
        out,
        "::notice title=mesh-sim::{} passed, {} failed, {} unknown, {} skipped",
        t.passed, t.failed, t.unknown, t.skipped
    );
    out
}

/// Splits `file:line:column`.
#[must_use]
pub fn place(text: &str) -> (&str, u32, u32) {
    let mut parts = text.rsplitn(3, ':');
    let (column, line, path) = (parts.next(), parts.next(), parts.next());
    match (path, line.and_then(|l| l.parse().ok()), column.and_then(|c| c.parse().ok())) {
        (Some(path), Some(line), Some(column)) => (path, line, column),
        _ => (text, 1, 1),
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A Markdown table for a pull-request comment or a step summary.
#[must_use]
pub fn markdown(report: &TestReport) -> String {
    let t = report.totals();
    let mut out = format!(
        "### mesh-sim: {} passed, {} failed, {} unknown, {} skipped\n",
        t.passed, t.failed, t.unknown, t.skipped
    );
    let failing: Vec<(&FileResult, &CaseVerdict)> = report
        .files
        .iter()
        .flat_map(|f| f.cases.iter().map(move |c| (f, c)))
        .filter(|(_, c)| matches!(c.status, Status::Failed | Status::Unknown))
        .collect();
    if !failing.is_empty() {
        out.push_str("\n| verdict | case | what | decided by |\n|---|---|---|---|\n");
        for (file, case) in failing {
            let _ = writeln!(
                out,
                "| {} | `{}` {} | {} | {} {} |",
                case.status.word(),
                cell(&file.file),
                cell(&case.name),
                cell(&message(case)),
                cell(&case.decided_by),
                cell(&case.decided_at)
            );
        }
    }
    for file in report.files.iter().filter(|f| !f.broken.is_empty()) {
        let _ = writeln!(out, "\n`{}` could not be read:\n```\n{}\n```", file.file, file.broken.join("\n"));
    }
    out
}

fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

/// JUnit XML: a suite per file, a case per case. Times are 0: the tool knows no wall clock.
#[must_use]
pub fn junit(report: &TestReport) -> String {
    let mut junit = Report::new("mesh-sim");
    for file in &report.files {
        let mut suite = TestSuite::new(&file.file);
        if !file.broken.is_empty() {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(file.broken.join("\n"));
            suite.add_test_case(TestCase::new("readable", status));
        }
        for case in &file.cases {
            let mut status = match case.status {
                Status::Passed => TestCaseStatus::success(),
                Status::Skipped => TestCaseStatus::skipped(),
                Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Status::Unknown => TestCaseStatus::non_success(NonSuccessKind::Error),
            };
            if matches!(case.status, Status::Failed | Status::Unknown) {
                status.set_message(message(case));
                status.set_description(format!("{}\n{}", case.place, case.reproduce));
            }
            let mut test = TestCase::new(&case.name, status);
            test.set_classname(&file.name);
            suite.add_test_case(test);
        }
        junit.add_test_suite(suite);
    }
    junit.to_string().unwrap_or_default()
}
