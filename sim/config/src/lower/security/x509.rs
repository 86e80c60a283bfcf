//! The few facts of an X.509 certificate that decisions need: subject, issuer, alternative names.
//!
//! Reads DER structure only; signatures and validity dates are not looked at, because a handshake here compares names
//! (`mesh_core::tls`).

use base64::Engine as _;

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CertificateFacts {
    /// Subject, most specific part first as Envoy prints it (`CN=a,O=b`).
    pub(super) subject: String,
    /// Issuer in the same form.
    pub(super) issuer: String,
    /// URI names, then DNS names, then IP addresses.
    pub(super) sans: Vec<String>,
}

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The first certificate of a PEM text.
#[must_use]
pub(super) fn first_of_pem(pem: &str) -> Option<CertificateFacts> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let text: String = body.split_whitespace().collect();
    facts(&base64::engine::general_purpose::STANDARD.decode(text).ok()?)
}

fn facts(der: &[u8]) -> Option<CertificateFacts> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (mut tbs, _) = element(certificate, SEQUENCE)?;
    // [0] version, serial, algorithm, issuer, validity, subject, key, [1] [2], [3] extensions
    if tbs.first() == Some(&0xa0) {
        tbs = skip(tbs)?;
    }
    let tbs = skip(skip(tbs)?)?;
    let (issuer, rest) = element(tbs, SEQUENCE)?;
    let (subject, rest) = element(skip(rest)?, SEQUENCE)?;
    Some(CertificateFacts { subject: name(subject), issuer: name(issuer), sans: alt_names(rest) })
}

/// One element: its tag, its content, and what follows it.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(first) {
        short @ 0..=0x7f => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long & 0x7f)?;
            if digits.is_empty() || digits.len() > 4 {
                return None;
            }
            (digits.iter().fold(0usize, |n, &b| n << 8 | usize::from(b)), rest)
        }
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, after)| (content, after))
}

fn skip(bytes: &[u8]) -> Option<&[u8]> {
    any(bytes).map(|(.., after)| after)
}

fn children(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut out = Vec::new();
    while let Some((tag, content, after)) = any(bytes) {
        out.push((tag, content));
        bytes = after;
    }
    out
}

/// RFC 2253 order: last part first.
fn name(rdns: &[u8]) -> String {
    let mut parts = Vec::new();
    for (_, set) in children(rdns) {
        for (_, pair) in children(set) {
            let Some((oid, rest)) = element(pair, OID) else { continue };
            let Some((_, value, _)) = any(rest) else { continue };
            let label = match oid {
                [0x55, 0x04, 0x03] => "CN",
                [0x55, 0x04, 0x06] => "C",
                [0x55, 0x04, 0x07] => "L",
                [0x55, 0x04, 0x08] => "ST",
                [0x55, 0x04, 0x0a] => "O",
                [0x55, 0x04, 0x0b] => "OU",
                _ => continue,
            };
            parts.push(format!("{label}={}", String::from_utf8_lossy(value)));
        }
    }
    parts.reverse();
    parts.join(",")
}

fn alt_names(after_subject: &[u8]) -> Vec<String> {
    let extensions = children(after_subject).into_iter().find(|(tag, _)| *tag == 0xa3);
    let list = extensions.and_then(|(_, content)| element(content, SEQUENCE)).map_or(&[][..], |(l, _)| l);
    let (mut uris, mut dns, mut ips) = (Vec::new(), Vec::new(), Vec::new());
    for (_, extension) in children(list) {
        let parts = children(extension);
        if parts.first().is_none_or(|(_, oid)| *oid != SUBJECT_ALT_NAME) {
            continue;
        }
        let value = parts.iter().find(|(tag, _)| *tag == OCTET_STRING).map_or(&[][..], |(_, v)| v);
        let names = element(value, SEQUENCE).map_or(&[][..], |(names, _)| names);
        for (tag, content) in children(names) {
            let text = || String::from_utf8_lossy(content).into_owned();
            match tag {
                0x86 => uris.push(text()),
                0x82 => dns.push(text()),
                0x87 => ips.extend(address(content)),
                _ => {}
            }
        }
    }
    uris.append(&mut dns);
    uris.append(&mut ips);
    uris
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}
