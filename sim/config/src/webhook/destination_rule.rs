//! DestinationRule (semantics: istio-validation 3.3).

use super::Findings;
use super::blocks::{
    duration, export_to, fqdn_problem, is_ip, is_label, labels, percent, port, selector,
    wildcard_domain_problem,
};
use super::load_balancer::load_balancer;
use crate::resource::connection_pool::{ConnectionPoolSettings, H2UpgradePolicy, OutlierDetection};
use crate::resource::destination_rule::{
    DestinationRule, PortTrafficPolicy, Subset, TrafficPolicy, TunnelSettings,
};
use crate::resource::tls::{ClientTlsMode, ClientTlsSettings};
use crate::source::Span;

/// Judges a DestinationRule.
pub(super) fn validate(rule: &DestinationRule, f: &mut Findings<'_>) {
    if let Some(why) = wildcard_domain_problem(&rule.host.value) {
        f.error(rule.host.span, format!("host: {why}"));
    }
    if let Some(policy) = &rule.traffic_policy {
        traffic_policy(f, policy, true);
    }
    let mut names: Vec<&str> = Vec::new();
    for subset in &rule.subsets {
        if names.contains(&subset.name.as_str()) {
            f.error(subset.origin, format!("duplicate subset names: {}", subset.name));
        }
        names.push(&subset.name);
        validate_subset(f, subset);
    }
    let selected = rule.workload_selector.as_ref();
    export_to(f, &rule.export_to, rule.origin, false, selected.is_some());
    if let Some(labels) = selected {
        selector(f, Some(&labels.match_labels), labels.origin);
    }
}

fn validate_subset(f: &mut Findings<'_>, subset: &Subset) {
    if subset.name.is_empty() {
        f.error(subset.origin, "subset name cannot be empty");
    } else if !is_label(&subset.name) {
        f.error(subset.origin, format!("subset name `{}` is not a DNS label", subset.name));
    }
    labels(f, &subset.labels, subset.origin);
    if let Some(policy) = &subset.traffic_policy {
        traffic_policy(f, policy, false);
    }
}

fn traffic_policy(f: &mut Findings<'_>, policy: &TrafficPolicy, top: bool) {
    let something = policy.outlier_detection.is_some()
        || policy.connection_pool.is_some()
        || policy.load_balancer.is_some()
        || policy.tls.is_some()
        || !policy.port_level_settings.is_empty()
        || policy.tunnel.is_some()
        || policy.proxy_protocol.is_some()
        || policy.retry_budget.is_some();
    if !something {
        f.error(policy.origin, "traffic policy must have at least one field");
    }
    if let (Some(_), Some(tunnel)) = (&policy.proxy_protocol, &policy.tunnel) {
        f.error(tunnel.origin, "tunnel and proxyProtocol cannot be set together");
    }
    if let Some(tunnel) = &policy.tunnel {
        validate_tunnel(f, tunnel);
    }
    blocks(
        f,
        policy.outlier_detection.as_ref(),
        policy.connection_pool.as_ref(),
        policy.load_balancer.as_ref(),
        policy.tls.as_ref(),
        top,
    );
    if let Some(budget) = &policy.retry_budget
        && budget.percent.is_some_and(|p| !(0.0..=100.0).contains(&p))
    {
        f.error(budget.origin, "retry budget percent must be in the range 0..100");
    }
    for settings in &policy.port_level_settings {
        port_level(f, settings);
    }
}

fn port_level(f: &mut Findings<'_>, settings: &PortTrafficPolicy) {
    if settings.port.is_none() {
        f.error(settings.origin, "portLevelSettings must have a port");
    }
    let something = settings.outlier_detection.is_some()
        || settings.connection_pool.is_some()
        || settings.load_balancer.is_some()
        || settings.tls.is_some();
    if !something {
        f.error(settings.origin, "port traffic policy must have at least one field");
    }
    // istiod forgets the warnings of port levels.
    let before = f.out.len();
    blocks(
        f,
        settings.outlier_detection.as_ref(),
        settings.connection_pool.as_ref(),
        settings.load_balancer.as_ref(),
        settings.tls.as_ref(),
        false,
    );
    f.forget_warnings(before);
}

fn blocks(
    f: &mut Findings<'_>,
    outlier: Option<&OutlierDetection>,
    pool: Option<&ConnectionPoolSettings>,
    balancer: Option<&crate::resource::load_balancer::LoadBalancerSettings>,
    tls: Option<&ClientTlsSettings>,
    top: bool,
) {
    if let Some(outlier) = outlier {
        outlier_detection(f, outlier, top);
    }
    if let Some(pool) = pool {
        connection_pool(f, pool);
    }
    if let Some(balancer) = balancer {
        // The missing outlierDetection is only noticed at the top level: later findings of istio-validation.
        load_balancer(f, balancer, outlier.is_some() || !top);
    }
    if let Some(tls) = tls {
        client_tls(f, tls);
    }
}

fn validate_tunnel(f: &mut Findings<'_>, tunnel: &TunnelSettings) {
    if !matches!(tunnel.protocol.as_str(), "" | "CONNECT" | "POST") {
        f.error(tunnel.origin, format!("tunnel protocol `{}` must be CONNECT or POST", tunnel.protocol));
    }
    if let Some(why) = fqdn_problem(&tunnel.target_host).filter(|_| !is_ip(&tunnel.target_host)) {
        f.error(tunnel.origin, format!("tunnel target host: {why}"));
    }
    port(f, tunnel.target_port, tunnel.origin, "tunnel target port");
}

/// Outlier detection.
fn outlier_detection(f: &mut Findings<'_>, outlier: &OutlierDetection, top: bool) {
    let span = outlier.origin;
    duration(f, outlier.base_ejection_time, span, "baseEjectionTime");
    duration(f, outlier.interval, span, "interval");
    if outlier.consecutive_errors != 0 && top {
        f.warn(span, "outlier detection consecutive errors is deprecated, use consecutiveGatewayErrors or consecutive5xxErrors instead");
    }
    if !outlier.split_external_local_origin_errors
        && outlier.consecutive_local_origin_failures.unwrap_or(0) > 0
    {
        f.error(span, "outlier detection consecutive local origin failures is specified, but split external local origin errors is set to false");
    }
    percent(f, outlier.max_ejection_percent, span, "maxEjectionPercent");
    percent(f, outlier.min_health_percent, span, "minHealthPercent");
}

/// Connection pools of DestinationRule and Sidecar.
pub(super) fn connection_pool(f: &mut Findings<'_>, pool: &ConnectionPoolSettings) {
    if pool.tcp.is_none() && pool.http.is_none() {
        f.error(pool.origin, "connection pool must have at least one field");
    }
    let negative = |f: &mut Findings<'_>, value: i32, span: Span, what: &str| {
        if value < 0 {
            f.error(span, format!("{what} must be non-negative"));
        }
    };
    if let Some(http) = &pool.http {
        let span = http.origin;
        negative(f, http.http1_max_pending_requests, span, "http1MaxPendingRequests");
        negative(f, http.http2_max_requests, span, "http2MaxRequests");
        negative(f, http.max_requests_per_connection, span, "maxRequestsPerConnection");
        negative(f, http.max_retries, span, "maxRetries");
        negative(f, http.max_concurrent_streams, span, "maxConcurrentStreams");
        duration(f, http.idle_timeout, span, "idleTimeout");
        if http.h2_upgrade_policy == H2UpgradePolicy::Upgrade && http.use_client_protocol {
            f.error(span, "use client protocol must not be true when H2UpgradePolicy is UPGRADE");
        }
        if let Some(keepalive) = &http.http2_keep_alive {
            if keepalive.interval.is_none() || keepalive.timeout.is_none() {
                f.error(keepalive.origin, "http2KeepAlive requires interval and timeout");
            }
            duration(f, keepalive.interval, keepalive.origin, "interval");
            duration(f, keepalive.timeout, keepalive.origin, "timeout");
        }
    }
    if let Some(tcp) = &pool.tcp {
        let span = tcp.origin;
        negative(f, tcp.max_connections, span, "maxConnections");
        duration(f, tcp.connect_timeout, span, "connectTimeout");
        duration(f, tcp.max_connection_duration, span, "maxConnectionDuration");
        if tcp.idle_timeout.is_some_and(|t| t.ns != 0) {
            duration(f, tcp.idle_timeout, span, "idleTimeout");
        }
        if let Some(keepalive) = &tcp.tcp_keepalive {
            duration(f, keepalive.time, keepalive.origin, "keepalive time");
            duration(f, keepalive.interval, keepalive.origin, "keepalive interval");
        }
    }
}

fn client_tls(f: &mut Findings<'_>, tls: &ClientTlsSettings) {
    let span = tls.origin;
    configmap_namespace(f, &tls.credential_name, span);
    if tls.insecure_skip_verify == Some(true) {
        let simple = tls.mode == ClientTlsMode::Simple;
        let mutual = tls.mode == ClientTlsMode::Mutual;
        if (simple || mutual) && !tls.ca_certificates.is_empty() {
            f.error(span, "cannot specify caCertificates when insecureSkipVerify is true");
        }
        if simple && !tls.credential_name.is_empty() {
            f.error(span, "cannot specify credentialName when insecureSkipVerify is true");
        }
        if (simple || mutual) && !tls.subject_alt_names.is_empty() {
            f.error(span, "cannot specify subjectAltNames when insecureSkipVerify is true");
        }
    }
    if matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual) && !tls.credential_name.is_empty() {
        let files = [&tls.client_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl];
        if files.iter().any(|text| !text.is_empty()) {
            f.error(
                span,
                "cannot specify client certificates or CA certificates or CRL if credentialName is set",
            );
        }
        return;
    }
    if tls.mode == ClientTlsMode::Mutual {
        if tls.client_certificate.is_empty() {
            f.error(span, "client certificate required for mutual tls");
        }
        if tls.private_key.is_empty() {
            f.error(span, "private key required for mutual tls");
        }
    }
}

fn configmap_namespace(f: &mut Findings<'_>, credential: &str, span: Span) {
    let Some(reference) = credential.strip_prefix("configmap://") else { return };
    match reference.split('/').collect::<Vec<_>>().as_slice() {
        [namespace, _] if *namespace == f.namespace() => {}
        [_, _] => f.error(span, "credentialName may only name a ConfigMap of its own namespace"),
        _ => f.error(span, "credentialName must be of the form `configmap://namespace/name`"),
    }
}
