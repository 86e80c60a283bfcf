//! Witnesses: the command beside a refuted case or a changed request shows what it claims, and every class of change that
//! `diff` tells apart is met by somebody.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::program::{at_a_desk, mesh_sim_in, root};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("mesh-sim-witness-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Place(dir)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("written");
    }

    /// Runs a command line as a reader would paste it.
    fn paste(&self, line: &str) -> Value {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_mesh-sim"));
        let path = format!(
            "{}:{}",
            binary.parent().expect("a directory").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let mut shell = at_a_desk(Command::new("sh"));
        let output =
            shell.args(["-c", line]).current_dir(&self.0).env("PATH", path).output().expect("a shell");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{line}: {e}\n{}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bookinfo(file: &str) -> String {
    std::fs::read_to_string(root().join("scenarios/meshes/bookinfo").join(file)).expect(file)
}

fn json(dir: &Path, args: &[&str]) -> Value {
    let output = mesh_sim_in(dir, args);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn the_witness_of_a_proof_is_replayed_in_the_mesh_of_its_document() {
    let place = Place::new("proof");
    place.write("k8s/app.yaml", &bookinfo("app.yaml"));
    let test = |config: &str| {
        format!(
            "apiVersion: mesh-sim.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: p}}\nspec:\n  mesh: {{manifests: [../k8s]{config}}}\n  cases: [{{name: encrypted, forAll: {{from: default/productpage-v1, to: default/reviews-v1}}, expect: {{mtls: true}}}}]\n"
        )
    };
    place.write("policies/p.yaml", &test(""));
    let judged = json(&place.0, &["test", "policies/p.yaml", "-o", "json"]);
    assert_eq!(judged["files"][0]["cases"][0]["status"], "passed", "{judged:#}");
    place.write("policies/p.yaml", &test(", config: {enableAutoMtls: false}"));
    let judged = json(&place.0, &["test", "policies/p.yaml", "-o", "json"]);
    let case = &judged["files"][0]["cases"][0];
    assert_eq!(case["status"], "failed", "{judged:#}");
    let command = case["reproduce"].as_str().expect("a command");
    let shown = place.paste(&format!("{command} -o json"));
    let mtls: Vec<&Value> =
        shown["outcomes"].as_array().expect("outcomes").iter().map(|o| &o["outcome"]["mtls"]).collect();
    assert!(!mtls.is_empty() && mtls.iter().all(|m| **m == Value::Bool(false)), "{command}\n{shown:#}");
}

/// One change of configuration per class; nothing but the class that is meant shows, and its witness replays on both sides.
#[test]
fn every_class_of_change_is_told_by_its_name() {
    let split = |v1: u32| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: reviews, namespace: default}}\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - {{destination: {{host: reviews, subset: v1}}, weight: {v1}}}\n    - {{destination: {{host: reviews, subset: v2}}, weight: {}}}\n",
            100 - v1
        )
    };
    let delayed = |delay: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: ratings, namespace: default}}\nspec:\n  hosts: [ratings]\n  http:\n  - {delay}route: [{{destination: {{host: ratings}}}}]\n"
        )
    };
    let plain = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: details-tls, namespace: default}\nspec: {host: details, trafficPolicy: {tls: {mode: DISABLE}}}\n";
    let fault = "fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}}\n    ";
    for (class, file, before, after) in [
        ("reweighted", "vs.yaml", split(90), split(80)),
        ("slower", "vs.yaml", delayed(""), delayed(fault)),
        ("newly-plaintext", "vs.yaml", delayed(""), format!("{}---\n{plain}", delayed(""))),
    ] {
        let place = Place::new(class);
        for (side, text) in [("base", &before), ("head", &after)] {
            place.write(&format!("{side}/app.yaml"), &bookinfo("app.yaml"));
            place.write(
                &format!("{side}/rules.yaml"),
                &bookinfo("destination-rule-all.yaml").replace("name: details,", "name: details-subsets,"),
            );
            place.write(&format!("{side}/{file}"), text);
        }
        let output = mesh_sim_in(&place.0, &["diff", "base", "head", "-o", "json"]);
        assert_eq!(output.status.code(), Some(1), "{class}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("json");
        let found: Vec<&str> = report["counts"]
            .as_array()
            .expect("counts")
            .iter()
            .filter_map(|c| c["category"].as_str())
            .collect();
        assert_eq!(found, [class], "{report:#}");
        let witness = &report["witnesses"][0];
        let outcomes = |command: &str| {
            let shown = place.paste(&format!("{} -o json", witness[command].as_str().expect("a command")));
            shown["outcomes"].as_array().expect("outcomes").clone()
        };
        let (old, new) = (outcomes("reproduceBase"), outcomes("reproduceHead"));
        assert!(!old.is_empty() && !new.is_empty() && (old != new), "{class}: {witness:#}");
        let allowed = mesh_sim_in(&place.0, &["diff", "base", "head", "--allow", class]);
        assert_eq!(allowed.status.code(), Some(0), "{class}");
    }
}
