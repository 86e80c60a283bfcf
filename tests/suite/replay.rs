//! `mesh-sim replay`: the log of a run, asked again of the same mesh and of others.

use crate::program::{mesh_sim_in, root};

const SCENARIO: &str = "
apiVersion: mesh-sim.dev/v1alpha1
kind: Scenario
metadata: {name: s}
spec:
  duration: 2s
  mesh: {manifests: [k8s/]}
  behaviors:
    - workload: default/productpage-v1
      calls: [{request: GET http://reviews:9080/reviews/0, onError: ignore}]
    - workload: default/ratings-v1
      responses: [{status: 200, percent: 50%}, {status: 403, percent: 50%}]
  traffic:
    - {name: out, from: {gateway: istio-system/istio-ingressgateway}, request: GET http://any.example/productpage, rate: 10/s}
    - {name: none, from: {gateway: istio-system/istio-ingressgateway}, request: GET http://any.example/nothing, rate: 5/s}
    - {name: ratings, from: default/reviews-v2, request: GET http://ratings:9080/ratings/0, rate: 10/s}
";
const DENY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: default}
spec: {selector: {matchLabels: {app: reviews}}, action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}
";

#[test]
fn the_past_is_compared_with_what_is_proposed() {
    let dir = std::env::temp_dir().join(format!("mesh-sim-replay-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("k8s")).expect("a directory");
    let meshes = root().join("scenarios/meshes/bookinfo");
    for file in ["app.yaml", "gateway.yaml", "destination-rule-all.yaml", "virtual-service-all-v1.yaml"] {
        std::fs::copy(meshes.join(file), dir.join("k8s").join(file)).expect("copied");
    }
    std::fs::write(dir.join("s.yaml"), SCENARIO).expect("written");
    let logged = mesh_sim_in(&dir, &["run", "s.yaml", "-q", "--report", "access-log=a.log"]);
    assert_eq!(logged.status.code(), Some(0), "{}", String::from_utf8_lossy(&logged.stderr));

    let same = mesh_sim_in(&dir, &["replay", "a.log", "-q", "-f", "k8s", "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&same.stdout).expect("json");
    assert_eq!(same.status.code(), Some(0), "{report:#}");
    assert!(report["same"].as_u64().is_some_and(|n| n > 40), "{report:#}");
    assert_eq!(report["different"], serde_json::json!([]));
    // The application's own 403 looks like a policy's.
    assert!(
        report["unknown"][0]["decidedBy"].as_str().is_some_and(|w| w.contains("answered 403")),
        "{report:#}"
    );

    std::fs::write(dir.join("k8s/deny.yaml"), DENY).expect("written");
    let routes = dir.join("k8s/gateway.yaml");
    let text = std::fs::read_to_string(&routes).expect("routes").replace("/productpage}", "/nothing}");
    std::fs::write(&routes, text).expect("written");
    let changed = mesh_sim_in(&dir, &["replay", "a.log", "-q", "-f", "k8s"]);
    let text = String::from_utf8_lossy(&changed.stdout).into_owned();
    assert_eq!(changed.status.code(), Some(1), "{text}");
    for part in [
        "LOST      GET http://reviews:9080/reviews/0 from default/productpage-v1",
        "decided by AuthorizationPolicy/default/deny",
        "LOST      GET http://any.example:8080/productpage from gateway:istio-system/istio-ingressgateway",
        "now 404 NR route_not_found",
        "GAINED    GET http://any.example:8080/nothing",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    for (args, code) in [
        (vec!["replay", "a.log"], 2),
        (vec!["replay", "gone.log", "-f", "k8s"], 3),
        (vec!["replay", "s.yaml", "-f", "k8s"], 4),
    ] {
        assert_eq!(mesh_sim_in(&dir, &args).status.code(), Some(code), "{args:?}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}
