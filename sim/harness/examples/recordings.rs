//! The dynamic recordings, judged: `cargo run -p mesh-harness --example recordings -- [NAME]`.

use std::path::Path;

use mesh_harness::conformance::dynamic::{judge_all, read};

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/dynamic");
    let mut recordings = read(&root).expect("recordings");
    recordings.retain(|r| r.name.contains(&wanted));
    let report = judge_all(&recordings);
    #[expect(clippy::print_stdout, reason = "a developer's tool")]
    {
        println!("{}", report.table());
    }
}
