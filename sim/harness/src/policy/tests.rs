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
