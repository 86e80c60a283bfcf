//! The way of a request's packets, hop by hop, in the words of `expect.hops`.

use mesh_engine::record::{RequestRecord, Side};
use mesh_engine::world::World;

/// `pod`, `iptables`, `15001`, `proxy`, `wire`, `iptables`, `15006`, `proxy`, `app` … for the request itself, without
/// retries, mirrors and nested calls.
#[must_use]
pub fn packet_path(record: &RequestRecord, _world: &World) -> Vec<&'static str> {
    let mut path: Vec<&'static str> = Vec::new();
    let mut seen = Vec::new();
    for hop in record.hops.iter().filter(|h| h.call == 0 && !h.shadow) {
        // A retried request passes the same server-side proxies again.
        if seen.contains(&(hop.proxy, hop.side)) {
            continue;
        }
        seen.push((hop.proxy, hop.side));
        match hop.side {
            Side::Outbound => path.extend(["pod", "iptables", "15001", "proxy"]),
            Side::Gateway => {
                if path.is_empty() {
                    path.push("client");
                }
                path.extend(["wire", "proxy"]);
            }
            Side::Inbound => {
                if path.is_empty() {
                    path.push("pod");
                }
                path.extend(["wire", "iptables", "15006", "proxy"]);
            }
        }
    }
    let reached = record.tries.iter().any(|t| t.call == 0 && !t.shadow);
    if reached {
        if !record.hops.iter().any(|h| h.call == 0 && h.side == Side::Inbound) {
            if path.is_empty() {
                path.push("pod");
            }
            path.push("wire");
        }
        path.push("app");
    }
    path
}
