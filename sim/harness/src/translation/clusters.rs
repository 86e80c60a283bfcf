//! Clusters with their hosts: the IR and the recording in one shape of our own, defaults written out on both sides.

use std::collections::BTreeMap;

use mesh_core::ir::{
    Cluster, Discovery, Endpoint, EndpointAddress, Health, LbPolicy, LocalityEndpoints, OutlierDetection,
    Transport, UpstreamProtocol,
};
use mesh_core::tls::{CertificateSource, TrustAnchor, UpstreamTls};
use serde_json::{Value, json};

use super::matchers::string;
use super::shape::{Object, duration, list, texts};

const HOUR: &str = "3600s";

pub(super) fn cluster(cluster: &Cluster) -> Value {
    let discovery = match cluster.discovery {
        Discovery::Static => "STATIC",
        Discovery::Eds => "EDS",
        Discovery::StrictDns => "STRICT_DNS",
        Discovery::LogicalDns => "LOGICAL_DNS",
        Discovery::OriginalDst => "ORIGINAL_DST",
        Discovery::DynamicForwardProxy => "DYNAMIC",
    };
    let protocol = match cluster.protocol {
        UpstreamProtocol::Http1 => "http1",
        UpstreamProtocol::Http2 => "http2",
        UpstreamProtocol::Downstream => "downstream",
    };
    let transport = match &cluster.transport {
        Transport::Plaintext => json!("plaintext"),
        Transport::Tls(tls) => json!({"all": upstream_tls(tls)}),
        Transport::AutoMtls(tls) => json!({"tlsMode": upstream_tls(tls)}),
    };
    let breakers = &cluster.breakers;
    Object::new()
        .put("name", cluster.name.as_ref())
        .put("type", discovery)
        .put("lb", lb(&cluster.lb))
        .always("healthyPanicThreshold", cluster.common_lb.healthy_panic_threshold)
        .put("localityWeighted", cluster.common_lb.locality_weighted)
        .put("connectTimeout", duration(cluster.connect_timeout_ns))
        .put(
            "breakers",
            json!([
                breakers.max_connections,
                breakers.max_pending_requests,
                breakers.max_requests,
                breakers.max_retries
            ]),
        )
        .put("retryBudget", breakers.retry_budget.map(|(percent, minimum)| json!([percent, minimum])))
        .put("outlierDetection", cluster.outlier.as_ref().map(outlier))
        .put("protocol", protocol)
        .put("transport", transport)
        .put("proxyProtocol", cluster.proxy_protocol)
        .put("idleTimeout", duration(cluster.idle_timeout_ns))
        .put("maxRequestsPerConnection", cluster.max_requests_per_connection)
        .put("maxConnectionDuration", cluster.max_connection_duration_ns.map(duration))
        .put("portOverride", cluster.upstream_port_override)
        .put("bind", cluster.upstream_bind.map(|ip| ip.to_string()))
        .put("endpoints", list(&cluster.endpoints, locality))
        .done()
}

fn lb(policy: &LbPolicy) -> Value {
    let warm = |window: u64| if window == 0 { Value::Null } else { json!(duration(window)) };
    match policy {
        LbPolicy::RoundRobin(slow) => json!(["ROUND_ROBIN", warm(slow.window_ns)]),
        LbPolicy::LeastRequest(choices, slow) => json!(["LEAST_REQUEST", choices, warm(slow.window_ns)]),
        LbPolicy::Random => json!(["RANDOM"]),
        LbPolicy::RingHash { minimum_ring_size, .. } => json!(["RING_HASH", minimum_ring_size]),
        LbPolicy::Maglev { table_size } => json!(["MAGLEV", table_size]),
        LbPolicy::ClusterProvided => json!(["CLUSTER_PROVIDED"]),
    }
}

fn outlier(o: &OutlierDetection) -> Value {
    json!({
        "interval": duration(o.interval_ns),
        "baseEjectionTime": duration(o.base_ejection_time_ns),
        "maxEjectionPercent": o.max_ejection_percent,
        "consecutive5xx": o.consecutive_5xx,
        "enforcingConsecutive5xx": o.enforcing_consecutive_5xx,
        "consecutiveGatewayFailure": o.consecutive_gateway_failure,
        "enforcingConsecutiveGatewayFailure": o.enforcing_consecutive_gateway_failure,
        "splitExternalLocalOriginErrors": o.split_external_local_origin_errors,
        "consecutiveLocalOriginFailure": o.consecutive_local_origin_failure,
        "enforcingConsecutiveLocalOriginFailure": o.enforcing_consecutive_local_origin_failure,
        "enforcingSuccessRate": o.enforcing_success_rate,
    })
}

fn upstream_tls(tls: &UpstreamTls) -> Value {
    let certificate =
        tls.certificate.as_ref().and_then(|certificate| match (certificate, &tls.validation.trust) {
            (CertificateSource::Workload, _) => Some("workload"),
            // An authority that never comes is a certificate that never comes: no handshake succeeds.
            (CertificateSource::Missing(name), TrustAnchor::Named(authority)) if name == authority => None,
            (CertificateSource::Known(_) | CertificateSource::Missing(_), _) => Some("credential"),
        });
    let trust = match tls.validation.trust {
        TrustAnchor::Mesh => "workload",
        TrustAnchor::Unchecked => "unchecked",
        TrustAnchor::Named(_) => "credential",
        TrustAnchor::Public => "public",
    };
    Object::new()
        .put("certificate", certificate)
        .put("sni", tls.sni.as_ref())
        .put("autoSni", tls.auto_sni)
        .put("autoSanValidation", tls.auto_san_validation)
        .put("alpn", texts(&tls.alpn))
        .put("alpnOverride", tls.alpn_override)
        .put("trust", trust)
        .put("sans", list(&tls.validation.match_sans, string))
        .done()
}

fn locality(group: &LocalityEndpoints) -> Value {
    Object::new()
        .put("locality", group.locality.as_ref())
        .put("weight", group.weight)
        .put("priority", group.priority)
        .put("hosts", list(&group.hosts, host))
        .done()
}

fn host(endpoint: &Endpoint) -> Value {
    let address = match &endpoint.address {
        EndpointAddress::Ip(ip, port) => format!("{ip}:{port}"),
        EndpointAddress::Dns(name, port) => format!("{name}:{port}"),
        EndpointAddress::Pipe(path) => path.to_string(),
    };
    let health = match endpoint.health {
        Health::Healthy => None,
        Health::Unhealthy => Some("UNHEALTHY"),
        Health::Draining => Some("DRAINING"),
    };
    Object::new()
        .put("address", address)
        .put("weight", endpoint.weight)
        .put("health", health)
        .put("tlsMode", endpoint.tls_mode_istio)
        .done()
}

/// What istiod sent, in the same shape. `endpoints` are the load assignments by cluster.
pub(super) fn recorded(sent: &Value, endpoints: &BTreeMap<&str, &Value>) -> Value {
    let text = |pointer: &str| sent.pointer(pointer).and_then(Value::as_str);
    let name = text("/name").unwrap_or_default();
    let http = sent
        .pointer("/typedExtensionProtocolOptions/envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
        .unwrap_or(&Value::Null);
    let protocol = if http.get("useDownstreamProtocolConfig").is_some() {
        "downstream"
    } else if http.pointer("/explicitHttpConfig/http2ProtocolOptions").is_some() {
        "http2"
    } else {
        "http1"
    };
    let common = |key: &str| http.pointer(&format!("/commonHttpProtocolOptions/{key}")).cloned();
    let panic = match sent.pointer("/commonLbConfig/healthyPanicThreshold") {
        Some(percent) => percent.get("value").cloned().unwrap_or(json!(0)),
        None => json!(50),
    };
    let dynamic = text("/clusterType/name") == Some("envoy.clusters.dynamic_forward_proxy");
    let (sent, proxy_protocol) = &without_proxy_protocol(sent);
    let assignment = sent.get("loadAssignment").or_else(|| endpoints.get(name).copied());
    Object::new()
        .put("name", name)
        .put("type", if dynamic { "DYNAMIC" } else { text("/type").unwrap_or("STATIC") })
        .put("lb", recorded_lb(sent))
        .always("healthyPanicThreshold", panic)
        .put("localityWeighted", sent.pointer("/commonLbConfig/localityWeightedLbConfig").is_some())
        .put("connectTimeout", text("/connectTimeout").unwrap_or("5s"))
        .put("breakers", recorded_breakers(sent))
        .put("retryBudget", sent.pointer("/circuitBreakers/thresholds/0/retryBudget").map(recorded_budget))
        .put("outlierDetection", sent.get("outlierDetection").map(recorded_outlier))
        .put("protocol", protocol)
        .put("transport", recorded_transport(sent, http))
        .put("proxyProtocol", proxy_protocol.clone())
        .put("idleTimeout", common("idleTimeout").unwrap_or(json!(HOUR)))
        .put("maxRequestsPerConnection", common("maxRequestsPerConnection"))
        .put("maxConnectionDuration", common("maxConnectionDuration"))
        .put("portOverride", sent.pointer("/originalDstLbConfig/upstreamPortOverride").cloned())
        .put("bind", text("/upstreamBindConfig/sourceAddress/address"))
        .put("endpoints", recorded_endpoints(assignment))
        .done()
}

/// The cluster with its bare transport sockets, and the version of the PROXY protocol that wraps them.
fn without_proxy_protocol(sent: &Value) -> (Value, Option<Value>) {
    let mut sent = sent.clone();
    let mut version = None;
    let mut unwrap = |socket: &mut Value| {
        let inner = socket.pointer("/typedConfig/transportSocket").cloned();
        if socket.get("name").and_then(Value::as_str)
            == Some("envoy.transport_sockets.upstream_proxy_protocol")
            && let Some(inner) = inner
        {
            let v2 = socket.pointer("/typedConfig/config/version").is_some_and(|v| v == "V2");
            version = Some(json!(if v2 { 2 } else { 1 }));
            *socket = inner;
        }
    };
    sent.get_mut("transportSocket").into_iter().for_each(&mut unwrap);
    let matches = sent.get_mut("transportSocketMatches").and_then(Value::as_array_mut);
    matches.into_iter().flatten().filter_map(|m| m.get_mut("transportSocket")).for_each(unwrap);
    if sent
        .pointer("/transportSocket/name")
        .and_then(Value::as_str)
        .is_some_and(|name| name.ends_with("raw_buffer"))
    {
        sent.as_object_mut().map(|cluster| cluster.remove("transportSocket"));
    }
    (sent, version)
}

fn number(value: &Value, key: &str, default: u64) -> u64 {
    match value.get(key) {
        Some(Value::String(text)) => text.parse().unwrap_or(default),
        Some(value) => value.as_u64().unwrap_or(default),
        None => default,
    }
}

fn recorded_lb(sent: &Value) -> Value {
    let at =
        |pointer: &str, key: &str, default| number(sent.get(pointer).unwrap_or(&Value::Null), key, default);
    let warm = |config: &str| sent.pointer(&format!("/{config}/slowStartConfig/slowStartWindow")).cloned();
    match sent.get("lbPolicy").and_then(Value::as_str).unwrap_or("ROUND_ROBIN") {
        "ROUND_ROBIN" => json!(["ROUND_ROBIN", warm("roundRobinLbConfig")]),
        "LEAST_REQUEST" => {
            let choices = at("leastRequestLbConfig", "choiceCount", 2);
            json!(["LEAST_REQUEST", choices, warm("leastRequestLbConfig")])
        }
        "RING_HASH" => json!(["RING_HASH", at("ringHashLbConfig", "minimumRingSize", 1024)]),
        "MAGLEV" => json!(["MAGLEV", at("maglevLbConfig", "tableSize", 65537)]),
        other => json!([other]),
    }
}

/// Envoy's own limits where none are sent.
fn recorded_breakers(sent: &Value) -> Value {
    let threshold = sent.pointer("/circuitBreakers/thresholds/0").unwrap_or(&Value::Null);
    json!([
        number(threshold, "maxConnections", 1024),
        number(threshold, "maxPendingRequests", 1024),
        number(threshold, "maxRequests", 1024),
        number(threshold, "maxRetries", 3)
    ])
}

/// Envoy's defaults: a fifth of the active requests, three at least.
fn recorded_budget(budget: &Value) -> Value {
    let percent = budget.pointer("/budgetPercent/value").and_then(Value::as_f64).unwrap_or(20.0);
    json!([percent, number(budget, "minRetryConcurrency", 3)])
}

/// Envoy's defaults (semantics: envoy-upstream 5.1).
fn recorded_outlier(sent: &Value) -> Value {
    let time = |key: &str, default: &str| sent.get(key).cloned().unwrap_or(json!(default));
    json!({
        "interval": time("interval", "10s"),
        "baseEjectionTime": time("baseEjectionTime", "30s"),
        "maxEjectionPercent": number(sent, "maxEjectionPercent", 10),
        "consecutive5xx": number(sent, "consecutive5xx", 5),
        "enforcingConsecutive5xx": number(sent, "enforcingConsecutive5xx", 100),
        "consecutiveGatewayFailure": number(sent, "consecutiveGatewayFailure", 5),
        "enforcingConsecutiveGatewayFailure": number(sent, "enforcingConsecutiveGatewayFailure", 0),
        "splitExternalLocalOriginErrors": sent.get("splitExternalLocalOriginErrors") == Some(&json!(true)),
        "consecutiveLocalOriginFailure": number(sent, "consecutiveLocalOriginFailure", 5),
        "enforcingConsecutiveLocalOriginFailure": number(sent, "enforcingConsecutiveLocalOriginFailure", 100),
        "enforcingSuccessRate": number(sent, "enforcingSuccessRate", 100),
    })
}

fn recorded_transport(sent: &Value, http: &Value) -> Value {
    let tls = |socket: Option<&Value>| {
        let context = socket.and_then(|s| s.get("typedConfig")).unwrap_or(&Value::Null);
        recorded_tls(sent, http, context)
    };
    if let Some(matches) = sent.get("transportSocketMatches").and_then(Value::as_array) {
        return json!({"tlsMode": tls(matches.first().and_then(|m| m.get("transportSocket")))});
    }
    match sent.get("transportSocket") {
        Some(socket) => json!({"all": tls(Some(socket))}),
        None => json!("plaintext"),
    }
}

fn recorded_tls(sent: &Value, http: &Value, context: &Value) -> Value {
    let at = |pointer: &str| context.pointer(pointer).cloned();
    let who = |name: Option<Value>, own: &str| match name.as_ref().and_then(Value::as_str) {
        Some(name) if name == own => Some("workload"),
        Some("file-root:system") => Some("public"),
        Some(_) => Some("credential"),
        None => None,
    };
    let combined = "/commonTlsContext/combinedValidationContext";
    let trust = who(at(&format!("{combined}/validationContextSdsSecretConfig/name")), "ROOTCA");
    let auto = |key: &str| http.pointer(&format!("/upstreamHttpProtocolOptions/{key}")).cloned();
    let kept = sent.pointer("/metadata/filterMetadata/istio/alpn_override") == Some(&json!("false"));
    Object::new()
        .put("certificate", who(at("/commonTlsContext/tlsCertificateSdsSecretConfigs/0/name"), "default"))
        .put("sni", at("/sni"))
        .put("autoSni", auto("autoSni"))
        .put("autoSanValidation", auto("autoSanValidation"))
        .put("alpn", at("/commonTlsContext/alpnProtocols"))
        .put("alpnOverride", !kept)
        .put("trust", trust.unwrap_or("unchecked"))
        .put("sans", at(&format!("{combined}/defaultValidationContext/matchSubjectAltNames")))
        .done()
}

fn recorded_endpoints(assignment: Option<&Value>) -> Value {
    let groups = assignment.and_then(|a| a.get("endpoints")).and_then(Value::as_array);
    let group = |group: &Value| {
        let part =
            |key: &str| group.pointer(&format!("/locality/{key}")).and_then(Value::as_str).unwrap_or("");
        let place = format!("{}/{}/{}", part("region"), part("zone"), part("subZone"));
        let hosts = group.get("lbEndpoints").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Object::new()
            .put("locality", place.trim_end_matches('/'))
            .put("weight", group.get("loadBalancingWeight").cloned())
            .put("priority", group.get("priority").cloned())
            .put("hosts", list(hosts, recorded_host))
            .done()
    };
    list(groups.map_or(&[][..], Vec::as_slice), group)
}

fn recorded_host(host: &Value) -> Value {
    let at = |pointer: &str| host.pointer(pointer);
    let address = match at("/endpoint/address/pipe/path").and_then(Value::as_str) {
        Some(path) => path.to_owned(),
        None => {
            let socket = at("/endpoint/address/socketAddress").unwrap_or(&Value::Null);
            let ip = socket.get("address").and_then(Value::as_str).unwrap_or_default();
            format!("{ip}:{}", number(socket, "portValue", 0))
        }
    };
    let health = at("/healthStatus").and_then(Value::as_str).filter(|h| !["HEALTHY", "UNKNOWN"].contains(h));
    let tls = at("/metadata/filterMetadata/envoy.transport_socket_match/tlsMode");
    Object::new()
        .put("address", address)
        .put("weight", number(host, "loadBalancingWeight", 1))
        .put("health", health)
        .put("tlsMode", tls == Some(&json!("istio")))
        .done()
}
