//! Coverage of meshes with parts that tests reach, miss, and cannot reach.

use super::*;
use mesh_reports::coverage::CoverageKind;

const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: web, containers: [{name: c, image: i}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: pay, namespace: shop}
spec: {selector: {matchLabels: {app: pay}}, template: {metadata: {labels: {app: pay, version: v1}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 8080}, {containerPort: 9000}]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: pay, namespace: shop}
spec: {selector: {app: pay}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 9000, targetPort: 9000}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pay, namespace: shop}
spec:
  host: pay
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pay, namespace: shop}
spec:
  hosts: [pay]
  http:
  - match:
    - {uri: {prefix: /admin}}
    - {headers: {role: {exact: admin}}}
    route: [{destination: {host: pay, subset: v1}}]
  - match: [{uri: {prefix: /admin/deep}}]
    route: [{destination: {host: pay, subset: v2}}]
  - route:
    - {destination: {host: pay, subset: v1}, weight: 50}
    - {destination: {host: pay}, weight: 50}
  tcp:
  - match: [{port: 9000}]
    route: [{destination: {host: pay, port: {number: 9000}}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: pay, namespace: shop}
spec: {selector: {matchLabels: {app: pay}}, mtls: {mode: STRICT}, portLevelMtls: {9000: {mode: PERMISSIVE}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: pay, namespace: shop}
spec:
  selector: {matchLabels: {app: pay}}
  action: DENY
  rules:
  - {to: [{operation: {methods: [DELETE]}}]}
  - {to: [{operation: {paths: [/never]}}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nothing, namespace: shop}
spec: {selector: {matchLabels: {app: web}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: shop}
spec: {workloadSelector: {labels: {app: web}}, egress: [{hosts: [./*, istio-system/*]}]}
";

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn report(name: &str, cases: &str, propose: bool) -> CoverageReport {
    let dir = Dir(std::env::temp_dir().join(format!("mesh-sim-coverage-{name}-{}", std::process::id())));
    std::fs::create_dir_all(&dir.0).expect("a directory");
    std::fs::write(dir.0.join("mesh.yaml"), MESH).expect("written");
    let text = format!(
        "apiVersion: mesh-sim.dev/v1alpha1\nkind: PolicyTest\nmetadata: {{name: t}}\nspec:\n  mesh: {{manifests: [mesh.yaml]}}\n  cases:\n{cases}"
    );
    let file = dir.0.join("t.yaml");
    std::fs::write(&file, text).expect("written");
    let judged = crate::policy::test_paths(std::slice::from_ref(&file), &TestOptions::default());
    assert!(!judged.failed(true), "{judged:#?}");
    coverage(&[file], &TestOptions::default(), propose)
}

const FIRST: &str =
    "    - {name: first, from: shop/web, request: GET http://pay/x, expect: {status: 200, mtls: true}}\n";

#[test]
fn only_what_decided_is_covered() {
    let report = report("decided", FIRST, false);
    let covered: Vec<&str> = report.items.iter().filter(|i| i.tests > 0).map(|i| i.path.as_str()).collect();
    assert_eq!(
        covered,
        [
            "spec.subsets[0]",
            "spec.http[2]",
            "spec.http[2].route[0]",
            "spec.http[2].route[1]",
            "spec.mtls",
            "spec.egress[0].hosts[0]",
        ]
    );
    let of = |kind| report.share(Some(kind));
    assert_eq!((of(CoverageKind::Route).covered, of(CoverageKind::Route).total), (1, 5));
    assert_eq!(of(CoverageKind::AuthorizationRule).total, 3);
    assert!(report.items.iter().all(|i| i.proposal.is_none() && i.unreachable.is_none()));
}

fn covered(report: &CoverageReport) -> Vec<&str> {
    report.items.iter().filter(|i| i.tests > 0).map(|i| i.path.as_str()).collect()
}

#[test]
fn proofs_and_audits_cover_what_they_ask() {
    let proof = "    - {name: deletes, forAll: {from: shop/web, to: shop/pay, port: 80, methods: [DELETE]}, expect: {verdict: denied}}\n";
    let found = report("proof", proof, false);
    // The rule that refuses, the routes the requests take on the way, the mode of the port: never what GET would reach.
    assert!(covered(&found).contains(&"spec.rules[0]"), "{:?}", covered(&found));
    assert!(
        !covered(&found).contains(&"spec.rules[1]") && !covered(&found).contains(&"spec.portLevelMtls.9000")
    );
    assert!(
        found
            .items
            .iter()
            .filter(|i| i.tests > 0)
            .all(|i| i.tests == 1 && i.example.ends_with("t.yaml: deletes"))
    );
    let audit = "    - {name: calm, audit: {maxAttempts: 9}}\n";
    let found = report("audit", audit, false);
    for path in ["spec.rules[1]", "spec.portLevelMtls.9000", "spec.http[0].match[1]"] {
        assert!(covered(&found).contains(&path), "{path}: {:?}", covered(&found));
    }
    // Weights are looked at without asking anything.
    assert!(covered(&report("weights", "    - {name: sums, audit: {weightsSum: 100}}\n", false)).is_empty());
}

#[test]
fn scenarios_cover_what_is_there_at_any_time() {
    let dir = Dir(std::env::temp_dir().join(format!("mesh-sim-coverage-later-{}", std::process::id())));
    std::fs::create_dir_all(&dir.0).expect("a directory");
    std::fs::write(dir.0.join("mesh.yaml"), MESH).expect("written");
    let later = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: pay, namespace: shop}\nspec:\n  hosts: [pay]\n  http:\n  - match: [{uri: {prefix: /x}}]\n    route: [{destination: {host: pay, subset: v1}}]\n";
    std::fs::write(dir.0.join("later.yaml"), later).expect("written");
    let file = dir.0.join("s.yaml");
    let text = "apiVersion: mesh-sim.dev/v1alpha1\nkind: Scenario\nmetadata: {name: s}\nspec:\n  duration: 2s\n  mesh: {manifests: [mesh.yaml]}\n  traffic: [{name: t, from: shop/web, request: GET http://pay/x, rate: 5/s}]\n  timeline: {steps: [{at: 1s, apply: [later.yaml]}]}\n  expect: [{never: {flags: UO}}]\n";
    std::fs::write(&file, text).expect("written");
    let report = coverage(&[file], &TestOptions::default(), false);
    let of = |file: &str, path: &str| {
        let mut items = report.items.iter().filter(|i| i.place.contains(file) && i.path == path);
        items.next().map(|i| i.tests)
    };
    assert_eq!(of("mesh.yaml", "spec.http[2]"), Some(1));
    assert_eq!(of("later.yaml", "spec.http[0].match[0]"), Some(1));
    assert_eq!(of("mesh.yaml", "spec.http[0].match[0]"), Some(0));
    // What stays is counted once.
    assert_eq!(of("mesh.yaml", "spec.subsets[0]"), Some(1));
}

#[test]
fn proposals_cover_what_can_be_covered() {
    let before = report("before", FIRST, true);
    let missing: Vec<&CoverageItem> = before.items.iter().filter(|i| i.tests == 0).collect();
    let dead: Vec<&str> =
        missing.iter().filter(|i| i.unreachable.is_some()).map(|i| i.path.as_str()).collect();
    // The second route is covered by the first, no Service leads to `web`, nothing is imported from istio-system.
    let expected = [
        "spec.subsets[1]",
        "spec.http[1].match[0]",
        "spec.http[1].route[0]",
        "spec",
        "spec.egress[0].hosts[1]",
    ];
    assert_eq!(dead, expected);
    let mut cases = FIRST.to_owned();
    for line in missing.iter().filter_map(|i| i.proposal.as_ref()).flat_map(|p| p.lines()) {
        cases.push_str(&format!("    {line}\n"));
    }
    let after = report("after", &cases, true);
    let left: Vec<&str> = after.items.iter().filter(|i| i.tests == 0).map(|i| i.path.as_str()).collect();
    assert_eq!(left, dead);
}
