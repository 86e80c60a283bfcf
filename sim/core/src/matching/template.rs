//! URI templates of RBAC permissions (semantics: istio-security 4.5).
//!
//! `{*}` (Envoy writes `*`) is one or more path characters, `{**}` (`**`) any number including `/`. Envoy turns the
//! template into a regular expression over RFC 3986 path characters; this walks the template instead.

/// Whether a path without query matches.
#[must_use]
pub fn template_matches(template: &str, path: &str) -> bool {
    matches_from(template.as_bytes(), path.as_bytes())
}

/// What stands at the front of a template: the piece, and the rest.
enum Piece {
    /// `{*}`
    Segment,
    /// `{**}`
    Any,
    /// One byte.
    Literal(u8),
}

fn next_piece(template: &[u8]) -> Option<(Piece, &[u8])> {
    for (text, any) in [(b"{**}".as_slice(), true), (b"{*}", false), (b"**", true), (b"*", false)] {
        if let Some(rest) = template.strip_prefix(text) {
            return Some((if any { Piece::Any } else { Piece::Segment }, rest));
        }
    }
    template.split_first().map(|(byte, rest)| (Piece::Literal(*byte), rest))
}

fn matches_from(template: &[u8], path: &[u8]) -> bool {
    let (mut template, mut path) = (template, path);
    loop {
        let Some((piece, rest)) = next_piece(template) else { return path.is_empty() };
        match piece {
            Piece::Literal(byte) => match path.split_first() {
                Some((first, tail)) if *first == byte => path = tail,
                _ => return false,
            },
            Piece::Segment => return spans(path, 1, false).any(|tail| matches_from(rest, tail)),
            Piece::Any => return spans(path, 0, true).any(|tail| matches_from(rest, tail)),
        }
        template = rest;
    }
}

/// What is left of the path behind every length a wildcard can cover.
fn spans(path: &[u8], least: usize, slash: bool) -> impl Iterator<Item = &[u8]> {
    let reach = path.iter().take_while(|byte| is_path_byte(**byte) || (slash && **byte == b'/')).count();
    (least..=reach).filter_map(|length| path.get(length..))
}

/// Envoy: source/extensions/path/uri_template_lib/uri_template_internal.cc, `kLiteral`.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&byte)
}
