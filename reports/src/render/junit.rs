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
    let text = without_total_of_skipped(&junit.to_string().unwrap_or_default());
    if text.ends_with('\n') { text } else { text + "\n" }
}

/// The schema that CI servers check by (junit-10.xsd) knows `skipped` of a suite, not of all suites together.
fn without_total_of_skipped(text: &str) -> String {
    let Some(start) = text.find("<testsuites ") else { return text.to_owned() };
    let (before, rest) = text.split_at(start);
    let Some((tag, after)) = rest.split_once('>') else { return text.to_owned() };
    let Some((left, right)) = tag.split_once(" skipped=\"") else { return text.to_owned() };
    let right = right.split_once('"').map_or("", |(_, right)| right);
    format!("{before}{left}{right}>{after}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::FileResult;

    #[test]
    fn only_suites_count_what_was_skipped() {
        let case = CaseVerdict { name: "a > b".into(), status: Status::Skipped, ..CaseVerdict::default() };
        let file = FileResult { file: "a.yaml".into(), cases: vec![case], ..FileResult::default() };
        let text = junit(&TestReport::new(vec![file]));
        assert!(
            text.contains("<testsuites name=\"mesh-sim\" tests=\"1\" failures=\"0\" errors=\"0\">"),
            "{text}"
        );
        assert!(text.contains("<testsuite name=\"a.yaml\" tests=\"1\" skipped=\"1\""), "{text}");
    }
}
