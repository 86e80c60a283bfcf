//! Claims of a token: what is compared, and how they are written into headers (semantics: istio-security 3.4, 3.5).

use crate::cx::Claim;
use crate::ids::Str;
use crate::matching::claim_at;

/// A text claim at the top.
pub(super) fn text_claim<'c>(payload: &'c Claim, name: &str) -> Option<&'c str> {
    match member(payload, name)? {
        Claim::String(text) => Some(text),
        _ => None,
    }
}

/// A time at the top, in seconds.
pub(super) fn time_claim(payload: &Claim, name: &str) -> Option<i64> {
    match member(payload, name)? {
        Claim::Integer(seconds) => Some(*seconds),
        Claim::Float(seconds) => Some(*seconds as i64),
        _ => None,
    }
}

fn member<'c>(payload: &'c Claim, name: &str) -> Option<&'c Claim> {
    claim_at(payload, &[Str::from(name)])
}

/// Whether one of the token's audiences is accepted; scheme and one trailing slash do not matter.
pub(super) fn audience_allowed(accepted: &[Str], payload: &Claim) -> bool {
    if accepted.is_empty() {
        return true;
    }
    let known = |shown: &str| accepted.iter().any(|a| bare_audience(a) == bare_audience(shown));
    match member(payload, "aud") {
        Some(Claim::String(one)) => known(one),
        Some(Claim::List(many)) => many.iter().any(|a| matches!(a, Claim::String(text) if known(text))),
        _ => false,
    }
}

fn bare_audience(audience: &str) -> &str {
    let bare = audience.strip_prefix("https://").or_else(|| audience.strip_prefix("http://"));
    let bare = bare.unwrap_or(audience);
    bare.strip_suffix('/').unwrap_or(bare)
}

/// Splits text claims on blanks into lists: `scope`, `permission` and what the provider adds.
pub(super) fn split_scopes(payload: Claim, more: &[Str]) -> Claim {
    let Claim::Object(members) = payload else { return payload };
    let delimited = |name: &Str| matches!(name.as_ref(), "scope" | "permission") || more.contains(name);
    let split = |(name, value): (Str, Claim)| match value {
        Claim::String(text) if delimited(&name) => {
            let words = text.split(' ').filter(|word| !word.is_empty());
            (name, Claim::List(words.map(|word| Claim::String(word.into())).collect()))
        }
        value => (name, value),
    };
    Claim::Object(members.into_iter().map(split).collect())
}

/// A claim as a header value; `path` walks nested objects by dots. `None` = the header stays absent.
pub(super) fn claim_text(payload: &Claim, path: &str) -> Option<String> {
    let keys: Vec<Str> = path.split('.').map(Str::from).collect();
    let text = match claim_at(payload, &keys)? {
        Claim::String(text) => text.to_string(),
        Claim::Bool(value) => value.to_string(),
        Claim::Integer(value) if *value >= 0 => value.to_string(),
        Claim::Integer(value) => format!("{:.6}", *value as f64),
        Claim::Float(value) if *value >= 0.0 && libm::floor(*value) == *value => format!("{value:.0}"),
        Claim::Float(value) => format!("{value:.6}"),
        value @ (Claim::List(_) | Claim::Object(_)) => base64(json(value).as_bytes()),
        Claim::Null => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn json(claim: &Claim) -> String {
    match claim {
        Claim::Null => "null".to_owned(),
        Claim::Bool(value) => value.to_string(),
        Claim::Integer(value) => value.to_string(),
        Claim::Float(value) => value.to_string(),
        Claim::String(text) => json_text(text),
        Claim::List(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Claim::Object(members) => {
            let member = |(name, value): &(Str, Claim)| format!("{}:{}", json_text(name), json(value));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        }
    }
}

fn json_text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Standard alphabet with padding, as recorded (conformance: jwt-lab, `x-jwt-groups`).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let six = (word >> (18 - 6 * i)) & 63;
            let letter = ALPHABET.get(six as usize).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}
