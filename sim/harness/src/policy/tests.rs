//! Tests of the test runner, on the project's own documents.

use super::*;

#[test]
fn filters_and_shards_choose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/fleetman");
    let report = |options: TestOptions| test_paths(std::slice::from_ref(&root), &options);
    let all = report(TestOptions::default()).totals();
    let one = report(TestOptions { filter: vec!["without the label".into()], ..TestOptions::default() });
    assert!(one.totals().passed == 1 && all.passed > 1, "{all:?}");
    assert_eq!(report(TestOptions { shard: Some((7, 8)), ..TestOptions::default() }).totals().files, 0);
}

#[test]
fn proofs_pass_and_are_refuted_with_a_witness() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let proved = test_paths(&[root.join("policies/proofs")], &TestOptions::default());
    let shown: Vec<_> = proved.files.iter().flat_map(|f| &f.cases).map(|c| (c.status, &c.reason)).collect();
    assert!(proved.totals().passed >= 2 && !proved.failed(true), "{shown:?} {proved:?}");

    let text =
        std::fs::read_to_string(root.join("policies/proofs/strict-needs-identity.yaml")).expect("text");
    let meshes = root.join("scenarios/meshes").to_string_lossy().into_owned();
    let open = text
        .replace("../../scenarios/meshes", &meshes)
        .replace(&format!(", {meshes}/bookinfo/default-strict.yaml"), "");
    let file = std::env::temp_dir().join(format!("mesh-sim-proof-{}.yaml", std::process::id()));
    std::fs::write(&file, open).expect("written");
    let refuted = test_paths(std::slice::from_ref(&file), &TestOptions::default());
    std::fs::remove_file(&file).expect("removed");
    let case = &refuted.files[0].cases[0];
    assert_eq!(case.status, Status::Failed);
    assert!(
        case.reason.starts_with("witness: ") && case.reason.contains(" http://ratings."),
        "{}",
        case.reason
    );
}
