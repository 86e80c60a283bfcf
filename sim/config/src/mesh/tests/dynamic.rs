//! Every dynamic recording: its pods have the addresses that hashing depended on.

use std::path::Path;

use serde_json::Value;

use super::{MeshOptions, mesh_of};

#[test]
fn pods_of_dynamic_recordings_have_the_recorded_addresses() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/dynamic");
    let mut compared = 0;
    for entry in std::fs::read_dir(corpus).expect("corpus") {
        let dir = entry.expect("entry").path();
        let Ok(summary) = std::fs::read(dir.join("summary.json")) else { continue };
        let summary: Value = serde_json::from_slice(&summary).expect("json");
        let app = std::fs::read_to_string(dir.join("manifests/app.yaml")).expect("manifests");
        let (mesh, problems) = mesh_of(&app, &MeshOptions::default());
        assert!(problems.is_empty(), "{}: {problems:?}", dir.display());
        for pod in &mesh.pods {
            let recorded = summary["addresses"][pod.reference()].as_str();
            assert_eq!(recorded, Some(pod.ip.to_string().as_str()), "{} {}", dir.display(), pod.reference());
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} pods compared");
}
