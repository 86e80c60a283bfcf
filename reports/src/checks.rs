//! The verdicts of `mesh-sim test`: files, cases, totals.

use serde::{Deserialize, Serialize};

use crate::coverage::CoverageReport;
use crate::findings::{Finding, Level, Related, Rule};
use crate::run::{Gate, GateVerdict, RESULT_VERSION, RunReport};

/// Everything one `mesh-sim test` found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestReport {
    /// Always [`RESULT_VERSION`].
    pub api_version: String,
    /// Files in path order.
    pub files: Vec<FileResult>,
    /// Whether what is unknown fails (`--strict`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// Why not every file was judged; absent when all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// The files that were not judged, in path order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
    /// What the tests pass through, when that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageReport>,
}

/// Why a run of tests ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stopped {
    /// The user interrupted it.
    Interrupted,
    /// Something failed, and the user wanted no more after that.
    FailFast,
}

/// One test document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileResult {
    /// Path as given.
    pub file: String,
    /// `PolicyTest` or `Scenario`.
    pub kind: String,
    /// `metadata.name`
    pub name: String,
    /// Rows of the walk-throughs the file shows (`S1.2`).
    pub rows: Vec<String>,
    /// Cases in order.
    pub cases: Vec<CaseVerdict>,
    /// What is wrong with the file or its mesh; empty otherwise. Cases that name what does not exist are only here.
    pub broken: Vec<Finding>,
}

/// The verdict of one case or gate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseVerdict {
    /// Name of the case, or the gate in words.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// What was expected and what was predicted, per key.
    pub differences: Vec<KeyDifference>,
    /// `file:line:column` of the case.
    pub place: String,
    /// The resource that decided (`AuthorizationPolicy/prod/deny-admin`); empty if none did.
    pub decided_by: String,
    /// `file:line:column` of that resource.
    pub decided_at: String,
    /// A command that shows the decision.
    pub reproduce: String,
    /// Why the verdict is unknown or the case was skipped.
    pub reason: String,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyDifference {
    /// Key of `expect`.
    pub key: String,
    /// Expected.
    pub expected: String,
    /// Predicted.
    pub got: String,
}

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// The expectation held.
    Passed,
    /// It did not.
    #[default]
    Failed,
    /// The prediction is unknown: never a pass; fails under `--strict`.
    Unknown,
    /// Filtered or sharded away.
    Skipped,
}

impl Status {
    /// The word shown.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Status::Passed => "pass",
            Status::Failed => "fail",
            Status::Unknown => "unknown",
            Status::Skipped => "skip",
        }
    }
}

/// Counts of cases by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestTotals {
    /// Files.
    pub files: u32,
    /// Passed.
    pub passed: u32,
    /// Failed, broken files included.
    pub failed: u32,
    /// Unknown.
    pub unknown: u32,
    /// Skipped.
    pub skipped: u32,
    /// Files that were not judged because the run was stopped.
    pub not_run: u32,
}

/// What a failed case is called among findings.
pub const EXPECTATION: Rule<'static> = Rule {
    code: "expectation-failed",
    title: "an expectation does not hold",
    explanation: "The mesh would do something else than the case of the policy test expects.",
};
/// What a failed gate is called among findings.
pub const GATE: Rule<'static> = Rule {
    code: "gate-failed",
    title: "a gate does not hold",
    explanation: "The simulated run misses what the scenario expects of it.",
};
/// What an unknown case is called among findings.
pub const UNKNOWN: Rule<'static> = Rule {
    code: "unknown",
    title: "the prediction is unknown",
    explanation: "Something that could change the answer is not modelled; the place is named. Never taken for a pass.",
};

impl CaseVerdict {
    /// The verdict of a gate of a scenario.
    #[must_use]
    pub fn of_gate(gate: &Gate, reproduce: &str) -> Self {
        let (status, reason) = match gate.verdict {
            GateVerdict::Passed => (Status::Passed, String::new()),
            GateVerdict::Failed => (Status::Failed, String::new()),
            GateVerdict::Unknown => (Status::Unknown, gate.got.clone()),
            GateVerdict::Refused => (Status::Failed, gate.got.clone()),
        };
        let difference =
            KeyDifference { key: "gate".to_owned(), expected: gate.expected.clone(), got: gate.got.clone() };
        CaseVerdict {
            name: gate.text.clone(),
            status,
            differences: if status == Status::Failed { vec![difference] } else { Vec::new() },
            place: gate.place.clone(),
            decided_at: gate.decided_by.clone(),
            reproduce: reproduce.to_owned(),
            reason,
            ..CaseVerdict::default()
        }
    }

    /// What went wrong in one line.
    #[must_use]
    pub fn message(&self) -> String {
        let difference =
            |d: &KeyDifference| format!("{}: predicted {}, expected {}", d.key, d.got, d.expected);
        let mut parts: Vec<String> = self.differences.iter().map(difference).collect();
        if !self.reason.is_empty() {
            parts.push(self.reason.clone());
        }
        if !self.decided_by.is_empty() {
            parts.push(format!("decided by {} ({})", self.decided_by, self.decided_at));
        }
        parts.join("; ")
    }

    /// The place to look at: the YAML that decided, else the case. The other one is [`Related`].
    fn places(&self) -> ((&str, u32, u32), Vec<Related>) {
        if self.decided_at.is_empty() {
            return (place(&self.place), Vec::new());
        }
        let case = Related { place: self.place.clone(), text: format!("expected by case `{}`", self.name) };
        (place(&self.decided_at), if self.place.is_empty() { Vec::new() } else { vec![case] })
    }
}

impl FileResult {
    /// The gates of a run as a file of cases.
    #[must_use]
    pub fn of_run(run: &RunReport) -> Self {
        let reproduce = format!("mesh-sim run {}", run.file);
        FileResult {
            file: run.file.clone(),
            kind: "Scenario".to_owned(),
            name: run.name.clone(),
            cases: run.gates.iter().map(|g| CaseVerdict::of_gate(g, &reproduce)).collect(),
            ..FileResult::default()
        }
    }
}

/// Splits `file:line:column`; a text without numbers is a file, at 1:1.
#[must_use]
pub fn place(text: &str) -> (&str, u32, u32) {
    let mut parts = text.rsplitn(3, ':');
    let (column, line, path) = (parts.next(), parts.next(), parts.next());
    match (path, line.and_then(|l| l.parse().ok()), column.and_then(|c| c.parse().ok())) {
        (Some(path), Some(line), Some(column)) => (path, line, column),
        _ => (text, 1, 1),
    }
}

impl TestReport {
    /// Findings as files of cases: every finding is a case, failed from `failing` on; files without any pass.
    #[must_use]
    pub fn of_findings(files: &[String], findings: &[Finding], failing: Level) -> Self {
        let case = |f: &Finding| CaseVerdict {
            name: format!("{} {}", f.code, f.object.as_deref().unwrap_or("")).trim_end().to_owned(),
            status: if f.severity <= failing { Status::Failed } else { Status::Skipped },
            place: format!("{}:{}:{}", f.file, f.line, f.column),
            reason: f.text(),
            ..CaseVerdict::default()
        };
        let clean = || CaseVerdict {
            name: "no findings".to_owned(),
            status: Status::Passed,
            ..CaseVerdict::default()
        };
        let mut names: Vec<&str> = files.iter().map(String::as_str).collect();
        names.extend(findings.iter().map(|f| f.file.as_str()));
        names.sort_unstable();
        names.dedup();
        let file = |name: &str| {
            let mut cases: Vec<_> = findings.iter().filter(|f| f.file == name).map(case).collect();
            if cases.is_empty() {
                cases.push(clean());
            }
            FileResult { file: name.to_owned(), kind: "Manifest".to_owned(), cases, ..FileResult::default() }
        };
        TestReport::new(names.into_iter().map(file).collect())
    }

    /// Everything that did not pass as findings, errors first: at the YAML that decided, with the case beside it.
    #[must_use]
    pub fn problems(&self) -> Vec<Finding> {
        let mut all: Vec<Finding> = Vec::new();
        for file in &self.files {
            all.extend(file.broken.iter().cloned());
            for case in file.cases.iter().filter(|c| matches!(c.status, Status::Failed | Status::Unknown)) {
                let failed = case.status == Status::Failed || self.strict;
                let rule = match (case.status, file.kind.as_str()) {
                    (Status::Unknown, _) => UNKNOWN,
                    (_, "Scenario") => GATE,
                    _ => EXPECTATION,
                };
                let ((path, line, column), related) = case.places();
                all.push(Finding {
                    code: rule.code.to_owned(),
                    severity: if failed { Level::Error } else { Level::Warning },
                    stage: "test".to_owned(),
                    message: format!("{}: {}", case.name, case.message()),
                    file: path.to_owned(),
                    line,
                    column,
                    object: (!case.decided_by.is_empty()).then(|| case.decided_by.clone()),
                    help: (!case.reproduce.is_empty()).then(|| format!("reproduce: {}", case.reproduce)),
                    related,
                });
            }
        }
        // Stable: files and cases keep their order.
        all.sort_by_key(|f| f.severity);
        all
    }
}

impl TestReport {
    /// An empty report of the current version.
    #[must_use]
    pub fn new(files: Vec<FileResult>) -> Self {
        TestReport { api_version: RESULT_VERSION.to_owned(), files, ..TestReport::default() }
    }

    /// Counts.
    #[must_use]
    pub fn totals(&self) -> TestTotals {
        let not_run = u32::try_from(self.not_run.len()).unwrap_or(u32::MAX);
        let mut totals = TestTotals { not_run, ..TestTotals::default() };
        for file in &self.files {
            totals.files += 1;
            if !file.broken.is_empty() {
                totals.failed += 1;
            }
            for case in &file.cases {
                match case.status {
                    Status::Passed => totals.passed += 1,
                    Status::Failed => totals.failed += 1,
                    Status::Unknown => totals.unknown += 1,
                    Status::Skipped => totals.skipped += 1,
                }
            }
        }
        totals
    }

    /// Whether the command must end with 1: something failed, or something is unknown under `strict`.
    #[must_use]
    pub fn failed(&self, strict: bool) -> bool {
        let totals = self.totals();
        totals.failed > 0 || (strict && totals.unknown > 0)
    }
}
