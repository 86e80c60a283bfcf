//! The matrix as people and scripts see it; every example of its page is run.

use crate::program::mesh_sim;

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

/// Command lines and what they print, as the page has them.
fn examples(page: &str) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```\n").next().unwrap_or_default();
        let (command, output) = block.split_once('\n').expect("a command and its output");
        let words = command.strip_prefix("$ mesh-sim ").expect("a command");
        let words = words.split(' ').map(|w| w.trim_matches('\'').to_owned()).collect();
        found.push((words, output.to_owned()));
    }
    found
}

#[test]
fn the_page_shows_what_is_printed() {
    let page = include_str!("../../docs/matrix.md");
    let examples = examples(page);
    assert_eq!(examples.len(), 3);
    for (words, output) in examples {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(stdout(&words), output, "mesh-sim {}", words.join(" "));
    }
}

#[test]
fn a_change_that_breaks_somebody_ends_with_one() {
    let code = |args: &[&str]| mesh_sim(args).status.code();
    let shop = ["matrix", "-f", "scenarios/meshes/security/shop.yaml", "--what-if"];
    assert_eq!(code(&[&shop[..], &["strict"]].concat()), Some(1));
    assert_eq!(code(&[&shop[..], &["strict", "--from", "shop/*"]].concat()), Some(0));
    assert_eq!(code(&[&shop[..], &["stricter"]].concat()), Some(2));
    assert_eq!(code(&[&shop[..], &["strict=shop/nobody"]].concat()), Some(2));
    assert_eq!(code(&[&shop[..], &["strict", "--calls"]].concat()), Some(2), "manifests make no calls");
    let json = stdout(&[&shop[..], &["default-deny=ns/shop", "-o", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).expect("json");
    let broken = json["broken"].as_array().expect("broken");
    assert!(
        !broken.is_empty()
            && broken.iter().all(|b| b["exemptions"].as_array().is_some_and(|e| !e.is_empty()))
    );
}

/// The walk-through's zero trust (SEEDS S4.7 to S4.10) is what the exemptions of a default deny say.
#[test]
fn exemptions_of_bookinfo_are_its_viewers() {
    let args = [
        "matrix",
        "-f",
        "scenarios/kans/s4-2-bookinfo-gateway.yaml",
        "--calls",
        "--what-if",
        "default-deny=ns/default",
        "-o",
        "json",
    ];
    let json: serde_json::Value = serde_json::from_str(&stdout(&args)).expect("json");
    let exemptions = json["exemptions"].as_array().expect("exemptions");
    let found: Vec<&str> = exemptions.iter().filter_map(|e| e["yaml"].as_str()).collect();
    assert_eq!(found.len(), 4, "details, ratings, reviews, productpage: {found:#?}");
    let of =
        |app: &str| found.iter().find(|y| y.contains(&format!("app: {app}\n"))).copied().unwrap_or_default();
    for (app, caller) in [
        ("details", "cluster.local/ns/default/sa/bookinfo-productpage"),
        ("reviews", "cluster.local/ns/default/sa/bookinfo-productpage"),
        ("ratings", "cluster.local/ns/default/sa/bookinfo-reviews"),
        ("productpage", "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"),
    ] {
        assert!(of(app).contains(&format!("principals:\n        - {caller}\n    to:")), "{app}: {}", of(app));
    }
}
