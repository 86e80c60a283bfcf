//! From a route configuration to the route of a request.

use crate::cx::{Claim, Step, TraceSink};
use crate::decide::RouteConfigRef;
use crate::decide::describe::describe_miss;
use crate::decide::view::HeadView;
use crate::ids::ChainId;
use crate::ir::{Route, Snapshot, VirtualHost};
use crate::matching::{HeaderSource, RouteInput, find_virtual_host, path_without_query, route_matches};

/// What a request resolves to.
#[derive(Clone, Copy)]
pub(super) enum Target<'s> {
    /// The RDS name does not exist.
    NoConfig,
    /// No virtual host or no route in it.
    NoRoute,
    /// `require_tls` over plaintext.
    SslRedirect,
    /// A route.
    Route(&'s Route),
}

/// The resolution with the positions of its parts.
#[derive(Clone, Copy)]
pub(super) struct Resolved<'s> {
    /// Where the routes stand.
    pub(super) at: Option<RouteConfigRef>,
    /// The virtual host.
    pub(super) virtual_host: Option<(u32, &'s VirtualHost)>,
    /// Position of the route.
    pub(super) route: Option<u32>,
    /// What it comes to.
    pub(super) target: Target<'s>,
}

/// Resolves a head on a chain (semantics: envoy-routing 1.3, 1.6, 2.1).
pub(super) fn resolve<'s, S: TraceSink>(
    snapshot: &'s Snapshot,
    chain: ChainId,
    view: &HeadView<'_>,
    payload: Option<&Claim>,
    trace: &mut S,
) -> Resolved<'s> {
    let at = snapshot.route_config_of(chain);
    let config = at.and_then(|at| snapshot.route_config(at));
    let nothing = Resolved { at, virtual_host: None, route: None, target: Target::NoRoute };
    let (Some(at), Some(config)) = (at, config) else {
        return Resolved { target: Target::NoConfig, ..nothing };
    };
    let head = view.head;
    let authority = head.authority.as_deref().unwrap_or("");
    let indexed = snapshot.index.route_table(at);
    let found = match indexed {
        Some(table) => table.find_virtual_host(config, authority),
        None => find_virtual_host(config, authority),
    };
    let Some((v, d)) = found else { return nothing };
    let Some(virtual_host) = config.virtual_hosts.get(v as usize) else { return nothing };
    trace.step(|| {
        let domain = virtual_host.domains.get(d as usize).cloned().unwrap_or_else(|| "".into());
        Step::VirtualHost(virtual_host.name.clone(), domain, virtual_host.origin)
    });
    let chosen = Resolved { virtual_host: Some((v, virtual_host)), ..nothing };
    if virtual_host.require_tls && view.hop.forwarded_proto(head) != "https" {
        return Resolved { target: Target::SslRedirect, ..chosen };
    }
    // a CONNECT needs a `connect_matcher`, which istiod never emits; without a forwarded proto nothing matches [run 1.40]
    if head.method.as_ref() == "CONNECT" || view.hop.forwarded_proto(head).is_empty() {
        return chosen;
    }
    let path_only = path_without_query(&head.path);
    let input = RouteInput { path: &head.path, path_only, headers: view, payload };
    let position = match indexed {
        Some(table) if !S::ENABLED => table.find_route(v, virtual_host, &input),
        _ => scan(virtual_host, &input, trace),
    };
    let Some(route) = position.and_then(|i| virtual_host.routes.get(i as usize)) else { return chosen };
    trace.step(|| Step::Route(route.name.clone(), route.origin));
    Resolved { route: position, target: Target::Route(route), ..chosen }
}

/// First match in order, telling why the earlier ones miss.
fn scan<S: TraceSink>(virtual_host: &VirtualHost, input: &RouteInput<'_>, trace: &mut S) -> Option<u32> {
    for (i, route) in virtual_host.routes.iter().enumerate() {
        match route_matches(&route.matcher, input) {
            Ok(()) => return Some(i as u32),
            Err(miss) => trace.step(|| {
                let name = if route.name.is_empty() { format!("#{i}").into() } else { route.name.clone() };
                Step::RouteMiss(name, describe_miss(&route.matcher, miss, input).into(), route.origin)
            }),
        }
    }
    None
}

/// All lines of a header joined for a person to read.
pub(super) fn shown_header(source: &dyn HeaderSource, name: &str) -> Option<String> {
    let mut shown: Option<String> = None;
    source.lines(name, &mut |line| {
        match &mut shown {
            Some(text) => {
                text.push_str("`, `");
                text.push_str(line);
            }
            None => shown = Some(line.to_owned()),
        }
        false
    });
    shown
}
