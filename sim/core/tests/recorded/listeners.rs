//! Listeners and filter chains.

use mesh_core::OriginId;
use mesh_core::ir::*;
use mesh_core::tls::{Certificate, CertificateSource, DownstreamTls, TrustAnchor, Validation};
use serde_json::Value;

use crate::http::connection_manager;
use crate::json::*;
use crate::matchers::{rbac, string};

pub(crate) fn listener(value: &Value) -> Listener {
    let address = at(value, "address/socketAddress");
    let ip: std::net::IpAddr = text(address, "address").parse().expect("an address");
    let inspector = |name: &str| {
        let filters = list(value, "listenerFilters").iter();
        filters.filter(|f| text(f, "name").ends_with(name)).map(inspector).next()
    };
    Listener {
        name: text(value, "name").into(),
        ip: (!ip.is_unspecified()).then_some(ip),
        port: number(address, "portValue") as u16,
        pipe: None,
        direction: match text(value, "trafficDirection") {
            "INBOUND" => TrafficDirection::Inbound,
            _ => TrafficDirection::Outbound,
        },
        bind_to_port: value.get("bindToPort").and_then(Value::as_bool).unwrap_or(true),
        use_original_dst: flag(value, "useOriginalDst"),
        listener_filters: ListenerFilters {
            tls_inspector: inspector("tls_inspector"),
            http_inspector: inspector("http_inspector"),
            proxy_protocol: inspector("proxy_protocol").is_some(),
        },
        listener_filters_timeout_ns: duration(at(value, "listenerFiltersTimeout")).unwrap_or(0),
        filter_chains: list(value, "filterChains").iter().map(filter_chain).collect(),
        default_filter_chain: value.get("defaultFilterChain").map(filter_chain),
        taints: vec![],
        origin: OriginId::NONE,
    }
}

fn inspector(value: &Value) -> Inspector {
    let range = |v: &Value| {
        let r = at(v, "destinationPortRange");
        r.is_object().then(|| (number(r, "start") as u16, (number(r, "end") - 1) as u16))
    };
    let disabled = at(value, "filterDisabled");
    let many = list(disabled, "orMatch/rules").iter().filter_map(range);
    Inspector { disabled_ports: range(disabled).into_iter().chain(many).collect() }
}

fn filter_chain(value: &Value) -> FilterChain {
    let m = at(value, "filterChainMatch");
    let texts = |key| list(m, key).iter().map(|t| t.as_str().unwrap_or("").into()).collect();
    let matcher = FilterChainMatch {
        destination_port: m.get("destinationPort").and_then(Value::as_u64).map(|p| p as u16),
        prefix_ranges: list(m, "prefixRanges")
            .iter()
            .map(|r| {
                format!("{}/{}", text(r, "addressPrefix"), number(r, "prefixLen")).parse().expect("a prefix")
            })
            .collect(),
        server_names: texts("serverNames"),
        transport_protocol: match text(m, "transportProtocol") {
            "tls" => Some(TransportProtocol::Tls),
            "raw_buffer" => Some(TransportProtocol::RawBuffer),
            _ => None,
        },
        application_protocols: texts("applicationProtocols"),
    };
    let hosts = matcher.server_names.clone();
    let (mut network_filters, mut terminal) = (vec![], None);
    for filter in list(value, "filters") {
        let config = at(filter, "typedConfig");
        match text(filter, "name") {
            "envoy.filters.network.http_connection_manager" => {
                terminal = Some(Terminal::Http(Box::new(connection_manager(config))));
            }
            "envoy.filters.network.tcp_proxy" => terminal = Some(Terminal::Tcp(tcp_proxy(config))),
            "envoy.filters.network.rbac" => network_filters.push(NetworkFilter::Rbac(rbac(config))),
            other => network_filters.push(NetworkFilter::Observer(other.into())),
        }
    }
    FilterChain {
        name: text(value, "name").into(),
        matcher,
        tls: value.get("transportSocket").map(|t| downstream_tls(at(t, "typedConfig"), &hosts)),
        network_filters,
        terminal: terminal.expect("a terminal filter"),
        taints: vec![],
        origin: OriginId::NONE,
    }
}

fn tcp_proxy(value: &Value) -> TcpProxy {
    let clusters = match value.get("weightedClusters") {
        Some(w) => {
            let entry = |c: &Value| (text(c, "name").into(), number(c, "weight") as u32);
            list(w, "clusters").iter().map(entry).collect()
        }
        None => vec![(text(value, "cluster").into(), 1)],
    };
    TcpProxy {
        stat_prefix: text(value, "statPrefix").into(),
        clusters,
        idle_timeout_ns: duration(at(value, "idleTimeout")),
        hash_source_ip: !list(value, "hashPolicy").is_empty(),
        tunnel: None,
        origin: OriginId::NONE,
    }
}

/// Secrets are not in the recording: a gateway's `credentialName` shows the hosts of its chain (recording's README).
fn downstream_tls(value: &Value, hosts: &[mesh_core::Str]) -> DownstreamTls {
    let common = at(value, "commonTlsContext");
    let secret = list(common, "tlsCertificateSdsSecretConfigs").first().map_or("", |s| text(s, "name"));
    let certificate = match secret {
        "default" => CertificateSource::Workload,
        _ => CertificateSource::Known(Certificate {
            issuer: TrustAnchor::Public,
            sans: hosts.to_vec(),
            subject: "".into(),
        }),
    };
    let context = at(common, "combinedValidationContext");
    let validation = context.is_object().then(|| Validation {
        trust: match text(context, "validationContextSdsSecretConfig/name") {
            "ROOTCA" => TrustAnchor::Mesh,
            other => TrustAnchor::Named(other.into()),
        },
        match_sans: list(context, "defaultValidationContext/matchSubjectAltNames")
            .iter()
            .map(string)
            .collect(),
    });
    DownstreamTls {
        certificate,
        alpn: list(common, "alpnProtocols").iter().map(|a| a.as_str().unwrap_or("").into()).collect(),
        require_client_certificate: flag(value, "requireClientCertificate"),
        validation,
        origin: OriginId::NONE,
    }
}
