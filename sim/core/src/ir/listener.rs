//! LDS: listeners, filter chains, network filters.

use std::net::IpAddr;

use ipnet::IpNet;

use super::filters::{ExtAuthz, HttpConnectionManager};
use super::rbac::Rbac;
use crate::ids::{Nanos, OriginId, Str, Taint};
use crate::tls::DownstreamTls;

/// Which way the traffic of a listener flows (Envoy: `TrafficDirection`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrafficDirection {
    /// `virtualInbound`.
    Inbound,
    /// Outbound listeners of sidecars and all listeners of gateways.
    Outbound,
}

/// One listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Istio's name: `0.0.0.0_9080`, `10.0.0.5_3306`, `virtualOutbound`, `virtualInbound`.
    pub name: Str,
    /// The bound (or pretended) IP; `None` is the wildcard address.
    pub ip: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// A unix domain socket path instead of ip and port (Sidecar egress `bind: unix://…`).
    pub pipe: Option<Str>,
    /// Which way traffic flows.
    pub direction: TrafficDirection,
    /// False for listeners that only receive redirected connections (all outbound listeners but 15001).
    pub bind_to_port: bool,
    /// Hands connections over to the listener of their original destination (15001).
    pub use_original_dst: bool,
    /// What looks at the first bytes.
    pub listener_filters: ListenerFilters,
    /// How long the inspectors wait, ns; 0 = for ever (Istio's default `protocolDetectionTimeout`).
    pub listener_filters_timeout_ns: Nanos,
    /// Chains in istiod's order; matching follows Envoy's sieve, not this order.
    pub filter_chains: Vec<FilterChain>,
    /// Taken when no chain matches.
    pub default_filter_chain: Option<FilterChain>,
    /// Not modelled parts that could change any decision of the listener.
    pub taints: Vec<Taint>,
    /// What caused the listener.
    pub origin: OriginId,
}

/// Listener filters that matter to decisions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListenerFilters {
    /// `envoy.filters.listener.tls_inspector`, if present.
    pub tls_inspector: Option<Inspector>,
    /// `envoy.filters.listener.http_inspector`, if present.
    pub http_inspector: Option<Inspector>,
    /// PROXY protocol is expected.
    pub proxy_protocol: bool,
}

/// An inspector and the destination ports for which it is switched off (`filter_disabled`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspector {
    /// Inclusive port ranges.
    pub disabled_ports: Vec<(u16, u16)>,
}

impl Inspector {
    /// Whether the inspector looks at connections to this port.
    #[must_use]
    pub fn looks_at(&self, port: u16) -> bool {
        !self.disabled_ports.iter().any(|&(lo, hi)| lo <= port && port <= hi)
    }
}

/// Transport protocol as the TLS inspector detects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransportProtocol {
    /// `raw_buffer`
    RawBuffer,
    /// `tls`
    Tls,
}

/// Conditions of a filter chain; empty ones do not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FilterChainMatch {
    /// Original destination port.
    pub destination_port: Option<u16>,
    /// Original destination address.
    pub prefix_ranges: Vec<IpNet>,
    /// SNI, exact or `*.suffix`.
    pub server_names: Vec<Str>,
    /// Detected transport protocol.
    pub transport_protocol: Option<TransportProtocol>,
    /// ALPN offered, or the HTTP inspector's finding (`http/1.1`, `h2c`).
    pub application_protocols: Vec<Str>,
}

/// One filter chain.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterChain {
    /// Istio's name: `0.0.0.0_9080`, `virtualInbound-catchall-http`, `PassthroughFilterChain`; empty if istiod gives none.
    pub name: Str,
    /// When it applies.
    pub matcher: FilterChainMatch,
    /// TLS termination; `None` = the bytes are taken as they are.
    pub tls: Option<DownstreamTls>,
    /// RBAC and the like in order, before the terminal filter.
    pub network_filters: Vec<NetworkFilter>,
    /// HTTP connection manager or TCP proxy.
    pub terminal: Terminal,
    /// Not modelled parts.
    pub taints: Vec<Taint>,
    /// What caused the chain.
    pub origin: OriginId,
}

/// A network filter before the terminal one.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkFilter {
    /// `envoy.filters.network.rbac`
    Rbac(Rbac),
    /// Parses the protocol for statistics only (`mongo_proxy`, `mysql_proxy`, istio.stats …): no effect on decisions.
    Observer(Str),
    /// `envoy.filters.network.ext_authz`
    ExtAuthz(ExtAuthz),
    /// A filter whose effect is not modelled.
    Unmodelled(Taint),
}

/// The filter that ends a chain.
#[derive(Debug, Clone, PartialEq)]
pub enum Terminal {
    /// `envoy.filters.network.http_connection_manager`
    Http(Box<HttpConnectionManager>),
    /// `envoy.filters.network.tcp_proxy`
    Tcp(TcpProxy),
}

/// `envoy.filters.network.tcp_proxy`.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpProxy {
    /// Name for the access log and stats.
    pub stat_prefix: Str,
    /// Cluster names with weights; one entry = plain cluster (its weight does not matter).
    pub clusters: Vec<(Str, u32)>,
    /// Idle timeout, ns; `None` = Envoy's 1 h.
    pub idle_timeout_ns: Option<Nanos>,
    /// Hash on the source IP (DestinationRule `consistentHash.useSourceIp`).
    pub hash_source_ip: bool,
    /// `tunneling_config` hostname (DestinationRule `tunnel`).
    pub tunnel: Option<Str>,
    /// Access log filter: only connections without a matching chain are logged when false.
    pub origin: OriginId,
}
