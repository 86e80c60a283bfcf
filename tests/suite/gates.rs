//! The gates of `policies/gates`, each by name with a mesh that passes and one that fails.

use std::path::Path;

use mesh_harness::document::BUILT_IN_GATES;

use crate::program::mesh_sim_in;

const APP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: pay, namespace: shop}
spec: {selector: {matchLabels: {app: pay}}, template: {metadata: {labels: {app: pay, version: v1}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 8080}]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: shop}
spec: {selector: {app: pay}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: shop}
spec: {host: pay, subsets: [{name: v1, labels: {version: v1}}]}
";
const STRICT: &str = "
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
";
const NOTHING: &str = "
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing, namespace: istio-system}
spec: {}
";

fn route(route: &str) -> String {
    format!(
        "\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: pay, namespace: shop}}\nspec: {{hosts: [pay], http: [{{{route}}}]}}\n"
    )
}

/// (gate, further manifests, further words of the mesh, what the failure says; empty = passes)
fn meshes() -> Vec<(&'static str, String, &'static str, &'static str)> {
    let registry = ", config: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}";
    let to = |rest: &str| route(&format!("route: [{{destination: {{host: pay}}}}]{rest}"));
    let split = |b: u32| {
        route(&format!(
            "route: [{{destination: {{host: pay, subset: v1}}, weight: 90}}, {{destination: {{host: pay}}, weight: {b}}}]"
        ))
    };
    vec![
        ("no-plaintext", STRICT.to_owned(), "", ""),
        ("no-plaintext", String::new(), "", "witness: "),
        ("default-deny", format!("{STRICT}{NOTHING}"), "", ""),
        ("default-deny", STRICT.to_owned(), "", "witness: "),
        ("no-dangling-subset", route("route: [{destination: {host: pay, subset: v1}}]"), "", ""),
        ("no-dangling-subset", route("route: [{destination: {host: pay, subset: v9}}]"), "", "MS0704"),
        ("canary-sums", split(10), "", ""),
        ("canary-sums", split(20), "", "90 + 20 = 110"),
        ("retry-storm-free", to(""), "", ""),
        ("retry-storm-free", to(", retries: {attempts: 9}"), "", "10: "),
        ("egress-closed", String::new(), registry, ""),
        ("egress-closed", String::new(), "", "leaves through PassthroughCluster"),
    ]
}

#[test]
fn every_gate_passes_and_fails_where_it_should() {
    let dir = std::env::temp_dir().join(format!("mesh-sim-gates-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let write = |name: String, text: String| std::fs::write(dir.join(name), text).expect("written");
    for (i, (gate, more, words, _)) in meshes().iter().enumerate() {
        write(format!("mesh-{i:02}.yaml"), format!("{APP}{more}"));
        let text = format!(
            "apiVersion: mesh-sim.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  mesh: {{manifests: [mesh-{i:02}.yaml]{words}}}\n  uses: gates/{gate}\n"
        );
        write(format!("test-{i:02}.yaml"), text);
    }
    let output = mesh_sim_in(&dir, &["test", ".", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("json");
    for (i, (gate, .., says)) in meshes().iter().enumerate() {
        let file = &report["files"][i];
        assert_eq!(file["broken"], serde_json::json!([]), "{gate}");
        let cases = file["cases"].as_array().expect("cases");
        let failed: Vec<String> =
            cases.iter().filter(|c| c["status"] != "passed").map(ToString::to_string).collect();
        assert!(cases.iter().all(|c| c["name"].as_str().is_some_and(|n| n.starts_with(gate))), "{cases:?}");
        if says.is_empty() {
            assert!(failed.is_empty() && !cases.is_empty(), "{gate}: {failed:?}");
        } else {
            assert!(
                failed.len() == 1 && failed[0].contains("\"failed\"") && failed[0].contains(says),
                "{gate}: {failed:?}"
            );
        }
    }
    let mut tested: Vec<String> = meshes().iter().map(|(gate, ..)| format!("gates/{gate}")).collect();
    tested.sort();
    tested.dedup();
    assert_eq!(tested, BUILT_IN_GATES.map(|(name, _)| name.to_owned()));
    own_and_unknown_gates(&dir);
    let _ = std::fs::remove_dir_all(&dir);
}

fn own_and_unknown_gates(dir: &Path) {
    let test = |uses: &str| {
        format!(
            "apiVersion: mesh-sim.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  mesh: {{manifests: [mesh-00.yaml]}}\n  uses: {uses}\n"
        )
    };
    let own = "apiVersion: mesh-sim.dev/v1alpha1\nkind: Gate\nmetadata: {name: own}\nspec:\n  cases:\n    - {name: web talks to pay, from: shop/web, request: GET http://pay/, expect: {mtls: true}}\n";
    std::fs::write(dir.join("own.yaml"), own).expect("written");
    for (uses, code, says) in [
        ("[./own.yaml, gates/canary-sums]", 0, "2 passed"),
        ("gates/no-plain", 3, "did you mean `gates/no-plaintext`?"),
        ("./gone.yaml", 3, "cannot be read"),
        ("./mesh-00.yaml", 3, "holds no `kind: Gate`"),
    ] {
        std::fs::write(dir.join("uses.yaml"), test(uses)).expect("written");
        let output = mesh_sim_in(dir, &["test", "uses.yaml"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{uses}: {text}");
        assert!(text.contains(says), "{uses}: {text}");
    }
}
