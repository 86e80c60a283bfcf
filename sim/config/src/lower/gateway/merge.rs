//! All servers of all Gateways that select a pod, merged into ports (istiod: `mergeGateways`, `resolvePorts`;
//! semantics: istio-networking 7.2, 7.3).
//!
//! Pure bookkeeping: who listens where, which servers share a route table, which are dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::lower::inbound::Target;
use crate::mesh::protocol::Protocol;
use crate::resource::gateway::{Gateway, Server as Written};
use crate::resource::meta::Object;
use crate::resource::tls::ServerTlsMode;

/// A server that survived merging.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    /// As written.
    pub written: &'a Written,
    /// Whose.
    pub gateway: &'a Arc<Object<Gateway>>,
    /// `namespace/name` of the Gateway.
    pub gateway_name: String,
    /// Hosts with `./`, `*/` resolved; `namespace/host` stays.
    pub hosts: Vec<String>,
    /// Port number as written, the one that VirtualServices match.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// RDS name; empty for TCP and passthrough.
    pub route_name: String,
}

impl Server<'_> {
    /// HTTPS that ends here.
    #[must_use]
    pub fn terminates_https(&self) -> bool {
        self.written.tls.is_some() && self.protocol == Protocol::Https && !self.is_passthrough()
    }

    /// TLS that does not end here.
    #[must_use]
    pub fn is_passthrough(&self) -> bool {
        self.written.tls.as_ref().is_some_and(|tls| {
            matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough)
        })
    }

    /// Routed by requests.
    fn is_http(&self) -> bool {
        self.protocol.is_http() || (self.protocol == Protocol::Https && !self.is_passthrough())
    }

    /// TLS of some kind; not an HTTP server that only redirects.
    fn is_tls(&self) -> bool {
        self.written.tls.is_some() && !self.protocol.is_http()
    }

    /// SNI values, sorted, without namespaces.
    #[must_use]
    pub fn sni_hosts(&self) -> Vec<String> {
        if self.written.tls.is_none() {
            return Vec::new();
        }
        let hosts: BTreeSet<&str> =
            self.hosts.iter().map(|host| host.split_once('/').map_or(host.as_str(), |(_, h)| h)).collect();
        hosts.into_iter().map(str::to_owned).collect()
    }
}

/// What identifies a merged port: istiod keys by the protocol's text too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerPort {
    /// Port that is bound.
    pub number: u16,
    /// Protocol as written.
    pub protocol: String,
    /// `bind`; empty is every address.
    pub bind: String,
}

/// The servers of a port. Indexes are into [`Merged::servers`].
#[derive(Debug, Clone)]
pub struct MergedPort {
    /// Which.
    pub key: ServerPort,
    /// Its servers in order.
    pub servers: Vec<usize>,
    /// RDS name of plaintext HTTP.
    pub route_name: String,
}

/// What a gateway pod serves.
#[derive(Debug, Clone, Default)]
pub struct Merged<'a> {
    /// Servers in processing order.
    pub servers: Vec<Server<'a>>,
    /// Ports in order of their first server.
    pub ports: Vec<MergedPort>,
    /// Servers by RDS name.
    pub routes: BTreeMap<String, Vec<usize>>,
    /// Servers that were left out, and why.
    pub dropped: Vec<Dropped<'a>>,
    /// Whether a server is AUTO_PASSTHROUGH, which needs clusters of its own. One that lost its port to another server
    /// counts, one whose hosts were taken does not.
    pub passes_by_cluster_name: bool,
}

/// A server that istiod leaves out.
#[derive(Debug, Clone)]
pub struct Dropped<'a> {
    /// As written.
    pub written: &'a Written,
    /// Whose.
    pub gateway: &'a Arc<Object<Gateway>>,
    /// In lower case.
    pub why: String,
}

/// State of merging that is not part of the result.
#[derive(Default)]
struct Merging<'a> {
    out: Merged<'a>,
    /// Plaintext server port by number.
    plaintext: BTreeMap<u16, ServerPort>,
    used: BTreeSet<u16>,
    /// Hosts of servers with a `tls` block, by port, with the bind they were seen with.
    tls_hosts: BTreeMap<u16, BTreeMap<String, String>>,
}

/// A Gateway that a pod serves.
#[derive(Debug, Clone)]
pub struct Selected<'a> {
    /// Which.
    pub gateway: &'a Arc<Object<Gateway>>,
    /// Service ports that lead to the pod and count for this Gateway.
    pub targets: Vec<Target<'a>>,
    /// It names the Services it belongs to instead of labels of pods.
    pub by_service: bool,
}

impl Selected<'_> {
    /// The ports a server listens on (istiod: `resolvePorts`): selected by labels the target port of the first service
    /// port with its number, else its number; by service every such target port, and no other.
    fn ports(&self, number: u16) -> BTreeSet<u16> {
        let mut found = self.targets.iter().filter(|t| t.port == number).map(|t| t.target_port);
        if self.by_service { found.collect() } else { BTreeSet::from([found.next().unwrap_or(number)]) }
    }
}

/// Merges the Gateways of a pod, oldest first.
#[must_use]
pub fn merge<'a>(gateways: &[Selected<'a>]) -> Merged<'a> {
    let mut merging = Merging::default();
    for selected in gateways {
        let gateway = selected.gateway;
        for written in &gateway.spec.servers {
            if let Err(why) = merging.take(selected, written) {
                merging.out.dropped.push(Dropped { written, gateway, why });
            }
        }
    }
    merging.out
}

impl<'a> Merging<'a> {
    fn take(&mut self, selected: &Selected<'a>, written: &'a Written) -> Result<(), String> {
        let port = written.port.as_ref().ok_or("it has no port")?;
        let number = u16::try_from(port.number).map_err(|_| "its port is out of range".to_owned())?;
        let ports = selected.ports(number);
        if ports.is_empty() {
            return Err(format!("none of its services has port {number}"));
        }
        // A port that fails does not keep the server from the others.
        let placed =
            ports.into_iter().map(|resolved| self.take_at(selected.gateway, written, number, resolved));
        placed.collect::<Vec<_>>().into_iter().collect()
    }

    fn take_at(
        &mut self,
        gateway: &'a Arc<Object<Gateway>>,
        written: &'a Written,
        number: u16,
        resolved: u16,
    ) -> Result<(), String> {
        let port = written.port.as_ref().ok_or("it has no port")?;
        let mut server = Server {
            written,
            gateway,
            gateway_name: gateway.meta.key(),
            hosts: sanitized_hosts(written, &gateway.meta.namespace),
            port: number,
            protocol: Protocol::parse(&port.protocol),
            route_name: String::new(),
        };
        server.route_name = route_name(&server, resolved);
        if written.tls.is_some() {
            self.claim_hosts(&server, resolved)?;
            let mode = written.tls.as_ref().map(|tls| tls.mode);
            self.out.passes_by_cluster_name |= mode == Some(ServerTlsMode::AutoPassthrough);
        }
        let key =
            ServerPort { number: resolved, protocol: port.protocol.clone(), bind: written.bind.clone() };
        self.place(server, key)
    }

    /// A host may stand in one server with TLS settings per port and bind; the whole server is dropped otherwise.
    fn claim_hosts(&mut self, server: &Server<'_>, resolved: u16) -> Result<(), String> {
        claim(self.tls_hosts.entry(resolved).or_default(), &server.hosts, &server.written.bind)
            .map_err(|host| format!("host `{host}` is already served with TLS settings on port {resolved}"))
    }

    fn place(&mut self, server: Server<'a>, key: ServerPort) -> Result<(), String> {
        if self.used.insert(key.number) {
            self.add_port(server, key);
            return Ok(());
        }
        match self.plaintext.get(&key.number).cloned() {
            Some(current) => self.beside_plaintext(server, key, &current),
            None if !server.is_tls() => {
                // Plaintext after TLS: an extra chain without SNI.
                self.add_port(server, key);
                Ok(())
            }
            None => self.beside_tls(server, key),
        }
    }

    fn beside_plaintext(
        &mut self,
        server: Server<'a>,
        key: ServerPort,
        current: &ServerPort,
    ) -> Result<(), String> {
        let same_bind = current.bind == key.bind;
        let existing = Protocol::parse(&current.protocol);
        let mergeable = (server.protocol.is_http() || server.protocol == existing) && existing.is_http();
        if same_bind && !mergeable {
            return Err(format!("port {} is already taken by a {} server", key.number, current.protocol));
        }
        if same_bind && server.route_name.is_empty() {
            return Err(format!("port {} is already taken by a plaintext server", key.number));
        }
        if same_bind {
            let route = server.route_name.clone();
            let at = self.push(server);
            self.out.routes.entry(route).or_default().push(at);
            if let Some(port) = self.port_mut(current) {
                port.servers.push(at);
            }
            return Ok(());
        }
        match self.out.ports.iter().position(|port| port.key == key) {
            None => self.add_port(server, key),
            Some(position) => {
                let route = server.route_name.clone();
                let at = self.push(server);
                self.out.routes.entry(route.clone()).or_default().push(at);
                if let Some(port) = self.out.ports.get_mut(position) {
                    port.route_name = route;
                    port.servers.push(at);
                }
            }
        }
        Ok(())
    }

    fn beside_tls(&mut self, server: Server<'a>, key: ServerPort) -> Result<(), String> {
        let http = server.is_http();
        if http && server.route_name.is_empty() {
            return Err("it has no route name".to_owned());
        }
        if http && self.out.routes.contains_key(&server.route_name) {
            return Err(format!("its port name is used twice on port {}", key.number));
        }
        let route = server.route_name.clone();
        let at = self.push(server);
        if http {
            self.out.routes.insert(route, vec![at]);
        }
        match self.port_mut(&key) {
            Some(port) => port.servers.push(at),
            None => self.out.ports.push(MergedPort { key, servers: vec![at], route_name: String::new() }),
        }
        Ok(())
    }

    fn add_port(&mut self, server: Server<'a>, key: ServerPort) {
        if !server.is_tls() {
            self.plaintext.insert(key.number, key.clone());
        }
        let (http, route_name) = (server.is_http(), server.route_name.clone());
        let at = self.push(server);
        if http {
            self.out.routes.insert(route_name.clone(), vec![at]);
        }
        // A key that exists already is replaced, as in istiod's map; its place in the order stays.
        match self.port_mut(&key) {
            Some(port) => *port = MergedPort { key, servers: vec![at], route_name },
            None => self.out.ports.push(MergedPort { key, servers: vec![at], route_name }),
        }
    }

    fn push(&mut self, server: Server<'a>) -> usize {
        self.out.servers.push(server);
        self.out.servers.len() - 1
    }

    fn port_mut(&mut self, key: &ServerPort) -> Option<&mut MergedPort> {
        self.out.ports.iter_mut().find(|port| port.key == *key)
    }
}

/// Claims hosts for a bind, all or none; the error is the first host that is taken (istiod: `CheckDuplicates`).
pub(super) fn claim(
    known: &mut BTreeMap<String, String>,
    hosts: &[String],
    bind: &str,
) -> Result<(), String> {
    if let Some(host) = hosts.iter().find(|host| known.get(*host).is_some_and(|seen| seen == bind)) {
        return Err(host.clone());
    }
    known.extend(hosts.iter().map(|host| (host.clone(), bind.to_owned())));
    Ok(())
}

/// `./h` is the Gateway's namespace, `*/h` any, `*/*` everything.
fn sanitized_hosts(written: &Written, namespace: &str) -> Vec<String> {
    let mut hosts: Vec<String> = written.hosts.iter().map(|host| host.value.clone()).collect();
    for index in 0..written.hosts.len() {
        let Some(host) = hosts.get(index) else { break };
        match host.split_once('/') {
            Some((".", name)) => {
                let name = format!("{namespace}/{name}");
                hosts.splice(index..=index, [name]);
            }
            Some(("*", "*")) => hosts = vec!["*".to_owned()],
            Some(("*", name)) => {
                let name = name.to_owned();
                hosts.splice(index..=index, [name]);
            }
            _ => {}
        }
    }
    hosts
}

/// `http.<bound port>` for plaintext, one name per server for HTTPS (istiod: `gatewayRDSRouteName`).
fn route_name(server: &Server<'_>, resolved: u16) -> String {
    let bind = &server.written.bind;
    let bind = if bind.is_empty() { String::new() } else { format!(".{bind}") };
    if server.protocol.is_http() {
        return format!("http.{resolved}{bind}");
    }
    if server.protocol == Protocol::Https && !server.is_passthrough() {
        let name = server.written.port.as_ref().map_or("", |port| port.name.as_str());
        let meta = &server.gateway.meta;
        return format!("https.{}.{name}.{}.{}{bind}", server.port, meta.name, meta.namespace);
    }
    String::new()
}
