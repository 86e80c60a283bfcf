//! The filter chains of one port: matches, TLS termination, filters, terminal (istiod: `inboundChainForOpts`).

use std::collections::BTreeMap;

use mesh_core::OriginId;
use mesh_core::ids::{Str, Taint};
use mesh_core::ir::{
    ClusterSpecifier, FilterChain, FilterChainMatch, Forward, HeaderMutations, HostRewrite, NetworkFilter,
    PathMatch, PathRewrite, Route, RouteAction, RouteConfiguration, RouteMatch, RouteSpecifier, StringMatch,
    StringPattern, TcpProxy, Terminal, VirtualHost,
};
use mesh_core::tls::{CertificateSource, DownstreamTls, TrustAnchor, Validation};

use super::chain_match::{Variant, own_tls, variants};
use super::site::{ChainConfig, Site};
use crate::lower::http_connection_manager::{self, Class, Parts};
use crate::lower::origin::OriginTable;
use crate::lower::outbound::tcp::codec_observer;
use crate::lower::security::filters::SecurityFilters;
use crate::lower::security::peer_authentication::Mode;
use crate::lower::virtual_service::retry;
use crate::mesh::protocol::Protocol;

/// What all chains of a proxy are made from.
#[derive(Clone, Copy)]
pub(super) struct Builder<'a> {
    pub(super) site: Site<'a>,
    pub(super) origins: &'a OriginTable,
    pub(super) filters: &'a SecurityFilters,
    /// Trust domains whose certificates are accepted.
    pub(super) trust_domains: &'a [String],
    /// TLS of a Sidecar's ingress listeners, by port.
    pub(super) own_tls: &'a BTreeMap<u16, OwnTls>,
}

/// A termination with what of its settings is not modelled.
pub(super) type OwnTls = (DownstreamTls, Vec<Taint>);

impl Builder<'_> {
    /// All chains of a port.
    pub(super) fn chains(&self, config: &ChainConfig) -> Vec<FilterChain> {
        let decision = self.site.modes.port(config.target_port);
        let caused_by = decision.by.map_or(config.origin, |(_, span)| span);
        let origin = self.origins.id(caused_by);
        let http_10 = http_connection_manager::accepts_http_10(self.site.config);
        // Own TLS and mutual TLS exclude each other: it counts only where the latter is off.
        let own = self.own_tls.get(&config.target_port).filter(|_| decision.mode == Mode::Disable);
        let single = [own_tls(config.protocol)];
        let variants = if own.is_some() { &single[..] } else { variants(config.protocol, decision.mode) };
        variants
            .iter()
            .map(|variant| FilterChain {
                name: config.name(variant.http).into(),
                matcher: FilterChainMatch {
                    destination_port: (config.target_port > 0).then_some(config.target_port),
                    transport_protocol: Some(variant.transport),
                    application_protocols: variant.application_protocols(http_10),
                    ..FilterChainMatch::default()
                },
                tls: match own {
                    Some((tls, _)) => Some(tls.clone()),
                    None => variant.terminates.then(|| self.mutual_tls(*variant, origin)),
                },
                network_filters: if variant.http { Vec::new() } else { self.network_filters(config) },
                terminal: if variant.http { self.http(config) } else { self.tcp(config) },
                taints: own.map(|(_, taints)| taints.clone()).unwrap_or_default(),
                origin,
            })
            .collect()
    }

    /// Workload certificate, client certificate required, any of the mesh's trust domains.
    fn mutual_tls(&self, variant: Variant, origin: OriginId) -> DownstreamTls {
        let mut alpn: Vec<Str> = vec!["h2".into(), "http/1.1".into()];
        if !variant.http {
            alpn.insert(0, "istio-peer-exchange".into());
        }
        DownstreamTls {
            certificate: CertificateSource::Workload,
            alpn,
            require_client_certificate: true,
            validation: Some(Validation {
                trust: TrustAnchor::Mesh,
                match_sans: self
                    .trust_domains
                    .iter()
                    .map(|domain| {
                        StringMatch::new(StringPattern::Prefix(format!("spiffe://{domain}/").into()))
                    })
                    .collect(),
            }),
            origin,
        }
    }

    fn network_filters(&self, config: &ChainConfig) -> Vec<NetworkFilter> {
        let mut filters = self.filters.tcp.clone();
        filters.extend(codec_observer(config.protocol));
        filters
    }

    fn tcp(&self, config: &ChainConfig) -> Terminal {
        let cluster: Str = config.cluster().into();
        Terminal::Tcp(tcp_proxy(cluster.clone(), cluster, self.origins.id(config.origin)))
    }

    fn http(&self, config: &ChainConfig) -> Terminal {
        let origin = self.origins.id(config.origin);
        let mut security = self.filters.http.clone();
        if config.protocol == Protocol::GrpcWeb {
            security.push(http_connection_manager::grpc_web(self.origins, config.origin));
        }
        let parts = Parts {
            class: Class::SidecarInbound,
            stat_prefix: config.stat_prefix().into(),
            routes: RouteSpecifier::Inline(Box::new(self.routes(config, origin))),
            security,
            origin,
        };
        Terminal::Http(Box::new(http_connection_manager::build(self.site.settings, self.site.config, parts)))
    }

    /// One virtual host, one route, no timeout (istiod: `buildSidecarInboundHTTPRouteConfig`).
    fn routes(&self, config: &ChainConfig, origin: OriginId) -> RouteConfiguration {
        let cluster: Str = config.cluster().into();
        let virtual_host = VirtualHost {
            name: format!("inbound|http|{}", config.port).into(),
            domains: vec!["*".into()],
            routes: vec![self.route(config, cluster.clone(), origin)],
            require_tls: false,
            include_request_attempt_count: false,
            headers: HeaderMutations::default(),
            origin,
        };
        RouteConfiguration {
            name: cluster,
            virtual_hosts: vec![virtual_host],
            ignore_port_in_host_matching: false,
            headers: HeaderMutations::default(),
        }
    }

    fn route(&self, config: &ChainConfig, cluster: Str, origin: OriginId) -> Route {
        // A request reset before the application saw it is retried, except on gRPC ports, where streams are long.
        let retried = !matches!(config.protocol, Protocol::Grpc | Protocol::GrpcWeb);
        let written = self.site.settings.default_inbound_http_retry_policy.as_ref();
        Route {
            name: "default".into(),
            matcher: RouteMatch {
                path: PathMatch::Prefix("/".into()),
                case_sensitive: true,
                headers: Vec::new(),
                query: Vec::new(),
                metadata: Vec::new(),
            },
            action: RouteAction::Forward(Box::new(Forward {
                cluster: ClusterSpecifier::Cluster(cluster),
                cluster_not_found_status: 503,
                timeout_ns: 0,
                max_grpc_timeout_ns: Some(0),
                max_stream_duration_ns: Some(0),
                retry: retried.then(|| retry::inbound(self.origins, written)).flatten(),
                path_rewrite: PathRewrite::Keep,
                host_rewrite: HostRewrite::Keep,
                mirrors: Vec::new(),
                hash_policy: Vec::new(),
            })),
            headers: HeaderMutations::default(),
            decorator: format!("{}:{}/*", config.host, config.port).into(),
            fault: None,
            cors: None,
            taints: Vec::new(),
            origin,
            action_origin: origin,
        }
    }
}

/// A TCP proxy to one cluster.
pub(super) fn tcp_proxy(stat_prefix: Str, cluster: Str, origin: OriginId) -> TcpProxy {
    TcpProxy {
        stat_prefix,
        clusters: vec![(cluster, 1)],
        idle_timeout_ns: None,
        hash_source_ip: false,
        tunnel: None,
        origin,
    }
}
