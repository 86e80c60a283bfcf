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

#[cfg(test)]
mod snapshots {
    use super::*;
    use crate::checks::KeyDifference;
    use crate::coverage::{self, CoverageItem, CoverageKind, CoverageReport};
    use crate::findings::Finding;
    use crate::render::{markdown, tap};

    /// One of everything.
    fn report() -> TestReport {
        let case = |name: &str, status: Status| CaseVerdict {
            name: name.into(),
            status,
            place: "policies/a.yaml:9:7".into(),
            ..CaseVerdict::default()
        };
        let failed = CaseVerdict {
            differences: vec![KeyDifference {
                key: "status".into(),
                expected: "200".into(),
                got: "403 (10.0000%), 200 (90.0000%)".into(),
            }],
            decided_by: "AuthorizationPolicy/prod/deny-admin".into(),
            decided_at: "k8s/authz.yaml:3:5".into(),
            reproduce: "mesh-sim explain policies/a.yaml --case 'admin # 1'".into(),
            ..case("admin # 1", Status::Failed)
        };
        let unknown = CaseVerdict {
            reason: "EnvoyFilter default/lua at k8s/filter.yaml:3:18".into(),
            ..case("filtered", Status::Unknown)
        };
        let first = FileResult {
            file: "policies/a.yaml".into(),
            kind: "PolicyTest".into(),
            name: "a".into(),
            cases: vec![case("fine", Status::Passed), failed, unknown, case("left out", Status::Skipped)],
            ..FileResult::default()
        };
        let broken = Finding {
            code: "MS0102".into(),
            message: "unknown field `expects` in spec.cases[0]".into(),
            file: "policies/b.yaml".into(),
            line: 7,
            column: 7,
            help: Some("did you mean `expect`?".into()),
            ..Finding::default()
        };
        let second =
            FileResult { file: "policies/b.yaml".into(), broken: vec![broken], ..FileResult::default() };
        TestReport {
            stopped: Some(Stopped::FailFast),
            not_run: vec!["policies/c.yaml".into()],
            ..TestReport::new(vec![first, second])
        }
    }

    #[test]
    fn what_people_read() {
        insta::assert_snapshot!("test_table", table(&report(), false));
        insta::assert_snapshot!("test_tap", tap::tap(&report()));
        insta::assert_snapshot!("test_markdown", markdown::tests(&report()));
    }

    #[test]
    fn what_coverage_says() {
        let item = |path: &str, tests: u32| CoverageItem {
            kind: CoverageKind::Route,
            place: "k8s/vs.yaml:9:5".into(),
            object: "VirtualService/prod/reviews".into(),
            path: path.into(),
            tests,
            ..CoverageItem::default()
        };
        let proposal = "- name: \"x\"\n  from: \"prod/web\"\n  request: \"GET http://reviews/\"\n";
        let open = CoverageItem { proposal: Some(proposal.into()), ..item("spec.http[1]", 0) };
        let dead = CoverageItem {
            unreachable: Some("none of 12 request classes of the mesh passes through it".into()),
            ..item("spec.http[2]", 0)
        };
        let report = CoverageReport { items: vec![item("spec.http[0]", 2), open, dead] };
        insta::assert_snapshot!("coverage_table", coverage::table(&report));
    }
}
