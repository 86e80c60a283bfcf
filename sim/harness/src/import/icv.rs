//! Tests of istio-config-validator: `testCases:` with requests and what the rule of the VirtualService is to say.
//!
//! The tool compares the text of the rule it finds; so does `expect.rule`, with the rule Istio and Envoy would find.

use std::collections::BTreeMap;

use mesh_config::decode::{DecodeCx, from_node};
use mesh_config::diagnostic::Diagnostic;
use mesh_config::resource::http_route::{
    Delegate, Headers, HttpFaultInjection, HttpRedirect, HttpRewrite, HttpRouteDestination,
};
use mesh_config::source::Span;
use mesh_config::yaml::Node;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Asked, Case, left_out, list};

/// One of `testCases:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TestCase {
    #[serde(rename = "@origin", default)]
    origin: Span,
    description: String,
    want_match: bool,
    request: Option<RequestWords>,
    route: Option<Vec<HttpRouteDestination>>,
    redirect: Option<HttpRedirect>,
    rewrite: Option<HttpRewrite>,
    fault: Option<HttpFaultInjection>,
    headers: Option<Headers>,
    delegate: Option<Delegate>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestWords {
    authority: Vec<String>,
    method: Vec<String>,
    uri: Vec<String>,
    headers: BTreeMap<String, String>,
}

/// What a test may say of the rule.
const RULE: [&str; 6] = ["route", "redirect", "rewrite", "fault", "headers", "delegate"];

/// The tests of one document.
pub(super) fn cases(document: &Node, cases: &mut Vec<Case>, out: &mut Vec<Diagnostic>) {
    for (index, node) in list(document, "testCases", out).iter().enumerate() {
        let mut cx = DecodeCx::new(None, format!("testCases[{index}]"));
        let test: Option<TestCase> = from_node(node, &mut cx);
        let wrong = cx.has_errors();
        out.append(&mut cx.diagnostics);
        let Some(test) = test else { continue };
        let name = if test.description.is_empty() {
            format!("test {}", index + 1)
        } else {
            test.description.clone()
        };
        match case(&test, node, name.clone()) {
            Ok(case) if !wrong => cases.push(case),
            Ok(_) => {}
            Err(why) => out.push(left_out(test.origin, format!("`{name}` is left out: {why}"))),
        }
    }
}

fn case(test: &TestCase, node: &Node, name: String) -> Result<Case, String> {
    let request = test.request.clone().unwrap_or_default();
    for (list, key) in [(&request.authority, "authority"), (&request.method, "method"), (&request.uri, "uri")]
    {
        if list.is_empty() {
            return Err(format!("its request has no `{key}`"));
        }
        if let Some(text) = list.iter().find(|t| t.contains("${")) {
            return Err(format!("`{text}` would be taken for a placeholder"));
        }
    }
    let given = [
        test.route.is_some(),
        test.redirect.is_some(),
        test.rewrite.is_some(),
        test.fault.is_some(),
        test.headers.is_some(),
        test.delegate.is_some(),
    ];
    let mut rule = Map::new();
    for (key, _) in RULE.into_iter().zip(given).filter(|(_, given)| *given) {
        let value = node.get(key).map(Node::to_json).unwrap_or_default();
        rule.insert(key.to_owned(), serde_json::from_str(&value).unwrap_or(Value::Null));
    }
    if rule.is_empty() {
        return Err("it expects nothing, so it cannot fail".to_owned());
    }
    let word = if test.want_match { "rule" } else { "notRule" };
    Ok(Case {
        name,
        at: test.origin,
        asked: Asked {
            authorities: request.authority,
            methods: request.method,
            paths: request.uri.iter().map(|uri| absolute(uri)).collect(),
            secure: false,
        },
        headers: request.headers.into_iter().collect(),
        draw: None,
        expect: Map::from_iter([(word.to_owned(), Value::Object(rule))]),
    })
}

fn absolute(uri: &str) -> String {
    if uri.starts_with('/') { uri.to_owned() } else { format!("/{uri}") }
}
