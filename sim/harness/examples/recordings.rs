//! The dynamic recordings, judged: `cargo run -p mesh-harness --example recordings -- [NAME | DIRECTORY]`.

use std::path::Path;

use mesh_harness::conformance::dynamic::{judge_all, read};

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/dynamic");
    let elsewhere = Path::new(&wanted);
    let is_directory = elsewhere.is_dir();
    let mut recordings = read(if is_directory { elsewhere } else { &corpus }).expect("recordings");
    recordings.retain(|r| is_directory || r.name.contains(&wanted));
    let report = judge_all(&recordings);
    #[expect(clippy::print_stdout, reason = "a developer's tool")]
    {
        println!("{}", report.table());
    }
}
