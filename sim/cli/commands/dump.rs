//! `explain --proxy … --dump …`: what istiod would send to a proxy, in istioctl proxy-config's columns or as JSON.

use mesh_core::ir::{
    Cluster, EndpointAddress, Health, Listener, RouteAction, RouteSpecifier, Snapshot, Terminal,
};
use mesh_harness::format::client::WorkloadRef;
use mesh_harness::loaded::LoadedMesh;
use serde_json::{Value, json};

use super::output;
use crate::args::{Dump, Global, Output};
use crate::exit::Exit;

/// The command.
pub(crate) fn dump(mesh: &LoadedMesh, proxy: &str, what: Dump, global: &Global) -> Exit {
    let found = WorkloadRef::parse(proxy).and_then(|r| mesh.directory.find(&r).first().map(|p| p.id));
    let snapshot = found.and_then(|id| {
        let pod = mesh.world.pod(id)?;
        Some(mesh.world.proxy(pod.proxy?)?.snapshot().clone())
    });
    let Some(snapshot) = snapshot else {
        anstream::eprintln!("error: there is no proxy `{proxy}` in this mesh");
        return Exit::Input;
    };
    let (header, rows): (&[&str], Vec<Vec<String>>) = match what {
        Dump::Listeners => (&["ADDRESSES", "PORT", "MATCH", "DESTINATION"], listeners(&snapshot)),
        Dump::Routes => {
            (&["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], routes(mesh, &snapshot))
        }
        Dump::Clusters => (
            &["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
            clusters(mesh, &snapshot),
        ),
        Dump::Endpoints => (&["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], endpoints(&snapshot)),
    };
    let text = match global.output.unwrap_or(Output::Table) {
        Output::Json => {
            let list: Vec<Value> = rows
                .iter()
                .map(|row| {
                    let fields = header
                        .iter()
                        .zip(row)
                        .map(|(h, v)| ((*h).to_lowercase().replace(' ', "_"), json!(v)));
                    Value::Object(fields.collect())
                })
                .collect();
            output::json(&list)
        }
        _ => mesh_reports::render::style::table(header, &[], &rows),
    };
    output::stdout(&text)
}

fn listeners(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for listener in &snapshot.listeners {
        let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
        for chain in chains {
            let m = &chain.matcher;
            let mut words = Vec::new();
            words.extend(m.transport_protocol.map(|t| format!("Trans: {t:?}").to_lowercase()));
            if !m.application_protocols.is_empty() {
                words.push(format!("App: {}", m.application_protocols.join(",")));
            }
            if !m.server_names.is_empty() {
                words.push(format!("SNI: {}", m.server_names.join(",")));
            }
            words.extend(m.destination_port.map(|p| format!("Addr: *:{p}")));
            words.extend(m.prefix_ranges.iter().map(|p| format!("Addr: {p}")));
            let matched = if words.is_empty() { "ALL".to_owned() } else { words.join("; ") };
            rows.push(vec![
                address(listener),
                listener.port.to_string(),
                matched,
                destination(&chain.terminal),
            ]);
        }
    }
    rows
}

fn address(listener: &Listener) -> String {
    match (&listener.pipe, listener.ip) {
        (Some(pipe), _) => pipe.to_string(),
        (None, Some(ip)) => ip.to_string(),
        (None, None) => "0.0.0.0".to_owned(),
    }
}

fn destination(terminal: &Terminal) -> String {
    match terminal {
        Terminal::Http(hcm) => match &hcm.route_specifier {
            RouteSpecifier::Rds(name) => format!("Route: {name}"),
            RouteSpecifier::Inline(config) => format!("Inline Route: {}", config.name),
        },
        Terminal::Tcp(tcp) => {
            let names: Vec<String> = tcp.clusters.iter().map(|(name, _)| name.to_string()).collect();
            format!("Cluster: {}", names.join(", "))
        }
    }
}

fn object(mesh: &LoadedMesh, id: mesh_core::OriginId, kind: &str) -> String {
    match mesh.named(id) {
        Some((object, _)) if object.kind == kind => format!("{}.{}", object.name, object.namespace),
        _ => String::new(),
    }
}

fn routes(mesh: &LoadedMesh, snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for config in &snapshot.routes {
        for host in &config.virtual_hosts {
            for route in &host.routes {
                let service = match route.action {
                    RouteAction::DirectResponse(_) if !route.origin.is_some() => String::new(),
                    _ => object(mesh, route.origin, "VirtualService"),
                };
                rows.push(vec![
                    config.name.to_string(),
                    host.name.to_string(),
                    domains(&host.domains),
                    path(&route.matcher.path),
                    service,
                ]);
            }
        }
    }
    rows
}

fn path(path: &mesh_core::ir::PathMatch) -> String {
    use mesh_core::ir::PathMatch;
    match path {
        PathMatch::Prefix(p) => format!("{p}*"),
        PathMatch::Path(p) => p.to_string(),
        PathMatch::PathSeparatedPrefix(p) => format!("PathPrefix:{p}"),
        PathMatch::Regex(r) => format!("regex {}", r.source()),
    }
}

/// The first domain and how many more, as istioctl shows them.
fn domains(all: &[mesh_core::Str]) -> String {
    match all {
        [] => String::new(),
        [one] => one.to_string(),
        [one, rest @ ..] => format!("{one} + {} more...", rest.len()),
    }
}

fn clusters(mesh: &LoadedMesh, snapshot: &Snapshot) -> Vec<Vec<String>> {
    snapshot
        .clusters
        .iter()
        .map(|c| {
            let direction = match c.name.split('|').next() {
                Some("outbound") => "outbound",
                Some("inbound") => "inbound",
                _ => "-",
            };
            vec![
                if c.host.is_empty() { c.name.to_string() } else { c.host.to_string() },
                if c.port == 0 { "-".to_owned() } else { c.port.to_string() },
                if c.subset.is_empty() { "-".to_owned() } else { c.subset.to_string() },
                direction.to_owned(),
                discovery(c),
                object(mesh, c.origin, "DestinationRule"),
            ]
        })
        .collect()
}

fn discovery(cluster: &Cluster) -> String {
    use mesh_core::ir::Discovery;
    match cluster.discovery {
        Discovery::Static => "STATIC",
        Discovery::Eds => "EDS",
        Discovery::StrictDns => "STRICT_DNS",
        Discovery::LogicalDns => "LOGICAL_DNS",
        Discovery::OriginalDst => "ORIGINAL_DST",
        Discovery::DynamicForwardProxy => "DYNAMIC_FORWARD_PROXY",
    }
    .to_owned()
}

fn endpoints(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for cluster in &snapshot.clusters {
        for host in cluster.endpoints.iter().flat_map(|l| &l.hosts) {
            let address = match &host.address {
                EndpointAddress::Ip(ip, port) => std::net::SocketAddr::new(*ip, *port).to_string(),
                EndpointAddress::Dns(name, port) => format!("{name}:{port}"),
                EndpointAddress::Pipe(path) => path.to_string(),
            };
            let health = match host.health {
                Health::Healthy => "HEALTHY",
                Health::Unhealthy => "UNHEALTHY",
                Health::Draining => "DRAINING",
            };
            rows.push(vec![address, health.to_owned(), "OK".to_owned(), cluster.name.to_string()]);
        }
    }
    rows
}
