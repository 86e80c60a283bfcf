//! Envoy's sieve over filter chains.
//!
//! One criterion after the other, the most specific class of each, never going back: destination port, destination
//! prefix, server name, transport protocol, application protocol. Envoy: source/common/listener_manager/
//! filter_chain_manager_impl.cc, `findFilterChain`. Source addresses are never matched on by istiod.

use std::net::{IpAddr, SocketAddr};

use crate::ids::Str;
use crate::ir::{FilterChain, FilterChainMatch, TransportProtocol};

/// What the listener filters found out.
#[derive(Clone, Copy)]
pub(super) struct Detected<'c> {
    /// `tls` or, whatever else it is, `raw_buffer`.
    pub(super) transport: TransportProtocol,
    /// SNI seen by the TLS inspector.
    pub(super) server_name: Option<&'c str>,
    /// What the HTTP inspector says it is.
    pub(super) sniffed: Option<&'static str>,
    /// ALPN the client offers, in its order, seen by the TLS inspector.
    pub(super) offered: &'c [Str],
}

/// The position of the chain that takes the connection; `None` sends it to the default chain.
pub(super) fn find_chain(
    chains: &[FilterChain],
    destination: SocketAddr,
    detected: &Detected<'_>,
) -> Option<usize> {
    let port = Some(destination.port());
    let wanted_port = chains.iter().any(|c| c.matcher.destination_port == port).then_some(destination.port());
    let by_port = |c: &&FilterChainMatch| c.destination_port == wanted_port;
    let matchers = || chains.iter().map(|c| &c.matcher);

    let prefix = matchers().filter(by_port).filter_map(|m| prefix_length(m, destination.ip())).max()?;
    let by_prefix = |m: &&FilterChainMatch| by_port(m) && prefix_length(m, destination.ip()) == Some(prefix);

    let host = detected.server_name.unwrap_or("");
    let rank = matchers().filter(by_prefix).filter_map(|m| server_name_rank(m, host)).max()?;
    let by_name = |m: &&FilterChainMatch| by_prefix(m) && server_name_rank(m, host) == Some(rank);

    let named = matchers().filter(by_name).any(|m| m.transport_protocol == Some(detected.transport));
    let wanted_transport = named.then_some(detected.transport);
    let by_transport = |m: &&FilterChainMatch| by_name(m) && m.transport_protocol == wanted_transport;

    let offers = detected.sniffed.into_iter().chain(detected.offered.iter().map(AsRef::as_ref));
    let lists = |m: &FilterChainMatch, protocol: &str| {
        m.application_protocols.iter().any(|listed| listed.as_ref() == protocol)
    };
    for protocol in offers {
        if let Some(i) = matchers().position(|m| by_transport(&m) && lists(m, protocol)) {
            return Some(i);
        }
    }
    matchers().position(|m| by_transport(&m) && m.application_protocols.is_empty())
}

/// Length of the longest prefix that contains the address; 0 for a chain without prefixes.
fn prefix_length(matcher: &FilterChainMatch, ip: IpAddr) -> Option<u8> {
    if matcher.prefix_ranges.is_empty() {
        return Some(0);
    }
    matcher.prefix_ranges.iter().filter(|net| net.contains(&ip)).map(ipnet::IpNet::prefix_len).max()
}

/// 0 for a chain without names, else one more than the length of the matching wildcard or, for the exact name, more
/// than any wildcard's.
fn server_name_rank(matcher: &FilterChainMatch, host: &str) -> Option<usize> {
    if matcher.server_names.is_empty() {
        return Some(0);
    }
    let rank = |name: &Str| match name.strip_prefix('*') {
        Some(suffix) if !suffix.is_empty() => {
            let covered = host.len().checked_sub(suffix.len()).filter(|n| *n > 0)?;
            host.get(covered..)?.eq_ignore_ascii_case(suffix).then_some(1 + suffix.len())
        }
        Some(_) => Some(0),
        None => (!host.is_empty() && name.eq_ignore_ascii_case(host)).then_some(usize::MAX),
    };
    matcher.server_names.iter().filter_map(rank).max()
}

/// Why a chain does not match, in words; `None` when each of its criteria holds by itself.
pub(super) fn why_not(
    matcher: &FilterChainMatch,
    destination: SocketAddr,
    detected: &Detected<'_>,
) -> Option<String> {
    if let Some(port) = matcher.destination_port.filter(|port| *port != destination.port()) {
        return Some(format!("destination port is {}, not {port}", destination.port()));
    }
    if prefix_length(matcher, destination.ip()).is_none() {
        return Some(format!("destination {} is in none of its prefixes", destination.ip()));
    }
    if server_name_rank(matcher, detected.server_name.unwrap_or("")).is_none() {
        let shown = detected.server_name.map_or_else(|| "absent".to_owned(), |name| format!("`{name}`"));
        return Some(format!("the server name is {shown}, not {}", matcher.server_names.join(" or ")));
    }
    if matcher.transport_protocol.is_some_and(|t| t != detected.transport) {
        return Some(match detected.transport {
            TransportProtocol::Tls => "the connection is TLS".to_owned(),
            TransportProtocol::RawBuffer => "the connection is not TLS".to_owned(),
        });
    }
    let offered = |protocol: &Str| {
        detected.sniffed == Some(protocol.as_ref()) || detected.offered.iter().any(|o| o == protocol)
    };
    if !matcher.application_protocols.is_empty() && !matcher.application_protocols.iter().any(offered) {
        return Some(format!("the protocol is none of {}", matcher.application_protocols.join(", ")));
    }
    None
}
