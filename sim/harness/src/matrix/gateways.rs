//! What clients outside can ask through gateways: one request for every route of every VirtualService on a server.
//!
//! A route that only a regular expression, or a header's mere absence, leads to gets no request of its own and is
//! named among what was left out.

use mesh_config::lower::gateway::{merge::Server, merged};
use mesh_config::lower::hosts::{matches, resolve_short_name};
use mesh_config::lower::virtual_service::VirtualServiceConfig;
use mesh_config::mesh::proxy::ProxyKind;
use mesh_config::mesh::registry::CLUSTER_DOMAIN;
use mesh_config::resource::http_match::{HttpMatchRequest, StringMatch};
use mesh_config::resource::http_route::{Destination, HttpRoute};
use mesh_config::resource::virtual_service::RouteDestination;
use mesh_reports::matrix::{CallerKind, MatrixCaller};

use super::callers::{Caller, identity};
use super::targets::{Speech, Target, request};
use super::{Ask, MatrixOptions};
use crate::format::request::Request;
use crate::loaded::LoadedMesh;
use crate::plan::traffic::{OUTSIDE, Sender};

/// The callers behind gateways with what they can ask; and what gets no request.
pub(super) fn gateways(
    mesh: &LoadedMesh,
    targets: &[Target],
    options: &MatrixOptions,
    first_caller: usize,
) -> (Vec<Caller>, Vec<Ask>, Vec<String>) {
    let model = &mesh.lowering.mesh;
    let (mut callers, mut asks, mut skipped): (Vec<Caller>, Vec<Ask>, Vec<String>) = Default::default();
    for proxy in model.proxies.iter().filter(|p| p.kind == ProxyKind::Gateway) {
        let Some(pod) = model.pod(proxy.pod) else { continue };
        let workload = format!("{}/{}", pod.namespace, pod.workload);
        let name = format!("gateway:{workload}");
        if callers.iter().any(|c| c.shown.name == name) {
            continue;
        }
        let at = first_caller + callers.len();
        let shown = MatrixCaller {
            name: name.clone(),
            kind: CallerKind::Gateway,
            identity: identity(mesh, mesh_engine::world::PodId(proxy.pod.0)),
            place: mesh.place(pod.origin).unwrap_or_default(),
        };
        let sender = Sender { pod: None, source: Some(OUTSIDE), gateway: Some(workload) };
        callers.push(Caller { shown, sender, class: name });
        let cx = mesh.lowering.context(proxy);
        for server in &merged(&cx).servers {
            let services =
                mesh.lowering.indexes.virtual_services.for_gateway(&proxy.namespace, &server.gateway_name);
            for service in services {
                let Some(host) = common_host(server, service) else { continue };
                let way = Way { server, service, host: &host, options, targets, caller: at };
                way.asks(&mut asks, &mut skipped);
            }
        }
    }
    (callers, asks, skipped)
}

/// A name that server and VirtualService share; `mesh-sim` stands where both have a star.
fn common_host(server: &Server<'_>, service: &VirtualServiceConfig) -> Option<String> {
    for written in &server.hosts {
        let (namespace, wanted) = written.split_once('/').unwrap_or(("*", written));
        if namespace != "*" && namespace != service.meta.namespace {
            continue;
        }
        for host in &service.spec.hosts {
            if matches(wanted, &host.value) {
                let narrower = if host.value.starts_with('*') { wanted } else { &host.value };
                return Some(match narrower.strip_prefix('*') {
                    Some("") => "mesh-sim.example".to_owned(),
                    Some(rest) => format!("mesh-sim{rest}"),
                    None => narrower.to_owned(),
                });
            }
        }
    }
    None
}

/// One VirtualService on one server.
struct Way<'a> {
    server: &'a Server<'a>,
    service: &'a VirtualServiceConfig,
    host: &'a str,
    options: &'a MatrixOptions,
    targets: &'a [Target],
    caller: usize,
}

impl Way<'_> {
    fn asks(&self, asks: &mut Vec<Ask>, skipped: &mut Vec<String>) {
        let spec = &self.service.spec;
        let http = self.server.protocol.is_http() || self.server.terminates_https();
        if http {
            for (index, route) in spec.http.iter().enumerate() {
                match self.http_request(route) {
                    Some(request) => {
                        let to = route.route.iter().filter_map(|r| r.destination.as_ref());
                        self.add(&request, to, asks);
                    }
                    None if route.route.is_empty() => {}
                    None => skipped.push(format!(
                        "{} route {index} on {}: no example request for its match",
                        self.service.meta.key(),
                        self.server.gateway_name
                    )),
                }
            }
            return;
        }
        for route in &spec.tls {
            let Some(sni) = route.match_.iter().find_map(|m| m.sni_hosts.first()) else { continue };
            let sni = sni.replacen('*', "mesh-sim", 1);
            self.raw(Speech::Https, &sni, &route.route, asks);
        }
        for route in &spec.tcp {
            self.raw(Speech::Line, self.host, &route.route, asks);
        }
    }

    /// A request that matches the first alternative of the route that has an example.
    fn http_request(&self, route: &HttpRoute) -> Option<Request> {
        let speech = if self.server.terminates_https() { Speech::Https } else { Speech::Http };
        let plain = || request(speech, self.host, self.server.port, self.options);
        if route.match_.is_empty() {
            return Some(plain());
        }
        route.match_.iter().find_map(|m| self.matched(m, plain()))
    }

    fn matched(&self, wanted: &HttpMatchRequest, mut request: Request) -> Option<Request> {
        let here = wanted.gateways.is_empty() || wanted.gateways.contains(&self.server.gateway_name);
        if !here || (wanted.port != 0 && wanted.port != u32::from(self.server.port)) {
            return None;
        }
        let mut path = match &wanted.uri {
            Some(uri) => example(uri)?,
            None => self.options.path.clone(),
        };
        let query: Option<Vec<String>> =
            wanted.query_params.iter().map(|(k, v)| Some(format!("{k}={}", example(v)?))).collect();
        let query = query?;
        if !query.is_empty() {
            path.push_str(&format!("?{}", query.join("&")));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let scheme = if self.server.terminates_https() { "https" } else { "http" };
        let words = &mut request.words;
        words.url = Some(format!("{scheme}://{}:{}{slash}{path}", self.host, self.server.port));
        if let Some(method) = &wanted.method {
            words.method = Some(example(method)?);
        }
        if let Some(authority) = &wanted.authority {
            words.host_header = Some(example(authority)?);
        }
        for (name, value) in &wanted.headers {
            let presence = value.exact.is_none() && value.prefix.is_none() && value.regex.is_none();
            let value = if presence { "mesh-sim".to_owned() } else { example(value)? };
            words.headers.0.push((name.clone(), value));
        }
        Some(request)
    }

    fn raw(&self, speech: Speech, host: &str, to: &[RouteDestination], asks: &mut Vec<Ask>) {
        let request = request(speech, host, self.server.port, self.options);
        self.add(&request, to.iter().filter_map(|r| r.destination.as_ref()), asks);
    }

    /// One question for each service the route leads to.
    fn add<'d>(&self, request: &Request, to: impl Iterator<Item = &'d Destination>, asks: &mut Vec<Ask>) {
        for destination in to {
            let host = resolve_short_name(&destination.host, &self.service.meta.namespace, CLUSTER_DOMAIN);
            let port = destination.port.as_ref().map(|p| p.number);
            let fits = |t: &&Target| t.host == host && port.is_none_or(|p| p == u32::from(t.port));
            let Some(target) = self.targets.iter().position(|t| fits(&t)) else { continue };
            asks.push(Ask { caller: self.caller, target, request: request.clone() });
        }
    }
}

/// A text that matches; regular expressions have none that would be sure.
fn example(pattern: &StringMatch) -> Option<String> {
    pattern.exact.clone().or_else(|| pattern.prefix.clone())
}
