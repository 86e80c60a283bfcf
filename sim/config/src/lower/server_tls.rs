//! What `ServerTlsSettings` of a Gateway server or a Sidecar's ingress listener come to (istiod:
//! `BuildListenerTLSContext`; semantics: istio-networking 7.5).

use mesh_core::Str;
use mesh_core::ids::Taint;
use mesh_core::ir::{StringMatch, StringPattern};
use mesh_core::tls::{Certificate, CertificateSource, DownstreamTls, TrustAnchor, Validation};

use super::Ctx;
use super::security::credentials::Authority;
use crate::resource::tls::{ServerTlsMode, ServerTlsSettings, TlsProtocol};

/// The termination with what of its settings is not modelled. `hosts` are the names certificates are taken to be for.
pub(super) fn context(
    cx: &Ctx<'_>,
    tls: &ServerTlsSettings,
    hosts: &[String],
    alpn: Vec<Str>,
) -> (DownstreamTls, Vec<Taint>) {
    let mesh = tls.mode == ServerTlsMode::IstioMutual;
    let required = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::IstioMutual);
    let asked = required || tls.mode == ServerTlsMode::OptionalMutual;
    let (certificate, authority) = if mesh {
        (CertificateSource::Workload, Authority::Known(TrustAnchor::Mesh))
    } else if let Some(credential) = credentials(tls).first() {
        of_credential(cx, tls, credential, hosts)
    } else {
        of_files(tls, hosts)
    };
    // A missing authority fails the handshake just as a missing certificate does.
    let (certificate, trust) = match authority {
        Authority::Missing(name) if asked => (CertificateSource::Missing(name), TrustAnchor::Mesh),
        Authority::Missing(_) => (certificate, TrustAnchor::Mesh),
        Authority::Known(trust) => (certificate, trust),
    };
    let unchecked = tls.insecure_skip_verify.unwrap_or(false);
    let context = DownstreamTls {
        certificate,
        alpn,
        require_client_certificate: required,
        validation: asked.then(|| Validation {
            trust: if unchecked { TrustAnchor::Unchecked } else { trust },
            match_sans: tls
                .subject_alt_names
                .iter()
                .map(|name| StringMatch::new(StringPattern::Exact(name.as_str().into())))
                .collect(),
        }),
        origin: cx.lowering.tools.origins.id(tls.origin),
    };
    (context, unmodelled(cx, tls, asked))
}

/// `credentialNames`, else `credentialName`.
fn credentials(tls: &ServerTlsSettings) -> Vec<&str> {
    if tls.credential_names.is_empty() {
        return Some(tls.credential_name.as_str()).filter(|name| !name.is_empty()).into_iter().collect();
    }
    tls.credential_names.iter().map(String::as_str).collect()
}

/// The first of several credentials names the authority; which of several certificates is shown depends on the client's
/// key types, and they are for the same hosts.
fn of_credential(
    cx: &Ctx<'_>,
    tls: &ServerTlsSettings,
    credential: &str,
    hosts: &[String],
) -> (CertificateSource, Authority) {
    let certificate = cx.lowering.indexes.credentials.certificate(credential, cx.namespace(), hosts);
    let authority = if tls.ca_cert_credential_name.is_empty() {
        cx.lowering.indexes.credentials.authority(&format!("{credential}-cacert"), cx.namespace())
    } else {
        cx.lowering.indexes.credentials.authority(&tls.ca_cert_credential_name, cx.namespace())
    };
    (certificate, authority)
}

/// Files of the gateway's image: they are taken to exist, for the hosts of the server. Where none is named, istiod falls
/// back to the workload's own certificate and the mesh's root.
fn of_files(tls: &ServerTlsSettings, hosts: &[String]) -> (CertificateSource, Authority) {
    let first = tls.tls_certificates.first().map(|pair| (&pair.server_certificate, &pair.private_key));
    let (chain, key) = first.unwrap_or((&tls.server_certificate, &tls.private_key));
    let certificate = if chain.is_empty() || key.is_empty() {
        CertificateSource::Workload
    } else {
        CertificateSource::Known(Certificate {
            issuer: TrustAnchor::Named(format!("file-cert:{chain}").into()),
            sans: hosts.iter().map(|host| host.as_str().into()).collect(),
            subject: "".into(),
        })
    };
    let authority = if tls.ca_certificates.is_empty() {
        TrustAnchor::Mesh
    } else {
        TrustAnchor::Named(format!("file-root:{}", tls.ca_certificates).into())
    };
    (certificate, Authority::Known(authority))
}

fn unmodelled(cx: &Ctx<'_>, tls: &ServerTlsSettings, asked: bool) -> Vec<Taint> {
    let old = |version: TlsProtocol| matches!(version, TlsProtocol::TlsV10 | TlsProtocol::TlsV11);
    [
        (asked && !tls.verify_certificate_spki.is_empty(), "tls.verifyCertificateSpki"),
        (asked && !tls.verify_certificate_hash.is_empty(), "tls.verifyCertificateHash"),
        (asked && !tls.ca_crl.is_empty(), "tls.caCrl"),
        (!asked && !tls.subject_alt_names.is_empty(), "tls.subjectAltNames without client certificates"),
        (old(tls.max_protocol_version), "tls.maxProtocolVersion"),
        (
            !tls.cipher_suites.is_empty() && tls.max_protocol_version == TlsProtocol::TlsV12,
            "tls.cipherSuites",
        ),
    ]
    .into_iter()
    .filter(|(given, _)| *given)
    .map(|(_, what)| cx.lowering.tools.origins.taint(what, tls.origin))
    .collect()
}
