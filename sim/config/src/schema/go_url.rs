//! URLs as Go's `net/url` parses them, as far as the CRDs' rules look: is it one, and what is its scheme?

/// The lower-case scheme of a URL, empty if it has none; `None` if `url.ParseRequestURI` refuses the text.
pub(super) fn request_uri_scheme(text: &str) -> Option<String> {
    if text.is_empty() || text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return None;
    }
    if text == "*" {
        return Some(String::new());
    }
    let (scheme, rest) = split_scheme(text)?;
    let rest = rest.split('?').next().unwrap_or("");
    let lower = scheme.to_ascii_lowercase();
    if !rest.starts_with('/') {
        // `mailto:x` is opaque and fine; a relative path is not.
        return (!scheme.is_empty()).then_some(lower);
    }
    let mut path = rest;
    if let Some(after) = rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
        let end = after.find('/').unwrap_or(after.len());
        let (authority, tail) = after.split_at_checked(end)?;
        valid_authority(authority)?;
        path = tail;
    }
    valid_escapes(path, false)?;
    // The CEL library parses again with the fragment cut off; a broken fragment is an error there.
    if let Some((_, fragment)) = text.split_once('#') {
        valid_escapes(fragment, false)?;
    }
    Some(lower)
}

/// `getScheme`: letters, then letters, digits and `+-.`, up to a colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' => return Some(("", text)),
            b':' if i == 0 => return None,
            b':' => return Some((text.get(..i)?, text.get(i + 1..)?)),
            _ => return Some(("", text)),
        }
    }
    Some(("", text))
}

fn valid_authority(authority: &str) -> Option<()> {
    let host = match authority.rsplit_once('@') {
        Some((user, host)) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
            if !user.bytes().all(plain) {
                return None;
            }
            valid_escapes(user, false)?;
            host
        }
        None => authority,
    };
    if let Some(inside) = host.strip_prefix('[') {
        let (address, port) = inside.rsplit_once(']')?;
        let address = address.split("%25").next().unwrap_or("");
        valid_port(port)?;
        return address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.').then_some(());
    }
    if host.contains('[') {
        return None;
    }
    if let Some(colon) = host.rfind(':') {
        valid_port(host.get(colon..)?)?;
    }
    valid_escapes(host, true)
}

/// Empty, or a colon and digits.
fn valid_port(port: &str) -> Option<()> {
    match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()).then_some(()),
        None => port.is_empty().then_some(()),
    }
}

/// `unescape`: every `%` is followed by two hex digits; hosts take only a few bytes, and escapes only of
/// bytes that are not ASCII.
fn valid_escapes(text: &str, host: bool) -> Option<()> {
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let (a, c) = (hex(bytes.next()?)?, hex(bytes.next()?)?);
            if host && a < 8 && !(a == 2 && c == 5) {
                return None;
            }
        } else if host && b < 0x80 {
            let ok = b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&b);
            if !ok {
                return None;
            }
        }
    }
    Some(())
}

fn hex(b: u8) -> Option<u32> {
    char::from(b).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::request_uri_scheme;

    #[test]
    fn urls_parse_as_in_go() {
        for (text, scheme) in [
            ("https://id.example.com/jwks", Some("https")),
            ("HTTP://x", Some("http")),
            ("//id.example.com", Some("")),
            ("/path", Some("")),
            ("id.example.com/jwks", None),
            ("", None),
            ("https://id:abc/x", None),
            ("https://id.example.com/%zz", None),
            ("https://[::1]:80/x", Some("https")),
            ("https://[::1/x", None),
            ("https://a b/", None),
            ("mailto:x", Some("mailto")),
            (":x", None),
            ("1http://x", None),
            ("https://user:pass@host:80/a?b=%zz", Some("https")),
        ] {
            assert_eq!(request_uri_scheme(text).as_deref(), scheme, "{text}");
        }
    }
}
