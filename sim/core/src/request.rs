//! Connections and requests as a proxy sees them.

use std::net::SocketAddr;

use crate::ids::Str;
use crate::tls::{Certificate, ClientHello};

/// HTTP version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Protocol {
    /// As in the access log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        }
    }
}

/// Header lines in order; names lower-case; a name may occur on several lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(pub Vec<(Str, Str)>);

impl Headers {
    /// All lines of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(n, _)| n.as_ref() == name).map(|(_, v)| v.as_ref())
    }

    /// The first line of a header.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.as_ref() == name).map(|(_, v)| v.as_ref())
    }

    /// Whether the header is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n.as_ref() == name)
    }

    /// Removes all lines of a header.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n.as_ref() != name);
    }

    /// Adds a line. The name must be lower-case.
    pub fn append(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), value.into()));
    }

    /// Replaces all lines by one.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.append(name, value);
    }
}

/// The head of a request. `host` is not in `headers`; it is `authority`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// `:method`
    pub method: Str,
    /// `:scheme`, `http` or `https`
    pub scheme: Str,
    /// `:authority` / Host; `None` = no Host line at all.
    pub authority: Option<Str>,
    /// `:path` with query.
    pub path: Str,
    /// Version on this hop.
    pub protocol: Protocol,
    /// The other headers.
    pub headers: Headers,
    /// Body size in bytes.
    pub body_bytes: u64,
}

impl RequestHead {
    /// Whether Envoy takes it for gRPC (semantics: envoy-routing 2.7).
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.headers
            .first("content-type")
            .is_some_and(|v| v == "application/grpc" || v.starts_with("application/grpc+"))
    }
}

/// The first bytes of the (decrypted) stream, as the inspectors and codecs see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstBytes {
    /// An HTTP request of this version (HTTP/2 = prior-knowledge preface).
    Http(Protocol),
    /// Something else: number of bytes, and whether they contain a line feed.
    Raw {
        /// Number of bytes sent before waiting.
        len: u32,
        /// A line feed is among them.
        newline: bool,
    },
    /// Nothing: the server speaks first.
    Silent,
}

/// A connection as the accepting proxy sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Peer address.
    pub source: SocketAddr,
    /// Original destination (what the peer dialled, or the pod's own address for inbound).
    pub destination: SocketAddr,
    /// The outermost layer is TLS.
    pub tls: Option<ClientHello>,
    /// What follows once TLS (if any) is terminated; `None` = yet another TLS layer.
    pub bytes: FirstBytes,
}

/// The verified peer of an accepted connection.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Peer {
    /// Verified certificate.
    pub certificate: Option<Certificate>,
    /// Server name of the handshake.
    pub sni: Option<Str>,
}

impl Peer {
    /// The identity RBAC sees: first URI SAN, else DNS SAN, else subject.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        let c = self.certificate.as_ref()?;
        c.sans.first().map(AsRef::as_ref).or(Some(c.subject.as_ref()))
    }
}
