//! The recorded request as the client sends it.

use mesh_core::Str;
use mesh_core::request::*;
use mesh_core::tls::{ClientHello, TrustAnchor, Validation};
use serde_json::Value;

use crate::json::*;
use crate::tokens::mint;

/// What the client sends.
pub(crate) struct Sent {
    pub(crate) head: Option<RequestHead>,
    pub(crate) hello: Option<ClientHello>,
    pub(crate) bytes: FirstBytes,
}

impl Sent {
    pub(crate) fn read(request: &Value) -> Option<Sent> {
        let (method, url) = match request.as_str() {
            Some(line) => line.split_once(' ')?,
            None => (text(request, "method"), text(request, "url")),
        };
        let method = if method.is_empty() { "GET" } else { method };
        let (scheme, rest) = url.split_once("://")?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(slash);
        let protocol = text(request, "protocol");
        let http2 = matches!(protocol, "http2" | "grpc");
        let mut headers = Headers::default();
        let mut authority: Str = host.into();
        let mut hosts = 0;
        for (name, value) in at(request, "headers").as_object().into_iter().flatten() {
            let one = [value.clone()];
            for line in value.as_array().map_or(one.as_slice(), Vec::as_slice) {
                let text = line.as_str().map_or_else(|| line.to_string(), str::to_owned);
                if name.eq_ignore_ascii_case("host") {
                    authority = if hosts == 0 { text.into() } else { format!("{authority},{text}").into() };
                    hosts += 1;
                } else {
                    headers.append(&name.to_lowercase(), text.trim());
                }
            }
        }
        if let Some(shorthand) = request.get("jwt") {
            headers.append("authorization", &format!("Bearer {}", mint(shorthand)));
        }
        if protocol == "grpc" {
            headers.set("content-type", "application/grpc");
            headers.set("te", "trailers");
        }
        if matches!(protocol, "tcp" | "tls") {
            let body = text(request, "body");
            let len = body.len() as u32;
            let bytes = match protocol {
                // HTTP by hand
                "tcp" if body.contains("HTTP/") => return None,
                "tcp" if len > 0 => FirstBytes::Raw { len, newline: body.contains('\n') },
                _ => return None,
            };
            return Some(Sent { head: None, hello: None, bytes });
        }
        let version = if http2 { Protocol::Http2 } else { Protocol::Http11 };
        let tls = scheme == "https";
        let sni = match text(request, "sni") {
            "" => host.split(':').next().unwrap_or(host),
            sni => sni,
        };
        let offered: Vec<Str> =
            list(request, "alpn").iter().filter_map(|a| a.as_str()).map(Str::from).collect();
        let hello = tls.then(|| ClientHello {
            sni: Some(sni.into()).filter(|_| request.get("sni").and_then(Value::as_str) != Some("")),
            alpn: offered,
            certificate: None,
            validation: Validation { trust: TrustAnchor::Unchecked, match_sans: vec![] },
        });
        let head = RequestHead {
            method: method.into(),
            scheme: scheme.into(),
            authority: Some(authority),
            path: if path.is_empty() { "/".into() } else { path.into() },
            protocol: version,
            headers,
            body_bytes: 0,
        };
        Some(Sent { head: Some(head), hello, bytes: FirstBytes::Http(version) })
    }
}
