//! Everything in a mesh that a test can pass through, with how its use shows in a prediction.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_config::diagnostic::ObjectRef;
use mesh_config::inventory::Inventory;
use mesh_config::resource::gateway::Gateway;
use mesh_config::resource::http_route::{Destination, HttpRoute};
use mesh_config::resource::meta::{Object, ObjectMeta};
use mesh_config::resource::sidecar::Sidecar;
use mesh_config::resource::virtual_service::RouteDestination;
use mesh_config::source::Span;
use mesh_reports::coverage::CoverageKind;

/// One part of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// What it is.
    pub(super) kind: CoverageKind,
    /// Its place.
    pub(super) span: Span,
    /// The object it belongs to.
    pub(super) object: ObjectRef,
    /// The field in it.
    pub(super) path: String,
    /// How its use shows.
    pub(super) sign: Sign,
}

/// How the use of a part shows.
#[derive(Debug, Clone)]
pub(super) enum Sign {
    /// A decision that came from one of these places.
    Place(Vec<Span>),
    /// The object is what refused the request: a policy without rules decides by being there.
    Refused(ObjectRef),
    /// A TCP proxy of the route with this first destination chose this host and subset.
    Chosen {
        /// First destination of the route, which is the place of the proxy.
        first: Span,
        /// Host and subset as written.
        destination: Destination,
        /// Namespace of the VirtualService.
        namespace: String,
    },
    /// A request left through this egress listener to a host that the line imports.
    Egress {
        /// The Sidecar.
        sidecar: Arc<Object<Sidecar>>,
        /// Position of the listener.
        listener: usize,
        /// `namespace/host`
        line: String,
    },
    /// A request came in through this server.
    Server {
        /// The Gateway.
        gateway: Arc<Object<Gateway>>,
        /// Position of the server.
        server: usize,
    },
}

/// All parts, without those that nobody wrote.
pub(super) fn targets(inventory: &Inventory) -> Vec<Target> {
    let mut all = Targets(Vec::new());
    all.virtual_services(inventory);
    for rule in &inventory.destination_rules {
        for (i, subset) in rule.spec.subsets.iter().enumerate() {
            let path = format!("spec.subsets[{i}]");
            all.place(CoverageKind::Subset, "DestinationRule", &rule.meta, path, subset.origin);
        }
    }
    all.security(inventory);
    for sidecar in &inventory.sidecars {
        all.sidecar(sidecar);
    }
    for gateway in &inventory.gateways {
        for (server, written) in gateway.spec.servers.iter().enumerate() {
            let sign = Sign::Server { gateway: Arc::clone(gateway), server };
            let path = format!("spec.servers[{server}]");
            all.add(CoverageKind::GatewayServer, "Gateway", &gateway.meta, path, written.origin, sign);
        }
    }
    all.0.retain(|t| !t.span.is_none());
    all.0
}

struct Targets(Vec<Target>);

impl Targets {
    fn add(&mut self, kind: CoverageKind, of: &str, meta: &ObjectMeta, path: String, span: Span, sign: Sign) {
        let object =
            ObjectRef { kind: of.to_owned(), namespace: meta.namespace.clone(), name: meta.name.clone() };
        self.0.push(Target { kind, span, object, path, sign });
    }

    fn place(&mut self, kind: CoverageKind, of: &str, meta: &ObjectMeta, path: String, span: Span) {
        self.add(kind, of, meta, path, span, Sign::Place(vec![span]));
    }

    fn virtual_services(&mut self, inventory: &Inventory) {
        for vs in &inventory.virtual_services {
            for (i, http) in vs.spec.http.iter().enumerate() {
                self.http(&vs.meta, i, http);
            }
            for (i, tls) in vs.spec.tls.iter().enumerate() {
                let matches: Vec<Span> = tls.match_.iter().map(|m| m.origin).collect();
                self.l4(&vs.meta, format!("spec.tls[{i}]"), tls.origin, &matches, &tls.route);
            }
            for (i, tcp) in vs.spec.tcp.iter().enumerate() {
                let matches: Vec<Span> = tcp.match_.iter().map(|m| m.origin).collect();
                self.l4(&vs.meta, format!("spec.tcp[{i}]"), tcp.origin, &matches, &tcp.route);
            }
        }
    }

    /// Routes that only delegate are replaced by those of their delegate.
    fn http(&mut self, meta: &ObjectMeta, i: usize, http: &HttpRoute) {
        if http.delegate.is_some() {
            return;
        }
        let path = format!("spec.http[{i}]");
        if http.match_.is_empty() {
            self.place(CoverageKind::Route, "VirtualService", meta, path.clone(), http.origin);
        }
        for (j, m) in http.match_.iter().enumerate() {
            let path = format!("{path}.match[{j}]");
            self.place(CoverageKind::Route, "VirtualService", meta, path, m.origin);
        }
        for (j, d) in http.route.iter().enumerate() {
            let path = format!("{path}.route[{j}]");
            self.place(CoverageKind::Destination, "VirtualService", meta, path, d.origin);
        }
    }

    /// A gateway's TCP proxy knows only its destinations' place: with one match it stands for the route.
    fn l4(
        &mut self,
        meta: &ObjectMeta,
        path: String,
        origin: Span,
        matches: &[Span],
        route: &[RouteDestination],
    ) {
        let first = route.first().map_or(Span::NONE, |d| d.origin);
        match matches {
            [] => {
                let sign = Sign::Place(vec![origin, first]);
                self.add(CoverageKind::Route, "VirtualService", meta, path.clone(), origin, sign);
            }
            [only] => {
                let sign = Sign::Place(vec![*only, origin, first]);
                let path = format!("{path}.match[0]");
                self.add(CoverageKind::Route, "VirtualService", meta, path, *only, sign);
            }
            several => {
                for (j, span) in several.iter().enumerate() {
                    let path = format!("{path}.match[{j}]");
                    self.place(CoverageKind::Route, "VirtualService", meta, path, *span);
                }
            }
        }
        for (j, d) in route.iter().enumerate() {
            let Some(destination) = d.destination.clone() else { continue };
            let sign = Sign::Chosen { first, destination, namespace: meta.namespace.clone() };
            let path = format!("{path}.route[{j}]");
            self.add(CoverageKind::Destination, "VirtualService", meta, path, d.origin, sign);
        }
    }

    fn security(&mut self, inventory: &Inventory) {
        for policy in &inventory.authorization_policies {
            let (kind, of) = (CoverageKind::AuthorizationRule, "AuthorizationPolicy");
            for (i, rule) in policy.spec.rules.iter().enumerate() {
                self.place(kind, of, &policy.meta, format!("spec.rules[{i}]"), rule.origin);
            }
            if policy.spec.rules.is_empty() {
                let spec = policy.spec.origin;
                let span = if spec.is_none() { policy.meta.origin } else { spec };
                let object = ObjectRef {
                    kind: of.to_owned(),
                    namespace: policy.meta.namespace.clone(),
                    name: policy.meta.name.clone(),
                };
                self.add(kind, of, &policy.meta, "spec".to_owned(), span, Sign::Refused(object));
            }
        }
        for policy in &inventory.peer_authentications {
            let (kind, of) = (CoverageKind::PeerAuthentication, "PeerAuthentication");
            if let Some(mtls) = &policy.spec.mtls {
                self.place(kind, of, &policy.meta, "spec.mtls".to_owned(), mtls.origin);
            }
            let ports: BTreeMap<_, _> = policy.spec.port_level_mtls.iter().collect();
            for (port, mtls) in ports {
                self.place(kind, of, &policy.meta, format!("spec.portLevelMtls.{port}"), mtls.origin);
            }
        }
    }

    /// Lines that exclude (`~…`) cannot be passed through.
    fn sidecar(&mut self, sidecar: &Arc<Object<Sidecar>>) {
        for (listener, written) in sidecar.spec.egress.iter().enumerate() {
            for (i, line) in written.hosts.iter().enumerate().filter(|(_, l)| !l.value.starts_with('~')) {
                let sign = Sign::Egress { sidecar: Arc::clone(sidecar), listener, line: line.value.clone() };
                let path = format!("spec.egress[{listener}].hosts[{i}]");
                self.add(CoverageKind::SidecarEgress, "Sidecar", &sidecar.meta, path, line.span, sign);
            }
        }
    }
}
