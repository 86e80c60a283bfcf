//! Every scenario and policy test of the repository, as `mesh-sim test` runs them.

use mesh_harness::policy::{TestOptions, test_paths};
use mesh_reports::render::tests::table;

use crate::program::root;

#[test]
fn every_scenario_and_policy_passes() {
    let paths = [root().join("scenarios"), root().join("policies")];
    let report = test_paths(&paths, &TestOptions::default());
    let totals = report.totals();
    assert!(totals.files >= 40, "only {} files found", totals.files);
    assert!(totals.failed == 0 && totals.unknown == 0, "{}", table(&report, true));
}

#[test]
fn a_gate_that_does_not_hold_fails() {
    let dir = std::env::temp_dir().join(format!("mesh-sim-gate-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let manifests = root().join("scenarios/meshes/fleetman");
    let text = format!(
        "apiVersion: mesh-sim.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: wrong}}\nspec:\n  duration: 5s\n  mesh:\n    manifests: [{0}/app.yaml, {0}/canary.yaml]\n  traffic:\n    - {{name: users, from: default/api-gateway, request: GET http://fleetman-staff-service:8080/, rate: 10/s}}\n  expect:\n    - {{split: {{host: fleetman-staff-service, by: subset, is: {{safe-group: 80%, risky-group: 20%}}}}}}\n",
        manifests.display()
    );
    let file = dir.join("wrong.yaml");
    std::fs::write(&file, text).expect("a file");
    let report = test_paths(&[file], &TestOptions::default());
    let _ = std::fs::remove_dir_all(&dir);
    assert_eq!(report.totals().failed, 1, "{}", table(&report, false));
}
