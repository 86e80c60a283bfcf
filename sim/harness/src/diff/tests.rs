//! Tests of the comparison, on the bookinfo manifests and on changes of them.

use std::path::Path;

use mesh_config::load::read_text;
use mesh_config::source::Sources;

use super::*;
use crate::loaded::MeshInput;
use crate::space::all_populated;

const RESOURCES: &str = "scenarios/meshes/resources";

fn text(manifests: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |m: &&str| std::fs::read_to_string(root.join("scenarios/meshes").join(m)).expect("manifest");
    manifests.iter().map(read).collect::<Vec<_>>().join("\n---\n")
}

fn mesh(text: &str) -> LoadedMesh {
    let mut sources = Sources::default();
    let file = sources.add("mesh.yaml".to_owned(), text.to_owned());
    let (objects, diagnostics) = read_text(file, text);
    let mesh = LoadedMesh::of_objects(sources, objects, &MeshInput::default(), diagnostics);
    assert!(!mesh.has_errors(), "{:?}", mesh.diagnostics);
    mesh
}

fn compared(base: &str, head: &str) -> DiffReport {
    let meshes = all_populated(&[&mesh(base), &mesh(head)]);
    let options = DiffOptions { witnesses: 2, ..DiffOptions::default() };
    let side = |name: &'static str, i: usize| Side { name, mesh: &meshes[i] };
    diff(&side("base", 0), &side("head", 1), &[], &options)
}

fn counts(report: &DiffReport) -> Vec<Category> {
    report.counts.iter().map(|c| c.category).collect()
}

const APP: [&str; 2] = ["bookinfo/app.yaml", "bookinfo/destination-rule-all.yaml"];

fn with(more: &str) -> String {
    text(&[APP[0], APP[1], more])
}

#[test]
fn formatting_changes_nothing() {
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(RESOURCES).is_dir());
    let base = with("bookinfo/reviews-jason-v2-else-v1.yaml");
    // Comments, blank lines and the order of documents.
    let mut documents: Vec<&str> = base.split("\n---\n").collect();
    documents.reverse();
    let head = format!("# moved\n\n{}\n", documents.join("\n\n---\n# moved\n"));
    let report = compared(&base, &head);
    assert!(report.asked > 10 && !report.differs(), "{report:?}");
}

#[test]
fn a_canary_is_reweighted_and_a_subset_rerouted() {
    let v3 = compared(
        &with("bookinfo/reviews-jason-v2-else-v1.yaml"),
        &with("bookinfo/reviews-jason-v2-else-v3.yaml"),
    );
    assert_eq!(counts(&v3), [Category::Rerouted], "{v3:?}");
    let witness = &v3.witnesses[0];
    assert!(witness.request.starts_with("GET http://reviews."), "{witness:?}");
    assert!(witness.base[0].contains(":9080 v1") && witness.head[0].contains(":9080 v3"), "{witness:?}");
    assert!(witness.reproduce_head.starts_with("mesh-sim explain -R -f head --from"), "{witness:?}");
    assert_eq!(v3.witnesses.len(), 2);

    let canary = |share: u32| {
        let rest = 100 - share;
        format!(
            "{}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec: {{hosts: [reviews], http: [{{route: [{{destination: {{host: reviews, subset: v1}}, weight: {rest}}}, {{destination: {{host: reviews, subset: v2}}, weight: {share}}}]}}]}}\n",
            text(&APP)
        )
    };
    let report = compared(&canary(10), &canary(20));
    assert_eq!(counts(&report), [Category::Reweighted], "{report:?}");
    assert!(report.witnesses[0].head[0].ends_with("80%"), "{:?}", report.witnesses[0]);
}

#[test]
fn security_changes_have_their_own_words() {
    let app = text(&APP);
    let strict = with("bookinfo/default-strict.yaml");
    let report = compared(&app, &strict);
    assert_eq!(counts(&report), [Category::NewlyDenied], "{report:?}");
    assert!(report.witnesses.iter().all(|w| w.decided_by.starts_with("PeerAuthentication/")), "{report:?}");
    assert_eq!(counts(&compared(&strict, &app)), [Category::Gained]);

    let off = "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ratings}\nspec: {host: ratings, trafficPolicy: {tls: {mode: DISABLE}}}\n";
    let plain = compared(&text(&["bookinfo/app.yaml"]), &format!("{}{off}", text(&["bookinfo/app.yaml"])));
    assert_eq!(counts(&plain), [Category::NewlyPlaintext], "{plain:?}");
}

#[test]
fn delays_and_hidden_settings_are_seen() {
    let route = |more: &str| {
        format!(
            "{}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec: {{hosts: [ratings], http: [{{{more}route: [{{destination: {{host: ratings}}}}]}}]}}\n",
            text(&["bookinfo/app.yaml"])
        )
    };
    let slow = compared(&route(""), &route("fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}}, "));
    assert_eq!(counts(&slow), [Category::Slower], "{slow:?}");
    let timeout = compared(&route(""), &route("timeout: 3s, "));
    assert_eq!(counts(&timeout), [Category::Changed], "{timeout:?}");
    assert!(timeout.witnesses[0].head[0].contains("3000000000"), "{:?}", timeout.witnesses[0]);
}
