//! Handshakes and what this proxy offers in them. No cryptography: trust anchors and names are compared.

use crate::decide::{Distrust, HandshakeFailure};
use crate::ids::Str;
use crate::ir::{Cluster, StringMatch, StringPattern, Transport};
use crate::matching::{string_matches, without_port};
use crate::request::Protocol;
use crate::tls::{
    Certificate, CertificateSource, ClientHello, DownstreamTls, TlsSession, TrustAnchor, UpstreamTls,
    Validation,
};

/// The handshake between a client and a terminating server. Also used towards destinations that are no proxies.
///
/// # Errors
/// Why it fails, first failure in the order of a TLS 1.3 handshake.
pub fn handshake(
    client: &ClientHello,
    server_certificate: Option<&Certificate>,
    server: &DownstreamTls,
) -> Result<TlsSession, HandshakeFailure> {
    let Some(shown) = server_certificate else { return Err(HandshakeFailure::ServerHasNoCertificate) };
    if let Err(why) = accepts(&client.validation, shown) {
        return Err(HandshakeFailure::ClientRefusesServer { sans: shown.sans.clone(), why });
    }
    let mut verified = None;
    if let Some(validation) = &server.validation {
        match &client.certificate {
            None if server.require_client_certificate => {
                return Err(HandshakeFailure::ClientCertificateRequired);
            }
            None => {}
            Some(certificate) => {
                if let Err(why) = accepts(validation, certificate) {
                    return Err(HandshakeFailure::ServerRefusesClient {
                        sans: certificate.sans.clone(),
                        why,
                    });
                }
                verified = Some(certificate.clone());
            }
        }
    }
    Ok(TlsSession {
        alpn: server.alpn.iter().find(|a| client.alpn.contains(a)).cloned(),
        client_certificate: verified,
        server_certificate: Some(shown.clone()),
        sni: client.sni.clone(),
    })
}

fn accepts(validation: &Validation, certificate: &Certificate) -> Result<(), Distrust> {
    if validation.trust != TrustAnchor::Unchecked && validation.trust != certificate.issuer {
        return Err(Distrust::Untrusted);
    }
    let named = |m: &StringMatch| certificate.sans.iter().any(|san| san_matches(m, san));
    if !validation.match_sans.is_empty() && !validation.match_sans.iter().any(named) {
        return Err(Distrust::SanMismatch);
    }
    Ok(())
}

/// One SAN against one matcher. An exact matcher meets DNS SANs with their wildcard.
/// Envoy: source/common/tls/cert_validator/san_matcher.cc, `DnsExactStringSanMatcher`.
fn san_matches(matcher: &StringMatch, san: &str) -> bool {
    match &matcher.pattern {
        StringPattern::Exact(name) if !san.contains("://") => dns_name_matches(name, san),
        _ => string_matches(matcher, san),
    }
}

/// Envoy: source/common/tls/utility.cc, `Utility::dnsNameMatch`: a wildcard stands in the first label only.
fn dns_name_matches(name: &str, pattern: &str) -> bool {
    if name.eq_ignore_ascii_case(pattern) {
        return true;
    }
    let (Some((label, rest)), Some((wild, tail))) = (name.split_once('.'), pattern.split_once('.')) else {
        return false;
    };
    let Some((before, after)) = wild.split_once('*') else { return false };
    let lower = |text: &str| text.to_ascii_lowercase();
    !tail.contains('*')
        && !after.contains('*')
        && !lower(wild).starts_with("xn--")
        && rest.eq_ignore_ascii_case(tail)
        && wild.len() <= label.len() + 1
        && lower(label).starts_with(&lower(before))
        && lower(label).ends_with(&lower(after))
}

/// TLS as this proxy originates it towards a host of `cluster`; `None` = plaintext.
///
/// `host_tls_mode_istio` is the host's `tlsMode: istio`, `chain_has_istio_alpn` whether the request passed the
/// `istio.alpn` filter, `http` the version used upstream (`None` for TCP), `authority` the request's.
#[must_use]
pub fn client_hello(
    cluster: &Cluster,
    host_tls_mode_istio: bool,
    chain_has_istio_alpn: bool,
    http: Option<Protocol>,
    authority: Option<&str>,
    identity: &Certificate,
) -> Option<ClientHello> {
    let tls = upstream_tls(cluster, host_tls_mode_istio)?;
    let sni: Option<Str> = match authority {
        Some(authority) if tls.auto_sni && tls.sni.is_empty() => Some(without_port(authority).into()),
        _ => (!tls.sni.is_empty()).then(|| tls.sni.clone()),
    };
    let mut validation = tls.validation.clone();
    if let (true, Some(name)) = (tls.auto_san_validation && validation.match_sans.is_empty(), &sni) {
        validation.match_sans.push(StringMatch::new(StringPattern::Exact(name.clone())));
    }
    let alpn = match http {
        Some(version) if tls.alpn_override && chain_has_istio_alpn => istio_alpn(version),
        _ => tls.alpn.clone(),
    };
    let certificate = match &tls.certificate {
        Some(CertificateSource::Workload) => Some(identity.clone()),
        Some(CertificateSource::Known(certificate)) => Some(certificate.clone()),
        Some(CertificateSource::Missing(_)) | None => None,
    };
    Some(ClientHello { sni, alpn, certificate, validation })
}

/// The secret a cluster would need towards such a host and does not have: every connection attempt fails.
#[must_use]
pub fn missing_client_secret(cluster: &Cluster, host_tls_mode_istio: bool) -> Option<&Str> {
    match &upstream_tls(cluster, host_tls_mode_istio)?.certificate {
        Some(CertificateSource::Missing(name)) => Some(name),
        _ => None,
    }
}

fn upstream_tls(cluster: &Cluster, host_tls_mode_istio: bool) -> Option<&UpstreamTls> {
    match &cluster.transport {
        Transport::Plaintext => None,
        Transport::Tls(tls) => Some(tls),
        Transport::AutoMtls(tls) => host_tls_mode_istio.then_some(tls),
    }
}

/// semantics: istio-security 2.4, the override of `istio.alpn`.
fn istio_alpn(version: Protocol) -> Vec<Str> {
    let words: [&str; 3] = match version {
        Protocol::Http10 => ["istio-http/1.0", "istio", "http/1.0"],
        Protocol::Http11 => ["istio-http/1.1", "istio", "http/1.1"],
        Protocol::Http2 => ["istio-h2", "istio", "h2"],
    };
    words.into_iter().map(Str::from).collect()
}
