//! The sending side of a sidecar: outbound listeners and the route configurations they name (istiod: LDS and RDS of
//! sidecars; semantics: istio-networking 3, 5, 6).

mod domains;
mod entry;
mod l4_chains;
mod listeners;
mod routes;
pub mod tcp;
mod virtual_hosts;
mod virtual_outbound;

use std::collections::BTreeSet;

use mesh_core::ir::{Listener, RouteConfiguration, RouteSpecifier, Terminal};

use super::Ctx;

/// What a sidecar sends with.
#[derive(Debug)]
pub struct Outbound {
    /// Listeners by port, then the explicit proxy, then `virtualOutbound`.
    pub listeners: Vec<Listener>,
    /// Every configuration that a listener names.
    pub routes: Vec<RouteConfiguration>,
}

/// Lowers the sending side of a sidecar.
#[must_use]
pub fn lower(cx: &Ctx<'_>) -> Outbound {
    let mut listeners = listeners::build(cx);
    listeners.extend(virtual_outbound::http_proxy(cx));
    listeners.extend(virtual_outbound::listener(cx));
    let names: BTreeSet<&str> = listeners.iter().flat_map(route_names).collect();
    let routes = names.into_iter().map(|name| routes::configuration(cx, name)).collect();
    Outbound { listeners, routes }
}

fn route_names(listener: &Listener) -> impl Iterator<Item = &str> {
    listener.filter_chains.iter().chain(&listener.default_filter_chain).filter_map(|chain| {
        match &chain.terminal {
            Terminal::Http(manager) => match &manager.route_specifier {
                RouteSpecifier::Rds(name) => Some(name.as_ref()),
                RouteSpecifier::Inline(_) => None,
            },
            Terminal::Tcp(_) => None,
        }
    })
}
