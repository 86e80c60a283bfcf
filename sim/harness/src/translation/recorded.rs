//! What istiod sent, brought into the shape that `listeners` and `routes` print.
//!
//! Only what is named here is left out (telemetry, tracing, tuning); every other key stays and must be equal.

use serde_json::{Map, Value, json};

use super::shape::Object;

/// Keys that decide nothing.
const LISTENER_NOISE: &[&str] =
    &["maxConnectionsToAcceptPerSocketEvent", "continueOnListenerFiltersTimeout", "accessLog"];
const CHAIN_NOISE: &[&str] = &["transportSocketConnectTimeout", "metadata"];
const MANAGER_NOISE: &[&str] =
    &["@type", "proxy100Continue", "requestIdExtension", "tracing", "accessLog", "internalAddressConfig"];
const ROUTE_NOISE: &[&str] = &["metadata", "statPrefix"];

/// One listener.
pub(super) fn listener(recorded: &Value) -> Value {
    let mut map = without(recorded, LISTENER_NOISE);
    map.entry("bindToPort").or_insert(json!(true));
    for filter in array(map.remove("listenerFilters")) {
        let disabled = filter.get("filterDisabled").map(ranges).unwrap_or_default();
        let inspector = json!({"disabledPorts": disabled, "on": true});
        match name(&filter) {
            "envoy.filters.listener.original_dst" => {}
            "envoy.filters.listener.tls_inspector" => {
                map.insert("tlsInspector".into(), inspector);
            }
            "envoy.filters.listener.http_inspector" => {
                map.insert("httpInspector".into(), inspector);
            }
            other => {
                map.insert(other.to_owned(), json!(true));
            }
        }
    }
    if !["tlsInspector", "httpInspector"].iter().any(|inspector| map.contains_key(*inspector)) {
        map.remove("listenerFiltersTimeout");
    }
    let chains: Vec<Value> = array(map.remove("filterChains")).iter().map(chain).collect();
    map.insert("filterChains".into(), json!(chains));
    if let Some(default) = map.remove("defaultFilterChain") {
        map.insert("defaultFilterChain".into(), chain(&default));
    }
    tidy(Value::Object(map))
}

/// Port ranges of a `filterDisabled` predicate, inclusive.
fn ranges(predicate: &Value) -> Vec<(u64, u64)> {
    if let Some(range) = predicate.get("destinationPortRange") {
        let port = |key: &str| range.get(key).and_then(Value::as_u64).unwrap_or(0);
        return vec![(port("start"), port("end").saturating_sub(1))];
    }
    if let Some(not) = predicate.get("notMatch") {
        let mut out = Vec::new();
        let mut from = 0;
        for (low, high) in ranges(not) {
            if from < low {
                out.push((from, low - 1));
            }
            from = high + 1;
        }
        out.push((from, u64::from(u16::MAX)));
        return out;
    }
    let rules = predicate.get("orMatch").and_then(|or| or.get("rules"));
    array(rules.cloned()).iter().flat_map(ranges).collect()
}

fn chain(recorded: &Value) -> Value {
    let mut map = without(recorded, CHAIN_NOISE);
    if let Some(socket) = map.remove("transportSocket") {
        map.insert("tls".into(), tls(socket.get("typedConfig").unwrap_or(&Value::Null)));
    }
    let mut filters = Vec::new();
    for filter in array(map.remove("filters")) {
        let config = filter.get("typedConfig").cloned().unwrap_or_default();
        match name(&filter) {
            "istio.stats" | "istio.metadata_exchange" => {}
            "envoy.filters.network.http_connection_manager" => {
                map.insert("http".into(), connection_manager(&config));
            }
            "envoy.filters.network.tcp_proxy" => {
                map.insert("tcp".into(), tcp_proxy(&config));
            }
            "envoy.filters.network.rbac" => {
                let mut config = without(&config, &["@type", "statPrefix"]);
                rbac_actions(&mut config);
                filters.push(json!({"rbac": config}));
            }
            "envoy.filters.network.mongo_proxy" => {
                filters.push(json!({"observer": "envoy.filters.network.mongo_proxy"}));
            }
            other => filters.push(json!(other)),
        }
    }
    let tcp = map.get_mut("tcp").and_then(Value::as_object_mut);
    if tcp.is_some_and(|tcp| tcp.remove("maxDownstreamConnectionDuration").is_some()) {
        filters.push(json!("unmodelled"));
    }
    map.insert("networkFilters".into(), json!(filters));
    Value::Object(map)
}

/// ALLOW is the default of the API and therefore not recorded; template matchers carry their type.
fn rbac_actions(config: &mut Map<String, Value>) {
    for key in ["rules", "shadowRules"] {
        if let Some(Value::Object(rules)) = config.get_mut(key) {
            rules.entry("action").or_insert(json!("ALLOW"));
            if let Some(policies) = rules.get_mut("policies") {
                plain(policies);
            }
        }
    }
}

/// Types of extensions are not in the IR, header names are in lower case.
fn plain(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("@type");
            if let Some(name) = map.get_mut("header").and_then(|header| header.get_mut("name")) {
                *name = json!(name.as_str().unwrap_or_default().to_ascii_lowercase());
            }
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

fn tls(context: &Value) -> Value {
    let common = context.get("commonTlsContext").cloned().unwrap_or_default();
    let who = |name: Option<&str>, own: &str| match name {
        Some(name) if name == own => "workload",
        Some(_) => "credential",
        None => "none",
    };
    let certificate = array(common.get("tlsCertificateSdsSecretConfigs").cloned());
    let combined = common.get("combinedValidationContext");
    let validation = combined.map(|combined| {
        let anchor = combined.pointer("/validationContextSdsSecretConfig/name").and_then(Value::as_str);
        let default = combined.get("defaultValidationContext").cloned().unwrap_or_default();
        let unchecked =
            default.get("trustChainVerification").and_then(Value::as_str) == Some("ACCEPT_UNTRUSTED");
        Object::new()
            .put("trust", if unchecked { "unchecked" } else { who(anchor, "ROOTCA") })
            .put("sans", default.get("matchSubjectAltNames").cloned().unwrap_or_default())
            .done()
    });
    Object::new()
        .put("alpn", common.get("alpnProtocols").cloned().unwrap_or_default())
        .put("certificate", who(certificate.first().map(name), "default"))
        .put("requireClientCertificate", context.get("requireClientCertificate").cloned().unwrap_or_default())
        .put("validation", validation)
        .done()
}

fn tcp_proxy(config: &Value) -> Value {
    let mut map = without(config, &["@type", "accessLog"]);
    if let Some(weighted) = map.remove("weightedClusters") {
        let pairs: Vec<Value> = array(weighted.get("clusters").cloned())
            .iter()
            .map(|c| {
                json!([
                    c.get("name").cloned().unwrap_or_default(),
                    c.get("weight").cloned().unwrap_or_default()
                ])
            })
            .collect();
        match pairs.as_slice() {
            // One of one is certain.
            [only] => map.insert("cluster".into(), only.get(0).cloned().unwrap_or_default()),
            _ => map.insert("clusters".into(), json!(pairs)),
        };
    }
    if let Some(hash) = map.remove("hashPolicy") {
        map.insert("hashSourceIp".into(), json!(hash.to_string().contains("sourceIp")));
    }
    if let Some(tunnel) = map.remove("tunnelingConfig") {
        map.insert("tunnel".into(), tunnel.get("hostname").cloned().unwrap_or_default());
    }
    Value::Object(map)
}

fn connection_manager(config: &Value) -> Value {
    let mut map = without(config, MANAGER_NOISE);
    // Envoy's default name, and its default of forwarding.
    map.entry("serverName").or_insert(json!("envoy"));
    map.entry("forwardClientCertDetails").or_insert(json!("SANITIZE"));
    let upgrades = array(map.remove("upgradeConfigs"));
    let types: Vec<Value> = upgrades.iter().filter_map(|u| u.get("upgradeType").cloned()).collect();
    map.insert("upgrades".into(), json!(types));
    if let Some(rds) = map.remove("rds") {
        map.insert("rds".into(), rds.get("routeConfigName").cloned().unwrap_or_default());
    }
    if let Some(routes) = map.remove("routeConfig") {
        map.insert("routeConfig".into(), route_configuration(&routes));
    }
    if let Some(http) = map.remove("httpProtocolOptions") {
        map.insert("acceptHttp10".into(), http.get("acceptHttp10").cloned().unwrap_or_default());
    }
    map.remove("http2ProtocolOptions");
    let filters: Vec<Value> = array(map.remove("httpFilters")).iter().filter_map(http_filter).collect();
    map.insert("httpFilters".into(), json!(filters));
    Value::Object(map)
}

fn http_filter(filter: &Value) -> Option<Value> {
    let config = filter.get("typedConfig").cloned().unwrap_or_default();
    Some(match name(filter) {
        "istio.stats"
        | "istio.metadata_exchange"
        | "envoy.filters.http.grpc_stats"
        // Resolves names for the cluster of its kind, which says so itself.
        | "envoy.filters.http.dynamic_forward_proxy"
        | "envoy.filters.http.router" => {
            return None;
        }
        "envoy.filters.http.rbac" => {
            let mut config = without(&config, &["@type"]);
            rbac_actions(&mut config);
            json!({"rbac": config})
        }
        "envoy.filters.http.jwt_authn" => json!({"jwt": jwt(&config)}),
        "envoy.filters.http.fault" => json!("fault"),
        "envoy.filters.http.cors" => json!("cors"),
        "istio.alpn" => json!("alpn"),
        "envoy.filters.http.ext_authz" => json!("ext_authz"),
        "envoy.filters.http.grpc_web" => json!("unmodelled"),
        other => json!(other),
    })
}

/// The requirement tree follows from the providers, default locations are written out, header names are in lower case.
fn jwt(config: &Value) -> Value {
    let mut map = without(config, &["@type", "rules"]);
    if let Some(Value::Object(providers)) = map.get_mut("providers") {
        for provider in providers.values_mut().filter_map(Value::as_object_mut) {
            if !["fromHeaders", "fromParams", "fromCookies"].iter().any(|key| provider.contains_key(*key)) {
                provider.insert(
                    "fromHeaders".into(),
                    json!([{"name": "authorization", "valuePrefix": "Bearer "}]),
                );
                provider.insert("fromParams".into(), json!(["access_token"]));
            }
            jwt_header_names(provider);
        }
    }
    Value::Object(map)
}

fn jwt_header_names(provider: &mut Map<String, Value>) {
    let lower = |name: &mut Value| *name = json!(name.as_str().unwrap_or_default().to_ascii_lowercase());
    provider.get_mut("forwardPayloadHeader").into_iter().for_each(lower);
    for (list, key) in [("fromHeaders", "name"), ("claimToHeaders", "headerName")] {
        let entries = provider.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        entries.filter_map(|entry| entry.get_mut(key)).for_each(lower);
    }
}

/// One route configuration.
pub(super) fn route_configuration(recorded: &Value) -> Value {
    let mut map = without(recorded, &["@type", "validateClusters", "maxDirectResponseBodySizeBytes"]);
    for host in map.get_mut("virtualHosts").and_then(Value::as_array_mut).into_iter().flatten() {
        for entry in host.get_mut("routes").and_then(Value::as_array_mut).into_iter().flatten() {
            *entry = route(entry);
        }
    }
    tidy(Value::Object(map))
}

fn route(recorded: &Value) -> Value {
    let mut map = without(recorded, ROUTE_NOISE);
    if let Some(Value::Object(matcher)) = map.get_mut("match") {
        matcher.entry("caseSensitive").or_insert(json!(true));
        for header in matcher.get_mut("headers").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(name) = header.get_mut("name") {
                *name = json!(name.as_str().unwrap_or_default().to_ascii_lowercase());
            }
        }
    }
    if let Some(Value::Object(action)) = map.get_mut("route") {
        forward(action);
    }
    if let Some(Value::Object(redirect)) = map.get_mut("redirect") {
        // Cleared by the empty string.
        redirect.retain(|_, value| value != "");
    }
    if let Some(Value::Object(answer)) = map.get_mut("directResponse")
        && let Some(body) = answer.remove("body")
    {
        answer.insert("body".into(), direct_body(&body));
    }
    if let Some(Value::Object(filters)) = map.get_mut("typedPerFilterConfig") {
        for filter in filters.values_mut() {
            *filter = per_route(filter);
        }
    }
    lower_header_names(&mut map);
    Value::Object(map)
}

fn direct_body(body: &Value) -> Value {
    use base64::Engine as _;
    if let Some(text) = body.get("inlineString").and_then(Value::as_str) {
        return json!({"text": text});
    }
    let bytes = body.get("inlineBytes").and_then(Value::as_str).unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD.decode(bytes).unwrap_or_default();
    json!({"text": String::from_utf8_lossy(&decoded)})
}

fn forward(action: &mut Map<String, Value>) {
    action.entry("timeout").or_insert(json!("0s"));
    if let Some(Value::Object(retry)) = action.get_mut("retryPolicy") {
        // 64-bit numbers are texts in protobuf JSON.
        let attempts = retry.get("hostSelectionRetryMaxAttempts").and_then(Value::as_str);
        let attempts = attempts.and_then(|text| text.parse().ok()).unwrap_or(1u32);
        retry.insert("hostSelectionRetryMaxAttempts".into(), json!(attempts));
        if retry.remove("retryHostPredicate").is_some() {
            retry.insert("previousHosts".into(), json!(true));
        }
        if retry.remove("retryPriority").is_some() {
            retry.insert("previousPriorities".into(), json!(2));
        }
    }
    for mirror in action.get_mut("requestMirrorPolicies").and_then(Value::as_array_mut).into_iter().flatten()
    {
        let parts = mirror.get("runtimeFraction").and_then(|f| f.get("defaultValue")).map(per_million);
        *mirror = json!({"cluster": mirror.get("cluster"), "perMillion": parts.unwrap_or(1_000_000)});
    }
    for entry in action
        .get_mut("weightedClusters")
        .and_then(|w| w.get_mut("clusters"))
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Value::Object(cluster) = entry {
            lower_header_names(cluster);
        }
    }
}

fn per_million(fraction: &Value) -> u64 {
    let numerator = fraction.get("numerator").and_then(Value::as_u64).unwrap_or(0);
    match fraction.get("denominator").and_then(Value::as_str) {
        Some("MILLION") => numerator,
        Some("TEN_THOUSAND") => numerator * 100,
        _ => numerator * 10_000,
    }
}

fn per_route(filter: &Value) -> Value {
    let mut map = without(filter, &["@type", "filterEnabled"]);
    for key in ["delay", "abort"] {
        if let Some(Value::Object(part)) = map.get_mut(key) {
            // Absent is nobody.
            let parts = part.remove("percentage").map_or(0, |percentage| per_million(&percentage));
            part.insert("perMillion".into(), json!(parts));
        }
    }
    Value::Object(map)
}

/// Envoy compares header names in lower case, and so does the IR.
fn lower_header_names(map: &mut Map<String, Value>) {
    for key in ["requestHeadersToRemove", "responseHeadersToRemove"] {
        for header in map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            *header = json!(header.as_str().unwrap_or_default().to_ascii_lowercase());
        }
    }
    for key in ["requestHeadersToAdd", "responseHeadersToAdd"] {
        for entry in map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(name) = entry.pointer_mut("/header/key") {
                *name = json!(name.as_str().unwrap_or_default().to_ascii_lowercase());
            }
        }
    }
}

fn without(value: &Value, keys: &[&str]) -> Map<String, Value> {
    let mut map = value.as_object().cloned().unwrap_or_default();
    map.retain(|key, _| !keys.contains(&key.as_str()));
    map
}

fn array(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn name(filter: &Value) -> &str {
    filter.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// Leaves out nulls, false, zero and empty values, as the printed side does; a few keys are always there on both sides.
pub(super) fn tidy(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| {
                    let value = tidy(value);
                    let value = if UNORDERED.contains(&key.as_str()) { sorted(value) } else { value };
                    (key, value)
                })
                .filter(|(key, value)| ALWAYS.contains(&key.as_str()) || !empty(value))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(tidy).collect()),
        other => other,
    }
}

/// Lists all of whose members must match, or that istiod fills from a Go map: their order decides nothing.
const UNORDERED: &[&str] = &["headers", "queryParameters", "hosts", "filterChains"];

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(mut items) => {
            items.sort_by_cached_key(|item| canonical(item).to_string());
            Value::Array(items)
        }
        other => other,
    }
}

/// The same value with the keys of its objects in alphabetical order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: std::collections::BTreeMap<_, _> =
                map.iter().map(|(key, value)| (key, canonical(value))).collect();
            json!(ordered)
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

/// Keys whose default means something.
const ALWAYS: &[&str] = &[
    "bindToPort",
    "timeout",
    "prefix",
    "path",
    "exact",
    "regex",
    "redirect",
    "caseSensitive",
    "forwardNotMatchingPreflights",
    "presentMatch",
    "streamIdleTimeout",
    "envoy.filters.http.fault",
    "envoy.filters.http.cors",
    "suffix",
    "contains",
    "safeRegex",
    "pattern",
    "perMillion",
    "disabledPorts",
    "healthyPanicThreshold",
];

fn empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(true) => false,
    }
}
