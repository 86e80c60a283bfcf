//! `mesh-sim test --mutate`: changes of the rules that no test noticed.

use serde::{Deserialize, Serialize};

use crate::findings::Finding;
use crate::run::RESULT_VERSION;

/// Everything a run of mutations found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutationReport {
    /// Always [`RESULT_VERSION`].
    pub api_version: String,
    /// Cases that passed before anything was changed, and so could notice.
    pub tests: u64,
    /// Changes that the manifests allow.
    pub possible: u64,
    /// Changes that were tried.
    pub tried: u64,
    /// Noticed by a test.
    pub killed: u64,
    /// Not noticeable: every request class ends the same.
    pub equivalent: u64,
    /// A cluster would refuse the changed document.
    pub refused: u64,
    /// Noticed by nobody, in order of their places.
    pub survivors: Vec<Survivor>,
    /// Test files that could not be used.
    pub broken: Vec<Finding>,
}

/// A change that no test noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Survivor {
    /// What was done (`drop spec.http[0]`).
    pub what: String,
    /// `Kind/namespace/name`
    pub object: String,
    /// `file:line:column`
    pub place: String,
    /// The change, as lines of a diff.
    pub diff: Vec<String>,
    /// The test files whose mesh was changed.
    pub tests: Vec<String>,
}

impl MutationReport {
    /// An empty report of the current version.
    #[must_use]
    pub fn new() -> Self {
        MutationReport { api_version: RESULT_VERSION.to_owned(), ..MutationReport::default() }
    }
}
