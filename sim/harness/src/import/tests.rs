//! Who asks, and what stands in.

use mesh_config::input::InputFile;

use super::{Format, Order, import};

fn file(name: &str, text: &str) -> InputFile {
    InputFile { display_name: name.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn imported(manifests: &str, host: &str) -> String {
    let tests = format!(
        "testCases:\n- {{description: t, wantMatch: true, request: {{authority: [{host}], method: [GET], uri: [/]}}, route: []}}\n"
    );
    let made = import(&Order {
        format: Format::Icv,
        tests: vec![file("t.yaml", &tests)],
        manifests: vec![file("m.yaml", manifests)],
        spelled: vec!["m.yaml".to_owned()],
        config: None,
        from: None,
        name: "t".to_owned(),
    });
    assert_eq!(made.cases, 1, "{:?}", made.diagnostics);
    made.text
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: api, namespace: a}\nspec: {ports: [{name: http, port: 8080}], selector: {app: api}}\n---\n";

fn virtual_service(spec: &str) -> String {
    format!(
        "{SERVICE}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: a}}\nspec: {spec}\n---\n"
    )
}

#[test]
fn the_virtual_service_says_who_asks_and_at_which_port() {
    let inside =
        imported(&virtual_service("{hosts: [api], http: [{route: [{destination: {host: api}}]}]}"), "api");
    assert!(inside.contains("namespace: a\n        sidecar: true"), "{inside}");
    assert!(inside.contains("url: http://api:8080/") && inside.contains("host: api\n"), "{inside}");
    let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: a}\nspec: {selector: {istio: ingressgateway}, servers: [{port: {number: 8443, name: https, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: c}, hosts: ['*.example']}]}\n";
    let bound =
        virtual_service("{hosts: [x.example], gateways: [g], http: [{route: [{destination: {host: api}}]}]}");
    let outside = imported(&format!("{bound}{gateway}"), "x.example");
    assert!(outside.contains("gateway: istio-system/istio-ingressgateway"), "{outside}");
    assert!(outside.contains("url: https://x.example:8443/"), "{outside}");
    let nobody = imported(SERVICE, "elsewhere.example");
    assert!(nobody.contains("namespace: default\n        sidecar: true"), "{nobody}");
}

#[test]
fn only_what_is_missing_altogether_is_made() {
    let there = imported(
        &virtual_service(
            "{hosts: [api], http: [{route: [{destination: {host: api, subset: v9, port: {number: 1}}}]}]}",
        ),
        "api",
    );
    // The service has no pod; the subset and the port it lacks stay missing.
    assert!(there.contains("kind: Deployment") && !there.contains("kind: Service\n"), "{there}");
    assert!(!there.contains("kind: DestinationRule"), "{there}");
    let gone = imported(
        &virtual_service(
            "{hosts: [x], http: [{route: [{destination: {host: b.other.example}}, {destination: {host: web, subset: v2}}]}]}",
        ),
        "x",
    );
    for made in ["kind: ServiceEntry", "- b.other.example", "kind: DestinationRule", "name: web-v2"] {
        assert!(gone.contains(made), "no `{made}` in {gone}");
    }
}
