//! Tokens of the recorded requests: read as Envoy reads them, verified by key name only.
//!
//! Signatures are not computed here (the harness does that): a token counts as signed by the key it names unless its
//! text was made invalid.

use mesh_core::Str;
use mesh_core::cx::{Claim, Token, TokenStatus, Tokens};
use serde_json::Value;

use crate::json::*;

/// Reads tokens.
pub(crate) struct ByKeyName;

const ALGORITHMS: &[&str] =
    &["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "EdDSA", "HS256"];
const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Tokens for ByKeyName {
    fn decode(&self, token: &str) -> Result<Token, Str> {
        // jwt_verify_lib splits with SkipEmpty: an empty part is a missing part
        let parts: Vec<&str> = token.split('.').filter(|part| !part.is_empty()).collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections".into()
            );
        };
        let header = base64url(header).ok_or("Jwt header is an invalid Base64url encoded")?;
        let header: Value =
            serde_json::from_slice(&header).map_err(|_| Str::from("Jwt header is an invalid JSON"))?;
        if !ALGORITHMS.contains(&text(&header, "alg")) {
            return Err("Jwt header [alg] is not supported".into());
        }
        let body = base64url(payload).ok_or("Jwt payload is an invalid Base64url encoded")?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|_| Str::from("Jwt payload is an invalid JSON"))?;
        base64url(signature).ok_or("Jwt signature is an invalid Base64url encoded")?;
        Ok(Token { payload: claim(&body), payload_base64: (*payload).into() })
    }

    fn verify(&self, token: &str, jwks: &str) -> TokenStatus {
        let header = token.split('.').next().and_then(base64url).unwrap_or_default();
        let header: Value = serde_json::from_slice(&header).unwrap_or_default();
        let keys: Value = serde_json::from_str(jwks).unwrap_or_default();
        let wanted = header.get("kid");
        let known = list(&keys, "keys").iter().any(|key| wanted.is_none() || key.get("kid") == wanted);
        match (known, token.ends_with(INVALID)) {
            (false, _) => TokenStatus::NoMatchingKey,
            (true, true) => TokenStatus::VerificationFails,
            (true, false) => TokenStatus::Verified,
        }
    }

    fn now_unix(&self) -> i64 {
        1_790_000_000
    }
}

const INVALID: &str = "aW52YWxpZA";

fn base64url(text: &str) -> Option<Vec<u8>> {
    let (mut word, mut bits, mut out) = (0u32, 0, vec![]);
    for c in text.chars() {
        word = (word << 6) | ALPHABET.find(c)? as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits) as u8);
        }
    }
    (text.len() % 4 != 1).then_some(out)
}

fn encode(bytes: &[u8]) -> String {
    let letter = |six: u32| ALPHABET.chars().nth(six as usize & 63).expect("six bits");
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).for_each(|i| out.push(letter(word >> (18 - 6 * i))));
    }
    out
}

fn claim(value: &Value) -> Claim {
    match value {
        Value::Null => Claim::Null,
        Value::Bool(b) => Claim::Bool(*b),
        Value::Number(n) => {
            n.as_i64().map_or_else(|| Claim::Float(n.as_f64().unwrap_or(0.0)), Claim::Integer)
        }
        Value::String(s) => Claim::String(s.as_str().into()),
        Value::Array(items) => Claim::List(items.iter().map(claim).collect()),
        Value::Object(members) => {
            Claim::Object(members.iter().map(|(k, v)| (k.as_str().into(), claim(v))).collect())
        }
    }
}

/// The token that a `jwt:` shorthand stands for.
pub(crate) fn mint(shorthand: &Value) -> String {
    let flag_or = |key, default| shorthand.get(key).and_then(Value::as_bool).unwrap_or(default);
    let key = shorthand.get("key").and_then(Value::as_str).unwrap_or("k1");
    let header = format!(r#"{{"alg":"RS256","kid":"{key}","typ":"JWT"}}"#);
    let mut members: Vec<String> = ["iss", "sub", "aud"]
        .iter()
        .filter_map(|name| Some(format!("\"{name}\":{}", shorthand.get(name)?)))
        .collect();
    members.push("\"iat\":1700000000".to_owned());
    let expiry: u64 = if flag_or("expired", false) { 1_700_000_100 } else { 4_102_444_800 };
    members.push(format!("\"exp\":{expiry}"));
    let claims = at(shorthand, "claims").as_object().into_iter().flatten();
    members.extend(claims.map(|(name, value)| format!("\"{name}\":{value}")));
    let payload = format!("{{{}}}", members.join(","));
    let signature = if flag_or("valid", true) { "c2lnbmVk" } else { INVALID };
    format!("{}.{}.{signature}", encode(header.as_bytes()), encode(payload.as_bytes()))
}
