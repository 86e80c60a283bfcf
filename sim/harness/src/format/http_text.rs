//! Raw bytes that are an HTTP/1 request after all: a line client that types one is an HTTP client to every proxy.

/// A request typed by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypedRequest {
    pub(super) method: String,
    pub(super) target: String,
    /// Authority of an absolute-form target, else the Host line; `None` = neither.
    pub(super) authority: Option<String>,
    /// `HTTP/1.0` instead of `HTTP/1.1`.
    pub(super) http10: bool,
    pub(super) headers: Vec<(String, String)>,
}

/// Reads a complete HTTP/1 head; `None` for anything else, also for the HTTP/2 preface.
pub(super) fn typed_request(text: &str) -> Option<TypedRequest> {
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next()?.split(' ').filter(|w| !w.is_empty()).collect();
    let [method, target, version] = words[..] else { return None };
    let http10 = match version {
        "HTTP/1.1" => false,
        "HTTP/1.0" => true,
        _ => return None,
    };
    let mut headers = Vec::new();
    let mut host = None;
    for line in lines {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase() {
            name if name == "host" => host = Some(value.trim().to_owned()),
            name => headers.push((name, value.trim().to_owned())),
        }
    }
    // RFC 9112 3.2.2: an absolute-form target overrides Host.
    let absolute = target.split_once("://").map(|(_, rest)| {
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        rest.split_at(cut)
    });
    let (authority, target) = match absolute {
        Some((authority, "")) => (Some(authority.to_owned()), "/".to_owned()),
        Some((authority, path)) => (Some(authority.to_owned()), path.to_owned()),
        None => (host, target.to_owned()),
    };
    Some(TypedRequest { method: method.to_owned(), target, authority, http10, headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_heads_only() {
        let typed = typed_request("GET  /x HTTP/1.1\r\nHost: a\r\nX-B: 1\r\n\r\n").expect("a request");
        assert_eq!((typed.target.as_str(), typed.authority.as_deref()), ("/x", Some("a")));
        assert_eq!(typed.headers, [("x-b".to_owned(), "1".to_owned())]);
        let absolute = typed_request("GET http://b/y HTTP/1.0\r\nHost: a\r\n\r\n").expect("a request");
        assert_eq!((absolute.target.as_str(), absolute.authority.as_deref()), ("/y", Some("b")));
        assert!(absolute.http10);
        for other in ["GE", "hello\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "NOT HTTP AT ALL\r\n\r\n"] {
            assert_eq!(typed_request(other), None, "{other:?}");
        }
    }
}
