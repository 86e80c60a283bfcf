//! Identity, mutual TLS, tokens and authorization of the receiving side (semantics: istio-security 1-5).
//!
//! * `peer_authentication` — the mode of a port, also for clients that decide about auto mTLS.
//! * `request_authentication` — the JWT filter.
//! * `authorization` — the RBAC filters.
//! * `filters` — both, in order, for the chains of a proxy.
//! * `attachment` — which of the last two are for a proxy. `trust_domain` — identities and aliases.
//! * `credentials` — certificates and authorities behind `credentialName`, read by `x509`.

pub mod attachment;
pub mod authorization;
pub mod credentials;
pub mod filters;
pub mod peer_authentication;
pub mod request_authentication;
pub mod trust_domain;
mod x509;
