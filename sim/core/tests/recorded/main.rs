//! Recorded answers of a real mesh against the core alone.
//!
//! What istiod sent to each proxy (`xds.json.gz`) becomes a [`mesh_core::ir::Snapshot`] without `mesh-config`, and each
//! recorded request is decided by the proxies it passed. A difference is the core's, not the translation's.

#![expect(clippy::tests_outside_test_module, reason = "this whole binary is tests")]
#![expect(clippy::print_stderr, reason = "differences are listed for the reader of a failed test")]

mod clusters;
mod http;
mod json;
mod listeners;
mod matchers;
mod replay;
mod routes;
mod seams;
mod sent;
mod tokens;

use replay::Corpus;

/// Meshes and how many of their cases may still differ.
const MESHES: &[(&str, usize)] = &[
    ("authz-lab", 0),
    ("bookinfo-authz", 0),
    ("bookinfo-canary", 0),
    ("bookinfo-mtls", 0),
    ("fleetman", 0),
    ("gateway-lab", 0),
    ("host-scope", 0),
    ("jwt-lab", 0),
    ("kans-gateway", 0),
    ("lb-subset", 0),
    ("mtls-matrix", 0),
    ("protocol-lab", 0),
    ("route-action", 0),
    ("route-match", 0),
    ("sidecar-scope", 0),
];

#[test]
fn the_core_agrees_with_the_recordings() {
    let mut too_many = false;
    for (mesh, allowed) in MESHES {
        let report = Corpus::load(mesh).replay();
        eprintln!(
            "{mesh}: {} checked, {} skipped, {} differ",
            report.checked,
            report.skipped,
            report.differences.len()
        );
        for difference in &report.differences {
            eprintln!("  {difference}");
        }
        too_many |= report.differences.len() > *allowed;
    }
    assert!(!too_many, "the core differs from recorded answers, see above");
}
