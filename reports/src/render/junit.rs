//! JUnit XML, through nextest's writer: a suite per file, a case per case. Times are absent: the tool knows no clock.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::checks::{CaseVerdict, Status, TestReport};
use crate::findings::Finding;

/// The whole run. What is unknown is skipped with its reason, and an error when the report is strict.
#[must_use]
pub fn junit(report: &TestReport) -> String {
    let mut junit = Report::new("mesh-sim");
    for file in &report.files {
        let mut suite = TestSuite::new(&file.file);
        if !file.broken.is_empty() {
            let lines: Vec<String> = file.broken.iter().map(Finding::text).collect();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("invalid input").set_message(lines.join("\n"));
            let mut test = TestCase::new("can be judged", status);
            test.set_classname(class(&file.name, &file.file));
            suite.add_test_case(test);
        }
        for case in &file.cases {
            let mut test = TestCase::new(&case.name, status(case, report.strict));
            test.set_classname(class(&file.name, &file.file));
            suite.add_test_case(test);
        }
        junit.add_test_suite(suite);
    }
    let text = junit.to_string().unwrap_or_default();
    if text.ends_with('\n') { text } else { text + "\n" }
}

fn class<'a>(name: &'a str, file: &'a str) -> &'a str {
    if name.is_empty() { file } else { name }
}

fn status(case: &CaseVerdict, strict: bool) -> TestCaseStatus {
    let mut status = match case.status {
        Status::Passed => return TestCaseStatus::success(),
        Status::Skipped => TestCaseStatus::skipped(),
        Status::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Unknown if strict => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Unknown => TestCaseStatus::skipped(),
    };
    let word = match case.status {
        Status::Unknown => "unknown",
        Status::Skipped => "skipped",
        _ => "expectation",
    };
    let message =
        if case.status == Status::Unknown { format!("unknown: {}", case.message()) } else { case.message() };
    status.set_type(word).set_message(message);
    let lines: Vec<&str> = [case.place.as_str(), case.decided_at.as_str(), case.reproduce.as_str()]
        .into_iter()
        .filter(|l| !l.is_empty())
        .collect();
    status.set_description(lines.join("\n"));
    status
}
