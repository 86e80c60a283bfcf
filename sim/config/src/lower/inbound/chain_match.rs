//! Which filter chains a port has: by declared protocol and mutual TLS mode (semantics: istio-security 2.4).

use mesh_core::ids::Str;
use mesh_core::ir::TransportProtocol;

use crate::lower::security::peer_authentication::Mode;
use crate::mesh::protocol::Protocol;

/// Offered by sidecars for HTTP over mutual TLS.
const MTLS_HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// Offered by sidecars for TCP over mutual TLS.
const MTLS_TCP: [&str; 2] = ["istio-peer-exchange", "istio"];
/// Everything sidecars offer.
pub const ALL_ISTIO: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// What the HTTP inspector finds.
const PLAIN_HTTP: [&str; 2] = ["http/1.1", "h2c"];

/// One filter chain of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    /// ALPN, or the HTTP inspector's finding.
    alpn: &'static [&'static str],
    /// Detected transport.
    pub(super) transport: TransportProtocol,
    /// HTTP connection manager rather than TCP proxy.
    pub(super) http: bool,
    /// Mutual TLS is terminated.
    pub(super) terminates: bool,
}

impl Variant {
    /// ALPN values of the match; `http_10`: the proxy sniffs HTTP/1.0 too.
    pub(super) fn application_protocols(self, http_10: bool) -> Vec<Str> {
        let sniffed = self.alpn == PLAIN_HTTP;
        let mut out: Vec<Str> = self.alpn.iter().copied().map(Into::into).collect();
        if sniffed && http_10 {
            out.insert(0, "http/1.0".into());
        }
        out
    }
}

const RAW: TransportProtocol = TransportProtocol::RawBuffer;
const TLS: TransportProtocol = TransportProtocol::Tls;

const fn variant(
    alpn: &'static [&'static str],
    transport: TransportProtocol,
    http: bool,
    terminates: bool,
) -> Variant {
    Variant { alpn, transport, http, terminates }
}

const fn http(alpn: &'static [&'static str], transport: TransportProtocol, terminates: bool) -> Variant {
    variant(alpn, transport, true, terminates)
}

const fn tcp(alpn: &'static [&'static str], transport: TransportProtocol, terminates: bool) -> Variant {
    variant(alpn, transport, false, terminates)
}

/// The one chain of a port whose TLS a Sidecar's ingress listener terminates.
pub(super) fn own_tls(protocol: Protocol) -> Variant {
    if protocol.is_http() { http(&[], TLS, true) } else { tcp(&[], TLS, true) }
}

/// The chains of a port in istiod's order.
pub(super) fn variants(protocol: Protocol, mode: Mode) -> &'static [Variant] {
    if protocol.is_http() {
        match mode {
            Mode::Strict => const { &[http(&[], TLS, true)] },
            Mode::Permissive => const { &[http(&ALL_ISTIO, TLS, true), http(&[], RAW, false)] },
            Mode::Disable => const { &[http(&[], RAW, false)] },
        }
    } else if protocol.is_auto() {
        match mode {
            Mode::Strict => const { &[http(&MTLS_HTTP, TLS, true), tcp(&[], TLS, true)] },
            Mode::Permissive => {
                const {
                    &[
                        http(&MTLS_HTTP, TLS, true),
                        http(&PLAIN_HTTP, RAW, false),
                        tcp(&MTLS_TCP, TLS, true),
                        tcp(&[], RAW, false),
                        tcp(&[], TLS, false),
                    ]
                }
            }
            Mode::Disable => const { &[http(&PLAIN_HTTP, RAW, false), tcp(&[], RAW, false)] },
        }
    } else {
        // UDP ports too: istiod has no case of their own for them.
        match mode {
            Mode::Strict => const { &[tcp(&[], TLS, true)] },
            Mode::Permissive => {
                const { &[tcp(&ALL_ISTIO, TLS, true), tcp(&[], TLS, false), tcp(&[], RAW, false)] }
            }
            Mode::Disable => const { &[tcp(&[], RAW, false)] },
        }
    }
}
