//! `diff` as pull requests see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{command, mesh_sim_in};

/// A directory of its own with the given files.
pub(crate) fn directory(name: &str, files: &[(&str, String)]) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("mesh-sim-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&dir)).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    dir
}

/// A manifest of the repository.
pub(crate) fn manifest(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios/meshes").join(name);
    std::fs::read_to_string(path).expect("a manifest")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").args(identity).args(args).current_dir(dir).output().expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", text(&output.stderr));
}

#[test]
fn a_branch_is_compared_with_its_base() {
    let dir = directory(
        "diff",
        &[
            ("k8s/app.yaml", manifest("bookinfo/app.yaml")),
            ("k8s/rules/subsets.yaml", manifest("bookinfo/destination-rule-all.yaml")),
            ("k8s/rules/reviews.yaml", manifest("bookinfo/reviews-jason-v2-else-v1.yaml")),
            ("k8s/README.md", "no manifest".to_owned()),
        ],
    );
    git(&dir, &["init", "-q"]);
    git(&dir, &["add", "."]);
    git(&dir, &["commit", "-q", "-m", "base"]);
    let same = mesh_sim_in(&dir, &["diff", "git:HEAD:k8s", "k8s"]);
    assert_eq!(same.status.code(), Some(0), "{}{}", text(&same.stdout), text(&same.stderr));
    assert!(text(&same.stdout).contains("no request ends differently"), "{}", text(&same.stdout));

    let moved = format!("# a comment\n{}", manifest("bookinfo/reviews-jason-v2-else-v3.yaml"));
    std::fs::write(dir.join("k8s/rules/reviews.yaml"), moved).expect("a file");
    let changed = mesh_sim_in(&dir, &["diff", "git:HEAD:k8s", "k8s"]);
    assert_eq!(changed.status.code(), Some(1), "{}", text(&changed.stderr));
    let shown = text(&changed.stdout);
    for part in [
        "rerouted",
        "REROUTED",
        "    - 200 from default/reviews-v1",
        "    + 200 from default/reviews-v3",
        "reviews.yaml:",
    ] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    // The command that is shown leads to the outcome that is shown.
    let command = shown.lines().find_map(|l| l.trim().strip_prefix("try: mesh-sim ")).expect("a command");
    let words: Vec<&str> = command.split(' ').map(|w| w.trim_matches('\'')).collect();
    let replayed = mesh_sim_in(&dir, &words);
    assert!(text(&replayed.stdout).contains("default/reviews-v3"), "{command}\n{}", text(&replayed.stdout));

    let allowed = mesh_sim_in(&dir, &["diff", "git:HEAD:k8s", "k8s", "--allow", "re-routed"]);
    assert_eq!(allowed.status.code(), Some(0), "{}", text(&allowed.stdout));
    let json = mesh_sim_in(&dir, &["diff", "git:HEAD:k8s", "k8s", "-o", "json", "--threads", "1"]);
    let again = mesh_sim_in(&dir, &["diff", "git:HEAD:k8s", "k8s", "-o", "json", "--threads", "2"]);
    assert!(json.stdout == again.stdout && text(&json.stdout).contains("\"rerouted\""));
    let markdown = mesh_sim_in(&dir, &["diff", "git:HEAD:k8s", "k8s", "-o", "markdown"]);
    assert!(text(&markdown.stdout).contains("| rerouted |"), "{}", text(&markdown.stdout));

    for (args, code, part) in [
        (["diff", "git:nowhere:k8s", "k8s"], 3, "no revision `nowhere`"),
        (["diff", "git:HEAD:elsewhere", "k8s"], 3, "no manifest is there"),
        (["diff", "missing/", "k8s"], 3, "missing/"),
        (["diff", "k8s", "--allow=worse"], 2, ""),
    ] {
        let output = mesh_sim_in(&dir, &args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(part), "{args:?}: {}", text(&output.stderr));
    }
    let _ = std::fs::remove_dir_all(&dir);
}

/// The example of the repository with its manifests beside it.
fn snapshot_project(name: &str) -> PathBuf {
    let policy = "apiVersion: mesh-sim.dev/v1alpha1\nkind: PolicyTest\nmetadata: {name: shop}\nspec:\n  mesh: {manifests: [k8s]}\n  snapshots:\n    - {name: ratings, to: default/ratings-v1}\n";
    directory(
        name,
        &[
            ("k8s/app.yaml", manifest("bookinfo/app.yaml")),
            ("k8s/viewer.yaml", manifest("bookinfo/authz/ratings-viewer.yaml")),
            ("shop.yaml", policy.to_owned()),
        ],
    )
}

#[test]
fn snapshots_are_written_compared_and_reviewed() {
    let dir = snapshot_project("snapshot");
    let file = dir.join("snapshots/shop.ratings.snap");
    let run = |args: &[&str]| {
        let output = mesh_sim_in(&dir, args);
        (output.status.code(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    };
    let (code, said) = run(&["test", "shop.yaml"]);
    assert!(code == Some(1) && said.contains("`mesh-sim snapshot` writes it"), "{said}");
    assert!(!file.exists(), "test has written");
    let (code, said) = run(&["snapshot", "shop.yaml"]);
    assert!(
        code == Some(0) && said.contains("written   ./snapshots/shop.ratings.snap")
            || said.contains("written   snapshots/shop.ratings.snap"),
        "{said}"
    );
    let recorded = std::fs::read_to_string(&file).expect("written");
    for part in [
        "# tool: mesh-sim ",
        "# profile: istio-1.32",
        "# inputs: ",
        "GET http://ratings.default.svc.cluster.local:9080/\n",
        "denied by AuthorizationPolicy/default/ratings-viewer\n    default/details-v1\n",
        "  200 from default/ratings-v1 via ratings.default.svc.cluster.local:9080, mTLS\n    default/reviews-v1\n",
    ] {
        assert!(recorded.contains(part), "no `{part}` in\n{recorded}");
    }
    assert_eq!(run(&["test", "shop.yaml"]).0, Some(0));
    assert_eq!(run(&["snapshot", "review"]).0, Some(0));

    // The policy goes: the file says what that changes, and nobody writes until somebody accepts.
    std::fs::remove_file(dir.join("k8s/viewer.yaml")).expect("removed");
    let (code, said) = run(&["test", "shop.yaml"]);
    assert!(
        code == Some(1) && said.contains("shop.ratings.snap:") && said.contains("expected 403"),
        "{said}"
    );
    let (code, said) = run(&["snapshot", "write", "shop.yaml"]);
    assert!(code == Some(1) && said.contains("shop.ratings.snap.new"), "{said}");
    assert_eq!(std::fs::read_to_string(&file).expect("kept"), recorded);
    let (code, said) = run(&["snapshot", "review", "--reject"]);
    assert!(
        code == Some(1) && said.contains("rejected") && !file.with_extension("snap.new").exists(),
        "{said}"
    );
    let (code, said) = run(&["snapshot", "review", "--accept"]);
    assert!(code == Some(0) && said.contains("accepted"), "{said}");
    assert_ne!(std::fs::read_to_string(&file).expect("accepted"), recorded);
    assert_eq!(run(&["test", "shop.yaml"]).0, Some(0));

    // Half a file is an error with its place; a file that nobody asks for fails.
    let whole = std::fs::read_to_string(&file).expect("accepted");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("cut");
    let (code, said) = run(&["test", "shop.yaml"]);
    assert!(
        code == Some(3) && said.contains("shop.ratings.snap:") && said.contains("in the middle"),
        "{said}"
    );
    std::fs::write(&file, whole).expect("whole");
    std::fs::write(dir.join("snapshots/shop.old.snap"), "x").expect("a file");
    let (code, said) = run(&["test", "shop.yaml"]);
    assert!(code == Some(1) && said.contains("obsolete"), "{said}");
    assert_eq!(run(&["snapshot", "review", "--accept"]).0, Some(0));
    assert!(!dir.join("snapshots/shop.old.snap").exists());

    let ci = command().arg("snapshot").current_dir(&dir).env("CI", "true").output();
    assert_eq!(ci.expect("runs").status.code(), Some(2));
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn a_review_asks_for_each_change() {
    use std::io::Write as _;
    let dir = snapshot_project("review");
    assert_eq!(mesh_sim_in(&dir, &["snapshot"]).status.code(), Some(0));
    std::fs::remove_file(dir.join("k8s/viewer.yaml")).expect("removed");
    for (answer, code, said) in [
        ("s\n", 1, "skipped"),
        ("r\n", 1, "rejected"),
        ("?\na\n", 0, "accepted"),
        ("", 0, "nothing to review"),
    ] {
        let mut child = command()
            .args(["snapshot", "review"])
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        child.stdin.take().expect("stdin").write_all(answer.as_bytes()).expect("an answer");
        let output = child.wait_with_output().expect("ends");
        assert_eq!(output.status.code(), Some(code), "{answer:?}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains(said), "{answer:?}: {}", text(&output.stdout));
    }
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn changes_that_no_test_notices_are_listed() {
    let policy = |cases: &str| {
        format!(
            "apiVersion: mesh-sim.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: shop}}\nspec:\n  mesh: {{manifests: [k8s]}}\n  cases:\n{cases}"
        )
    };
    let case = |name: &str, headers: &str, workload: &str| {
        format!(
            "    - name: {name}\n      from: default/productpage-v1\n      request: {{url: 'http://reviews:9080/', headers: {{{headers}}}}}\n      expect: {{workload: default/{workload}}}\n"
        )
    };
    let jason = case("jason", "end-user: jason", "reviews-v2");
    let others = case("others", "", "reviews-v1");
    let dir = directory(
        "mutate",
        &[
            ("k8s/app.yaml", manifest("bookinfo/app.yaml")),
            ("k8s/subsets.yaml", manifest("resources/reviews-destination-rule.yaml")),
            ("k8s/reviews.yaml", manifest("bookinfo/reviews-jason-v2-else-v1.yaml")),
            ("shop.yaml", policy(&jason)),
        ],
    );
    let run = |args: &[&str]| {
        let output = mesh_sim_in(&dir, args);
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, shown, errors) = run(&["test", "--mutate", "shop.yaml"]);
    assert_eq!(code, Some(1), "{shown}{errors}");
    for part in [
        "SURVIVED  VirtualService/default/reviews: drop spec.http[1].route[0].destination.subset   ",
        "k8s/reviews.yaml:",
        "    - subset: v1",
        "not noticed by shop.yaml",
    ] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    assert!(!shown.contains("SURVIVED  VirtualService/default/reviews: drop spec.http[0]\n"), "{shown}");
    let (_, again, _) = run(&["test", "--mutate", "shop.yaml", "--threads", "1"]);
    assert_eq!(shown, again);

    std::fs::write(dir.join("shop.yaml"), policy(&format!("{jason}{others}"))).expect("a file");
    let (code, shown, errors) = run(&["test", "--mutate", "shop.yaml"]);
    assert_eq!(code, Some(0), "{shown}{errors}");
    assert!(shown.contains(" 0 survived"), "{shown}");
    let (_, few, _) = run(&["test", "--mutate", "--mutants", "3", "shop.yaml"]);
    assert!(few.starts_with("3 mutants") && few.contains("not tried"), "{few}");
    let _ = std::fs::remove_dir_all(&dir);
}

/// What a split moves no policy test of ours sees; a gate over time, a proof and an audit each notice their own.
#[test]
fn gates_proofs_and_audits_notice_changes() {
    let split = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews, namespace: default}\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - {destination: {host: reviews, subset: v1}, weight: 80}\n    - {destination: {host: reviews, subset: v2}, weight: 20}\n";
    let files = [
        ("k8s/app.yaml", manifest("bookinfo/app.yaml")),
        ("k8s/subsets.yaml", manifest("resources/reviews-destination-rule.yaml")),
        ("k8s/reviews.yaml", split.to_owned()),
    ];
    let dir = directory("notices", &files);
    let document = |kind: &str, rest: &str| {
        format!(
            "apiVersion: mesh-sim.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: d}}\nspec:\n  mesh: {{manifests: [k8s]}}\n{rest}"
        )
    };
    let survivors = |kind: &str, rest: &str| {
        std::fs::write(dir.join("d.yaml"), document(kind, rest)).expect("a file");
        let output = mesh_sim_in(&dir, &["test", "--mutate", "d.yaml", "-o", "json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", text(&output.stderr)));
        let all = report["survivors"].as_array().expect("survivors").clone();
        assert_eq!(output.status.code(), Some(if all.is_empty() { 0 } else { 1 }), "{report:#}");
        let of =
            |word: &str| all.iter().filter(|s| s["what"].as_str().is_some_and(|w| w.contains(word))).count();
        (of("weight"), all.len())
    };
    let traffic = "  duration: 10s\n  traffic: [{name: t, from: default/productpage-v1, request: GET http://reviews:9080/, rate: 5/s}]\n  expect:\n";
    let (loose, most) = survivors("Scenario", &format!("{traffic}    - {{never: {{flags: UO}}}}\n"));
    assert!(loose > 0, "nothing looks at the weights, {most} survive");
    let gate = "    - {split: {host: reviews, by: subset, is: {v1: 80%, v2: 20%}}}\n";
    let (weights, fewer) = survivors("Scenario", &format!("{traffic}{gate}"));
    assert!(weights == 0 && fewer < most, "{weights} of {fewer} survive, {most} before");
    let proof = "  cases: [{name: served, forAll: {from: default/productpage-v1, to: default/reviews-v1}, expect: {verdict: allowed}}]\n";
    let audit = "  cases: [{name: sums, audit: {weightsSum: 100}}]\n";
    let (_, proved) = survivors("PolicyTest", proof);
    let (_, audited) = survivors("PolicyTest", audit);
    assert!(proved > 0 && audited > 0 && proved != audited, "{proved} {audited}");
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn lint_names_routes_that_never_decide_and_what_takes_their_requests() {
    let route = |name: &str, uri: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  hosts: [shop.example.com]\n  gateways: [front]\n  http:\n  - match: [{{uri: {{{uri}}}}}]\n    route: [{{destination: {{host: productpage}}}}]\n---\n"
        )
    };
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: default}\nspec:\n  selector: {istio: ingressgateway}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]\n---\n";
    let rules = format!("{gateway}{}{}", route("a-all", "prefix: /p"), route("b-pay", "exact: /pay"));
    let dir = directory("lint", &[("app.yaml", manifest("bookinfo/app.yaml")), ("rules.yaml", rules)]);
    let output = mesh_sim_in(&dir, &["lint", "-f", ".", "-o", "json"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // Two VirtualServices of one host are merged: istiod's own analysis does not see this. (A catch-all, `prefix: /`,
    // would be moved behind the others.)
    for part in ["MS0301", "VirtualService/default/b-pay", "this route takes them"] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}
