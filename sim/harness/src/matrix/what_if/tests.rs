//! Who breaks under STRICT and default-deny, and that what is offered is enough, minimal and clean.

use mesh_reports::matrix::{Cause, WhatIfReport};

use super::super::tests::{BARE, app, mesh};
use super::*;
use crate::lint::lint;
use crate::loaded::MeshInput;
use crate::stop::Stop;

fn ask(text: &str, what: &str) -> WhatIfReport {
    let mesh = mesh(text);
    let what = WhatIf::parse(what).expect("words");
    let report = what_if(&mesh, &MatrixOptions::default(), &what).expect("a change");
    holds(text, &report);
    report
}

/// What is printed, applied to the manifests as written, lets everybody through whom an exemption was offered, and lint
/// has nothing to say about it.
fn holds(text: &str, report: &WhatIfReport) {
    let before = mesh(text);
    let asked = questions(&before, &MatrixOptions::default());
    let today = answer(&before, &asked, 1, &Stop::default());
    let mut documents: Vec<&str> = report.applied.iter().map(|m| m.yaml.as_str()).collect();
    documents.extend(report.exemptions.iter().map(|e| e.manifest.yaml.as_str()));
    let with = format!("{text}---\n{}", documents.join("---\n"));
    let (sources, objects, _) = {
        let mut sources = mesh_config::source::Sources::default();
        let file =
            mesh_config::input::InputFile { display_name: "m".into(), bytes: with.clone().into_bytes() };
        let (objects, problems) = mesh_config::load::read_into(&mut sources, vec![file]);
        (sources, objects, problems)
    };
    let own_bytes = text.len() as u32;
    let written = {
        let mut sources = mesh_config::source::Sources::default();
        let file =
            mesh_config::input::InputFile { display_name: "m".into(), bytes: text.as_bytes().to_vec() };
        let (objects, _) = mesh_config::load::read_into(&mut sources, vec![file]);
        lint(sources, objects, Vec::new(), &MeshInput::default()).1
    };
    let (_, found) = lint(sources, objects, Vec::new(), &MeshInput::default());
    let said: Vec<_> = found
        .iter()
        .filter(|d| d.severity != mesh_config::diagnostic::Severity::Info)
        // What is wrong with a policy of the manifests stays wrong in the changed one.
        .filter(|d| !written.iter().any(|w| w.code == d.code && w.object == d.object))
        .filter(|d| d.span().start >= own_bytes && d.code != mesh_config::diagnostic::codes::DUPLICATE_OBJECT)
        .collect();
    assert!(said.is_empty(), "lint of what is offered: {said:#?}");
    let exempted = answer(&mesh(&with), &asked, 1, &Stop::default());
    for broken in report.broken.iter().filter(|b| !b.exemptions.is_empty()) {
        let of = |r: &MatrixReport| r.cell(&broken.caller, &broken.target).map(|c| c.verdict);
        assert_eq!(of(&exempted), of(&today), "{} -> {}", broken.caller, broken.target);
    }
}

fn lines(report: &WhatIfReport) -> Vec<String> {
    let text = |b: &Broken| {
        let target = b.target.split('.').next().unwrap_or_default();
        format!("{} {target} {}/{} {:?}", b.caller, b.before, b.after, b.cause)
    };
    report.broken.iter().map(text).collect()
}

const STRICT_OFF: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web-plain, namespace: a}\nspec:\n  \
     host: web\n  trafficPolicy:\n    tls: {mode: DISABLE}\n    connectionPool: {tcp: {maxConnections: 7}}\n---\n";

#[test]
fn plaintext_clients_break_and_one_port_stays_open_for_them() {
    let text = app("a", "web", "http:80", "")
        + &app("a", "api", "http:80", "")
        + &app("b", "legacy", "http:80", BARE);
    let report = ask(&text, "strict=ns/a");
    assert_eq!(lines(&report), ["b/legacy api 200/reset NoSidecar", "b/legacy web 200/reset NoSidecar"]);
    assert_eq!(report.shut_out.len(), 2, "the stranger without sidecar");
    assert!(
        report.applied[0].yaml.contains("mode: STRICT")
            && report.applied[0].object == "PeerAuthentication/a/default"
    );
    assert_eq!(report.exemptions.len(), 2, "no label is common to both and to nobody else");
    let offered = &report.exemptions[0];
    assert!(
        offered.manifest.yaml.contains("portLevelMtls:\n    '80':\n      mode: PERMISSIVE"),
        "{}",
        offered.manifest.yaml
    );
    assert_eq!(offered.also_admits, ["stranger-no-sidecar -> api.a.svc.cluster.local:80"]);
    assert!(report.failed(false));
}

#[test]
fn a_destination_rule_is_put_right_rather_than_exempted_from() {
    let text = app("a", "web", "http:80", "") + &app("a", "api", "http:80", "") + STRICT_OFF;
    let report = ask(&text, "strict");
    let found = lines(&report);
    assert_eq!(found, ["a/api web 200/503 UC DestinationRule", "a/web web 200/503 UC DestinationRule"]);
    assert_eq!(
        (report.broken[0].by.as_str(), report.broken[0].place.starts_with("m.yaml:")),
        ("DestinationRule/a/web-plain", true)
    );
    assert_eq!(report.exemptions.len(), 1);
    let offered = &report.exemptions[0];
    assert!(
        offered.manifest.replaces.is_some()
            && offered.also_admits == ["stranger -> web.a.svc.cluster.local:80"],
        "{offered:#?}"
    );
    assert!(!offered.manifest.yaml.contains("tls") && offered.manifest.yaml.contains("maxConnections: 7"));
}

#[test]
fn a_port_entry_without_tls_hides_no_block_above_it() {
    let entry =
        "    portLevelSettings: [{port: {number: 80}, connectionPool: {tcp: {maxConnections: 9}}}]\n---\n";
    let text = app("a", "web", "http:80", "")
        + &app("b", "api", "http:80", "")
        + &STRICT_OFF.replace("---\n", entry);
    let report = ask(&text, "strict");
    assert!(
        lines(&report).contains(&"b/api web 200/503 UC DestinationRule".to_owned()),
        "{:?}",
        lines(&report)
    );
    assert!(report.broken.iter().all(|b| b.exemptions == [1]), "{:#?}", report.exemptions);
}

#[test]
fn a_workload_policy_is_changed_because_a_second_one_would_not_count() {
    let text = app("a", "web", "http:80", "")
        + &app("b", "legacy", "http:80", BARE)
        + "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: own, namespace: a}\nspec:\n  \
           selector: {matchLabels: {app: web}}\n  portLevelMtls: {\"9090\": {mode: DISABLE}}\n";
    let report = ask(&text, "strict=a/web");
    assert_eq!(report.applied[0].object, "PeerAuthentication/a/own");
    let offered = &report.exemptions[0].manifest;
    assert_eq!(offered.object, "PeerAuthentication/a/own");
    for part in ["'80':\n      mode: PERMISSIVE", "'9090':\n      mode: DISABLE", "mode: STRICT"] {
        assert!(offered.yaml.contains(part), "{part} in\n{}", offered.yaml);
    }
}

#[test]
fn namespace_disable_makes_clients_send_plaintext_to_a_strict_workload() {
    let text = app("a", "web", "http:80", "")
        + &app("b", "api", "http:80", "")
        + "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: disabled, namespace: a}\nspec: {mtls: {mode: DISABLE}}\n";
    let report = ask(&text, "strict=a/web");
    assert!(
        lines(&report).contains(&"b/api web 200/503 UC PeerAuthentication".to_owned()),
        "{:?}",
        lines(&report)
    );
    assert_eq!(report.broken[0].by, "PeerAuthentication/a/disabled");
}

#[test]
fn default_deny_admits_exactly_the_callers_of_today() {
    let text = app("a", "web", "http:80", "")
        + &app("a", "db", "tcp-sql:5432", "")
        + &app("b", "job", "http:80", "");
    let report = ask(&text, "default-deny=ns/a");
    assert_eq!(report.broken.len(), 6, "{:?}", lines(&report));
    assert!(report.broken.iter().all(|b| b.cause == Cause::NotAllowed && !b.exemptions.is_empty()));
    assert_eq!(report.exemptions.len(), 2);
    assert!(report.exemptions.iter().all(|e| e.also_admits.is_empty()), "{:#?}", report.exemptions);
    let db = report.exemptions.iter().find(|e| e.manifest.yaml.contains("app: db")).expect("db");
    for part in ["- cluster.local/ns/b/sa/job", "- '5432'", "action: ALLOW"] {
        assert!(db.manifest.yaml.contains(part), "{part} in\n{}", db.manifest.yaml);
    }
}

#[test]
fn the_gateway_needs_a_policy_of_its_own_under_a_mesh_wide_deny() {
    let text = app("a", "web", "http:80", "")
        + "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: a}\nspec:\n  \
           selector: {istio: ingressgateway}\n  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]\n---\n\
           apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: shop, namespace: a}\nspec:\n  \
           hosts: [shop.example.com]\n  gateways: [edge]\n  http: [{route: [{destination: {host: web}}]}]\n";
    let report = ask(&text, "default-deny");
    let outside = report.broken.iter().find(|b| b.caller.starts_with("gateway:")).expect("gateway");
    assert_eq!((outside.cause, outside.exemptions.len()), (Cause::AtTheGateway, 2), "{outside:#?}");
    let report = ask(&text, "default-deny=a/web");
    let outside = report.broken.iter().find(|b| b.caller.starts_with("gateway:")).expect("gateway");
    assert_eq!((outside.cause, outside.exemptions.len()), (Cause::NotAllowed, 1), "{outside:#?}");
}

#[test]
fn probes_break_only_where_istio_does_not_rewrite_them() {
    let web = app("a", "web", "http:80", "").replace(
        "ports: [{name: http, containerPort: 80}]",
        "ports: [{name: http, containerPort: 80}], livenessProbe: {httpGet: {path: /healthz, port: http}}",
    );
    assert!(web.contains("livenessProbe"));
    assert!(ask(&web, "strict").broken.is_empty());
    let own = web.replace(
        "metadata: {labels: {app: web}}",
        "metadata: {labels: {app: web}, annotations: {sidecar.istio.io/rewriteAppHTTPProbers: \"false\"}}",
    );
    assert!(own.contains("rewriteAppHTTPProbers"), "{own}");
    let report = ask(&own, "strict");
    assert_eq!(report.broken.len(), 1, "{:?}", lines(&report));
    let probe = &report.broken[0];
    assert_eq!((probe.caller.as_str(), probe.cause, probe.exemptions.len()), ("kubelet", Cause::Probe, 1));
    assert!(probe.target.contains("(probe /healthz):80"), "{}", probe.target);
}

#[test]
fn what_nobody_would_notice_is_no_break() {
    let strict = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec: {mtls: {mode: STRICT}}\n";
    let text = app("a", "web", "http:80", "") + &app("a", "api", "http:80", "") + strict;
    let report = ask(&text, "strict");
    assert_eq!((report.broken.len(), report.shut_out.len(), report.failed(true)), (0, 0, false));
    let open = text.replace("STRICT", "PERMISSIVE");
    let report = ask(&open, "strict");
    assert_eq!((report.broken.len(), report.shut_out.len()), (0, 2), "sidecars speak mutual TLS already");
    assert!(report.applied[0].replaces.is_some());
}

#[test]
fn words_that_are_no_change_are_told() {
    for (text, part) in [
        ("loose", "strict or default-deny"),
        ("strict=everything", "mesh, ns/NAMESPACE or NAMESPACE/WORKLOAD"),
        ("strict=ns/", "mesh, ns/NAMESPACE"),
    ] {
        let error = WhatIf::parse(text).expect_err(text);
        assert!(error.contains(part), "{error}");
    }
    let mesh = mesh(&app("a", "web", "http:80", ""));
    for (text, part) in
        [("strict=a/wbe", "did you mean `a/web`"), ("default-deny=ns/none", "no pod is in namespace")]
    {
        let what = WhatIf::parse(text).expect(text);
        let error = what_if(&mesh, &MatrixOptions::default(), &what).expect_err(text);
        assert!(error.contains(part), "{error}");
    }
}
