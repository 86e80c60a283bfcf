//! TAP version 14 (testanything.org/tap-version-14-specification.html): a test point a case, details in a YAML block.

use std::fmt::Write as _;

use crate::checks::{CaseVerdict, FileResult, Status, TestReport};

/// The whole run. What is unknown is a TODO (it does not fail the run) unless the report is strict; a stopped run
/// bails out, so that nobody takes a part for the whole.
#[must_use]
pub fn tap(report: &TestReport) -> String {
    let mut points: Vec<String> = Vec::new();
    for file in &report.files {
        if !file.broken.is_empty() {
            let broken: Vec<String> = file.broken.iter().map(crate::findings::Finding::text).collect();
            let name = escaped(&file.file);
            points.push(point(points.len(), false, &name, "", &[("message", broken.join("\n"))]));
        }
        for case in &file.cases {
            points.push(case_point(points.len(), report.strict, file, case));
        }
    }
    let mut out = "TAP version 14\n".to_owned();
    if report.stopped.is_none() {
        let _ = writeln!(out, "1..{}", points.len());
    }
    out.push_str(&points.concat());
    if report.stopped.is_some() {
        let _ = writeln!(out, "Bail out! {} files were not judged", report.not_run.len());
    }
    out
}

fn case_point(before: usize, strict: bool, file: &FileResult, case: &CaseVerdict) -> String {
    let ok = matches!(case.status, Status::Passed | Status::Skipped);
    let directive = match case.status {
        Status::Skipped => format!(" # SKIP {}", escaped(&case.reason)),
        Status::Unknown if !strict => format!(" # TODO unknown: {}", escaped(&case.reason)),
        _ => String::new(),
    };
    let name = format!("{} - {}", escaped(&file.file), escaped(&case.name));
    let details = [
        ("message", case.message()),
        ("at", case.place.clone()),
        ("decidedAt", case.decided_at.clone()),
        ("reproduce", case.reproduce.clone()),
    ];
    point(before, ok, &name, &directive, if ok { &[] } else { &details })
}

fn point(before: usize, ok: bool, name: &str, directive: &str, details: &[(&str, String)]) -> String {
    let word = if ok { "ok" } else { "not ok" };
    let mut out = format!("{word} {} - {name}{directive}\n", before + 1);
    if details.iter().any(|(_, text)| !text.is_empty()) {
        out.push_str("  ---\n");
        for (key, text) in details.iter().filter(|(_, text)| !text.is_empty()) {
            // JSON strings are YAML strings.
            let _ = writeln!(out, "  {key}: {}", serde_json::Value::from(text.as_str()));
        }
        out.push_str("  ...\n");
    }
    out
}

/// One line, with `#` and `\` escaped: a bare `#` begins a directive.
fn escaped(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('\\', "\\\\").replace('#', "\\#")
}
