//! The matrix as people and scripts see it; every example of its page is run.

use std::process::{Command, Output, Stdio};

fn mesh_sim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mesh-sim"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

fn stdout(args: &[&str]) -> String {
    String::from_utf8_lossy(&mesh_sim(args).stdout).into_owned()
}

#[test]
fn zero_trust_step_by_step() {
    let args = ["matrix", "-f", "policies/kans/s4-9-details-viewer.yaml", "-o", "csv"];
    let text = stdout(&args);
    let line = |caller: &str, target: &str| {
        let start = format!("{caller},");
        let found =
            text.lines().find(|l| l.starts_with(&start) && l.contains(&format!(",{target}.default.svc")));
        found.unwrap_or_else(|| panic!("no {caller} {target} in\n{text}")).to_owned()
    };
    assert!(
        line("default/productpage-v1", "details")
            .contains(",allowed,200,mTLS,AuthorizationPolicy/default/details-viewer,")
    );
    assert!(line("default/productpage-v1", "reviews").contains(",denied,403,"));
    assert!(line("default/reviews-v1", "details").contains("AuthorizationPolicy/default/allow-nothing"));
    assert!(line("stranger-no-sidecar", "productpage").contains(",allowed,200,plain,"));
    assert!(line("gateway:istio-system/istio-ingressgateway", "productpage").contains(",allowed,200,mTLS,"));
}

#[test]
fn every_form_holds_the_same_cells() {
    let base = ["matrix", "-f", "policies/kans/s4-6-strict.yaml", "-o"];
    let of = |format: &'static str| stdout(&[&base[..], &[format]].concat());
    let json: serde_json::Value = serde_json::from_str(&of("json")).expect("json");
    let cells = json["cells"].as_array().map_or(0, Vec::len);
    assert_eq!((cells, json["apiVersion"].as_str()), (32, Some("mesh-sim.dev/result/v1alpha1")));
    assert_eq!(of("csv").lines().count(), cells + 1);
    assert_eq!(of("wide").lines().count(), cells + 2);
    assert_eq!(of("html").matches("<td").count(), cells);
    assert!(of("table").contains("reset [2]"), "{}", of("table"));
    assert!(of("markdown").starts_with("| caller | details:9080<br>productpage:9080"), "{}", of("markdown"));
    assert_eq!(
        mesh_sim(&["matrix", "-f", "policies/kans/s4-6-strict.yaml", "--from", "nobody"]).status.code(),
        Some(4)
    );
    assert_eq!(mesh_sim(&["matrix"]).status.code(), Some(2));
}
