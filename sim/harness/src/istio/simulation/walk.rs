//! One call through a snapshot, as far as Istio's simulation goes: listener, filter chain, TLS, virtual host, route, cluster.
//!
//! Decisions are the core's; only where the simulation itself knows less than Envoy is it followed: routes are chosen by
//! path alone, and a chain without a mandatory workload certificate is no place for mutual TLS.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mesh_core::cx::NoTrace;
use mesh_core::decide::{Accept, accept};
use mesh_core::ids::{ChainId, ListenerId};
use mesh_core::ir::{
    ClusterSpecifier, FilterChain, RouteAction, RouteConfiguration, RouteSpecifier, Snapshot, Terminal,
    TrafficDirection,
};
use mesh_core::matching::{find_virtual_host, path_matches, path_without_query};
use mesh_core::request::{Connection, FirstBytes, Protocol};
use mesh_core::tls::{Certificate, CertificateSource, ClientHello, DownstreamTls, TrustAnchor, Validation};
use serde::Deserialize;

use crate::format::url::Url;

/// Which way the call meets the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Inbound,
    Outbound,
    Gateway,
}

/// How a call is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TlsMode {
    Plaintext,
    Tls,
    Mtls,
}

/// A call.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Call {
    url: String,
    dial: String,
    /// `http`, `http2`, `tcp`; empty is no protocol the simulation knows.
    protocol: String,
    tls: TlsMode,
    #[serde(default)]
    alpn: Option<String>,
    #[serde(default)]
    sni: Option<String>,
    /// Names the server certificate of mutual TLS, where that is not the workload's.
    #[serde(default)]
    note: String,
}

/// What a call matched; empty = nothing.
#[derive(Debug, Default)]
pub(super) struct Found {
    listener: String,
    filter_chain: String,
    route_config: String,
    virtual_host: String,
    route: String,
    cluster: String,
    error: &'static str,
    /// Domains of the virtual hosts of the route configuration, with the hosts' names.
    domains: Vec<(String, String)>,
}

impl Found {
    /// Everything a case may assert.
    pub(super) fn keys(&self) -> [(&'static str, &str); 7] {
        [
            ("listener", self.listener.as_str()),
            ("filterChain", self.filter_chain.as_str()),
            ("routeConfig", self.route_config.as_str()),
            ("virtualHost", self.virtual_host.as_str()),
            ("route", self.route.as_str()),
            ("cluster", self.cluster.as_str()),
            ("error", self.error),
        ]
    }

    /// The virtual host that names `host` among its domains.
    pub(super) fn virtual_host_named(&self, host: &str) -> Option<&str> {
        self.domains.iter().find(|(domain, _)| domain == host).map(|(_, name)| name.as_str())
    }
}

/// Walks.
pub(super) fn walk(snapshot: &Snapshot, direction: Direction, call: &Call) -> Result<Found, String> {
    let conn = connection(call)?;
    let entry = match direction {
        Direction::Inbound => TrafficDirection::Inbound,
        Direction::Outbound | Direction::Gateway => TrafficDirection::Outbound,
    };
    let mut found = Found::default();
    let chain = match accept(snapshot, entry, &workload(), &conn, &mut NoTrace) {
        Accept::Chain { chain, .. } | Accept::HandshakeFailed { chain, .. } => chain,
        Accept::NoFilterChain { listener } => {
            found.listener = listener_name(snapshot, listener);
            found.error = "no filter chains matched";
            return Ok(found);
        }
        Accept::NoListener => {
            found.error = "no listener matched";
            if let Some(refused) = refused_listener(snapshot, conn.destination) {
                found.listener = refused;
                found.error = "multiple filter chains matched";
            }
            return Ok(found);
        }
        Accept::Hangs { .. } => return Err("the call waits for ever".to_owned()),
    };
    found.listener = listener_name(snapshot, chain.listener);
    let Some(filter_chain) = snapshot.filter_chain(chain) else { return Ok(found) };
    found.filter_chain = filter_chain.name.to_string();
    let listener = snapshot.listeners.get(chain.listener.index());
    let standing = listener.into_iter().flat_map(|l| &l.taints).chain(&filter_chain.taints);
    if let Some(taint) = snapshot.taints.iter().chain(standing).next() {
        return Err(taint.what.to_string());
    }
    match tls_error(filter_chain, call) {
        Some(error) => found.error = error,
        None => terminal(snapshot, chain, filter_chain, call, &mut found)?,
    }
    Ok(found)
}

fn listener_name(snapshot: &Snapshot, id: ListenerId) -> String {
    snapshot.listeners.get(id.index()).map(|l| l.name.to_string()).unwrap_or_default()
}

/// The listener Envoy refuses because two of its chains match the same.
fn refused_listener(snapshot: &Snapshot, at: SocketAddr) -> Option<String> {
    let here = |(i, l): &(usize, &mesh_core::ir::Listener)| {
        l.port == at.port()
            && l.ip.is_none_or(|ip| ip == at.ip())
            && snapshot.index.is_refused(*i, &snapshot.listeners)
    };
    snapshot.listeners.iter().enumerate().find(here).map(|(_, l)| l.name.to_string())
}

fn workload() -> Certificate {
    let sans = vec!["spiffe://cluster.local/ns/default/sa/default".into()];
    Certificate { issuer: TrustAnchor::Mesh, sans, subject: "".into() }
}

fn connection(call: &Call) -> Result<Connection, String> {
    let bad = || format!("`{}` is no address and port", call.dial);
    let (ip, port) = call.dial.rsplit_once(':').ok_or_else(bad)?;
    let ip: IpAddr = ip.trim_matches(['[', ']']).parse().map_err(|_| bad())?;
    let destination = SocketAddr::new(ip, port.parse().map_err(|_| bad())?);
    let hello = || ClientHello {
        sni: call.sni.as_deref().map(Into::into),
        alpn: call.alpn.iter().map(|a| a.as_str().into()).collect(),
        certificate: (call.tls == TlsMode::Mtls).then(workload),
        validation: Validation { trust: TrustAnchor::Unchecked, match_sans: Vec::new() },
    };
    Ok(Connection {
        source: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(1, 3, 3, 8)), 40_000),
        destination,
        // the simulation knows the server name of plaintext calls too, which no proxy could see
        tls: (call.tls != TlsMode::Plaintext || call.sni.is_some()).then(hello),
        bytes: match call.protocol.as_str() {
            "http" => FirstBytes::Http(Protocol::Http11),
            "http2" => FirstBytes::Http(Protocol::Http2),
            _ => FirstBytes::Raw { len: 64, newline: true },
        },
    })
}

fn tls_error(chain: &FilterChain, call: &Call) -> Option<&'static str> {
    let tls = chain.tls.as_ref()?;
    if call.tls == TlsMode::Plaintext {
        return Some("invalid TLS");
    }
    (is_mutual(tls, call) != (call.tls == TlsMode::Mtls)).then_some("invalid mTLS")
}

/// Whether the chain demands client certificates and shows the certificate that the simulation takes for mutual TLS: the
/// workload's, or the file of the note (`file-cert:<chain>~<key>`).
fn is_mutual(tls: &DownstreamTls, call: &Call) -> bool {
    let file = call.note.split_once("file-cert:").and_then(|(_, pair)| pair.split('~').next());
    let shown = match (&tls.certificate, file) {
        (CertificateSource::Workload, None) => true,
        (CertificateSource::Known(certificate), Some(chain)) => {
            certificate.issuer == TrustAnchor::Named(format!("file-cert:{chain}").into())
        }
        _ => false,
    };
    tls.require_client_certificate && shown
}

fn terminal(
    snapshot: &Snapshot,
    chain: ChainId,
    filter_chain: &FilterChain,
    call: &Call,
    found: &mut Found,
) -> Result<(), String> {
    let manager = match &filter_chain.terminal {
        Terminal::Tcp(tcp) => {
            // the simulation reads `cluster` and leaves weighted clusters alone
            if let [(cluster, _)] = tcp.clusters.as_slice() {
                found.cluster = cluster.to_string();
            }
            return Ok(());
        }
        Terminal::Http(manager) => manager,
    };
    let encrypted = call.tls != TlsMode::Plaintext && filter_chain.tls.is_none();
    if encrypted || !["http", "http2"].contains(&call.protocol.as_str()) {
        found.error = "protocol error";
        return Ok(());
    }
    if let RouteSpecifier::Rds(name) = &manager.route_specifier {
        found.route_config = name.to_string();
    }
    let Some(config) = snapshot.route_config_of(chain).and_then(|at| snapshot.route_config(at)) else {
        found.error = "no virtual host matched";
        return Ok(());
    };
    route(config, call, found)
}

fn route(config: &RouteConfiguration, call: &Call, found: &mut Found) -> Result<(), String> {
    let url = Url::parse(&call.url)?;
    for host in &config.virtual_hosts {
        found.domains.extend(host.domains.iter().map(|d| (d.to_string(), host.name.to_string())));
    }
    let chosen = find_virtual_host(config, &url.authority);
    let Some(host) = chosen.and_then(|(v, _)| config.virtual_hosts.get(v as usize)) else {
        found.error = "no virtual host matched";
        return Ok(());
    };
    found.virtual_host = host.name.to_string();
    if host.require_tls && call.tls == TlsMode::Plaintext {
        found.error = "tls required, sending 301";
        return Ok(());
    }
    let path = path_without_query(&url.target);
    let fits = |r: &&mesh_core::ir::Route| path_matches(&r.matcher.path, r.matcher.case_sensitive, path);
    let Some(route) = host.routes.iter().find(fits) else {
        found.error = "no route matched";
        return Ok(());
    };
    if let Some(taint) = route.taints.first() {
        return Err(taint.what.to_string());
    }
    found.route = route.name.to_string();
    if let RouteAction::Forward(forward) = &route.action
        && let ClusterSpecifier::Cluster(name) = &forward.cluster
    {
        found.cluster = name.to_string();
    }
    Ok(())
}
