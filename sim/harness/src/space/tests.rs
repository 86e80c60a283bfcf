//! Tests of the partition, on the recorded meshes and on small ones.

use std::path::Path;

use mesh_config::source::Sources;

use super::*;
use crate::format::mesh::MeshWords;
use crate::loaded::MeshInput;

fn mesh(manifests: &[&str]) -> LoadedMesh {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let words =
        MeshWords { manifests: manifests.iter().map(|m| (*m).to_owned()).collect(), ..MeshWords::default() };
    let input = MeshInput { words, ..MeshInput::default() };
    let mesh = LoadedMesh::load(Sources::default(), &input, &root);
    assert!(!mesh.has_errors(), "{:?}", mesh.diagnostics);
    mesh
}

fn one(manifests: &[&str], scope: &Scope) -> (LoadedMesh, Space) {
    let mesh = populated(&mesh(manifests));
    let space = Space::of(&[&mesh], scope);
    (mesh, space)
}

#[test]
fn headers_that_routes_name_make_classes() {
    let scope = Scope { from: WorkloadRef::parse("default/productpage-v1"), ..Scope::default() };
    let (mesh, space) = one(
        &[
            "scenarios/meshes/bookinfo/app.yaml",
            "scenarios/meshes/bookinfo/destination-rule-all.yaml",
            "scenarios/meshes/bookinfo/reviews-jason-v2-else-v1.yaml",
        ],
        &scope,
    );
    let reviews: Vec<&str> =
        space.classes.iter().map(|c| c.key.as_str()).filter(|k| k.contains("//reviews.")).collect();
    assert_eq!(
        reviews,
        [
            "GET http://reviews.default.svc.cluster.local:9080/ end-user=jason from default/productpage-v1",
            "GET http://reviews.default.svc.cluster.local:9080/ from default/productpage-v1",
        ]
    );
    assert!(space.limits.is_empty(), "{:?}", space.limits);
    for class in &space.classes {
        assert!(outcomes(&mesh, class).is_ok(), "{}", class.key);
    }
}

/// Two pods, `a/web` and `b/db`, and whatever rules follow.
const SMALL: &str = "\
apiVersion: v1
kind: Service
metadata: {name: db, namespace: b}
spec: {selector: {app: db}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: b}
spec: {selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, ports: [{containerPort: 80, name: http}]}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: a}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
";

fn small(rules: &str) -> (LoadedMesh, Space) {
    let scope = Scope { to: WorkloadRef::parse("b/db"), ..Scope::default() };
    let mut sources = Sources::default();
    let text = format!("{SMALL}---\n{rules}");
    let file = sources.add("small.yaml".to_owned(), text.clone());
    let (objects, diagnostics) = mesh_config::load::read_text(file, &text);
    let mesh = LoadedMesh::of_objects(sources, objects, &MeshInput::default(), diagnostics);
    assert!(!mesh.has_errors(), "{:?}", mesh.diagnostics);
    let mesh = populated(&mesh);
    let space = Space::of(&[&mesh], &scope);
    (mesh, space)
}

fn keys<'a>(space: &'a Space, from: &str) -> Vec<&'a str> {
    let end = format!(" from {from}");
    space.classes.iter().filter_map(|c| c.key.strip_suffix(end.as_str())).collect()
}

#[test]
fn policies_make_callers_paths_methods_and_hosts() {
    let (mesh, space) = small(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: b}
spec:
  rules:
  - from: [{source: {principals: [cluster.local/ns/c/sa/boss]}}]
    to: [{operation: {paths: [/admin*], methods: [POST]}}]
  - from: [{source: {ipBlocks: [10.9.0.0/16]}}]
    to: [{operation: {hosts: [db.b]}}]
",
    );
    assert!(space.limits.is_empty(), "{:?}", space.limits);
    let callers: BTreeSet<String> = space.classes.iter().map(|c| c.client.reference()).collect();
    for caller in ["a/web", "pod+sidecar:c/boss", "pod:mesh-sim-elsewhere/default{ip=10.9.0.1}"] {
        assert!(callers.contains(caller), "no {caller} in {callers:?}");
    }
    let web = keys(&space, "a/web");
    let db = "http://db.b.svc.cluster.local";
    for key in [
        format!("GET {db}/"),
        format!("POST {db}/admin"),
        format!("GET {db}/ host=db.b"),
        format!("POST {db}/admin host=db.b"),
    ] {
        assert!(web.contains(&key.as_str()), "no {key} in {web:#?}");
    }
    // `db` alone is no name of the service in another namespace: a third host.
    assert_eq!(web.len(), 12, "{web:#?}");
    let allowed = |from: &str| {
        let of = |c: &Class| outcomes(&mesh, c).map(|all| all.iter().all(|p| p.outcome.status == Some(200)));
        space.classes.iter().filter(|c| c.client.reference() == from).filter(|c| of(c) == Ok(true)).count()
    };
    assert_eq!(allowed("a/web"), 0);
    assert_eq!(allowed("pod+sidecar:c/boss"), 2);
    assert_eq!(allowed("pod:mesh-sim-elsewhere/default{ip=10.9.0.1}"), 4);
}

#[test]
fn rewrites_are_looked_through() {
    let (mesh, space) = small(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: db, namespace: b}
spec:
  hosts: [db]
  http:
  - match: [{uri: {prefix: /api/}}]
    rewrite: {uri: /}
    route: [{destination: {host: db}}]
  - route: [{destination: {host: db}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: b}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}
",
    );
    let denied: Vec<&str> = space
        .classes
        .iter()
        .filter(|c| c.client.reference() == "a/web")
        .filter(|c| outcomes(&mesh, c).is_ok_and(|all| all.iter().all(|p| p.outcome.status == Some(403))))
        .map(|c| c.request.words.url.as_deref().unwrap_or(""))
        .collect();
    let db = "http://db.b.svc.cluster.local";
    assert_eq!(denied, [format!("{db}/admin"), format!("{db}/api/admin")]);
}

#[test]
fn tokens_and_claims_make_classes() {
    let (mesh, space) = small(
        "apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: r, namespace: b}
spec: {jwtRules: [{issuer: https://idp, jwks: '{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k7\",\"alg\":\"RS256\",\"n\":\"mk0f\",\"e\":\"AQAB\"}]}'}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: b}
spec: {rules: [{from: [{source: {requestPrincipals: ['https://idp/*']}}], when: [{key: 'request.auth.claims[role]', values: [admin]}]}]}
",
    );
    assert!(space.limits.is_empty(), "{:?}", space.limits);
    let web: Vec<(&str, Option<u16>)> = space
        .classes
        .iter()
        .filter(|c| c.client.reference() == "a/web")
        .map(|c| (c.key.as_str(), outcomes(&mesh, c).ok().and_then(|o| o.first()?.outcome.status)))
        .collect();
    let with = |status: u16| web.iter().filter(|(_, s)| *s == Some(status)).count();
    let admins: Vec<&str> = web.iter().filter(|(_, s)| *s == Some(200)).map(|(k, _)| *k).collect();
    assert!(!admins.is_empty() && admins.iter().all(|k| k.contains("\"role\":\"admin\"")), "{web:#?}");
    assert!(with(401) >= 2 && with(403) >= 2, "{web:#?}");
}

fn dead(rules: &str) -> Vec<(&'static str, String, usize)> {
    let (mesh, _) = small(rules);
    let mut all: Vec<(&'static str, String, usize)> = shadows(&mesh)
        .iter()
        .map(|d| {
            (
                d.code.0,
                mesh.sources.text(d.span().file)[d.span().start as usize..].chars().take(24).collect(),
                d.labels.len(),
            )
        })
        .collect();
    all.sort();
    all
}

#[test]
fn dead_routes_are_found_with_what_takes_their_requests() {
    let route = "route: [{destination: {host: db}}]";
    let found = dead(&format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: db, namespace: b}}
spec:
  hosts: [db]
  http:
  - match: [{{uri: {{prefix: /a}}, headers: {{h: {{exact: one}}}}}}]
    {route}
  - match: [{{uri: {{prefix: /a}}, withoutHeaders: {{h: {{exact: one}}}}}}]
    {route}
  - match: [{{uri: {{exact: /a/c}}, method: {{exact: GET}}}}]
    {route}
  - match: [{{uri: {{exact: nowhere}}}}]
    {route}
  - match: [{{queryParams: {{e: {{exact: ''}}}}}}]
    {route}
  - {route}
"
    ));
    let codes: Vec<(&str, usize)> = found.iter().map(|(code, _, labels)| (*code, *labels)).collect();
    // `/a/c` is taken by the first two together; `nowhere` begins with no slash.
    assert_eq!(codes, [("MS0301", 3), ("MS0302", 1)], "{found:?}");
    assert!(found[0].1.contains("/a/c") && found[1].1.contains("nowhere"), "{found:?}");
}

#[test]
fn dead_rules_are_found_with_what_covers_them() {
    let found = dead(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow, namespace: b}
spec:
  rules:
  - to: [{operation: {methods: [GET]}}]
  - to: [{operation: {methods: [GET], paths: [/x*]}}]
  - to: [{operation: {methods: [POST], paths: [/secret]}}]
  - from: [{source: {principals: [a/web]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: b}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/secret]}}]}]}
",
    );
    let codes: Vec<&str> = found.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, ["MS0303", "MS0303", "MS0304"], "{found:?}");
    let nothing = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: none, namespace: b}\nspec: {}\n";
    assert_eq!(dead(nothing), [], "a policy without rules is meant so");
    assert!(found.iter().any(|(c, text, _)| *c == "MS0304" && text.contains("from")), "{found:?}");
}
