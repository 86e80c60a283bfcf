//! What the translation for one proxy needs to know, in one value that is handed down.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_core::ids::Nanos;

use super::Lowering;
use super::destination_rule::Consolidated;
use super::sidecar_scope::SidecarScope;
use crate::mesh::proxy::{Proxy, ProxyKind};
use crate::mesh::registry::CLUSTER_DOMAIN;
use crate::mesh::service::{Service, UNSPECIFIED_IP};
use crate::resource::scalar::Duration;

/// A proxy, its scope, and the mesh around it.
pub struct Ctx<'a> {
    /// The mesh and its indexes.
    pub lowering: &'a Lowering,
    /// The proxy.
    pub proxy: &'a Proxy,
    /// What it may see.
    pub scope: Arc<SidecarScope>,
}

impl Ctx<'_> {
    /// Labels of the proxy, which selectors and source labels see.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.proxy.labels
    }

    /// Namespace of the proxy.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.proxy.namespace
    }

    /// DNS domain of the cluster.
    #[must_use]
    pub fn domain(&self) -> &'static str {
        CLUSTER_DOMAIN
    }

    /// Address of the proxy.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.proxy.ip
    }

    /// Whether the proxy is a sidecar.
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        self.proxy.kind == ProxyKind::Sidecar
    }

    /// The DestinationRule of a host of the scope, for outbound traffic of this proxy.
    #[must_use]
    pub fn rule(&self, host: &str) -> Option<&Arc<Consolidated>> {
        self.scope.rule(host, Some(self.labels()))
    }

    /// The address of a service as this proxy sees it: allocated ones count only where the proxy answers DNS.
    #[must_use]
    pub fn address<'s>(&self, service: &'s Service) -> &'s str {
        match &service.auto_allocated {
            Some(allocated) if self.proxy.capture.dns && service.address == UNSPECIFIED_IP => allocated,
            _ => &service.address,
        }
    }

    /// Node metadata of the proxy, given as `ISTIO_META_<key>` in its environment.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.proxy.config.proxy_metadata.get(&format!("ISTIO_META_{key}")).map(String::as_str)
    }

    /// Idle timeout of TCP proxies that no DestinationRule sets; `None` is Envoy's own.
    #[must_use]
    pub fn idle_timeout_ns(&self) -> Option<Nanos> {
        let written = Duration::parse(self.metadata("IDLE_TIMEOUT")?).ok()?;
        Nanos::try_from(written.ns).ok()
    }

    /// Whether upstream requests carry `x-envoy-attempt-count`.
    #[must_use]
    pub fn attempt_count(&self) -> bool {
        let headers = self.proxy.config.proxy_headers.as_ref();
        let header = headers.and_then(|h| h.attempt_count.as_ref());
        header.and_then(|h| h.disabled) != Some(true)
    }
}
