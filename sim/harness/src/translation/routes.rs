//! Route configurations as Envoy prints them.

use mesh_core::ir::{
    AbortStatus, AppendAction, ClusterSpecifier, Cors, Fault, Forward, HashPolicy, HeaderAdd,
    HeaderMutations, HostRewrite, Mirror, PathMatch, PathRewrite, Redirect, RedirectPath, RetryPolicy, Route,
    RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
};
use serde_json::{Value, json};

use super::matchers::{header, metadata, query, string};
use super::shape::{Object, duration, list, texts};

pub(super) fn configuration(config: &RouteConfiguration) -> Value {
    with_headers(
        Object::new()
            .put("name", config.name.as_ref())
            .put("ignorePortInHostMatching", config.ignore_port_in_host_matching)
            .put("virtualHosts", list(&config.virtual_hosts, virtual_host)),
        &config.headers,
    )
    .done()
}

fn virtual_host(host: &VirtualHost) -> Value {
    let out = Object::new()
        .put("name", host.name.as_ref())
        .put("domains", texts(&host.domains))
        .put("routes", list(&host.routes, route))
        .put("requireTls", host.require_tls.then_some("ALL"))
        .put("includeRequestAttemptCount", host.include_request_attempt_count);
    with_headers(out, &host.headers).done()
}

fn with_headers(out: Object, headers: &HeaderMutations) -> Object {
    let add = |headers: &[HeaderAdd]| {
        list(headers, |h| {
            let action = match h.action {
                AppendAction::AppendIfExistsOrAdd => None,
                AppendAction::AddIfAbsent => Some("ADD_IF_ABSENT"),
                AppendAction::OverwriteIfExistsOrAdd => Some("OVERWRITE_IF_EXISTS_OR_ADD"),
                AppendAction::OverwriteIfExists => Some("OVERWRITE_IF_EXISTS"),
            };
            Object::new()
                .put(
                    "header",
                    Object::new().put("key", h.name.as_ref()).put("value", h.value.as_ref()).done(),
                )
                .put("appendAction", action)
                .done()
        })
    };
    out.put("requestHeadersToRemove", texts(&headers.request_remove))
        .put("requestHeadersToAdd", add(&headers.request_add))
        .put("responseHeadersToRemove", texts(&headers.response_remove))
        .put("responseHeadersToAdd", add(&headers.response_add))
}

/// One route.
pub(crate) fn route(route: &Route) -> Value {
    let mut filters = Object::new();
    if let Some(fault_) = &route.fault {
        filters = filters.always("envoy.filters.http.fault", fault(fault_));
    }
    if let Some(cors_) = &route.cors {
        filters = filters.always("envoy.filters.http.cors", cors(cors_));
    }
    let out = Object::new()
        .put("name", route.name.as_ref())
        .put("match", route_match(&route.matcher))
        .put("decorator", Object::new().put("operation", route.decorator.as_ref()).done())
        .put("typedPerFilterConfig", filters.done());
    let out = match &route.action {
        RouteAction::Forward(to) => out.put("route", forward(to)),
        RouteAction::Redirect(to) => out.always("redirect", redirect(to)),
        RouteAction::DirectResponse(answer) => out.put(
            "directResponse",
            Object::new()
                .put("status", answer.status)
                .put("body", Object::new().put("text", answer.body.as_ref()).done())
                .done(),
        ),
        RouteAction::None => out,
    };
    with_headers(out, &route.headers).done()
}

fn route_match(matcher: &RouteMatch) -> Value {
    let out = match &matcher.path {
        PathMatch::Prefix(prefix) => Object::new().always("prefix", prefix.as_ref()),
        PathMatch::Path(path) => Object::new().always("path", path.as_ref()),
        PathMatch::PathSeparatedPrefix(p) => Object::new().always("pathSeparatedPrefix", p.as_ref()),
        PathMatch::Regex(regex) => Object::new().always("safeRegex", json!({"regex": regex.source()})),
    };
    out.always("caseSensitive", matcher.case_sensitive)
        .put("headers", list(&matcher.headers, header))
        .put("queryParameters", list(&matcher.query, query))
        .put("dynamicMetadata", list(&matcher.metadata, metadata))
        .done()
}

fn forward(to: &Forward) -> Value {
    let out = Object::new()
        .always("timeout", duration(to.timeout_ns))
        .put(
            "maxGrpcTimeout",
            to.max_grpc_timeout_ns.filter(|_| to.max_stream_duration_ns.is_none()).map(duration),
        )
        .put(
            "maxStreamDuration",
            to.max_stream_duration_ns.map(|max| {
                Object::new()
                    .always("maxStreamDuration", duration(max))
                    .put("grpcTimeoutHeaderMax", to.max_grpc_timeout_ns.map(duration))
                    .done()
            }),
        )
        .put("retryPolicy", to.retry.as_ref().map(retry))
        .put("requestMirrorPolicies", list(&to.mirrors, mirror))
        .put("hashPolicy", list(&to.hash_policy, hash));
    let out = match &to.cluster {
        ClusterSpecifier::Cluster(name) => out.put("cluster", name.as_ref()),
        ClusterSpecifier::Weighted(clusters) => {
            out.put("weightedClusters", json!({"clusters": list(clusters, weighted)}))
        }
    };
    let out = match &to.path_rewrite {
        PathRewrite::Keep => out,
        PathRewrite::Prefix(prefix) => out.put("prefixRewrite", prefix.as_ref()),
        PathRewrite::Regex(regex, by) => out.put("regexRewrite", regex_rewrite(regex.source(), by)),
    };
    match &to.host_rewrite {
        HostRewrite::Keep => out,
        HostRewrite::Literal(host) => out.put("hostRewriteLiteral", host.as_ref()),
        HostRewrite::Auto => out.put("autoHostRewrite", true),
    }
    .done()
}

fn regex_rewrite(pattern: &str, substitution: &str) -> Value {
    Object::new().always("pattern", json!({"regex": pattern})).put("substitution", substitution).done()
}

fn weighted(cluster: &WeightedCluster) -> Value {
    let out = Object::new()
        .put("name", cluster.name.as_ref())
        .put("weight", cluster.weight)
        .put("hostRewriteLiteral", cluster.host_rewrite.as_ref());
    with_headers(out, &cluster.headers).done()
}

fn retry(policy: &RetryPolicy) -> Value {
    const DEFAULT_BASE_NS: u64 = 25_000_000;
    Object::new()
        .put("retryOn", policy.retry_on_text.as_ref())
        .put("numRetries", policy.num_retries)
        .put("retriableStatusCodes", json!(policy.retriable_status_codes))
        .put("perTryTimeout", (policy.per_try_timeout_ns > 0).then(|| duration(policy.per_try_timeout_ns)))
        .put(
            "retryBackOff",
            (policy.base_interval_ns != DEFAULT_BASE_NS)
                .then(|| json!({"baseInterval": duration(policy.base_interval_ns)})),
        )
        .put("previousHosts", policy.previous_hosts)
        .put("previousPriorities", policy.previous_priorities)
        .put("hostSelectionRetryMaxAttempts", policy.host_selection_max_attempts)
        .done()
}

fn mirror(mirror: &Mirror) -> Value {
    json!({"cluster": mirror.cluster.as_ref(), "perMillion": mirror.per_million})
}

fn hash(policy: &HashPolicy) -> Value {
    match policy {
        HashPolicy::Header(name) => json!({"header": {"headerName": name.as_ref()}}),
        HashPolicy::Cookie { name, ttl_ns, path, attributes } => json!({"cookie": Object::new()
            .put("name", name.as_ref())
            .put("ttl", ttl_ns.map(duration))
            .put("path", path.as_ref())
            .put("attributes", list(attributes, |(n, v)| json!({"name": n.as_ref(), "value": v.as_ref()})))
            .done()}),
        HashPolicy::SourceIp => json!({"connectionProperties": {"sourceIp": true}}),
        HashPolicy::QueryParameter(name) => json!({"queryParameter": {"name": name.as_ref()}}),
    }
}

fn redirect(redirect: &Redirect) -> Value {
    let code = match redirect.status {
        302 => Some("FOUND"),
        303 => Some("SEE_OTHER"),
        307 => Some("TEMPORARY_REDIRECT"),
        308 => Some("PERMANENT_REDIRECT"),
        _ => None,
    };
    let out = Object::new()
        .put("responseCode", code)
        .put("hostRedirect", redirect.host.as_ref())
        .put("schemeRedirect", redirect.scheme.as_ref())
        .put("httpsRedirect", redirect.https)
        .put("portRedirect", redirect.port)
        .put("stripQuery", redirect.strip_query);
    match &redirect.path {
        RedirectPath::Keep => out,
        RedirectPath::Full(path) => out.put("pathRedirect", path.as_ref()),
        RedirectPath::Prefix(prefix) => out.put("prefixRewrite", prefix.as_ref()),
        RedirectPath::Regex(regex, by) => out.put("regexRewrite", regex_rewrite(regex.source(), by)),
    }
    .done()
}

fn fault(fault: &Fault) -> Value {
    Object::new()
        .put(
            "delay",
            fault
                .delay
                .map(|d| json!({"fixedDelay": duration(d.fixed_delay_ns), "perMillion": d.per_million})),
        )
        .put(
            "abort",
            fault.abort.map(|a| match a.status {
                AbortStatus::Http(status) => json!({"httpStatus": status, "perMillion": a.per_million}),
                AbortStatus::Grpc(status) => json!({"grpcStatus": status, "perMillion": a.per_million}),
            }),
        )
        .done()
}

fn cors(cors: &Cors) -> Value {
    Object::new()
        .put("allowOriginStringMatch", list(&cors.allow_origins, string))
        .put("allowMethods", cors.allow_methods.as_ref())
        .put("allowHeaders", cors.allow_headers.as_ref())
        .put("exposeHeaders", cors.expose_headers.as_ref())
        .put("maxAge", cors.max_age.as_ref())
        .put("allowCredentials", cors.allow_credentials)
        .always("forwardNotMatchingPreflights", cors.forward_not_matching_preflights)
        .done()
}
