//! The verdicts of `mesh-sim test`: files, cases, totals.

use serde::{Deserialize, Serialize};

use crate::run::RESULT_VERSION;

/// Everything one `mesh-sim test` found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestReport {
    /// Always [`RESULT_VERSION`].
    pub api_version: String,
    /// Files in path order.
    pub files: Vec<FileResult>,
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
    /// Why the file could not be judged at all (its diagnostics, rendered); empty otherwise.
    pub broken: Vec<String>,
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
}

impl TestReport {
    /// An empty report of the current version.
    #[must_use]
    pub fn new(files: Vec<FileResult>) -> Self {
        TestReport { api_version: RESULT_VERSION.to_owned(), files }
    }

    /// Counts.
    #[must_use]
    pub fn totals(&self) -> TestTotals {
        let mut totals = TestTotals::default();
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
