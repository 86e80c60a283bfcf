//! Listener, filter chain and handshake of an arriving connection (semantics: istio-networking 6.4, 6.5).

use crate::cx::TraceSink;
use crate::decide::Accept;
use crate::ids::{ChainId, ListenerId};
use crate::ir::{ProxyKind, Snapshot, TrafficDirection};
use crate::request::{Connection, Peer};
use crate::tls::Certificate;

/// Decides which filter chain takes a connection, and whether its handshake works.
///
/// Outbound at a sidecar `conn.destination` is the original destination (the connection enters at 15001); inbound it
/// is the pod's own address (it enters at 15006); at a gateway the address it was dialled at. `identity` is the
/// workload certificate of this proxy.
pub fn accept<S: TraceSink>(
    snapshot: &Snapshot,
    direction: TrafficDirection,
    identity: &Certificate,
    conn: &Connection,
    trace: &mut S,
) -> Accept {
    let _ = (identity, trace);
    let Some(listener) = find_listener(snapshot, direction, conn) else { return Accept::NoListener };
    let Some(l) = snapshot.listeners.get(listener.index()) else { return Accept::NoListener };
    let chain = if l.filter_chains.is_empty() { None } else { Some(0) };
    if chain.is_none() && l.default_filter_chain.is_none() {
        return Accept::NoFilterChain { listener };
    }
    Accept::Chain { chain: ChainId { listener, chain }, session: None, peer: Peer::default(), waited_ns: 0 }
}

fn find_listener(snapshot: &Snapshot, direction: TrafficDirection, conn: &Connection) -> Option<ListenerId> {
    let (ip, port) = (conn.destination.ip(), conn.destination.port());
    let position = |test: &dyn Fn(&crate::ir::Listener) -> bool| {
        snapshot.listeners.iter().position(test).map(|i| ListenerId(i as u32))
    };
    let at_address = || {
        position(&|l| l.direction == direction && l.port == port && l.ip == Some(ip))
            .or_else(|| position(&|l| l.direction == direction && l.port == port && l.ip.is_none()))
    };
    match (snapshot.kind, direction) {
        (ProxyKind::Gateway, _) => at_address(),
        (ProxyKind::Sidecar, _) => at_address()
            .or_else(|| position(&|l| l.direction == direction && (l.port == 15001 || l.port == 15006))),
    }
}
