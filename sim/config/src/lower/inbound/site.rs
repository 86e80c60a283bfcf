//! What a sidecar listens on for its application: ports of the services that select the pod, or the ingress listeners
//! of its Sidecar resource (istiod: `buildInboundChainConfigs`; semantics: istio-networking 5.5, 6.5).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::lower::Ctx;
use crate::lower::security::peer_authentication::Effective;
use crate::mesh::meshconfig::MeshSettings;
use crate::mesh::protocol::Protocol;
use crate::mesh::proxy::ServiceTarget;
use crate::resource::meta::ObjectMeta;
use crate::resource::proxy_config::{InterceptionMode, ProxyConfig};
use crate::resource::sidecar::{CaptureMode, IngressListener, Sidecar};
use crate::source::Span;

/// Ports of the proxy itself that it never listens on for an application: health, metrics.
const STATIC_PORTS: [u16; 2] = [15021, 15090];

/// A service port that leads to this pod.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// FQDN of the service.
    pub host: &'a str,
    /// Namespace of the service.
    pub namespace: &'a str,
    /// Service port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Port of the pod.
    pub target_port: u16,
    /// The service port in the YAML.
    pub origin: Span,
}

/// The service ports that lead to a proxy's pod, oldest service first.
#[must_use]
pub fn targets<'a>(cx: &'a Ctx<'_>) -> Vec<Target<'a>> {
    let target = |target: &ServiceTarget| {
        let service = cx.lowering.mesh.service(target.service)?;
        let port = service.ports.get(target.port)?;
        Some(Target {
            host: &service.host,
            namespace: &service.namespace,
            port: u16::try_from(port.number).ok()?,
            protocol: port.protocol,
            target_port: u16::try_from(target.target_port).ok()?,
            origin: port.origin,
        })
    };
    cx.proxy.targets.iter().filter_map(target).collect()
}

/// The receiving side of one sidecar.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    /// Mesh settings.
    pub(super) settings: &'a MeshSettings,
    /// Settings of this proxy.
    pub(super) config: &'a ProxyConfig,
    /// Address of the pod.
    pub(super) ip: IpAddr,
    /// How traffic is captured.
    pub(super) interception: InterceptionMode,
    /// Service ports that lead to the pod, oldest service first.
    pub(super) targets: &'a [Target<'a>],
    /// The Sidecar resource that applies, if it has ingress listeners.
    pub(super) ingress: Option<(&'a ObjectMeta, &'a Sidecar)>,
    /// Namespace of the pod.
    pub(super) namespace: &'a str,
    /// PeerAuthentication of the pod.
    pub(super) modes: &'a Effective<'a>,
}

/// One port of the application, or the passthrough for ports nobody declared.
#[derive(Debug, Clone)]
pub(super) struct ChainConfig {
    /// Name in tracing and telemetry: service host, or `<sidecar>.<namespace>`; empty for the passthrough.
    pub(super) host: String,
    /// Service port; 0 for the passthrough.
    pub(super) port: u16,
    /// Protocol.
    pub(super) protocol: Protocol,
    /// Port of the pod; 0 is every port.
    pub(super) target_port: u16,
    /// Address in the names of chains and, when bound, of the listener.
    pub(super) bind: String,
    /// A listener of its own instead of chains of `virtualInbound`.
    pub(super) bind_to_port: bool,
    /// The passthrough chains, whose names are fixed.
    pub(super) passthrough: bool,
    /// Where the port was declared.
    pub(super) origin: Span,
}

impl ChainConfig {
    /// Where the traffic goes.
    pub(super) fn cluster(&self) -> String {
        if self.passthrough { super::PASSTHROUGH_CLUSTER.to_owned() } else { cluster_name(self.target_port) }
    }

    /// Name of the chain.
    pub(super) fn name(&self, http: bool) -> String {
        match (self.passthrough, http) {
            (true, true) => "virtualInbound-catchall-http".to_owned(),
            (true, false) => super::VIRTUAL_INBOUND.to_owned(),
            (false, _) => format!("{}_{}", self.bind, self.target_port),
        }
    }

    /// Prefix of the connection manager's statistics.
    pub(super) fn stat_prefix(&self) -> String {
        if self.passthrough {
            format!("{};", super::PASSTHROUGH_CLUSTER)
        } else {
            format!("inbound_{};", self.name(true))
        }
    }
}

/// What is inside once TLS is terminated (`AfterTLSTermination`).
fn after_tls(protocol: Protocol) -> Protocol {
    match protocol {
        Protocol::Https => Protocol::Http,
        Protocol::Tls => Protocol::Tcp,
        other => other,
    }
}

/// Name of the cluster of a pod's port.
pub(super) fn cluster_name(port: u16) -> String {
    format!("inbound|{port}||")
}

impl Site<'_> {
    /// Whether the pod's traffic is redirected to `virtualInbound`.
    pub(super) fn captured(&self) -> bool {
        self.interception != InterceptionMode::None
    }

    /// The passthrough chains: ports nobody declared, and one set per `portLevelMtls` entry among them.
    pub(super) fn passthrough(&self) -> Vec<ChainConfig> {
        let declared = |port: u16| match self.ingress {
            Some((_, sidecar)) => {
                sidecar.ingress.iter().any(|l| l.port.as_ref().is_some_and(|p| p.number == u32::from(port)))
            }
            None => self.targets.iter().any(|target| target.target_port == port),
        };
        let ports = self.modes.ports.keys().copied().filter(|&port| !declared(port));
        std::iter::once(0)
            .chain(ports)
            .map(|target_port| ChainConfig {
                host: String::new(),
                port: 0,
                protocol: Protocol::Auto,
                target_port,
                bind: String::new(),
                bind_to_port: false,
                passthrough: true,
                origin: Span::NONE,
            })
            .collect()
    }

    /// The declared ports, by number. The oldest declaration of a port wins, with its protocol.
    pub(super) fn declared(&self) -> Vec<ChainConfig> {
        let mut by_port: BTreeMap<u16, ChainConfig> = BTreeMap::new();
        let configs = match self.ingress {
            Some((meta, sidecar)) => self.of_ingress(meta, sidecar),
            // Without capture only a Sidecar's ingress listeners are bound.
            None if !self.captured() => Vec::new(),
            None => self.of_services(),
        };
        for config in configs {
            by_port.entry(config.target_port).or_insert(config);
        }
        by_port.into_values().collect()
    }

    fn of_services(&self) -> Vec<ChainConfig> {
        let own = [self.settings.proxy_listen_port, self.settings.proxy_inbound_listen_port];
        let reserved = |port: u16| STATIC_PORTS.contains(&port) || own.contains(&u32::from(port));
        self.targets
            .iter()
            .filter(|target| !reserved(target.target_port))
            .map(|target| ChainConfig {
                host: target.host.to_owned(),
                port: target.port,
                protocol: target.protocol,
                target_port: target.target_port,
                bind: self.wildcard().to_owned(),
                bind_to_port: false,
                passthrough: false,
                origin: target.origin,
            })
            .collect()
    }

    fn of_ingress(&self, meta: &ObjectMeta, sidecar: &Sidecar) -> Vec<ChainConfig> {
        sidecar.ingress.iter().filter_map(|listener| self.of_listener(meta, listener)).collect()
    }

    fn of_listener(&self, meta: &ObjectMeta, listener: &IngressListener) -> Option<ChainConfig> {
        let port = listener.port.as_ref()?;
        let number = u16::try_from(port.number).ok()?;
        let written = Protocol::parse(&port.protocol);
        let terminates = listener.tls.is_some() && self.settings.features.tls_on_sidecar_ingress;
        let protocol = if terminates { after_tls(written) } else { written };
        let on_wildcard =
            if listener.bind.is_empty() { written.is_http() } else { listener.bind == self.wildcard() };
        if on_wildcard && STATIC_PORTS.contains(&number) {
            return None;
        }
        let bind_to_port = match listener.capture_mode {
            CaptureMode::Default => !self.captured(),
            CaptureMode::Iptables => false,
            CaptureMode::None => true,
        };
        Some(ChainConfig {
            host: format!("{}.{}", meta.name, self.namespace),
            port: number,
            protocol,
            target_port: number,
            bind: if listener.bind.is_empty() { self.ip.to_string() } else { listener.bind.clone() },
            bind_to_port,
            passthrough: false,
            origin: listener.origin,
        })
    }

    /// The address that means "all addresses".
    pub(super) fn wildcard(&self) -> &'static str {
        if self.ip.is_ipv6() { "::" } else { "0.0.0.0" }
    }
}
