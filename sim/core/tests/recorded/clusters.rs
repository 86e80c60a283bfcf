//! Clusters, as far as decisions and TLS origination need them.

use mesh_core::OriginId;
use mesh_core::ir::*;
use mesh_core::tls::{CertificateSource, TrustAnchor, UpstreamTls, Validation};
use serde_json::Value;

use crate::json::*;
use crate::matchers::string;

pub(crate) fn cluster(value: &Value) -> Cluster {
    Cluster {
        name: text(value, "name").into(),
        discovery: Discovery::Static,
        lb: LbPolicy::Random,
        common_lb: CommonLb {
            healthy_panic_threshold: 0,
            locality_weighted: false,
            update_merge_window_ns: 1_000_000_000,
        },
        connect_timeout_ns: 10_000_000_000,
        breakers: CircuitBreakers::default(),
        outlier: None,
        protocol: UpstreamProtocol::Downstream,
        transport: transport(value),
        proxy_protocol: 0,
        idle_timeout_ns: 0,
        max_requests_per_connection: 0,
        max_connection_duration_ns: None,
        max_concurrent_streams: 1024,
        upstream_port_override: 0,
        upstream_bind: None,
        endpoints: vec![],
        overprovisioning_factor: 140,
        host: "".into(),
        port: 0,
        subset: "".into(),
        taints: vec![],
        origin: OriginId::NONE,
    }
}

fn transport(value: &Value) -> Transport {
    let is_tls = |v: &Value| text(v, "name") == "envoy.transport_sockets.tls";
    let config = |v: &Value| Box::new(upstream_tls(at(v, "typedConfig")));
    if let Some(socket) = value.get("transportSocket").filter(|s| is_tls(s)) {
        return Transport::Tls(config(socket));
    }
    let sockets = list(value, "transportSocketMatches").iter().map(|m| at(m, "transportSocket"));
    match sockets.into_iter().find(|s| is_tls(s)) {
        Some(socket) => Transport::AutoMtls(config(socket)),
        None => Transport::Plaintext,
    }
}

fn upstream_tls(value: &Value) -> UpstreamTls {
    let common = at(value, "commonTlsContext");
    let secret = list(common, "tlsCertificateSdsSecretConfigs").first().map(|s| text(s, "name"));
    let context = at(common, "combinedValidationContext");
    UpstreamTls {
        certificate: secret.filter(|s| *s == "default").map(|_| CertificateSource::Workload),
        sni: text(value, "sni").into(),
        auto_sni: false,
        auto_san_validation: false,
        alpn: list(common, "alpnProtocols").iter().map(|a| a.as_str().unwrap_or("").into()).collect(),
        alpn_override: true,
        validation: Validation {
            trust: match text(context, "validationContextSdsSecretConfig/name") {
                "ROOTCA" => TrustAnchor::Mesh,
                _ => TrustAnchor::Public,
            },
            match_sans: list(context, "defaultValidationContext/matchSubjectAltNames")
                .iter()
                .map(string)
                .collect(),
        },
        origin: OriginId::NONE,
    }
}
