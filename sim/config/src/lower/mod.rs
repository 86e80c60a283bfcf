//! Lowering: the mesh model becomes, per proxy, what istiod would send it (semantics: istio-networking, istio-security).
//!
//! ```text
//! Lowering::new(mesh)            indexes of the whole mesh, once: VirtualServices with delegates merged, DestinationRules
//!                                consolidated, services by visibility, PeerAuthentications        (virtual_service,
//!                                destination_rule, visibility, security)
//! Lowering::snapshot(proxy)      one proxy class: what it may see (sidecar_scope), then
//!   sidecar                      outbound listeners and routes (outbound), inbound ones (inbound)
//!   gateway                      servers, routes (gateway)
//!   both                         clusters (cluster) with endpoints (endpoint)
//! ```
//!
//! Rules that hold everywhere: names and defaults are resolved here, the IR has none left to resolve; a field is either
//! honoured or leaves a taint at the node it could change; places are [`origin`] ids; nothing depends on the order of
//! files, on time or on maps with random order.
//!
//! Not here: whether the YAML is acceptable (`schema`, `webhook`), what exists in the mesh (`mesh`), what a request would
//! do (`mesh_core`).

pub mod destination_rule;
pub mod hosts;
pub mod origin;
pub mod regexes;
pub mod security;
pub mod virtual_service;

/// What every translation uses: places and compiled patterns.
#[derive(Debug, Default)]
pub struct Tools {
    /// Places in the YAML.
    pub origins: origin::OriginTable,
    /// Patterns.
    pub regexes: regexes::Regexes,
}
