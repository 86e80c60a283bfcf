//! Route tables of gateway servers (istiod: `buildGatewayHTTPRouteConfig`; semantics: istio-networking 7.4).

use std::collections::BTreeMap;

use mesh_core::ir::{HeaderMutations, Route, RouteConfiguration, VirtualHost};
use mesh_core::{OriginId, Str};

use super::Site;
use super::hosts::{for_namespace, intersection, specificity};
use super::merge::{Merged, Server};
use crate::lower::destination_rule::policy::destination_hash;
use crate::lower::outbound::tcp::destination_service;
use crate::lower::virtual_service::http::{RouteContext, routes};
use crate::lower::virtual_service::{VirtualServiceConfig, is_catch_all};

/// Identity of a route: two virtual hosts collapse only when their routes are the very same ones.
type RouteKey = (usize, usize);

/// Routes made once per Gateway and VirtualService, with the server port of the first server that asked.
type Made = Vec<((String, String), Vec<Route>)>;

struct Host {
    name: Str,
    domains: Vec<String>,
    routes: Vec<RouteKey>,
    require_tls: bool,
    origin: OriginId,
}

/// The table of an RDS name.
pub(super) fn configuration(site: &Site<'_>, merged: &Merged<'_>, name: &str) -> RouteConfiguration {
    let servers: Vec<&Server<'_>> =
        merged.routes.get(name).into_iter().flatten().filter_map(|&at| merged.servers.get(at)).collect();
    let mut made: Made = Vec::new();
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    for server in &servers {
        for vs in
            site.cx.lowering.indexes.virtual_services.for_gateway(site.cx.namespace(), &server.gateway_name)
        {
            add_virtual_service(site, server, vs, &mut made, &mut hosts);
        }
        add_redirects(site, server, &mut hosts);
    }
    let mut virtual_hosts = match (hosts.is_empty(), servers.first()) {
        (true, Some(server)) => vec![black_hole(site, server)],
        _ => collapse(hosts).into_iter().map(|host| virtual_host(site, host, &made)).collect(),
    };
    virtual_hosts.sort_by(|a, b| a.name.cmp(&b.name));
    RouteConfiguration {
        name: name.into(),
        virtual_hosts,
        ignore_port_in_host_matching: true,
        headers: HeaderMutations::default(),
    }
}

fn redirects(server: &Server<'_>) -> bool {
    server.written.tls.as_ref().is_some_and(|tls| tls.https_redirect)
}

fn add_virtual_service(
    site: &Site<'_>,
    server: &Server<'_>,
    vs: &VirtualServiceConfig,
    made: &mut Made,
    hosts: &mut BTreeMap<String, Host>,
) {
    let written: Vec<&str> = vs.spec.hosts.iter().map(|host| host.value.as_str()).collect();
    let shared = intersection(&for_namespace(&server.hosts, &vs.meta.namespace), &written);
    if shared.is_empty() {
        return;
    }
    let key = (server.gateway_name.clone(), vs.meta.key());
    let source = match made.iter().position(|(known, _)| *known == key) {
        Some(source) => source,
        None => {
            let routes = make(site, server, vs);
            // A VirtualService without routes for this server is as if it were not there.
            if routes.is_empty() {
                return;
            }
            made.push((key, routes));
            made.len() - 1
        }
    };
    let count = made.get(source).map_or(0, |(_, routes)| routes.len());
    let keys = (0..count).map(|index| (source, index));
    for host in shared {
        let host = host.to_ascii_lowercase();
        let entry = hosts.entry(host.clone()).or_insert_with(|| Host {
            name: vhost_name(&host, server.port),
            domains: vec![host],
            routes: Vec::new(),
            require_tls: false,
            origin: site.tools().origins.id(vs.meta.origin),
        });
        entry.routes.extend(keys.clone());
        entry.require_tls |= redirects(server);
    }
}

fn make(site: &Site<'_>, server: &Server<'_>, vs: &VirtualServiceConfig) -> Vec<Route> {
    let context = RouteContext {
        tools: site.tools(),
        proxy_labels: site.cx.labels(),
        proxy_namespace: site.cx.namespace(),
        gateways: &[server.gateway_name.as_str()],
        listen_port: server.port,
        tls: server.written.tls.is_some(),
        service: &|host| site.service(&vs.meta.namespace, host).map(|s| destination_service(s)),
        hash: &|destination| destination_hash(site.cx.rule(&destination.host)?, destination),
        default_retry: &site.cx.lowering.retries,
    };
    routes(&context, vs)
}

/// Hosts of a redirecting server that no VirtualService claims still redirect.
fn add_redirects(site: &Site<'_>, server: &Server<'_>, hosts: &mut BTreeMap<String, Host>) {
    if !redirects(server) {
        return;
    }
    for host in &server.hosts {
        let name = vhost_name(host, server.port);
        let host = host.to_ascii_lowercase();
        let entry = hosts.entry(host.clone()).or_insert_with(|| Host {
            name,
            domains: vec![host],
            routes: Vec::new(),
            require_tls: true,
            origin: site.tools().origins.id(server.written.origin),
        });
        entry.require_tls = true;
    }
}

/// Hosts with the very same routes become one virtual host, named by the most specific (`PILOT_ENABLE_ROUTE_COLLAPSE`).
fn collapse(hosts: BTreeMap<String, Host>) -> Vec<Host> {
    let mut names: Vec<String> = hosts.keys().cloned().collect();
    names.sort_by(|a, b| specificity(a, b));
    let mut hosts = hosts;
    let mut out: Vec<Host> = Vec::new();
    // The last host seen with these routes; a differing redirect starts a new one.
    let mut known: BTreeMap<Vec<RouteKey>, usize> = BTreeMap::new();
    for host in names.into_iter().filter_map(|name| hosts.remove(&name)) {
        let twin = known.get(&host.routes).copied().and_then(|at| out.get_mut(at));
        match twin {
            Some(twin) if twin.require_tls == host.require_tls => twin.domains.extend(host.domains),
            _ => {
                known.insert(host.routes.clone(), out.len());
                out.push(host);
            }
        }
    }
    out
}

/// Catch-alls go last; everything else stays in order.
fn virtual_host(site: &Site<'_>, host: Host, made: &Made) -> VirtualHost {
    let routes = host.routes.iter().filter_map(|&(source, index)| made.get(source)?.1.get(index));
    let (catch_all, mut sorted): (Vec<Route>, Vec<Route>) =
        routes.cloned().partition(|route| is_catch_all(&route.matcher));
    sorted.extend(catch_all);
    VirtualHost {
        name: host.name,
        domains: host.domains.into_iter().map(Into::into).collect(),
        routes: sorted,
        require_tls: host.require_tls,
        include_request_attempt_count: site.cx.attempt_count(),
        headers: HeaderMutations::default(),
        origin: host.origin,
    }
}

fn black_hole(site: &Site<'_>, server: &Server<'_>) -> VirtualHost {
    VirtualHost {
        name: vhost_name("blackhole", server.port),
        domains: vec!["*".into()],
        routes: Vec::new(),
        require_tls: false,
        include_request_attempt_count: false,
        headers: HeaderMutations::default(),
        origin: site.tools().origins.id(server.written.origin),
    }
}

fn vhost_name(host: &str, port: u16) -> Str {
    if host.contains(':') { format!("[{host}]:{port}").into() } else { format!("{host}:{port}").into() }
}
