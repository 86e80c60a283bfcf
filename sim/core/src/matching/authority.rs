//! The host part of an authority.

/// The authority up to its last `:`, unless that stands inside `[…]` (semantics: envoy-routing 1.3). The cut is
/// textual: `h.com:abc` gives `h.com`. Envoy: source/common/http/header_utility.cc, `getPortStart`.
#[must_use]
pub fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(at) if authority.rfind(']').is_none_or(|bracket| bracket < at) => {
            authority.get(..at).unwrap_or(authority)
        }
        _ => authority,
    }
}
