//! Raw bytes a client sends, read as an HTTP/1 request head where they are one.
//!
//! Only as much as Envoy's inspector and codec tell apart; what the codec refuses is refused by `mesh_core::decide`.

use mesh_core::Str;
use mesh_core::request::{FirstBytes, Headers, Protocol, RequestHead};

/// What raw bytes are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wire {
    /// A complete request head.
    Request(RequestHead),
    /// The HTTP/2 preface and nothing after it: a connection without requests.
    Preface,
    /// Anything else.
    Other,
}

/// Reads raw bytes.
#[must_use]
pub(crate) fn read(text: &str) -> Wire {
    if text.starts_with("PRI * HTTP/2.0\r\n\r\n") {
        return Wire::Preface;
    }
    match head(text) {
        Some(head) => Wire::Request(head),
        None => Wire::Other,
    }
}

/// The same as inspectors see it.
#[must_use]
pub(crate) fn first_bytes(text: &str) -> FirstBytes {
    match read(text) {
        Wire::Request(head) => FirstBytes::Http(head.protocol),
        Wire::Preface => FirstBytes::Http(Protocol::Http2),
        Wire::Other if text.is_empty() => FirstBytes::Silent,
        Wire::Other => FirstBytes::Raw { len: text.len() as u32, newline: text.contains('\n') },
    }
}

fn head(text: &str) -> Option<RequestHead> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ').filter(|w| !w.is_empty());
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let protocol = match version {
        "HTTP/1.1" => Protocol::Http11,
        "HTTP/1.0" => Protocol::Http10,
        _ => return None,
    };
    let mut headers = Headers::default();
    let mut host: Option<String> = None;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("host") {
            // Envoy: several Host lines are joined (semantics: envoy-routing 1.1).
            host = Some(host.map_or_else(|| value.to_owned(), |before| format!("{before},{value}")));
        } else {
            headers.append(&name.to_ascii_lowercase(), value);
        }
    }
    let (authority, path) = match absolute(target) {
        Some((authority, path)) => (Some(Str::from(authority)), Str::from(path)),
        None => (host.map(Str::from), Str::from(target)),
    };
    Some(RequestHead {
        method: method.into(),
        scheme: "http".into(),
        authority,
        path,
        protocol,
        headers,
        body_bytes: body.len() as u64,
    })
}

/// `http://host/path`: the host replaces the Host line.
fn absolute(target: &str) -> Option<(&str, &str)> {
    let rest = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"))?;
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    Some((authority, if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_the_codec_does() {
        let Wire::Request(head) =
            read("GET  http://unnamed.srv/x HTTP/1.1\r\nHost: poly.srv\r\nX-A:  b \r\n\r\n")
        else {
            panic!("a head");
        };
        assert_eq!((head.authority.as_deref(), head.path.as_ref()), (Some("unnamed.srv"), "/x"));
        assert_eq!(head.headers.first("x-a"), Some("b"));
        assert_eq!(read("NOT HTTP AT ALL\r\n\r\n"), Wire::Other);
        assert_eq!(first_bytes("GE"), FirstBytes::Raw { len: 2, newline: false });
        assert_eq!(first_bytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), FirstBytes::Http(Protocol::Http2));
        assert_eq!(first_bytes("GET / HTTP/1.0\r\n\r\n"), FirstBytes::Http(Protocol::Http10));
    }
}
