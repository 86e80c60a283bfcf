//! The security filters of a proxy: the same on every chain that carries policies (semantics: istio-security 0, 5.1).

use std::net::IpAddr;

use mesh_core::ir::{HttpFilter, NetworkFilter};

use super::attachment::Workload;
use super::authorization;
use super::request_authentication;
use crate::lower::Ctx;
use crate::mesh::meshconfig::Authorizer;
use crate::mesh::service::Resolution;
use crate::resource::provider::ExtensionProvider;

/// Filters of HTTP and of TCP chains.
#[derive(Debug, Clone, Default)]
pub struct SecurityFilters {
    /// CUSTOM, JWT, AUDIT, DENY, ALLOW.
    pub http: Vec<HttpFilter>,
    /// CUSTOM, AUDIT, DENY, ALLOW of TCP chains.
    pub tcp: Vec<NetworkFilter>,
}

impl SecurityFilters {
    /// The filters of inbound chains of a sidecar, or of all chains of a gateway.
    #[must_use]
    pub fn new(cx: &Ctx<'_>) -> SecurityFilters {
        let lowering = cx.lowering;
        let settings = &lowering.mesh.settings;
        let root = settings.root_namespace.as_str();
        let workload = Workload { namespace: cx.namespace(), labels: cx.labels() };
        let attached = authorization::attached(&lowering.indexes.authorization_policies, workload, root);
        let has_service = |namespace: &str, host: &str| {
            let found = lowering.indexes.services.by_host(host);
            found.is_some_and(|namespaces| namespace.is_empty() || namespaces.contains_key(namespace))
        };
        let policies = authorization::Cx {
            origins: &lowering.tools.origins,
            domains: &lowering.indexes.trust_domains,
            providers: &settings.extension_providers,
            has_service: &has_service,
            authorizer: &|provider| authorizer(cx, provider),
        };
        let mut http = attached.http_before_jwt(policies);
        http.extend(request_authentication::filter(
            &lowering.indexes.request_authentications,
            workload,
            root,
            !cx.is_sidecar(),
            &settings.outside.jwks,
            &lowering.tools.origins,
        ));
        http.extend(attached.http(policies));
        SecurityFilters { http, tcp: attached.tcp(policies) }
    }
}

/// What is known of an authorizer: what somebody states, or that nobody listens where it should be.
fn authorizer(cx: &Ctx<'_>, provider: &ExtensionProvider) -> Option<Authorizer> {
    let mesh = &cx.lowering.mesh;
    if let Some(stated) = mesh.settings.outside.authorizers.get(&provider.name) {
        return Some(*stated);
    }
    let http = provider.envoy_ext_authz_http.as_ref().map(|p| (&p.service, p.port));
    let grpc = provider.envoy_ext_authz_grpc.as_ref().map(|p| (&p.service, p.port));
    let (service, port) = http.or(grpc)?;
    let (namespace, host) = service.split_once('/').unwrap_or(("", service));
    let found = mesh
        .services
        .iter()
        .find(|s| s.host == host && (namespace.is_empty() || s.namespace == namespace))
        .filter(|s| s.resolution == Resolution::ClientSideLb)?;
    let name = &found.ports.iter().find(|p| p.number == port)?.name;
    let endpoints: Vec<_> = mesh.endpoints.of(found).iter().filter(|e| e.port_name == *name).collect();
    let own = &mesh.pod(cx.proxy.pod)?.spec;
    let declared: Vec<u32> = own.containers.iter().flat_map(|c| &c.ports).map(|p| p.container_port).collect();
    let dead = |address: &str, port: u32| {
        let loopback = address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        // A pod that declares no port may listen on any.
        loopback && !declared.is_empty() && !declared.contains(&port)
    };
    let nobody = endpoints.iter().all(|e| e.pod.is_none() && dead(&e.address, e.port));
    (nobody && !endpoints.is_empty()).then_some(Authorizer::Error)
}
