//! TLS as far as decisions depend on it: who shows which certificate, who accepts it, which ALPN and SNI travel.
//!
//! No cryptography: a handshake is a comparison of trust anchors and names. `crate::decide::handshake` does it.

use crate::ids::{OriginId, Str};
use crate::ir::StringMatch;

/// Whose signature a certificate carries, or which signatures a peer trusts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrustAnchor {
    /// istiod's CA (workload certificates).
    Mesh,
    /// The CA inside a Secret or file, by name (`kubernetes://…`, a path).
    Named(Str),
    /// The public CAs of the operating system.
    Public,
    /// Nothing is checked (`insecureSkipVerify`, curl -k).
    Unchecked,
}

/// A certificate shown in a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Who signed it.
    pub issuer: TrustAnchor,
    /// URI SANs (`spiffe://…`) first, then DNS SANs.
    pub sans: Vec<Str>,
    /// Subject, as `x-forwarded-client-cert` would show it (`""` for workload certificates).
    pub subject: Str,
}

/// Where a proxy takes the certificate it shows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// The proxy's own workload certificate: `spiffe://<trust domain>/ns/<ns>/sa/<sa>`, signed by the mesh CA.
    Workload,
    /// A certificate known from a Secret or made up for the hosts of the server.
    Known(Certificate),
    /// The secret does not exist: every handshake fails.
    Missing(Str),
}

/// What a side demands of the peer's certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// Trusted signers.
    pub trust: TrustAnchor,
    /// Any of these SANs; empty = no SAN check.
    pub match_sans: Vec<StringMatch>,
}

/// TLS termination of a filter chain.
#[derive(Debug, Clone, PartialEq)]
pub struct DownstreamTls {
    /// What the server shows.
    pub certificate: CertificateSource,
    /// ALPN offered by the server, in its order of preference.
    pub alpn: Vec<Str>,
    /// A client certificate is mandatory.
    pub require_client_certificate: bool,
    /// How a client certificate is checked; `None` = none is asked for.
    pub validation: Option<Validation>,
    /// What caused it.
    pub origin: OriginId,
}

/// TLS origination of a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamTls {
    /// Client certificate, if any.
    pub certificate: Option<CertificateSource>,
    /// SNI sent; empty = none unless `auto_sni`.
    pub sni: Str,
    /// SNI = the request's authority.
    pub auto_sni: bool,
    /// The server's certificate must match the SNI/authority (auto SAN validation).
    pub auto_san_validation: bool,
    /// ALPN offered (before the `istio.alpn` override).
    pub alpn: Vec<Str>,
    /// The `istio.alpn` filter overrides ALPN for HTTP requests on this socket (mesh mTLS only).
    pub alpn_override: bool,
    /// How the server is checked.
    pub validation: Validation,
    /// What caused it: DestinationRule tls block, or NONE for auto mTLS.
    pub origin: OriginId,
}

/// What a client says first.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientHello {
    /// Server name.
    pub sni: Option<Str>,
    /// ALPN list.
    pub alpn: Vec<Str>,
    /// The certificate it will show when asked.
    pub certificate: Option<Certificate>,
    /// What it demands of the server.
    pub validation: Validation,
}

/// The result of a handshake that worked.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsSession {
    /// Negotiated protocol.
    pub alpn: Option<Str>,
    /// Verified client certificate.
    pub client_certificate: Option<Certificate>,
    /// The server's certificate as the client sees it.
    pub server_certificate: Option<Certificate>,
    /// Server name sent.
    pub sni: Option<Str>,
}
