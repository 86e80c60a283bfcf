//! Two configurations under one seed draw the same numbers: what differs between the runs is what the configuration
//! changed, and nothing else.

use mesh_harness::report::logs::access_log;
use mesh_harness::scenario::Ran;

use crate::simulated::simulate;

const APPS: [(&str, &str); 5] =
    [("client", ""), ("web-1", "v1"), ("web-2", "v2"), ("web-3", "v3"), ("backend", "")];

fn manifests(subset_of_jason: &str, extra: &str) -> String {
    let mut text = String::new();
    for (name, version) in APPS {
        let app = name.split('-').next().unwrap_or(name);
        text += &format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {app}, version: \"{version}\"}}}}\n  template:\n    metadata: {{labels: {{app: {app}, version: \"{version}\"}}}}\n    spec:\n      containers: [{{name: app, image: example.invalid/app}}]\n---\n"
        );
    }
    for app in ["web", "backend"] {
        text += &format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {app}}}\nspec:\n  selector: {{app: {app}}}\n  ports: [{{name: http, port: 80, targetPort: 8080}}]\n---\n"
        );
    }
    text + &format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web}}\nspec:\n  host: web\n  subsets:\n    - {{name: v1, labels: {{version: v1}}}}\n    - {{name: v2, labels: {{version: v2}}}}\n    - {{name: v3, labels: {{version: v3}}}}\n{extra}---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web}}\nspec:\n  hosts: [web]\n  http:\n    - match: [{{headers: {{end-user: {{exact: jason}}}}}}]\n      route: [{{destination: {{host: web, subset: {subset_of_jason}}}}}]\n      retries: {{attempts: 2, retryOn: 5xx}}\n    - route: [{{destination: {{host: web, subset: v1}}}}]\n      retries: {{attempts: 2, retryOn: 5xx}}\n      fault: {{delay: {{fixedDelay: 40ms, percentage: {{value: 30}}}}}}\n"
    )
}

const SPEC: &str = "  duration: 20s
  behaviors:
    - {workload: default/web-1, serviceTime: {lognormal: {p50: 5ms, p99: 40ms}}, responses: [{status: 200, percent: 80%}, {status: 503, percent: 20%}], calls: [{request: GET http://backend/}]}
    - {workload: default/web-2, serviceTime: {exponential: 9ms}, calls: [{request: GET http://backend/}]}
    - {workload: default/web-3, serviceTime: {exponential: 9ms}, calls: [{request: GET http://backend/}]}
    - {workload: default/backend, serviceTime: {exponential: 4ms}}
  traffic:
    - {name: users, from: default/client, request: GET http://web/, rate: 40/s, mix: [{weight: 7}, {weight: 3, headers: {end-user: jason}}]}
";

#[test]
fn a_subset_that_nobody_uses_changes_no_byte() {
    let plain = access_log(&simulate("plain", &manifests("v2", ""), SPEC));
    let extra = "    - name: unused\n      labels: {version: v4}\n      trafficPolicy: {loadBalancer: {simple: RANDOM}}\n";
    let with = access_log(&simulate("extra", &manifests("v2", extra), SPEC));
    assert!(plain.lines().count() > 3_000, "{} lines", plain.lines().count());
    assert_eq!(plain, with);
}

#[test]
fn a_reroute_changes_the_rerouted_requests_only() {
    let [two, three] = ["v2", "v3"].map(|subset| simulate(subset, &manifests(subset, ""), SPEC));
    let rows = |ran: &Ran| {
        let mut rows = Vec::new();
        for r in ran.runs.iter().flat_map(|run| &run.requests) {
            let tries: Vec<_> = r.tries.iter().map(|t| (t.workload.clone(), t.at_ns, t.done_ns)).collect();
            rows.push((r.variant, (r.number, r.start_ns, r.end_ns, r.status()), tries));
        }
        rows
    };
    let (two, three) = (rows(&two), rows(&three));
    let (mut moved, mut stayed) = (0, 0);
    for (a, b) in two.iter().zip(&three) {
        // Where it went differs for some; when it was answered, and with what, for none: v2 and v3 behave alike.
        assert_eq!((a.0, a.1), (b.0, b.1));
        if a.0 == 0 {
            assert_eq!(a.2, b.2);
            stayed += 1;
        } else {
            assert_ne!(a.2, b.2);
            moved += 1;
        }
    }
    assert!(two.len() == three.len() && moved > 150 && stayed > 400, "{moved} {stayed}");
}
