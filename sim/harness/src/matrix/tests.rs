//! Small meshes: who is asked in which language, who is told apart, and what decides.

use mesh_config::load;
use mesh_config::source::Sources;
use mesh_reports::matrix::{CellVerdict, MatrixReport, Protection};

use super::*;
use crate::loaded::MeshInput;
use crate::stop::Stop;

/// A mesh of some YAML, strangers invited.
pub(super) fn mesh(text: &str) -> LoadedMesh {
    let mut sources = Sources::default();
    let file = load::read_into(
        &mut sources,
        vec![mesh_config::input::InputFile {
            display_name: "m.yaml".to_owned(),
            bytes: text.as_bytes().to_vec(),
        }],
    );
    let mut input = MeshInput::default();
    callers::invite(&mut input);
    let mut problems = file.1;
    problems.extend(load::admission(&file.0));
    let mesh = LoadedMesh::of_objects(sources, file.0, &input, problems);
    let errors: Vec<_> = mesh.diagnostics.iter().filter(|d| d.is_error()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    mesh
}

/// A Deployment and its Service; `port` is `NAME:NUMBER`.
pub(super) fn app(namespace: &str, name: &str, port: &str, template: &str) -> String {
    let (port_name, number) = port.split_once(':').expect("NAME:NUMBER");
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}{template}}}\n    \
         spec:\n      serviceAccountName: {name}\n      containers: [{{name: c, image: i, ports: [{{name: {port_name}, \
         containerPort: {number}}}]}}]\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: \
         {namespace}}}\nspec: {{selector: {{app: {name}}}, ports: [{{name: {port_name}, port: {number}}}]}}\n---\n"
    )
}

/// Sidecar-less.
pub(super) const BARE: &str = ", annotations: {sidecar.istio.io/inject: \"false\"}";

fn ask(text: &str) -> MatrixReport {
    let mesh = mesh(text);
    let questions = questions(&mesh, &MatrixOptions::default());
    answer(&mesh, &questions, 1, &Stop::default())
}

fn said(report: &MatrixReport, caller: &str, target: &str) -> (CellVerdict, String, Protection, String) {
    let cell = report.cell(caller, target).unwrap_or_else(|| panic!("{caller} {target}: {report:#?}"));
    (cell.verdict, cell.answer.clone(), cell.mtls, cell.by.clone())
}

#[test]
fn every_port_is_asked_in_its_own_language() {
    let text = app("a", "web", "http:80", "")
        + &app("a", "db", "tcp-sql:5432", "")
        + &app("a", "vault", "https:8443", "")
        + &app("a", "rpc", "grpc:9000", "")
        + &app("b", "legacy", "http:80", BARE);
    let report = ask(&text);
    for (caller, target, answer, protection) in [
        ("a/web", "db.a.svc.cluster.local:5432", "ok", Protection::Mtls),
        ("a/web", "vault.a.svc.cluster.local:8443", "200", Protection::Mtls),
        ("a/web", "rpc.a.svc.cluster.local:9000", "200", Protection::Mtls),
        ("b/legacy", "web.a.svc.cluster.local:80", "200", Protection::Plain),
        ("a/web", "legacy.b.svc.cluster.local:80", "200", Protection::Plain),
        ("stranger", "web.a.svc.cluster.local:80", "200", Protection::Mtls),
    ] {
        let (verdict, got, mtls, by) = said(&report, caller, target);
        assert_eq!(
            (verdict, got.as_str(), mtls),
            (CellVerdict::Allowed, answer, protection),
            "{caller} {target}"
        );
        assert_eq!(by, "", "nothing but the defaults decides");
    }
    let totals = report.totals();
    assert_eq!((totals.cells, totals.unknown), (7 * 5, 0));
}

#[test]
fn the_deciding_policy_is_named_at_its_rule() {
    let text = app("a", "web", "http:80", "")
        + &app("a", "db", "tcp-sql:5432", "")
        + &app("b", "legacy", "http:80", BARE)
        + "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: db, namespace: a}\nspec:\n  \
           selector: {matchLabels: {app: db}}\n  rules:\n  - from: [{source: {principals: [cluster.local/ns/x/sa/x]}}]\n  \
           - from: [{source: {principals: [cluster.local/ns/a/sa/web]}}]\n---\n\
           apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: strict, namespace: a}\nspec: {mtls: {mode: STRICT}}\n";
    let report = ask(&text);
    let db = "db.a.svc.cluster.local:5432";
    let cell = report.cell("a/web", db).expect("cell");
    assert_eq!(cell.by, "AuthorizationPolicy/a/db");
    let line = text.lines().position(|l| l.contains("ns/a/sa/web")).expect("line") + 1;
    assert!(cell.place.starts_with(&format!("m.yaml:{line}:")), "{}", cell.place);
    let denied = report.cell("a/db", db).expect("cell");
    assert_eq!((denied.verdict, denied.answer.as_str()), (CellVerdict::Denied, "closed"));
    let (verdict, answer, _, by) = said(&report, "b/legacy", "web.a.svc.cluster.local:80");
    assert_eq!(
        (verdict, answer.as_str(), by.as_str()),
        (CellVerdict::Denied, "reset", "PeerAuthentication/a/strict")
    );
}

#[test]
fn what_is_not_modelled_is_a_value_of_its_own() {
    let text = app("a", "web", "http:80", "")
        + &app("a", "api", "http:80", "")
        + "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: lua, namespace: a}\nspec:\n  \
           workloadSelector: {labels: {app: api}}\n  configPatches:\n  - {applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: INSERT_FIRST, value: {name: lua}}}\n";
    let report = ask(&text);
    let cell = report.cell("a/web", "api.a.svc.cluster.local:80").expect("cell");
    assert_eq!((cell.verdict, cell.answer.as_str()), (CellVerdict::Unknown, "?"));
    assert!(cell.place.starts_with("m.yaml:"), "{cell:?}");
    let cell = report.cell("a/web", "web.a.svc.cluster.local:80").expect("cell");
    assert_eq!(cell.verdict, CellVerdict::Allowed, "{cell:?}");
}

#[test]
fn gateways_ask_what_their_routes_match() {
    let text = app("a", "web", "http:80", "")
        + &app("a", "api", "http:80", "")
        + "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: a}\nspec:\n  \
           selector: {istio: ingressgateway}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com']}]\n---\n\
           apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop, namespace: a}\nspec:\n  \
           hosts: [shop.example.com]\n  gateways: [edge]\n  http:\n  - match: [{uri: {prefix: /api}, headers: {x-beta: {}}}]\n    \
           route: [{destination: {host: api}}]\n  - route: [{destination: {host: web}}]\n";
    let report = ask(&text);
    let gateway = "gateway:istio-system/istio-ingressgateway";
    let cell = report.cell(gateway, "api.a.svc.cluster.local:80").expect("cell");
    assert_eq!(
        (cell.verdict, cell.request.as_str()),
        (CellVerdict::Allowed, "GET http://shop.example.com:80/api")
    );
    let cell = report.cell(gateway, "web.a.svc.cluster.local:80").expect("cell");
    assert_eq!((cell.verdict, cell.mtls), (CellVerdict::Allowed, Protection::Mtls));
}

#[test]
fn callers_are_told_apart_by_what_rules_look_at() {
    let mut text = app("a", "web", "http:80", "") + &app("a", "api", "http:80", "");
    let classes = |text: &str| {
        let all = callers::callers(&mesh(text));
        all.iter().map(|c| c.class.clone()).collect::<BTreeSet<_>>().len()
    };
    assert_eq!(classes(&text), 4, "two identities and two strangers");
    text = text.replace("serviceAccountName: web", "serviceAccountName: api");
    assert_eq!(classes(&text), 3, "labels that nobody looks at do not matter");
    text += "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: a}\nspec:\n  \
             hosts: [api]\n  http:\n  - match: [{sourceLabels: {app: web}}]\n    route: [{destination: {host: web}}]\n  \
             - route: [{destination: {host: api}}]\n";
    assert_eq!(classes(&text), 4);
}

#[test]
fn threads_do_not_change_the_answer() {
    let text = app("a", "web", "http:80", "") + &app("a", "api", "http:80", "");
    let mesh = mesh(&text);
    let questions = questions(&mesh, &MatrixOptions::default());
    let asked = |threads| answer(&mesh, &questions, threads, &Stop::default());
    assert_eq!(asked(1), asked(4));
}

#[test]
fn patterns_choose_callers_and_services() {
    let text = app("a", "web", "http:80", "") + &app("b", "api", "http:80", "");
    let mesh = mesh(&text);
    let of = |from: &str, to: &str| {
        let options =
            MatrixOptions { from: vec![from.into()], to: vec![to.into()], ..MatrixOptions::default() };
        questions(&mesh, &options).len()
    };
    assert_eq!((of("a/*", "b/*"), of("*", "api.b:80"), of("a/web", "*"), of("nobody", "*")), (1, 4, 2, 0));
}
