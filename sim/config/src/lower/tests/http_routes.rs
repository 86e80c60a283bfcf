//! HTTPRoutes of services: whose calls they route, in which order, and what an error in a rule does (semantics:
//! istio-networking 8).

use super::*;

const WEB: &str = "web.default.svc.cluster.local:80";

/// An HTTPRoute for Service `default/web`.
fn http_route(namespace: &str, name: &str, rules: &str) -> String {
    format!(
        "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{parentRefs: [{{group: '', kind: Service, name: web, namespace: default}}], rules: [{rules}]}}\n"
    )
}

fn to(service: &str) -> String {
    format!("backendRefs: [{{name: {service}, namespace: default, port: 80}}]")
}

fn mesh(more: &str) -> String {
    service("default", "web", "http:80") + &service("default", "next", "http:80") + more
}

fn web(more: &str) -> Vec<String> {
    routes_of(&client(&mesh(more)), "80", WEB)
}

#[test]
fn rules_are_sorted_by_how_precise_they_are() {
    let rules = format!(
        "{{matches: [{{path: {{value: /a}}}}, {{path: {{type: Exact, value: /a}}}}], {}}}, \
         {{matches: [{{path: {{value: /a/longer/}}}}], {}}}, {{{}}}",
        to("next"),
        to("web"),
        to("next")
    );
    let found = web(&http_route("default", "r", &rules));
    let paths: Vec<&str> = found.iter().filter_map(|r| r.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/a", "/a/longer/*", "/a/*", "/*"], "{found:?}");
    assert!(found[1].ends_with("outbound|80||web.default.svc.cluster.local"), "{found:?}");
    assert!(found[0].starts_with("default.r.0 "), "unnamed rules are called after their place: {found:?}");
}

#[test]
fn routes_count_in_the_namespaces_of_the_service_and_of_the_caller() {
    let elsewhere = http_route("prod", "consumer", &format!("{{{}}}", to("next")));
    assert_eq!(web(&elsewhere).len(), 1);
    assert!(web(&elsewhere)[0].ends_with("||web.default.svc.cluster.local"), "a third namespace");
    let both = elsewhere + &http_route("default", "producer", &format!("{{{}}}", to("web")));
    let caller = format!("{}{}", mesh(&both), service("prod", "caller", "http:80"));
    let snapshot = of(&lowered(&caller, ""), "prod/caller-0");
    let found = routes_of(&snapshot, "80", WEB);
    assert!(found[0].ends_with("||next.default.svc.cluster.local"), "the caller's own goes first: {found:?}");
}

#[test]
fn routes_of_one_namespace_for_one_service_are_one_list() {
    let one =
        http_route("default", "one", &format!("{{matches: [{{path: {{value: /x}}}}], {}}}", to("next")));
    let two =
        http_route("default", "two", &format!("{{matches: [{{path: {{value: /xy}}}}], {}}}", to("next")));
    let found = web(&(one + &two));
    let paths: Vec<&str> = found.iter().filter_map(|r| r.split(' ').nth(1)).collect();
    assert_eq!(paths, ["/xy/*", "/x/*"], "{found:?}");
}

#[test]
fn a_rule_without_backends_answers_500_and_an_error_drops_all_rules() {
    let nobody = client(&mesh(&http_route("default", "r", "{matches: [{path: {value: /x}}]}")));
    let host = &configuration(&nobody, "80").virtual_hosts;
    let host = host.iter().find(|v| v.name.as_ref() == WEB).expect("host");
    assert!(
        matches!(&host.routes[0].action, RouteAction::DirectResponse(answer) if answer.status == 500),
        "{:?}",
        host.routes[0].action
    );
    let broken = format!("{{{}}}, {{filters: [{{type: ExtensionRef}}], {}}}", to("next"), to("next"));
    assert!(web(&http_route("default", "r", &broken))[0].ends_with("||web.default.svc.cluster.local"));
}

#[test]
fn a_port_of_the_parent_narrows_the_route_to_it() {
    let route = http_route("default", "r", &format!("{{{}}}", to("next")))
        .replace("name: web,", "name: web, port: 81,");
    assert!(web(&route)[0].ends_with("||web.default.svc.cluster.local"));
}

#[test]
fn backends_that_are_no_services_are_not_simulated() {
    let pool = "{backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: p}]}";
    let snapshot = client(&mesh(&http_route("default", "r", pool)));
    let host = configuration(&snapshot, "80").virtual_hosts.iter().find(|v| v.name.as_ref() == WEB);
    assert!(host.expect("host").routes.iter().all(|route| !route.taints.is_empty()));
}
