//! `mesh-sim import`: tests of istio-config-validator and of router_check_tool, run as they are and taken over.

use std::path::Path;

use crate::place::Place;

const ROUTES: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: web}
spec:
  hosts: [www.shop.example, shop.example]
  http:
    - match: [{uri: {prefix: /old}}]
      redirect: {uri: /, authority: shop.example, redirectCode: 302}
    - match: [{uri: {prefix: /cart}, method: {regex: GET|POST}}]
      rewrite: {uri: /v2/cart}
      headers: {request: {set: {x-team: cart}}}
      route:
        - {destination: {host: cart.cart.svc.cluster.local, port: {number: 8000}, subset: v1}, weight: 80}
        - {destination: {host: cart.cart.svc.cluster.local, port: {number: 8000}, subset: v2}, weight: 20}
    - match: [{uri: {prefix: /partner}}]
      delegate: {name: partner, namespace: partners}
    - match: [{headers: {x-class: {exact: bot}}}]
      fault: {abort: {httpStatus: 403, percentage: {value: 100}}}
      route: [{destination: {host: site.web.svc.cluster.local}}]
    - route: [{destination: {host: site}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: partner, namespace: partners}
spec:
  http:
    - match: [{uri: {prefix: /partner/api}}]
      route: [{destination: {host: api.partners.svc.cluster.local}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: web}
spec:
  hosts: [edge.example]
  gateways: [istio-system/public]
  http: [{match: [{uri: {exact: /in}}], route: [{destination: {host: site}}]}]
";

const ICV: &str = "
testCases:
  - description: carts are rewritten and split
    wantMatch: true
    request: {authority: [www.shop.example, shop.example], method: [GET, POST], uri: [/cart, /cart/1], headers: {x-a: b}}
    rewrite: {uri: /v2/cart}
    headers: {request: {set: {x-team: cart}}}
    route:
      - {destination: {host: cart.cart.svc.cluster.local, port: {number: 8000}, subset: v2}, weight: 20}
      - {destination: {host: cart.cart.svc.cluster.local, port: {number: 8000}, subset: v1}, weight: 80}
  - description: carts are not deleted
    wantMatch: false
    request: {authority: [shop.example], method: [DELETE], uri: [/cart]}
    route: [{destination: {host: cart.cart.svc.cluster.local, subset: v1}}, {destination: {host: cart.cart.svc.cluster.local, subset: v2}}]
  - description: the old pages move
    wantMatch: true
    request: {authority: [shop.example], method: [GET], uri: [/old]}
    redirect: {uri: /, authority: shop.example}
---
testCases:
  - description: partners
    wantMatch: true
    request: {authority: [shop.example], method: [GET], uri: [/partner/api/x]}
    delegate: {name: partner, namespace: partners}
    route: [{destination: {host: api.partners.svc.cluster.local}}]
  - description: bots
    wantMatch: true
    request: {authority: [shop.example], method: [GET], uri: [/], headers: {x-class: bot}}
    fault: {abort: {httpStatus: 403, percentage: {value: 100}}}
  - description: from outside
    wantMatch: true
    request: {authority: [edge.example], method: [GET], uri: [/in]}
    route: [{destination: {host: site}}]
";

#[test]
fn tests_of_istio_config_validator_run_as_they_are() {
    let place = Place::new("import-icv", &[("k8s/routes.yaml", ROUTES), ("icv.yaml", ICV)]);
    let (code, out, err) = place.run(&["import", "icv", "icv.yaml", "-f", "k8s", "--judge"]);
    assert_eq!(
        (code, out.lines().last()),
        (Some(0), Some("1 files · 13 passed · 0 failed · 0 unknown · 0 skipped")),
        "{out}{err}"
    );
    for stand_in in
        ["Service/cart/cart", "Service/partners/api", "Service/web/site", "Gateway/istio-system/public"]
    {
        assert!(err.contains(&format!("{stand_in} is not among the manifests")), "{stand_in}: {err}");
    }
    // Taken over, the document says the same.
    let (code, _, err) =
        place.run(&["import", "icv", "icv.yaml", "-f", "k8s", "-q", "--write", "policies/p.yaml"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, _) = place.run(&["test", "policies"]);
    assert!(code == Some(0) && out.contains("13 passed · 0 failed"), "{out}");
    let (code, _, err) =
        place.run(&["import", "icv", "icv.yaml", "-f", "k8s", "-q", "--write", "policies/p.yaml"]);
    assert!(code == Some(3) && err.contains("exists already"), "{err}");
}

/// Every change of the routes is noticed by the test that is about it, at the place of the foreign test.
#[test]
fn a_route_that_changes_fails_the_test_about_it() {
    for (from, to, line, part) in [
        (
            "weight: 80",
            "weight: 70",
            3,
            "rule.route: predicted cart.cart.svc.cluster.local:8000 subset v1 77.7778%",
        ),
        ("uri: /v2/cart", "uri: /v3/cart", 3, "rule.rewrite: predicted uri /v3/cart   expected uri /v2/cart"),
        ("x-team: cart", "x-team: site", 3, "rule.headers: predicted request set x-team: site"),
        ("GET|POST", "GET|POST|DELETE", 11, "expected not cart.cart.svc.cluster.local"),
        (
            "authority: shop.example",
            "authority: www.shop.example",
            15,
            "rule.redirect: predicted uri /, authority www.shop.example",
        ),
        ("prefix: /partner/api", "prefix: /partner/v1", 21, "rule.delegate: predicted none"),
        ("httpStatus: 403", "httpStatus: 429", 26, "httpStatus 429"),
        ("exact: /in", "exact: /out", 30, "rule.route: predicted none"),
    ] {
        let routes = ROUTES.replace(from, to);
        let place = Place::new("import-changed", &[("k8s/routes.yaml", &routes), ("icv.yaml", ICV)]);
        let (code, out, err) = place.run(&["import", "icv", "icv.yaml", "-f", "k8s", "--judge", "-q"]);
        let failed: Vec<&str> = out.lines().filter(|l| l.contains("✗")).collect();
        assert_eq!(code, Some(1), "{to}: {out}{err}");
        assert!(
            !failed.is_empty() && failed.iter().all(|l| l.contains(&format!("icv.yaml:{line}:"))),
            "{to}: {out}"
        );
        assert!(out.contains(part), "{to}: no `{part}` in {out}");
    }
}

const ROUTER_CHECK: &str = r#"{"tests": [
  {"test_name": "weighted low", "input": {"authority": "shop.example", "path": "/cart?a=b", "method": "GET", "random_value": "179"},
   "validate": {"cluster_name": "outbound|8000|v1|cart.cart.svc.cluster.local", "virtual_host_name": "shop.example:80",
    "path_rewrite": "/v2/cart?a=b", "host_rewrite": "shop.example", "virtual_cluster_name": "",
    "request_header_matches": [{"name": "x-team", "string_match": {"exact": "cart"}}, {"name": "x-none", "present_match": true, "invert_match": true}]}},
  {"test_name": "weighted high", "input": {"authority": "shop.example", "path": "/cart", "method": "POST", "randomValue": 180},
   "validate": {"clusterName": "outbound|8000|v2|cart.cart.svc.cluster.local"}},
  {"test_name": "redirected", "input": {"authority": "shop.example", "path": "/old", "method": "GET"},
   "validate": {"cluster_name": "", "path_redirect": "http://shop.example/", "code_redirect": 302}},
  {"test_name": "edge", "input": {"authority": "edge.example", "path": "/in", "method": "GET"},
   "validate": {"cluster_name": "outbound|80||site.web.svc.cluster.local", "path_redirect": ""}},
  {"test_name": "no route", "input": {"authority": "edge.example", "path": "/else", "method": "GET"}, "validate": {"cluster_name": ""}}
]}"#;

#[test]
fn tests_of_router_check_run_as_they_are() {
    let place = Place::new("import-router", &[("k8s/routes.yaml", ROUTES), ("rc.json", ROUTER_CHECK)]);
    let (code, out, err) = place.run(&["import", "router-check", "rc.json", "-f", "k8s", "--judge"]);
    assert!(code == Some(0) && out.contains("5 passed · 0 failed"), "{out}{err}");
    for (from, to, part) in [
        ("\"179\"", "\"180\"", "cluster: predicted outbound|8000|v2"),
        ("/v2/cart?a=b", "/v2/cart", "upstream.path: predicted /v2/cart?a=b"),
        ("shop.example:80", "shop.example:8000", "virtualHost: predicted shop.example:80 "),
        (
            "\"exact\": \"cart\"",
            "\"suffix\": \"site\"",
            "upstream.headerMatches.x-team: predicted cart   expected suffix `site`",
        ),
        ("x-none", "x-team", "expected not present"),
        ("\"code_redirect\": 302", "\"code_redirect\": 301", "status: predicted 302   expected 301"),
        (
            "http://shop.example/",
            "https://shop.example/",
            "response.headers.location: predicted http://shop.example/",
        ),
    ] {
        std::fs::write(place.0.join("rc.json"), ROUTER_CHECK.replacen(from, to, 1)).expect("written");
        let (code, out, _) = place.run(&["import", "router-check", "rc.json", "-f", "k8s", "--judge", "-q"]);
        assert!(code == Some(1) && out.contains(part), "{to}: no `{part}` in {out}");
    }
}

#[test]
fn what_has_no_counterpart_is_left_out_by_name_and_place() {
    let inputs = [
        ("internal: true", "validate: {cluster_name: a}", "`internal` is decided by Envoy"),
        ("runtime: k", "validate: {cluster_name: a}", "`runtime` is read by no route"),
        (
            "additional_response_headers: [{key: a, value: b}]",
            "validate: {cluster_name: a}",
            "say them in `behaviors`",
        ),
        ("ssl: false", "validate: {virtual_cluster_name: a}", "istiod makes no virtual clusters"),
        ("ssl: false", "validate: {virtual_cluster_name: ''}", "only expects no virtual cluster"),
        ("ssl: false", "validate: {code_redirect: 0}", "`code_redirect: 0`"),
        (
            "ssl: false",
            "validate: {request_header_matches: [{name: a, range_match: {start: 1, end: 2}}]}",
            "`range_match` of header `a`",
        ),
        ("ssl: false", "validate: {}", "it expects nothing"),
    ];
    let mut text = "tests:\n- {test_name: fine, input: {authority: shop.example, path: /, method: GET}, validate: {cluster_name: outbound|80||site.web.svc.cluster.local}}\n".to_owned();
    for (i, (input, validate, _)) in inputs.iter().enumerate() {
        text.push_str(&format!("- {{test_name: t{i}, input: {{authority: shop.example, path: /, method: GET, {input}}}, {validate}}}\n"));
    }
    let place = Place::new("import-left", &[("k8s/routes.yaml", ROUTES), ("rc.yaml", &text)]);
    let args = ["import", "router-check", "rc.yaml", "-f", "k8s", "--judge", "-o", "json"];
    let (code, out, err) = place.run(&args);
    assert_eq!(code, Some(0), "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).expect("json");
    let cases = report["files"][0]["cases"].as_array().expect("cases").clone();
    assert_eq!(cases.len(), 1 + inputs.len(), "{out}");
    for (i, (_, _, why)) in inputs.iter().enumerate() {
        let place = format!("rc.yaml:{}:3", i + 3);
        let case =
            cases.iter().find(|c| c["place"] == place.as_str()).unwrap_or_else(|| panic!("{place}: {out}"));
        assert_eq!(case["status"], "unknown");
        assert!(
            case["reason"].as_str().is_some_and(|r| r.contains(why) && r.contains(&format!("`t{i}`"))),
            "{case}"
        );
    }
    assert_eq!(place.run(&[&args[..], &["--strict"]].concat()).0, Some(1));
    let icv = "testCases:\n- {description: a, wantMatch: true, request: {authority: [a], method: [GET], uri: [/]}}\n- {description: b, wantMatch: true, request: {method: [GET], uri: [/]}, route: []}\n";
    std::fs::write(place.0.join("icv.yaml"), icv).expect("written");
    let (code, _, err) = place.run(&["import", "icv", "icv.yaml", "-f", "k8s"]);
    assert_eq!(code, Some(4), "{err}");
    assert!(err.contains("it expects nothing") && err.contains("its request has no `authority`"), "{err}");
}

#[test]
fn broken_files_and_arguments_are_refused() {
    let place = Place::new("import-broken", &[("k8s/routes.yaml", ROUTES), ("icv.yaml", ICV)]);
    std::fs::write(place.0.join("typo.yaml"), ICV.replace("wantMatch", "wantMacth")).expect("written");
    std::fs::write(place.0.join("half.yaml"), "testCases:\n  - {description: x").expect("written");
    for (args, code, part) in [
        (vec!["icv", "typo.yaml", "-f", "k8s"], 3, "did you mean `wantMatch`?"),
        (vec!["icv", "half.yaml", "-f", "k8s"], 3, "half.yaml"),
        (vec!["icv", "gone.yaml", "-f", "k8s"], 3, "gone.yaml"),
        (vec!["icv", "icv.yaml", "-f", "gone"], 3, "gone"),
        (vec!["router-check", "icv.yaml", "-f", "k8s"], 4, "it has no list `tests`"),
        (vec!["icv", "icv.yaml"], 2, "--filename"),
        (vec!["icv", "icv.yaml", "-f", "k8s", "--from", "a/b/c"], 2, "no client"),
    ] {
        let (got, _, err) = place.run(&[vec!["import"], args.clone()].concat());
        assert_eq!(got, Some(code), "{args:?}: {err}");
        assert!(err.contains(part), "{args:?}: no `{part}` in {err}");
    }
    let (code, out, _) =
        place.run(&["import", "icv", "icv.yaml", "-f", "k8s", "-q", "--from", "web/nobody", "--judge"]);
    assert!(code == Some(3) && out.contains("nobody"), "{out}");
    assert!(Path::new(&place.0).join("k8s").is_dir());
}
