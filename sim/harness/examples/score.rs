//! The compass of the fidelity work: `cargo run -p mesh-harness --example score -- [MESH [CASE]] [-j FILE]`.

use std::path::Path;

use mesh_harness::conformance::{Selection, case, predictor, run};

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let json = words.iter().position(|w| w == "-j").map(|i| {
        let file = words.get(i + 1).cloned().unwrap_or_default();
        words.drain(i..=i + 1);
        file
    });
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let meshes = case::read_corpus(&root).expect("corpus");
    let selection = Selection { mesh: words.first().cloned(), case: words.get(1).cloned() };
    let report = run(&meshes, &selection, |mesh| {
        let loaded = predictor::load(mesh)?;
        Ok(move |case: &case::Case| predictor::predict_case(&loaded, case))
    });
    let mut out = report.table();
    if selection.case.is_some() {
        out.push_str(&serde_json::to_string_pretty(&report.cases).expect("json"));
    }
    #[expect(clippy::print_stdout, reason = "a developer's tool")]
    {
        println!("{out}");
    }
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_string(&report).expect("json")).expect("write");
    }
}
