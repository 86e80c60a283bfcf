//! Route configurations.

use mesh_core::OriginId;
use mesh_core::ir::*;
use mesh_core::re2::Regex;
use serde_json::Value;

use crate::json::*;
use crate::matchers::{header, metadata, query, string};

pub(crate) fn route_configuration(value: &Value) -> RouteConfiguration {
    RouteConfiguration {
        name: text(value, "name").into(),
        virtual_hosts: list(value, "virtualHosts").iter().map(virtual_host).collect(),
        ignore_port_in_host_matching: flag(value, "ignorePortInHostMatching"),
        headers: mutations(value),
    }
}

fn virtual_host(value: &Value) -> VirtualHost {
    VirtualHost {
        name: text(value, "name").into(),
        domains: list(value, "domains").iter().map(|d| d.as_str().unwrap_or("").into()).collect(),
        routes: list(value, "routes").iter().map(route).collect(),
        require_tls: text(value, "requireTls") == "ALL",
        include_request_attempt_count: flag(value, "includeRequestAttemptCount"),
        headers: mutations(value),
        origin: OriginId::NONE,
    }
}

fn mutations(value: &Value) -> HeaderMutations {
    let names =
        |key| list(value, key).iter().map(|n| n.as_str().unwrap_or("").to_lowercase().into()).collect();
    let adds = |key| list(value, key).iter().map(header_add).collect();
    HeaderMutations {
        request_remove: names("requestHeadersToRemove"),
        request_add: adds("requestHeadersToAdd"),
        response_remove: names("responseHeadersToRemove"),
        response_add: adds("responseHeadersToAdd"),
    }
}

fn header_add(value: &Value) -> HeaderAdd {
    HeaderAdd {
        name: text(value, "header/key").to_lowercase().into(),
        value: text(value, "header/value").into(),
        action: match text(value, "appendAction") {
            "" | "APPEND_IF_EXISTS_OR_ADD" => AppendAction::AppendIfExistsOrAdd,
            "ADD_IF_ABSENT" => AppendAction::AddIfAbsent,
            "OVERWRITE_IF_EXISTS_OR_ADD" => AppendAction::OverwriteIfExistsOrAdd,
            "OVERWRITE_IF_EXISTS" => AppendAction::OverwriteIfExists,
            other => panic!("append action {other}"),
        },
    }
}

fn route(value: &Value) -> Route {
    let filters = at(value, "typedPerFilterConfig");
    Route {
        name: text(value, "name").into(),
        matcher: route_match(at(value, "match")),
        action: action(value),
        headers: mutations(value),
        decorator: text(value, "decorator/operation").into(),
        fault: filters.get("envoy.filters.http.fault").map(fault).map(Box::new),
        cors: filters.get("envoy.filters.http.cors").map(cors).map(Box::new),
        taints: vec![],
        origin: OriginId::NONE,
        action_origin: OriginId::NONE,
    }
}

fn route_match(value: &Value) -> RouteMatch {
    let path = if let Some(v) = value.get("prefix") {
        PathMatch::Prefix(v.as_str().unwrap_or("").into())
    } else if let Some(v) = value.get("path") {
        PathMatch::Path(v.as_str().unwrap_or("").into())
    } else if let Some(v) = value.get("pathSeparatedPrefix") {
        PathMatch::PathSeparatedPrefix(v.as_str().unwrap_or("").into())
    } else {
        PathMatch::Regex(Regex::new(text(value, "safeRegex/regex")).expect("a regex"))
    };
    RouteMatch {
        path,
        case_sensitive: value.get("caseSensitive").and_then(Value::as_bool).unwrap_or(true),
        headers: list(value, "headers").iter().map(header).collect(),
        query: list(value, "queryParameters").iter().map(query).collect(),
        metadata: list(value, "dynamicMetadata").iter().map(metadata).collect(),
    }
}

fn action(value: &Value) -> RouteAction {
    if let Some(v) = value.get("redirect") {
        return RouteAction::Redirect(Box::new(redirect(v)));
    }
    if let Some(v) = value.get("directResponse") {
        let bytes = text(v, "body/inlineBytes");
        let body = if bytes.is_empty() { text(v, "body/inlineString").to_owned() } else { base64(bytes) };
        return RouteAction::DirectResponse(DirectResponse {
            status: number(v, "status") as u16,
            body: body.into(),
        });
    }
    match value.get("route") {
        Some(v) => RouteAction::Forward(Box::new(forward(v))),
        None => RouteAction::None,
    }
}

fn base64(text: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut word, mut bits, mut out) = (0u32, 0, Vec::new());
    for six in text.chars().filter_map(|c| alphabet.find(c)) {
        word = (word << 6) | six as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    String::from_utf8(out).expect("text")
}

fn redirect(value: &Value) -> Redirect {
    let path = if let Some(v) = value.get("pathRedirect") {
        RedirectPath::Full(v.as_str().unwrap_or("").into())
    } else if let Some(v) = value.get("prefixRewrite") {
        RedirectPath::Prefix(v.as_str().unwrap_or("").into())
    } else {
        RedirectPath::Keep
    };
    Redirect {
        status: match text(value, "responseCode") {
            "FOUND" => 302,
            "SEE_OTHER" => 303,
            "TEMPORARY_REDIRECT" => 307,
            "PERMANENT_REDIRECT" => 308,
            _ => 301,
        },
        host: text(value, "hostRedirect").into(),
        path,
        scheme: text(value, "schemeRedirect").into(),
        https: flag(value, "httpsRedirect"),
        port: number(value, "portRedirect") as u16,
        strip_query: flag(value, "stripQuery"),
    }
}

fn forward(value: &Value) -> Forward {
    let cluster = match value.get("weightedClusters") {
        Some(v) => ClusterSpecifier::Weighted(list(v, "clusters").iter().map(weighted).collect()),
        None => ClusterSpecifier::Cluster(text(value, "cluster").into()),
    };
    let path_rewrite = if let Some(v) = value.get("prefixRewrite") {
        PathRewrite::Prefix(v.as_str().unwrap_or("").into())
    } else if let Some(v) = value.get("regexRewrite") {
        let regex = Regex::new(text(v, "pattern/regex")).expect("a regex");
        PathRewrite::Regex(regex, text(v, "substitution").into())
    } else {
        PathRewrite::Keep
    };
    Forward {
        cluster,
        cluster_not_found_status: match text(value, "clusterNotFoundResponseCode") {
            "INTERNAL_SERVER_ERROR" => 500,
            "NOT_FOUND" => 404,
            _ => 503,
        },
        timeout_ns: duration(at(value, "timeout")).unwrap_or(15_000_000_000),
        max_grpc_timeout_ns: duration(at(value, "maxGrpcTimeout")),
        max_stream_duration_ns: value
            .get("maxStreamDuration")
            .map(|v| duration(at(v, "maxStreamDuration")).unwrap_or(0)),
        retry: None,
        path_rewrite,
        host_rewrite: match text(value, "hostRewriteLiteral") {
            "" if flag(value, "autoHostRewrite") => HostRewrite::Auto,
            "" => HostRewrite::Keep,
            host => HostRewrite::Literal(host.into()),
        },
        mirrors: list(value, "requestMirrorPolicies")
            .iter()
            .map(|m| Mirror {
                cluster: text(m, "cluster").into(),
                per_million: per_million(at(m, "runtimeFraction/defaultValue")),
                origin: OriginId::NONE,
            })
            .collect(),
        hash_policy: list(value, "hashPolicy").iter().map(hash_policy).collect(),
    }
}

fn weighted(value: &Value) -> WeightedCluster {
    WeightedCluster {
        name: text(value, "name").into(),
        weight: number(value, "weight") as u32,
        headers: mutations(value),
        host_rewrite: text(value, "hostRewriteLiteral").into(),
        origin: OriginId::NONE,
    }
}

fn hash_policy(value: &Value) -> HashPolicy {
    if value.get("header").is_some() {
        return HashPolicy::Header(text(value, "header/headerName").to_lowercase().into());
    }
    if let Some(v) = value.get("cookie") {
        return HashPolicy::Cookie {
            name: text(v, "name").into(),
            ttl_ns: duration(at(v, "ttl")),
            path: text(v, "path").into(),
            attributes: vec![],
        };
    }
    if value.get("queryParameter").is_some() {
        return HashPolicy::QueryParameter(text(value, "queryParameter/name").into());
    }
    HashPolicy::SourceIp
}

fn fault(value: &Value) -> Fault {
    let delay = value.get("delay").map(|v| FaultDelay {
        fixed_delay_ns: duration(at(v, "fixedDelay")).unwrap_or(0),
        per_million: per_million(at(v, "percentage")),
    });
    let abort = value.get("abort").map(|v| FaultAbort {
        status: match v.get("grpcStatus") {
            Some(code) => AbortStatus::Grpc(code.as_u64().unwrap_or(0) as u32),
            None => AbortStatus::Http(number(v, "httpStatus") as u16),
        },
        per_million: per_million(at(v, "percentage")),
    });
    Fault { delay, abort, origin: OriginId::NONE }
}

fn cors(value: &Value) -> Cors {
    Cors {
        allow_origins: list(value, "allowOriginStringMatch").iter().map(string).collect(),
        allow_methods: text(value, "allowMethods").into(),
        allow_headers: text(value, "allowHeaders").into(),
        expose_headers: text(value, "exposeHeaders").into(),
        max_age: text(value, "maxAge").into(),
        allow_credentials: value.get("allowCredentials").and_then(Value::as_bool),
        forward_not_matching_preflights: value
            .get("forwardNotMatchingPreflights")
            .and_then(Value::as_bool)
            .unwrap_or(true),
        origin: OriginId::NONE,
    }
}
