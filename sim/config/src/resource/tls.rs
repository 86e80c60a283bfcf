//! TLS settings of clients (DestinationRule) and servers (Gateway, Sidecar ingress).

use serde::Deserialize;

use crate::source::Span;

/// TLS towards an upstream.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTlsSettings {
    /// Mode; absent is `DISABLE`.
    pub mode: ClientTlsMode,
    /// File.
    pub client_certificate: String,
    /// File.
    pub private_key: String,
    /// File.
    pub ca_certificates: String,
    /// Secret or ConfigMap.
    pub credential_name: String,
    /// Names to accept.
    pub subject_alt_names: Vec<String>,
    /// Server name to send.
    pub sni: String,
    /// Accept any certificate.
    pub insecure_skip_verify: Option<bool>,
    /// File.
    pub ca_crl: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Mode of client TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum ClientTlsMode {
    /// Plaintext.
    #[default]
    #[serde(rename = "DISABLE")]
    Disable,
    /// TLS.
    #[serde(rename = "SIMPLE")]
    Simple,
    /// TLS with a client certificate of the user's.
    #[serde(rename = "MUTUAL")]
    Mutual,
    /// TLS with the workload certificate.
    #[serde(rename = "ISTIO_MUTUAL")]
    IstioMutual,
}

/// TLS of a server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTlsSettings {
    /// Answer plaintext requests with a redirect to https.
    pub https_redirect: bool,
    /// Mode; absent is `PASSTHROUGH`.
    pub mode: ServerTlsMode,
    /// File.
    pub server_certificate: String,
    /// File.
    pub private_key: String,
    /// File.
    pub ca_certificates: String,
    /// File.
    pub ca_crl: String,
    /// Secret.
    pub credential_name: String,
    /// Secrets.
    pub credential_names: Vec<String>,
    /// Secret or ConfigMap with the CA.
    pub ca_cert_credential_name: String,
    /// Files, several.
    pub tls_certificates: Vec<TlsCertificate>,
    /// Client names to accept.
    pub subject_alt_names: Vec<String>,
    /// Client key hashes to accept.
    pub verify_certificate_spki: Vec<String>,
    /// Client certificate hashes to accept.
    pub verify_certificate_hash: Vec<String>,
    /// Oldest version.
    pub min_protocol_version: TlsProtocol,
    /// Newest version.
    pub max_protocol_version: TlsProtocol,
    /// Ciphers.
    pub cipher_suites: Vec<String>,
    /// Accept any client certificate.
    pub insecure_skip_verify: Option<bool>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Mode of server TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum ServerTlsMode {
    /// Not terminated, routed by SNI.
    #[default]
    #[serde(rename = "PASSTHROUGH")]
    Passthrough,
    /// TLS.
    #[serde(rename = "SIMPLE")]
    Simple,
    /// A client certificate is required.
    #[serde(rename = "MUTUAL")]
    Mutual,
    /// Not terminated, SNI names the cluster.
    #[serde(rename = "AUTO_PASSTHROUGH")]
    AutoPassthrough,
    /// The mesh's mutual TLS.
    #[serde(rename = "ISTIO_MUTUAL")]
    IstioMutual,
    /// A client certificate is verified if present.
    #[serde(rename = "OPTIONAL_MUTUAL")]
    OptionalMutual,
}

/// Certificate files.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificate {
    /// File.
    pub server_certificate: String,
    /// File.
    pub private_key: String,
    /// File.
    pub ca_certificates: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// TLS version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum TlsProtocol {
    /// The default.
    #[default]
    #[serde(rename = "TLS_AUTO")]
    TlsAuto,
    /// 1.0.
    #[serde(rename = "TLSV1_0")]
    TlsV10,
    /// 1.1.
    #[serde(rename = "TLSV1_1")]
    TlsV11,
    /// 1.2.
    #[serde(rename = "TLSV1_2")]
    TlsV12,
    /// 1.3.
    #[serde(rename = "TLSV1_3")]
    TlsV13,
}
