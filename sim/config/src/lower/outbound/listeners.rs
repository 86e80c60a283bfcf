//! The outbound listeners of a sidecar: which exist, and what happens where two want the same address (istiod:
//! `buildSidecarOutboundListeners`, `buildSidecarOutboundListener`; semantics: istio-networking 5.3, 6.1, 6.2, 6.3).

use std::sync::Arc;

use indexmap::IndexMap;
use mesh_core::Str;
use mesh_core::ir::Listener;

use super::entry::{Chain, ChainTerminal, Entry};
use super::l4_chains::{self, ServicePort};
use crate::lower::Ctx;
use crate::lower::sidecar_scope::egress::EgressListener;
use crate::mesh::protocol::Protocol;
use crate::mesh::service::{Port, Registry, Resolution, Service, UNSPECIFIED_IP};
use crate::resource::proxy_config::InterceptionMode;

/// The address that stands for all of them.
const WILDCARD: &str = UNSPECIFIED_IP;
/// The address of listeners that bind for real without saying where.
const LOOPBACK: &str = "127.0.0.1";
/// Ports of the proxy itself: health and metrics.
const STATIC_PORTS: [u32; 2] = [15021, 15090];

/// Outbound listeners by port, virtual ones excepted.
pub(super) fn build(cx: &Ctx<'_>) -> Vec<Listener> {
    let mut builder = Builder { cx, entries: IndexMap::new() };
    for egress in &cx.scope.egress {
        let capture_none = cx.proxy.capture.mode == InterceptionMode::None
            || egress.capture_none
            || egress.bind.starts_with("unix://");
        let bind = match egress.bind.as_str() {
            "" if capture_none => LOOPBACK,
            bind => bind,
        };
        builder.egress(egress, bind, capture_none);
    }
    let fallthrough = super::virtual_outbound::catch_all(cx);
    builder.entries.into_values().map(|entry| entry.into_listener(cx, Some(&fallthrough))).collect()
}

/// One service on one port of one address.
#[derive(Clone, Copy)]
struct Want<'a> {
    service: &'a Arc<Service>,
    port: &'a Port,
    /// Empty: the service's own address.
    bind: &'a str,
    bind_to_port: bool,
    egress: &'a EgressListener,
}

/// What a new service does to a listener that exists (semantics: istio-networking 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merge {
    /// A new listener, or one that replaces the old.
    Replace,
    /// Chains are added; HTTP and TCP now stand side by side.
    Mix,
    /// Chains are added.
    Add,
}

struct Builder<'a, 'c> {
    cx: &'a Ctx<'c>,
    entries: IndexMap<(String, u16), Entry>,
}

impl Builder<'_, '_> {
    fn egress(&mut self, egress: &EgressListener, bind: &str, bind_to_port: bool) {
        if let Some(written) = &egress.port {
            let port = Port {
                name: written.name.clone(),
                number: u32::from(written.number),
                protocol: written.protocol,
                origin: egress.origin,
            };
            for service in &egress.services {
                self.add(Want { service, port: &port, bind, bind_to_port, egress });
            }
            return;
        }
        // The catch-all adds nothing to ports that earlier listeners declared.
        self.entries.values_mut().for_each(|entry| entry.locked = true);
        for service in &egress.services {
            for port in &service.ports {
                let want = Want { service, port, bind, bind_to_port, egress };
                if is_headless(service)
                    && bind.is_empty()
                    && (port.protocol.is_tcp() || port.protocol.is_auto())
                {
                    self.headless(want);
                } else {
                    self.add(want);
                }
            }
        }
    }

    /// One listener per endpoint, the proxy itself left out. A plain ServiceEntry without endpoints takes the wildcard.
    fn headless(&mut self, want: Want<'_>) {
        let endpoints: Vec<_> = self.cx.lowering.mesh.endpoints.by_number(want.service, want.port).collect();
        let plain = want.service.registry == Registry::External && want.service.selector.is_empty();
        if plain && endpoints.is_empty() {
            self.add(want);
            return;
        }
        for endpoint in endpoints {
            let Ok(ip) = endpoint.address.parse::<std::net::IpAddr>() else { continue };
            if ip != self.cx.ip() {
                self.add(Want { bind: &endpoint.address, ..want });
            }
        }
    }

    fn add(&mut self, want: Want<'_>) {
        if want.service.resolution == Resolution::Alias || self.is_reserved(want) {
            return;
        }
        let protocol = want.port.protocol;
        let mut cidrs = Vec::new();
        let bind = if !want.bind.is_empty() {
            want.bind.to_owned()
        } else if protocol.is_http() {
            WILDCARD.to_owned()
        } else if want.service.address.contains('/') {
            cidrs.push(want.service.address.clone());
            cidrs.extend(want.service.extra_addresses.iter().cloned());
            WILDCARD.to_owned()
        } else {
            self.cx.address(want.service).to_owned()
        };
        let number = u16::try_from(want.port.number).unwrap_or(0);
        let existing = self.entries.get(&(bind.clone(), number)).map(|entry| (entry.protocol, entry.locked));
        if existing.is_some_and(|(_, locked)| locked) {
            return;
        }
        let existing = existing.map(|(protocol, _)| protocol);
        let Some((chains, merge, protocol)) = self.chains(want, &bind, &cidrs, existing) else { return };
        // Mongo and MySQL servers speak first or are parsed: they share a port with nothing else.
        let exclusive = |p: Protocol| matches!(p, Protocol::Mongo | Protocol::MySql);
        if existing
            .is_some_and(|e| e != want.port.protocol && (exclusive(e) || exclusive(want.port.protocol)))
        {
            return;
        }
        let key = (bind, number);
        match (self.entries.get_mut(&key), merge) {
            (Some(entry), Merge::Mix | Merge::Add) => {
                if merge == Merge::Mix {
                    entry.protocol = Protocol::Auto;
                }
                for chain in chains {
                    if !entry.chains.iter().any(|known| known.conflicts_with(&chain)) {
                        entry.chains.push(chain);
                    }
                }
            }
            _ => {
                let entry = Entry {
                    bind: key.0.clone(),
                    bind_to_port: want.bind_to_port,
                    port: number,
                    protocol,
                    locked: false,
                    chains,
                    origin: self.origin(want),
                };
                self.entries.insert(key, entry);
            }
        }
    }

    /// The chains of a service port, how they join the listener that exists, and the protocol of a new listener.
    fn chains(
        &self,
        want: Want<'_>,
        bind: &str,
        cidrs: &[String],
        existing: Option<Protocol>,
    ) -> Option<(Vec<Chain>, Merge, Protocol)> {
        let protocol = want.port.protocol;
        if protocol == Protocol::HttpProxy {
            return Some((vec![self.http(want, bind)], Merge::Replace, protocol));
        }
        if protocol.is_http() {
            let merge = match existing {
                None => Merge::Replace,
                Some(existing) if existing.is_tcp() => Merge::Mix,
                // Virtual hosts tell HTTP services apart.
                Some(_) => return None,
            };
            let mut chain = self.http(want, bind);
            chain.sniffed_http = bind == WILDCARD;
            let entry_protocol = if chain.sniffed_http { Protocol::Auto } else { protocol };
            return Some((vec![chain], merge, entry_protocol));
        }
        let at = ServicePort { service: want.service, port: want.port, bind, cidrs };
        let tcp = || l4_chains::chains(self.cx, at, &want.egress.l4_virtual_services(&want.service.host));
        if protocol.is_tcp() {
            let merge = match existing {
                None => Merge::Replace,
                Some(existing) if existing.is_http() => Merge::Mix,
                Some(_) => Merge::Add,
            };
            return Some((tcp(), merge, protocol));
        }
        if !protocol.is_auto() {
            return None;
        }
        match existing {
            Some(existing) if !existing.is_http() && !existing.is_tcp() => {
                Some((tcp(), Merge::Add, protocol))
            }
            _ => {
                let mut chains = tcp();
                chains.push(Chain { sniffed_http: true, ..self.http(want, bind) });
                let tcp_exists = existing.is_some_and(Protocol::is_tcp);
                Some((chains, if tcp_exists { Merge::Mix } else { Merge::Replace }, protocol))
            }
        }
    }

    /// A detected port with an address of its own has routes of its own.
    fn http(&self, want: Want<'_>, bind: &str) -> Chain {
        let routes: Str = if want.port.number == 0 {
            bind.into()
        } else if want.port.protocol.is_auto() && bind != WILDCARD {
            format!("{}:{}", want.service.host, want.port.number).into()
        } else {
            want.port.number.to_string().into()
        };
        let grpc_web = (want.port.protocol == Protocol::GrpcWeb).then_some(want.port.origin);
        Chain {
            sni: Vec::new(),
            cidrs: Vec::new(),
            sniffed_http: false,
            terminal: ChainTerminal::Http { routes, grpc_web },
            origin: self.origin(want),
        }
    }

    fn origin(&self, want: Want<'_>) -> mesh_core::OriginId {
        self.cx.lowering.tools.origins.id(want.port.origin)
    }

    /// The proxy's own ports, where the listener would be on the wildcard address.
    fn is_reserved(&self, want: Want<'_>) -> bool {
        let wildcard =
            if want.bind.is_empty() { want.port.protocol.is_http() } else { want.bind == WILDCARD };
        let settings = &self.cx.lowering.mesh.settings;
        let own = [settings.proxy_listen_port, settings.proxy_inbound_listen_port];
        wildcard && (STATIC_PORTS.contains(&want.port.number) || own.contains(&want.port.number))
    }
}

/// Clients know the addresses of the pods, there is no other.
fn is_headless(service: &Service) -> bool {
    service.resolution == Resolution::Passthrough && service.address == UNSPECIFIED_IP
}
