//! URLs as clients write them. The text is kept as written: what a proxy sees is what was typed, not a normal form.

/// A URL taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `http`, `https`, `tcp`, `tls`; lower-case.
    pub scheme: String,
    /// Host as written, without the brackets of IPv6 addresses.
    pub host: String,
    /// Port, given or the scheme's default.
    pub port: u16,
    /// `host[:port]` as written: the default Host header.
    pub authority: String,
    /// Path and query as written, without fragment; `/` if empty.
    pub target: String,
}

impl Url {
    /// Takes a URL apart, or says what is wrong with it.
    ///
    /// # Errors
    /// A message for people.
    pub fn parse(text: &str) -> Result<Url, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("`{text}` is no URL: `http://host[:port]/path` is expected"));
        };
        let scheme = scheme.to_ascii_lowercase();
        let cut = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(cut);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let default_port = match scheme.as_str() {
            "http" | "grpc" => Some(80),
            "https" | "tls" => Some(443),
            "tcp" => None,
            other => return Err(format!("unknown scheme `{other}` in `{text}`")),
        };
        let (host, port) = split_port(authority).ok_or_else(|| format!("bad port in `{text}`"))?;
        if host.is_empty() {
            return Err(format!("`{text}` names no host"));
        }
        let port = port.or(default_port).ok_or_else(|| format!("`{text}` needs a port"))?;
        let target = target.split('#').next().unwrap_or("");
        let target = match target.chars().next() {
            None => "/".to_owned(),
            Some('/') => target.to_owned(),
            Some(_) => format!("/{target}"),
        };
        Ok(Url { scheme, host: host.to_owned(), port, authority: authority.to_owned(), target })
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return match port.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => port.is_empty().then_some((host, None)),
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_as_written() {
        let parts = |text: &str| {
            let url = Url::parse(text).expect(text);
            (url.host, url.port, url.authority, url.target)
        };
        let want = |h: &str, p, a: &str, t: &str| (h.to_owned(), p, a.to_owned(), t.to_owned());
        assert_eq!(
            parts("http://reviews:9080/a%2Fb?x=1#f"),
            want("reviews", 9080, "reviews:9080", "/a%2Fb?x=1")
        );
        assert_eq!(parts("https://a.example.com:443"), want("a.example.com", 443, "a.example.com:443", "/"));
        assert_eq!(parts("http://h?q"), want("h", 80, "h", "/?q"));
        assert_eq!(parts("tcp://[::1]:90"), want("::1", 90, "[::1]:90", "/"));
        for bad in ["reviews", "http://", "tcp://x", "http://x:99999/", "ftp://x/"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
