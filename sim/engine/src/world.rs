//! One version of the mesh as the engine sees it: pods, proxies, names, addresses. Immutable; shared by `Arc`.
//!
//! Built by the harness from the configuration's model. The engine never learns which resource a thing came from
//! except through the origins inside the snapshots.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use mesh_core::Str;
use mesh_core::ids::{Nanos, Taint};
use mesh_core::ir::Snapshot;
use mesh_core::tls::Certificate;
use mesh_core::upstream::HashTables;

use crate::plan::ConnectMode;

/// Position in [`World::proxies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyId(pub u32);

/// Position in [`World::pods`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(pub u32);

/// One version of the mesh.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// Sidecars and gateways.
    pub proxies: Vec<Proxy>,
    /// All pods, also those without sidecar and those made up for a client.
    pub pods: Vec<Pod>,
    /// Cluster DNS.
    pub dns: Dns,
    /// What kube-proxy does with Service addresses.
    pub vips: Vips,
    /// Everything outside.
    pub internet: Internet,
    /// Some proxy sets a response header that another proxy acts on (`x-envoy-ratelimited` vetoes retries, semantics:
    /// envoy-routing 5.2).
    pub sets_acted_on_headers: bool,
    /// Consistent-hash tables that runs and enumerations on this mesh share.
    pub hash_tables: Arc<HashTables>,
}

impl World {
    /// A pod by id.
    #[must_use]
    pub fn pod(&self, id: PodId) -> Option<&Pod> {
        self.pods.get(id.0 as usize)
    }

    /// A proxy by id.
    #[must_use]
    pub fn proxy(&self, id: ProxyId) -> Option<&Proxy> {
        self.proxies.get(id.0 as usize)
    }

    /// The pod with this address (linear; the engine keeps an index).
    #[must_use]
    pub fn pod_by_ip(&self, ip: IpAddr) -> Option<PodId> {
        self.pods.iter().position(|p| p.ip == ip).map(|i| PodId(i as u32))
    }

    /// The pod called `ns/workload#ordinal`.
    #[must_use]
    pub fn pod_by_reference(&self, reference: &str) -> Option<PodId> {
        self.pods.iter().position(|p| p.reference.as_ref() == reference).map(|i| PodId(i as u32))
    }
}

type Make = Box<dyn FnOnce() -> Arc<Snapshot> + Send>;

/// A proxy's configuration. Made when the proxy is first used: in a large mesh most proxies see no traffic in a run, and
/// a thousand snapshots of ten thousand routes fit no memory.
#[derive(Clone)]
pub struct Configuration(Arc<LazyLock<Arc<Snapshot>, Make>>);

impl Configuration {
    /// One that is made when it is first asked for.
    pub fn when_used(make: impl FnOnce() -> Arc<Snapshot> + Send + 'static) -> Configuration {
        Configuration(Arc::new(LazyLock::new(Box::new(make))))
    }

    /// One that is there.
    #[must_use]
    pub fn ready(snapshot: Arc<Snapshot>) -> Configuration {
        Configuration::when_used(move || snapshot)
    }

    /// The snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.0
    }

    /// Whether two are one and the same; makes neither.
    #[must_use]
    pub fn is(&self, other: &Configuration) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Configuration")
    }
}

/// A sidecar or gateway.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// `ns/pod`, the stable name that keys its draws.
    pub name: Str,
    /// The pod it runs in.
    pub pod: PodId,
    /// Its configuration.
    pub configuration: Configuration,
    /// Its workload certificate.
    pub identity: Certificate,
    /// Worker threads; the engine models one (semantics: envoy-upstream 10).
    pub concurrency: u32,
}

impl Proxy {
    /// Its configuration, made now if it was not used before.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        self.configuration.snapshot()
    }
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// `ns/workload#ordinal`.
    pub reference: Str,
    /// Kubernetes name, `workload-ordinal`.
    pub pod_name: Str,
    /// Namespace; decides the DNS search path.
    pub namespace: Str,
    /// Address.
    pub ip: IpAddr,
    /// Its sidecar, or the gateway the pod is.
    pub proxy: Option<ProxyId>,
    /// Whether the proxy is a gateway: nothing is redirected, its listeners are bound.
    pub gateway: bool,
    /// What iptables redirects to the sidecar.
    pub capture: Capture,
    /// What the application listens on.
    pub ports: Vec<AppPort>,
    /// `region/zone/subzone`
    pub locality: Str,
    /// Node name.
    pub node: Str,
    /// How long it goes on once it left the world, ns.
    pub grace_ns: Nanos,
    /// What of the pod itself is not modelled (it cannot start, or something other than a sidecar takes its traffic):
    /// whatever it sends or receives is unknown.
    pub taint: Option<Taint>,
}

impl Pod {
    /// `ns/workload`.
    #[must_use]
    pub fn workload(&self) -> &str {
        self.reference.split('#').next().unwrap_or_default()
    }
}

/// What the iptables rules of a pod redirect (semantics: istio-networking 6.6, 9.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Redirected destinations; empty = none. Default `0.0.0.0/0` and `::/0`.
    pub outbound_cidrs: Vec<IpNet>,
    /// Exceptions.
    pub outbound_excluded_cidrs: Vec<IpNet>,
    /// Ports never redirected.
    pub outbound_excluded_ports: Vec<u16>,
    /// Ports redirected whatever the CIDRs say.
    pub outbound_included_ports: Vec<u16>,
    /// `None` = all inbound ports.
    pub inbound_ports: Option<Vec<u16>>,
    /// Exceptions (15090, 15021, 15020 are resolved into it by the harness).
    pub inbound_excluded_ports: Vec<u16>,
}

impl Default for Capture {
    fn default() -> Self {
        let any = ["0.0.0.0/0", "::/0"];
        Capture {
            outbound_cidrs: any.iter().filter_map(|c| c.parse().ok()).collect(),
            outbound_excluded_cidrs: Vec::new(),
            outbound_excluded_ports: Vec::new(),
            outbound_included_ports: Vec::new(),
            inbound_ports: None,
            inbound_excluded_ports: vec![15090, 15021, 15020],
        }
    }
}

impl Capture {
    /// Whether a connection of the pod's application to `to` enters its sidecar.
    #[must_use]
    pub fn takes_outbound(&self, to: SocketAddr) -> bool {
        if to.ip().is_loopback() || self.outbound_excluded_ports.contains(&to.port()) {
            return false;
        }
        if self.outbound_excluded_cidrs.iter().any(|c| c.contains(&to.ip())) {
            return false;
        }
        self.outbound_included_ports.contains(&to.port())
            || self.outbound_cidrs.iter().any(|c| c.contains(&to.ip()))
    }

    /// Whether a connection from elsewhere to the pod's `port` enters its sidecar.
    #[must_use]
    pub fn takes_inbound(&self, port: u16) -> bool {
        !self.inbound_excluded_ports.contains(&port)
            && self.inbound_ports.as_ref().is_none_or(|ports| ports.contains(&port))
    }
}

/// A port an application listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPort {
    /// Number.
    pub port: u16,
    /// What it speaks.
    pub kind: AppKind,
    /// Certificate of [`AppKind::TlsLine`] and [`AppKind::Https`] ports.
    pub certificate: Option<Certificate>,
}

/// What an application port speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppKind {
    /// HTTP/1.1 and HTTP/2 with prior knowledge.
    Http,
    /// Answers a line with `<ns/pod>:<port>:<line>`.
    TcpLine,
    /// TLS, then lines.
    TlsLine,
    /// TLS, then HTTP.
    Https,
}

/// Cluster DNS: fully qualified names with their addresses.
#[derive(Debug, Clone, Default)]
pub struct Dns {
    /// Name without trailing dot -> addresses in answer order. An empty list exists but has no address.
    pub names: BTreeMap<Str, Vec<IpAddr>>,
    /// CNAMEs (ExternalName).
    pub aliases: BTreeMap<Str, Str>,
    /// The cluster domain, `cluster.local`.
    pub cluster_domain: Str,
    /// What names that nothing defines resolve to; `None` = NXDOMAIN.
    pub outside: Option<IpAddr>,
}

impl Dns {
    /// Resolves a name as a pod of this namespace would; `None` is NXDOMAIN.
    ///
    /// Kubernetes' resolver: search list `<ns>.svc.<domain>`, `svc.<domain>`, `<domain>` with `ndots:5`.
    #[must_use]
    pub fn resolve(&self, namespace: &str, name: &str) -> Option<Vec<IpAddr>> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Some(vec![ip]);
        }
        let domain =
            if self.cluster_domain.is_empty() { "cluster.local" } else { self.cluster_domain.as_ref() };
        if let Some(absolute) = name.strip_suffix('.') {
            return self.absolute(absolute, domain);
        }
        let searched = [
            format!("{name}.{namespace}.svc.{domain}"),
            format!("{name}.svc.{domain}"),
            format!("{name}.{domain}"),
        ];
        let dots = name.matches('.').count();
        if dots >= 5
            && let Some(found) = self.absolute(name, domain)
        {
            return Some(found);
        }
        for candidate in &searched {
            if let Some(found) = self.known(candidate, 0) {
                return Some(found);
            }
        }
        self.absolute(name, domain)
    }

    fn known(&self, name: &str, depth: u32) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.names.get(name) {
            return Some(addresses.clone());
        }
        let target = self.aliases.get(name)?;
        if depth > 8 {
            return None;
        }
        let domain =
            if self.cluster_domain.is_empty() { "cluster.local" } else { self.cluster_domain.as_ref() };
        self.known(target, depth + 1).or_else(|| self.outside_name(target, domain))
    }

    fn absolute(&self, name: &str, domain: &str) -> Option<Vec<IpAddr>> {
        self.known(name, 0).or_else(|| self.outside_name(name, domain))
    }

    fn outside_name(&self, name: &str, domain: &str) -> Option<Vec<IpAddr>> {
        let inside = name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        // A single label is never a public name.
        if inside || !name.contains('.') {
            return None;
        }
        self.outside.map(|ip| vec![ip])
    }
}

/// Service addresses and what kube-proxy forwards them to.
#[derive(Debug, Clone, Default)]
pub struct Vips {
    /// Service address and port -> ready endpoints in order. Without endpoints the connection is refused.
    pub targets: BTreeMap<(IpAddr, u16), Vec<SocketAddr>>,
    /// All Service addresses, so that unknown ports of them are refused.
    pub addresses: std::collections::BTreeSet<IpAddr>,
}

/// The rest of the world.
#[derive(Debug, Clone, Default)]
pub struct Internet {
    /// Address ranges of the cluster: an address in them that nobody has is unreachable.
    pub cluster_cidrs: Vec<IpNet>,
    /// Whether other addresses answer (as the recorder's `internet` host did) or are unreachable.
    pub answers: bool,
    /// What becomes of connections to it.
    pub connect: ConnectMode,
    /// Behaviour follows [`crate::plan::Behavior`] default; name shown as workload.
    pub name: Str,
}
