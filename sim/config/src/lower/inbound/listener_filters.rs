//! Which inspectors look at which ports: derived from what the filter chains ask for (istiod: `populateListenerFilters`).

use std::collections::BTreeMap;

use mesh_core::ir::{FilterChain, Inspector, ListenerFilters, TransportProtocol};

/// What the chains of one port need.
#[derive(Debug, Clone, Copy, Default)]
struct Needs {
    tls: bool,
    http: bool,
}

/// The listener filters of an inbound listener. Port 0 stands for all ports without chains of their own.
pub(super) fn derive(chains: &[FilterChain]) -> ListenerFilters {
    let mut by_port: BTreeMap<u16, Needs> = BTreeMap::new();
    for chain in chains {
        let needs = by_port.entry(chain.matcher.destination_port.unwrap_or(0)).or_default();
        needs.tls |= chain.matcher.transport_protocol == Some(TransportProtocol::Tls);
        needs.http |=
            chain.matcher.application_protocols.iter().any(|p| matches!(p.as_ref(), "http/1.1" | "h2c"));
    }
    let ports = |wanted: fn(&Needs) -> bool| -> Vec<u16> {
        by_port.iter().filter(|(_, needs)| wanted(needs)).map(|(port, _)| *port).collect()
    };
    ListenerFilters {
        tls_inspector: tls_inspector(&ports(|n| n.tls), &ports(|n| !n.tls)),
        http_inspector: by_port
            .values()
            .any(|needs| needs.http)
            .then(|| Inspector { disabled_ports: single(&ports(|n| !n.http)) }),
        proxy_protocol: false,
    }
}

/// Off at the listed ports where passthrough needs it, on at the listed ports where it does not.
fn tls_inspector(needing: &[u16], not_needing: &[u16]) -> Option<Inspector> {
    if needing.is_empty() {
        return None;
    }
    if needing.contains(&0) {
        return Some(Inspector { disabled_ports: single(not_needing) });
    }
    Some(Inspector { disabled_ports: complement(needing) })
}

fn single(ports: &[u16]) -> Vec<(u16, u16)> {
    ports.iter().map(|&port| (port, port)).collect()
}

/// The ranges between sorted ports.
fn complement(ports: &[u16]) -> Vec<(u16, u16)> {
    let mut out = Vec::new();
    let mut from = Some(0u16);
    for &port in ports {
        if let (Some(low), Some(high)) = (from, port.checked_sub(1))
            && low <= high
        {
            out.push((low, high));
        }
        from = port.checked_add(1);
    }
    out.extend(from.map(|low| (low, u16::MAX)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complements_leave_out_the_ports() {
        assert_eq!(complement(&[80, 81, 9000]), [(0, 79), (82, 8999), (9001, u16::MAX)]);
        assert_eq!(complement(&[u16::MAX]), [(0, u16::MAX - 1)]);
        assert_eq!(complement(&[]), [(0, u16::MAX)]);
    }
}
