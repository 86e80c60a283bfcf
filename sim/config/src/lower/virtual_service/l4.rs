//! The static part of TLS and TCP matches (istiod: `matchTLS`, `matchTCP`; semantics: istio-networking 3.11).
//!
//! All conditions are ANDed, unlike in HTTP matches. SNI and destination subnets are left to the filter chains.

use std::collections::BTreeMap;

use crate::resource::virtual_service::{L4MatchAttributes, TlsMatchAttributes};

/// For which proxy, port and gateway L4 routes are made.
#[derive(Debug, Clone, Copy)]
pub struct L4Context<'a> {
    /// Labels of the proxy; `None` on gateways, where they are not looked at.
    pub proxy: Option<(&'a BTreeMap<String, String>, &'a str)>,
    /// `mesh`, or the gateways (`ns/name`) of the server.
    pub gateways: &'a [&'a str],
    /// Service port on sidecars, server port on gateways.
    pub port: u16,
}

impl L4Context<'_> {
    /// Whether a TLS match is for this proxy, port and gateway.
    #[must_use]
    pub fn tls(&self, m: &TlsMatchAttributes) -> bool {
        self.applies(&m.gateways, m.port, &m.source_labels, &m.source_namespace)
    }

    /// Whether a TCP match is for this proxy, port and gateway.
    #[must_use]
    pub fn tcp(&self, m: &L4MatchAttributes) -> bool {
        self.applies(&m.gateways, m.port, &m.source_labels, &m.source_namespace)
    }

    fn applies(
        &self,
        gateways: &[String],
        port: u32,
        source_labels: &BTreeMap<String, String>,
        source_namespace: &str,
    ) -> bool {
        let gateway = gateways.is_empty() || gateways.iter().any(|g| self.gateways.contains(&g.as_str()));
        let port = port == 0 || port == u32::from(self.port);
        let source = self.proxy.is_none_or(|(labels, namespace)| {
            super::labels_subset(source_labels, labels)
                && (source_namespace.is_empty() || source_namespace == namespace)
        });
        gateway && port && source
    }
}
