//! Scenarios over meshes of a few workloads, both written down in the tests that run them.

use std::path::PathBuf;

use mesh_harness::document::{TestDocument, read_file};
use mesh_harness::scenario::{Ran, RunOptions, run};

/// A Service on port 80 and a Deployment of this name; `last` has no sidecar.
pub(crate) fn workload(name: &str, replicas: u32) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  selector: {{app: {name}}}\n  ports: [{{name: http, port: 80, targetPort: 8080}}]\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata:\n      labels: {{app: {name}}}\n      annotations: {{sidecar.istio.io/inject: \"{}\"}}\n    spec:\n      containers: [{{name: app, image: example.invalid/app}}]\n---\n",
        name != "last"
    )
}

/// Runs `spec` on these manifests.
pub(crate) fn simulate(name: &str, manifests: &str, spec: &str) -> Ran {
    let dir = std::env::temp_dir().join(format!("mesh-sim-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let text = format!(
        "apiVersion: mesh-sim.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: {name}}}\nspec:\n  mesh: {{manifests: [app.yaml]}}\n{spec}"
    );
    std::fs::write(dir.join("app.yaml"), manifests).expect("a file");
    let file: PathBuf = dir.join("scenario.yaml");
    std::fs::write(&file, text).expect("a file");
    let read = read_file(&file, &[]);
    let problems = format!("{:?}", read.diagnostics);
    let Some(TestDocument::Scenario(document)) = read.documents.first() else { panic!("{problems}") };
    let ran = run(document, read.sources, &RunOptions::default());
    std::fs::remove_dir_all(&dir).ok();
    ran.unwrap_or_else(|problems| panic!("{:?}", problems.1))
}

/// The report's notes of a kind.
pub(crate) fn notes(ran: &Ran, kind: &str) -> Vec<String> {
    ran.report.notes.iter().filter(|n| n.kind == kind).map(|n| n.text.clone()).collect()
}
