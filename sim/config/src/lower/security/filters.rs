//! The security filters of a proxy: the same on every chain that carries policies (semantics: istio-security 0, 5.1).

use mesh_core::ir::{HttpFilter, NetworkFilter};

use super::attachment::Workload;
use super::authorization;
use super::request_authentication;
use crate::lower::Ctx;

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
        };
        let mut http = attached.http_before_jwt(policies);
        http.extend(request_authentication::filter(
            &lowering.indexes.request_authentications,
            workload,
            root,
            !cx.is_sidecar(),
            &lowering.tools.origins,
        ));
        http.extend(attached.http(policies));
        SecurityFilters { http, tcp: attached.tcp(policies) }
    }
}
