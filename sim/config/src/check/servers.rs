//! Gateway servers that istiod leaves out (semantics: istio-networking 7.2, 7.3).

use std::collections::BTreeSet;

use super::Findings;
use crate::diagnostic::codes;
use crate::lower::{Lowering, gateway};
use crate::mesh::proxy::ProxyKind;

/// Checks the servers of every gateway.
pub(super) fn check(lowering: &Lowering, out: &mut Findings) {
    let mut said = BTreeSet::new();
    for proxy in lowering.mesh.proxies.iter().filter(|p| p.kind == ProxyKind::Gateway) {
        let cx = lowering.context(proxy);
        for dropped in gateway::merged(&cx).dropped {
            let span = dropped.written.origin;
            if !said.insert((span, dropped.why.clone())) {
                continue;
            }
            out.about("Gateway", &dropped.gateway.meta);
            let message = format!("istiod leaves this server out: {}", dropped.why);
            out.warn(
                codes::SERVER_DROPPED,
                span,
                message,
                "older Gateways of the same gateway pods win (without times the name decides)",
            );
        }
    }
}
