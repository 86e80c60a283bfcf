//! Cases made from Istio's own test suites, judged from an unpacked directory outside the project.
//!
//! One file per group of cases; each answers with the same verdicts as the recorded corpus. Nothing of the cases is kept
//! here: `tests/istio_tests.sh` unpacks them where they exist.

pub mod analyze;
mod asserted;
mod directory;
pub mod integration;
pub mod rbac;
pub mod simulation;
pub mod validation;
pub mod vsroute;

use std::path::Path;

use mesh_reports::conformance::ConformanceReport;

/// Judges every group below `root`.
///
/// # Errors
/// When a file of a group cannot be read.
pub fn judge_all(root: &Path) -> Result<ConformanceReport, String> {
    let mut report = ConformanceReport::default();
    let groups = [
        integration::judge,
        simulation::judge,
        vsroute::judge,
        analyze::judge,
        rbac::judge,
        validation::judge,
    ];
    for group in groups {
        report.merge(group(root)?);
    }
    Ok(report)
}
