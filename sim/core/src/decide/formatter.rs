//! `%…%` operators in header values (semantics: envoy-routing 3.7).
//!
//! Envoy: source/common/formatter/substitution_formatter.cc. An operator that is not listed here is not modelled: what
//! lowers routes asks [`unmodelled_operator`] and taints them.

use std::net::SocketAddr;

use crate::decide::Downstream;
use crate::request::{Headers, RequestHead};

/// What operators can refer to.
pub(super) struct Values<'a> {
    /// The downstream side.
    pub(super) downstream: &'a Downstream,
    /// The request, as far as it has been changed.
    pub(super) request: &'a RequestHead,
    /// The response, when its headers are written.
    pub(super) response: Option<&'a Headers>,
    /// `%RESPONSE_CODE%`; 0 as long as there is none.
    pub(super) status: u16,
    /// `%UPSTREAM_CLUSTER%`
    pub(super) cluster: &'a str,
    /// `%ROUTE_NAME%`
    pub(super) route: &'a str,
}

/// The first operator of a value that is not modelled.
#[must_use]
pub fn unmodelled_operator(template: &str) -> Option<&str> {
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(tail) = after.strip_prefix('%') {
            rest = tail;
            continue;
        }
        let (operator, tail) = after.split_once('%')?;
        if !is_modelled(operator) {
            return Some(operator);
        }
        rest = tail;
    }
    None
}

fn is_modelled(operator: &str) -> bool {
    match operator.strip_suffix(')').and_then(|o| o.split_once('(')) {
        Some((name, _)) => matches!(name, "REQ" | "RESP"),
        None => OPERATORS.contains(&operator),
    }
}

/// Those without argument that [`operator_value`] knows.
const OPERATORS: [&str; 13] = [
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_PEER_URI_SAN",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "PROTOCOL",
    "REQUESTED_SERVER_NAME",
    "RESPONSE_CODE",
    "ROUTE_NAME",
    "UPSTREAM_CLUSTER",
];

/// Expands a value. `%%` is a literal percent; what is missing becomes empty (the header is then skipped).
pub(super) fn expand(template: &str, values: &Values<'_>) -> String {
    if !template.contains('%') {
        return template.to_owned();
    }
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(tail) = after.strip_prefix('%') {
            out.push('%');
            rest = tail;
            continue;
        }
        let Some((operator, tail)) = after.split_once('%') else {
            out.push('%');
            rest = after;
            break;
        };
        match operator_value(operator, values) {
            Some(text) => out.push_str(&text),
            None => {
                out.push('%');
                out.push_str(operator);
                out.push('%');
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The value of an operator; `None` when it is not modelled.
fn operator_value(operator: &str, v: &Values<'_>) -> Option<String> {
    let address = |a: SocketAddr| Some(a.to_string());
    if let Some((name, argument)) = operator.strip_suffix(')').and_then(|o| o.split_once('(')) {
        return match name {
            "REQ" => Some(request_header(argument, v)),
            "RESP" => Some(response_header(argument, v)),
            _ => None,
        };
    }
    let d = v.downstream;
    match operator {
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Some(d.remote.to_string()),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => Some(d.source.ip().to_string()),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => address(d.source),
        "DOWNSTREAM_REMOTE_ADDRESS" => {
            let port = if d.remote == d.source.ip() { d.source.port() } else { 0 };
            address(SocketAddr::new(d.remote, port))
        }
        "DOWNSTREAM_LOCAL_ADDRESS" => address(d.destination),
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Some(d.destination.ip().to_string()),
        "DOWNSTREAM_LOCAL_PORT" => Some(d.destination.port().to_string()),
        "DOWNSTREAM_PEER_URI_SAN" => Some(d.uri_san.as_deref().unwrap_or("").to_owned()),
        "REQUESTED_SERVER_NAME" => Some(d.sni.as_deref().unwrap_or("").to_owned()),
        "PROTOCOL" => Some(v.request.protocol.text().to_owned()),
        "UPSTREAM_CLUSTER" => Some(v.cluster.to_owned()),
        "RESPONSE_CODE" => Some(v.status.to_string()),
        "ROUTE_NAME" => Some(v.route.to_owned()),
        _ => None,
    }
}

/// `NAME`, `NAME?OTHER`, each with an optional `:length` behind the parenthesis (not produced by istiod).
fn request_header(argument: &str, v: &Values<'_>) -> String {
    let one = |name: &str| -> Option<String> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            ":path" => Some(v.request.path.to_string()),
            ":method" => Some(v.request.method.to_string()),
            ":authority" | "host" => v.request.authority.as_deref().map(str::to_owned),
            ":scheme" => Some((if v.downstream.https { "https" } else { "http" }).to_owned()),
            _ => v.request.headers.first(&name).map(str::to_owned),
        }
    };
    argument.split('?').find_map(one).unwrap_or_default()
}

fn response_header(argument: &str, v: &Values<'_>) -> String {
    let find = |name: &str| v.response.and_then(|r| r.first(&name.to_ascii_lowercase())).map(str::to_owned);
    argument.split('?').find_map(find).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_that_are_not_modelled_are_found() {
        for (template, found) in [
            ("plain 100%%", None),
            ("%REQ(x-a)% and %PROTOCOL%", None),
            ("a%%b%START_TIME%", Some("START_TIME")),
            ("%REQ(x-a):3%", Some("REQ(x-a):3")),
            ("%DYNAMIC_METADATA(a:b)%", Some("DYNAMIC_METADATA(a:b)")),
        ] {
            assert_eq!(unmodelled_operator(template), found, "{template}");
        }
    }

    #[test]
    fn what_is_listed_is_known() {
        let nowhere = "127.0.0.1:1".parse().expect("an address");
        let downstream = Downstream {
            source: nowhere,
            destination: nowhere,
            remote: nowhere.ip(),
            https: false,
            sni: None,
            uri_san: None,
        };
        let request = RequestHead {
            method: "GET".into(),
            scheme: "http".into(),
            authority: None,
            path: "/".into(),
            protocol: crate::request::Protocol::Http11,
            headers: Headers::default(),
            body_bytes: 0,
        };
        let values = Values {
            downstream: &downstream,
            request: &request,
            response: None,
            status: 0,
            cluster: "c",
            route: "r",
        };
        assert!(OPERATORS.iter().all(|operator| operator_value(operator, &values).is_some()));
        assert_eq!(operator_value("START_TIME", &values), None);
    }
}
