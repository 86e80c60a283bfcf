//! TLS settings of Gateway servers and Sidecar ingress listeners (semantics: istio-validation 3.4, 3.7).

use super::Findings;
use crate::resource::tls::{ServerTlsMode, ServerTlsSettings, TlsProtocol};

const CIPHERS: [&str; 16] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
];

/// Judges the settings.
pub(super) fn server_tls(f: &mut Findings<'_>, tls: &ServerTlsSettings) {
    let span = tls.origin;
    ciphers(f, tls);
    match tls.mode {
        ServerTlsMode::IstioMutual => {
            let given = [
                ("serverCertificate", !tls.server_certificate.is_empty()),
                ("privateKey", !tls.private_key.is_empty()),
                ("caCertificates", !tls.ca_certificates.is_empty()),
                ("credentialName", !tls.credential_name.is_empty()),
                ("credentialNames", !tls.credential_names.is_empty()),
                ("tlsCertificates", !tls.tls_certificates.is_empty()),
            ];
            for (what, _) in given.iter().filter(|(_, given)| *given) {
                f.error(span, format!("ISTIO_MUTUAL TLS cannot have associated {what}"));
            }
            return;
        }
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            if has_certificates(tls) {
                f.warn(span, "PASSTHROUGH mode does not use certificates, they will be ignored");
            }
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {}
    }
    let sources = [
        !tls.server_certificate.is_empty() && !tls.private_key.is_empty(),
        !tls.credential_name.is_empty(),
        !tls.credential_names.is_empty(),
        !tls.tls_certificates.is_empty(),
    ];
    if sources.iter().filter(|&&given| given).count() > 1 {
        f.error(
            span,
            "only one of credentialName, credentialNames, serverCertificate or tlsCertificates should be set",
        );
    }
    if matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough) {
        if !tls.ca_crl.is_empty() && !tls.credential_name.is_empty() {
            f.error(span, "CRL is not supported with credentialName: it has to be in the credential");
        }
        return;
    }
    // Credentials are fetched: the other fields are not required.
    if tls.credential_name.is_empty() && tls.credential_names.is_empty() {
        certificates(f, tls);
    }
}

fn has_certificates(tls: &ServerTlsSettings) -> bool {
    let texts =
        [&tls.server_certificate, &tls.private_key, &tls.ca_certificates, &tls.credential_name, &tls.ca_crl];
    texts.iter().any(|t| !t.is_empty())
        || !tls.credential_names.is_empty()
        || !tls.tls_certificates.is_empty()
}

fn certificates(f: &mut Findings<'_>, tls: &ServerTlsSettings) {
    let span = tls.origin;
    let verifies = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
    let word = if verifies { "MUTUAL" } else { "SIMPLE" };
    if tls.tls_certificates.is_empty() {
        if tls.server_certificate.is_empty() {
            f.error(span, format!("{word} TLS requires a server certificate"));
        }
        if tls.private_key.is_empty() {
            f.error(span, format!("{word} TLS requires a private key"));
        }
    }
    for certificate in &tls.tls_certificates {
        if certificate.server_certificate.is_empty() {
            f.error(certificate.origin, format!("{word} TLS requires a server certificate"));
        }
        if certificate.private_key.is_empty() {
            f.error(certificate.origin, format!("{word} TLS requires a private key"));
        }
    }
    if tls.tls_certificates.len() > 2 {
        f.warn(span, format!("{word} TLS can support up to 2 server certificates"));
    }
    if verifies && tls.ca_certificates.is_empty() {
        f.error(span, format!("{word} TLS requires a client CA bundle"));
    }
    if !verifies && !tls.ca_crl.is_empty() {
        f.error(span, "CRL is not supported with SIMPLE TLS");
    }
}

fn ciphers(f: &mut Findings<'_>, tls: &ServerTlsSettings) {
    let mut seen: Vec<&str> = Vec::new();
    let (mut unknown, mut twice): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for cipher in &tls.cipher_suites {
        if !is_cipher(cipher) {
            unknown.push(cipher);
        } else if seen.contains(&cipher.as_str()) {
            twice.push(cipher);
        }
        seen.push(cipher);
    }
    if !unknown.is_empty() {
        f.warn(tls.origin, format!("ignoring invalid cipher suites: {unknown:?}"));
    }
    if !twice.is_empty() {
        f.warn(tls.origin, format!("ignoring duplicate cipher suites: {twice:?}"));
    }
    let old = matches!(tls.min_protocol_version, TlsProtocol::TlsV10 | TlsProtocol::TlsV11);
    if old && tls.cipher_suites.is_empty() {
        f.warn(tls.origin, "TLS version below TLSV1_2 requires setting compatible ciphers as by default they no longer include compatible ciphers");
    }
}

/// istiod lets `ALL`, nothing, and expressions that begin with an operator pass.
fn is_cipher(text: &str) -> bool {
    text == "ALL" || !text.starts_with(|c: char| c.is_alphanumeric()) || CIPHERS.contains(&text)
}
