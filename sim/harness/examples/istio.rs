//! Istio's own tests, judged: `cargo run -p mesh-harness --example istio -- DIR [NAME-PART] [--not-observed] [-j FILE]`.
//! NAME-PART `authz-builder`, `validation` or `analyze` takes that group, any other part directories of the integration tests.

use std::path::Path;

use mesh_harness::istio::integration::{Scope, judge_some};
use mesh_harness::istio::{rbac, validation};

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let json = words.iter().position(|w| w == "-j").map(|i| {
        let file = words.get(i + 1).cloned().unwrap_or_default();
        words.drain(i..=i + 1);
        file
    });
    let scope = match words.iter().position(|w| w == "--not-observed") {
        Some(at) => {
            words.remove(at);
            Scope::NotObserved
        }
        None => Scope::Scored,
    };
    let root = words.first().cloned().unwrap_or_default();
    let root = Path::new(&root);
    let wanted = words.get(1).cloned().unwrap_or_default();
    let report = match wanted.as_str() {
        "authz-builder" => rbac::judge(root),
        "validation" => validation::judge(root),
        part => judge_some(root, scope, |name| name.contains(part)),
    };
    let report = report.expect("cases");
    #[expect(clippy::print_stdout, reason = "a developer's tool")]
    {
        println!("{}", report.table());
    }
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_string(&report).expect("json")).expect("write");
    }
}
