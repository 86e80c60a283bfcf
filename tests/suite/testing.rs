//! `mesh-sim test` as a pipeline sees it: what is wrong with a test is said, what did not hold is shown, in every format.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::program::{mesh_sim_in, root};

/// A directory of a test's own.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("mesh-sim-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Place(dir)
    }

    /// Writes a policy test of bookinfo; `more` are further manifests.
    fn policy(&self, file: &str, more: &str, cases: &str) {
        let meshes = root().join("scenarios/meshes/bookinfo");
        let text = format!(
            "apiVersion: mesh-sim.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: {file}}}\nspec:\n  mesh: {{manifests: [{0}/app.yaml, {0}/default-strict.yaml{more}]}}\n  cases:\n{cases}",
            meshes.display()
        );
        std::fs::write(self.0.join(file), text).expect("a file");
    }

    fn run(&self, args: &[&str]) -> Output {
        mesh_sim_in(&self.0, args)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const PASSES: &str = "    - {name: fine, from: default/productpage-v1, request: GET http://reviews:9080/reviews/0, expect: {status: 200}}\n";
const FAILS: &str = "    - {name: refused, from: {pod: {namespace: test, sidecar: false}}, request: GET http://ratings.default:9080/health, expect: {connection: ok}}\n";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn a_failure_shows_expectation_prediction_place_and_command() {
    let place = Place::new("failure");
    place.policy("a.yaml", "", &format!("{PASSES}{FAILS}"));
    let output = place.run(&["test", "a.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    has(
        &text(&output.stdout),
        &[
            "connection: predicted reset   expected ok",
            "decided by PeerAuthentication/default/default-strict",
            "default-strict.yaml:5:9",
            "try: mesh-sim explain a.yaml --case refused",
            "1 passed · 1 failed · 0 unknown · 0 skipped",
        ],
    );
    // The command it names shows the decision.
    let explained = place.run(&["explain", "a.yaml", "--case", "refused"]);
    assert_eq!(explained.status.code(), Some(0), "{}", text(&explained.stderr));
    has(&text(&explained.stdout), &["filter_chain_not_found", "PeerAuthentication/default/default-strict"]);
}

#[test]
fn what_cannot_be_judged_is_an_error_and_the_rest_is_judged() {
    let place = Place::new("broken");
    let missing = "    - {name: gone, from: default/productpag-v1, request: GET http://reviews:9080/, expect: {status: 200}}\n    - {name: subset, from: default/productpage-v1, request: GET http://reviews:9080/, expect: {subset: v7}}\n";
    place.policy("a.yaml", "", &format!("{PASSES}{missing}"));
    place.policy("b.yaml", "", &format!("{PASSES}{PASSES}"));
    place.policy("c.yaml", "", &PASSES.replace("expect:", "expects:"));
    let output = place.run(&["test", "."]);
    assert_eq!(output.status.code(), Some(3));
    has(
        &text(&output.stdout),
        &[
            "did you mean `default/productpage-v1`?",
            "no subset of this mesh is named `v7`",
            "MS0604: there are two cases named `fine`",
            "did you mean `expect`?",
            "3 files · 1 passed · 3 failed",
        ],
    );
}

#[test]
fn what_matches_nothing_is_an_error() {
    let place = Place::new("nothing");
    place.policy("a.yaml", "", PASSES);
    std::fs::create_dir(place.0.join("empty")).expect("a directory");
    let codes = [
        (vec!["test", "a.yaml"], 0),
        (vec!["test", "."], 0),
        (vec!["test", "empty"], 4),
        (vec!["test", "a.yaml", "empty"], 4),
        (vec!["test", "a.yaml", "-k", "fien"], 4),
        (vec!["test", "gone.yaml"], 3),
        (vec!["test", "a.yaml", "--shard", "2/2"], 2),
        (vec!["test", "a.yaml", "-o", "svg"], 2),
        (vec!["test", "a.yaml", "--report", "svg=x"], 2),
    ];
    for (args, code) in codes {
        let output = place.run(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
    }
    let filtered = place.run(&["test", "a.yaml", "-k", "fien"]);
    has(&text(&filtered.stderr), &["none of the 1 cases has `fien`"]);
}

#[test]
fn unknown_and_skipped_have_their_columns() {
    let place = Place::new("unknown");
    let filter = "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: lua, namespace: default}\nspec: {configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_OUTBOUND}, patch: {operation: INSERT_BEFORE, value: {name: envoy.lua}}}]}\n";
    std::fs::write(place.0.join("filter.yaml"), filter).expect("a file");
    let second = PASSES.replace("name: fine", "name: second");
    place.policy("a.yaml", ", filter.yaml", &format!("{PASSES}{second}"));
    let output = place.run(&["test", "a.yaml", "-k", "fine"]);
    assert_eq!(output.status.code(), Some(0));
    has(
        &text(&output.stdout),
        &["UNKNOWN a.yaml", "EnvoyFilter default/lua", "0 passed · 0 failed · 1 unknown · 1 skipped"],
    );
    assert_eq!(place.run(&["test", "a.yaml", "-k", "fine", "--strict"]).status.code(), Some(1));
    let junit = text(&place.run(&["test", "a.yaml", "-k", "fine", "-o", "junit"]).stdout);
    has(&junit, &["<skipped", "unknown: EnvoyFilter default/lua", "failures=\"0\""]);
}

#[test]
fn shards_add_up_and_fail_fast_lists_what_was_left() {
    let place = Place::new("shards");
    for file in ["a.yaml", "b.yaml", "c.yaml"] {
        place.policy(file, "", if file == "b.yaml" { FAILS } else { PASSES });
    }
    let names = |args: &[&str]| text(&place.run(args).stdout);
    let all = names(&["test", ".", "-o", "name"]);
    let shards = [
        names(&["test", ".", "-o", "name", "--shard", "0/2"]),
        names(&["test", ".", "-o", "name", "--shard", "1/2"]),
    ];
    let mut joined: Vec<&str> = shards.iter().flat_map(|s| s.lines()).collect();
    joined.sort_unstable();
    assert_eq!(joined, all.lines().collect::<Vec<_>>());
    let fast = place.run(&["test", ".", "--fail-fast"]);
    assert_eq!(fast.status.code(), Some(1));
    has(&text(&fast.stdout), &["NOT RUN", "c.yaml", "1 files not judged (stopped at the first failure)"]);
    let tap = text(&place.run(&["test", ".", "--fail-fast", "-o", "tap"]).stdout);
    assert!(tap.ends_with("Bail out! 1 files were not judged\n"), "{tap}");
    let (one, two) = (
        place.run(&["test", ".", "-o", "json", "--threads", "1"]),
        place.run(&["test", ".", "-o", "json", "--threads", "2"]),
    );
    assert!(!one.stdout.is_empty() && one.stdout == two.stdout, "threads change the bytes");
}

#[test]
fn every_report_is_written_even_beside_one_that_cannot_be() {
    let place = Place::new("reports");
    place.policy("a.yaml", "", &format!("{PASSES}{FAILS}"));
    std::fs::write(place.0.join("file"), "").expect("a file");
    let kinds = ["json", "ndjson", "yaml", "junit", "sarif", "tap", "markdown", "github", "gitlab", "html"];
    let mut args = vec!["test".to_owned(), "a.yaml".to_owned(), "--report=json=file/below.json".to_owned()];
    args.extend(kinds.iter().map(|k| format!("--report={k}=out/r.{k}")));
    let output = place.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    for (kind, part) in [
        ("json", "\"status\": \"failed\""),
        ("ndjson", "\"status\":\"failed\""),
        ("yaml", "status: failed"),
        ("junit", "<failure"),
        ("sarif", "\"ruleId\": \"expectation-failed\""),
        ("tap", "not ok 2 - a.yaml - refused"),
        ("markdown", "| fail | refused"),
        ("github", "::error file="),
        ("gitlab", "\"check_name\": \"expectation-failed\""),
        ("html", "<b>fail</b>"),
    ] {
        has(&place.read(&format!("out/r.{kind}")), &[part]);
    }
    assert!(
        !Path::new(&place.0.join("out"))
            .read_dir()
            .expect("out")
            .flatten()
            .any(|e| e.file_name().to_string_lossy().ends_with(".part"))
    );
}

#[test]
fn coverage_names_what_no_test_passes_through_and_gates() {
    let place = Place::new("coverage");
    place.policy("a.yaml", "", PASSES);
    let mesh = root().join("scenarios/meshes/bookinfo");
    let gateway = format!(", {}/gateway.yaml", mesh.display());
    place.policy("b.yaml", &gateway, &PASSES.replace("fine", "other"));
    let output = place.run(&["test", ".", "--coverage", "--report=lcov=out.lcov"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    has(
        &text(&output.stdout),
        &[
            "COVERAGE  100.00%  1 of 1 PeerAuthentication modes",
            "NO TEST   Gateway/default/bookinfo-gateway spec.servers[0]",
        ],
    );
    has(&place.read("out.lcov"), &["SF:", "gateway.yaml", "DA:", ",0\n", "end_of_record"]);
    for (least, code) in [("100", 1), ("0", 0), ("101", 2), ("x", 2)] {
        let output = place.run(&["test", ".", "--fail-under", least]);
        assert_eq!(output.status.code(), Some(code), "{least}: {}", text(&output.stderr));
    }
    let missing = text(&place.run(&["test", "b.yaml", "--missing"]).stdout);
    has(&missing, &["from: {\"gateway\":\"istio-system/istio-ingressgateway\"}", "/login"]);
}
