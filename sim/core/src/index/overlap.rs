//! Listeners that Envoy refuses: two filter chains claim the same combination of criteria.
//!
//! istiod can emit such listeners (semantics: envoy-routing, later findings). Envoy: source/common/listener_manager/
//! filter_chain_manager_impl.cc, "multiple filter chains with overlapping matching rules are defined".

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::ir::{FilterChainMatch, Listener, TransportProtocol};

/// One leaf of Envoy's nested maps.
type Leaf = (Option<u16>, Option<IpNet>, String, Option<TransportProtocol>, Option<String>);

/// Whether two chains of a listener share a leaf.
pub(super) fn has_overlapping_chains(listener: &Listener) -> bool {
    let mut seen = BTreeSet::new();
    listener.filter_chains.iter().any(|chain| {
        // a chain may name a leaf twice itself
        let own: BTreeSet<Leaf> = leaves(&chain.matcher).collect();
        own.into_iter().any(|leaf| !seen.insert(leaf))
    })
}

fn leaves(matcher: &FilterChainMatch) -> impl Iterator<Item = Leaf> {
    let any = || vec![None];
    let prefixes: Vec<Option<IpNet>> = match matcher.prefix_ranges.as_slice() {
        [] => any(),
        some => some.iter().map(|net| Some(net.trunc())).collect(),
    };
    let names: Vec<String> = match matcher.server_names.as_slice() {
        [] => vec![String::new()],
        some => some.iter().map(|name| name.to_ascii_lowercase()).collect(),
    };
    let protocols: Vec<Option<String>> = match matcher.application_protocols.as_slice() {
        [] => vec![None],
        some => some.iter().map(|protocol| Some(protocol.to_string())).collect(),
    };
    let (port, transport) = (matcher.destination_port, matcher.transport_protocol);
    let mut all = Vec::with_capacity(prefixes.len() * names.len() * protocols.len());
    for prefix in &prefixes {
        for name in &names {
            for protocol in &protocols {
                all.push((port, *prefix, name.clone(), transport, protocol.clone()));
            }
        }
    }
    all.into_iter()
}
