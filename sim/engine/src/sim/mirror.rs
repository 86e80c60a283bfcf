//! Mirror copies: sent once per request beside its first attempt, answered by nobody (semantics: envoy-routing 3.9).

use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::ids::Nanos;
use mesh_core::ir::UpstreamProtocol;
use mesh_core::request::{Protocol, RequestHead};
use mesh_core::upstream::{PickContext, UpstreamEvent};

use super::memo::HeadClass;
use super::pool::Ticket;
use super::router::{forward_of, plan_of};
use super::state::{Caller, ClusterIx, Lineage, MirrorCopy, PoolIx, RootId, StreamId};
use super::{Event, Sim};
use crate::draws::{At, Chance, mix};

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Sends the copies of the mirror policies that fired (semantics: envoy-routing 3.9).
    pub(super) fn mirror(&mut self, id: StreamId, mirrors: u64) {
        let Some(stream) = self.streams.get(id) else { return };
        let (Some(forward), Some(plan)) = (forward_of(stream), plan_of(stream)) else { return };
        let timeout_ns = plan.timeout_ns;
        let (proxy, side) = (stream.side.proxy, Arc::clone(&stream.side));
        // After request mutation: with a host that could not be picked there is still a finished head.
        let copy = stream.sent.clone().unwrap_or_else(|| Arc::clone(stream.head()));
        let base = stream.line;
        let fired: Vec<(usize, Str)> = forward
            .mirrors
            .iter()
            .enumerate()
            .filter(|(i, _)| *i < 64 && mirrors >> i & 1 == 1)
            .map(|(i, m)| (i, m.cluster.clone()))
            .collect();
        for (i, name) in fired {
            let Some(cluster) = side.snapshot.cluster_by_name(&name) else { continue };
            let Some(ix) = self.cluster_ix(proxy, &side.snapshot, cluster) else { continue };
            let line = Lineage { shadow: true, key: mix(base.key, 0x200 + i as u64), ..base };
            let mut head: RequestHead = copy.as_ref().clone();
            head.headers.set("x-envoy-internal", "true");
            let own = self
                .proxies
                .get(proxy as usize)
                .and_then(|p| self.pods.get(p.pod as usize))
                .map(|p| p.pod.ip);
            if let Some(own) = own {
                let xff = match head.headers.first("x-forwarded-for") {
                    Some(before) => format!("{before},{own}"),
                    None => own.to_string(),
                };
                head.headers.set("x-forwarded-for", &xff);
            }
            self.send_copy(ix, head, line, side.istio_alpn, side.connection.destination, timeout_ns);
        }
    }

    fn send_copy(
        &mut self,
        ix: ClusterIx,
        mut head: RequestHead,
        line: Lineage,
        istio_alpn: bool,
        original_dst: SocketAddr,
        timeout_ns: Nanos,
    ) {
        let now = self.queue.now();
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        let (cluster, state) = run.parts();
        let context =
            PickContext { hash: None, attempt: 1, tried: &[], retry: None, original_dst: Some(original_dst) };
        let mut draws = At { key: line.key, chance: &mut self.chance };
        let Some(host) = state.pick(cluster, &context, now, &mut draws) else { return };
        let protocol = match cluster.protocol {
            UpstreamProtocol::Http2 => Protocol::Http2,
            UpstreamProtocol::Downstream if head.protocol == Protocol::Http2 => Protocol::Http2,
            _ => Protocol::Http11,
        };
        head.protocol = protocol;
        if let Some(root) = self.roots.get_mut(line.root) {
            root.open += 1;
        }
        self.copy_numbers += 1;
        let copy = MirrorCopy { cluster: ix, host, number: self.copy_numbers };
        let ticket = Ticket {
            caller: Caller::Mirror(copy),
            line,
            head: Arc::new(head),
            class: HeadClass::UNIQUE,
            complete: true,
        };
        self.tally.attempt(ix, host);
        let pool = self.pool_for(ix, host, protocol, istio_alpn, &ticket.head);
        self.pool_request(pool, ticket);
        if timeout_ns > 0 {
            self.queue.after(timeout_ns, Event::CopyTimeout(pool, copy.number));
        }
    }

    /// A copy has the route's timeout too: it is cancelled wherever it is (semantics: envoy-routing 3.9; run 1.40).
    pub(super) fn copy_timeout(&mut self, pool: PoolIx, number: u64) {
        let is_copy = |caller: Caller| matches!(caller, Caller::Mirror(copy) if copy.number == number);
        if let Some((line, copy)) = self.pool_withdraw(pool, is_copy) {
            self.copy_done(line.root, copy, None);
            return;
        }
        let conns = self.pools.get(pool as usize).map(|p| p.all.clone()).unwrap_or_default();
        for conn in conns {
            let active = self.conns.get(conn).map(|c| c.pooled.active.clone()).unwrap_or_default();
            for id in active {
                let Some(exchange) = self.exchanges.get(id) else { continue };
                if let (Caller::Mirror(copy), true) = (exchange.caller, is_copy(exchange.caller)) {
                    let root = exchange.line.root;
                    self.cancel_exchange(conn, id);
                    return self.copy_done(root, copy, Some(UpstreamEvent::GlobalTimeout));
                }
            }
        }
    }

    /// A mirror copy is over; only the detector of its cluster cares.
    pub(super) fn copy_done(&mut self, root: RootId, copy: MirrorCopy, event: Option<UpstreamEvent>) {
        if let Some(event) = event {
            self.host_event(copy.cluster, copy.host, event, || u64::from(copy.cluster));
        }
        self.close_activity(root);
    }
}
