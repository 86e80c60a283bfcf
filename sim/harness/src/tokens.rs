//! JWTs: decoding and signature checks for the core, and the tokens that FORMATS' `jwt:` shorthand stands for.
//!
//! Envoy's `jwt_verify_lib` is the model: same order of checks, same words. Shorthand tokens are real tokens with a
//! *symbolic* signature, `mesh-sim:<key>:<good|bad>` in base64url: it verifies against every JWKS that has a key of
//! that id, so that a test can state "a valid token" without owning anybody's private key.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use mesh_core::Str;
use mesh_core::cx::{Claim, Token, TokenStatus, Tokens};
use mesh_core::decide::NOBODYS_KEYS;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// "Now" of every token check: 2026-01-01T00:00:00Z. A prediction must not depend on the day it is made.
pub const NOW_UNIX: i64 = 1_767_225_600;

/// `iat` of shorthand tokens.
const ISSUED_AT: i64 = 1_700_000_000;
/// `exp` of shorthand tokens: 2100-01-01.
const EXPIRES: i64 = 4_102_444_800;
/// `exp` of expired shorthand tokens, in 2023.
const EXPIRED: i64 = 1_690_000_000;

const SYMBOLIC: &str = "mesh-sim:";
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// FORMATS' `jwt:` shorthand.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JwtSpec {
    /// `iss`
    pub iss: Option<String>,
    /// `sub`
    pub sub: Option<String>,
    /// `aud`, text or list.
    pub aud: Option<Audience>,
    /// Further claims.
    pub claims: Map<String, Value>,
    /// The signature is good.
    pub valid: bool,
    /// `exp` has passed.
    pub expired: bool,
    /// Key id.
    pub key: String,
}

impl Default for JwtSpec {
    fn default() -> Self {
        JwtSpec {
            iss: None,
            sub: None,
            aud: None,
            claims: Map::new(),
            valid: true,
            expired: false,
            key: "k1".to_owned(),
        }
    }
}

/// One audience or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// `aud: web`
    One(String),
    /// `aud: [web, api]`
    Many(Vec<String>),
}

/// The token a shorthand stands for. Header and payload are byte for byte those of the recorder.
#[must_use]
pub fn mint(spec: &JwtSpec) -> String {
    let header = format!(r#"{{"alg":"RS256","kid":{},"typ":"JWT"}}"#, json!(spec.key));
    // Text, not a map: members keep their order.
    let mut members: Vec<String> = Vec::new();
    let mut member = |name: &str, value: Value| members.push(format!("{}:{value}", json!(name)));
    if let Some(iss) = &spec.iss {
        member("iss", json!(iss));
    }
    if let Some(sub) = &spec.sub {
        member("sub", json!(sub));
    }
    match &spec.aud {
        Some(Audience::One(aud)) => member("aud", json!(aud)),
        Some(Audience::Many(list)) => member("aud", json!(list)),
        None => {}
    }
    member("iat", json!(ISSUED_AT));
    member("exp", json!(if spec.expired { EXPIRED } else { EXPIRES }));
    for (name, value) in &spec.claims {
        member(name, value.clone());
    }
    let payload = format!("{{{}}}", members.join(","));
    let signature = format!("{SYMBOLIC}{}:{}", spec.key, if spec.valid { "good" } else { "bad" });
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(&header), encode(&payload), encode(&signature))
}

/// Whether the third part of a token is one of ours.
#[must_use]
pub fn is_symbolic_signature(signature: &str) -> bool {
    symbol(signature).is_some()
}

/// (key id, good) of a symbolic signature.
fn symbol(signature: &str) -> Option<(String, bool)> {
    let bytes = LENIENT.decode(signature).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (key, verdict) = text.strip_prefix(SYMBOLIC)?.rsplit_once(':')?;
    Some((key.to_owned(), verdict == "good"))
}

/// The token reader of every simulated proxy.
#[derive(Debug, Clone, Copy, Default)]
pub struct JwtReader;

impl Tokens for JwtReader {
    fn decode(&self, token: &str) -> Result<Token, Str> {
        let (_, payload, payload_base64) = parse(token)?;
        Ok(Token { payload: claim(&Value::Object(payload)), payload_base64: payload_base64.into() })
    }

    fn verify(&self, token: &str, jwks: &str) -> TokenStatus {
        verify(token, jwks).unwrap_or(TokenStatus::NoMatchingKey)
    }

    fn now_unix(&self) -> i64 {
        NOW_UNIX
    }
}

fn verify(token: &str, jwks: &str) -> Option<TokenStatus> {
    let (header, _, _) = parse(token).ok()?;
    let (message, signature) = token.rsplit_once('.')?;
    let symbol = symbol(signature);
    let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or("");
    let (kid, alg) = (text("kid"), text("alg"));
    // Keys of kinds that the crate does not know are skipped, as jwt_verify_lib does.
    let document: Value = serde_json::from_str(jwks).ok()?;
    let keys = document.get("keys").and_then(Value::as_array)?;
    let mut matched = false;
    for key in keys {
        let of = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or("");
        let (key_id, key_alg) = (of("kid"), of("alg"));
        if !kid.is_empty() && !key_id.is_empty() && kid != key_id {
            continue;
        }
        if !key_alg.is_empty() && key_alg != alg {
            continue;
        }
        matched = true;
        let good = match &symbol {
            Some((name, good)) => *good && jwks != NOBODYS_KEYS && (key_id == name || key_id.is_empty()),
            None => signed(message, signature, key, alg).unwrap_or(false),
        };
        if good {
            return Some(TokenStatus::Verified);
        }
    }
    Some(if matched { TokenStatus::VerificationFails } else { TokenStatus::NoMatchingKey })
}

fn signed(message: &str, signature: &str, key: &Value, alg: &str) -> Option<bool> {
    let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let algorithm: Algorithm = alg.parse().ok()?;
    jsonwebtoken::crypto::verify(signature.trim_end_matches('='), message.as_bytes(), &key, algorithm).ok()
}

/// Whether a JWKS document has keys at all.
#[must_use]
pub fn is_jwks(text: &str) -> bool {
    serde_json::from_str::<JwkSet>(text).is_ok()
}

type Parsed = (Map<String, Value>, Map<String, Value>, String);

/// Base64url as jwt_verify_lib decodes it (`absl::WebSafeBase64Unescape`): blanks between the letters do not count
/// (run 1.40: `Bearer e30.…` as a whole is a token whose header is no JSON).
fn unescape(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    if !text.bytes().any(|b| b.is_ascii_whitespace()) {
        return LENIENT.decode(text);
    }
    LENIENT.decode(text.split_ascii_whitespace().collect::<String>())
}

/// Splits and decodes, failing in the order and words of `jwt_verify_lib` (`jwt.cc`, `status.cc`).
fn parse(token: &str) -> Result<Parsed, &'static str> {
    const FORM: &str = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Err(FORM) };
    if header.is_empty() || payload.is_empty() || signature.is_empty() {
        return Err(FORM);
    }
    let header_bytes = unescape(header).map_err(|_| "Jwt header is an invalid Base64url encoded")?;
    let header = object(&header_bytes).ok_or("Jwt header is an invalid JSON")?;
    let alg = header
        .get("alg")
        .and_then(Value::as_str)
        .ok_or("Jwt header [alg] field is required and must be a string")?;
    const ALGORITHMS: [&str; 13] = [
        "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384",
        "PS512", "EdDSA",
    ];
    if !ALGORITHMS.contains(&alg) {
        return Err("Jwt header [alg] is not supported");
    }
    if header.get("kid").is_some_and(|kid| !kid.is_string()) {
        return Err("Jwt header [kid] field is not a string");
    }
    let payload_bytes = unescape(payload).map_err(|_| "Jwt payload is an invalid Base64url encoded")?;
    let claims = object(&payload_bytes).ok_or("Jwt payload is an invalid JSON")?;
    check_claims(&claims)?;
    unescape(signature).map_err(|_| "Jwt signature is an invalid Base64url encoded")?;
    Ok((header, claims, payload.to_owned()))
}

fn check_claims(claims: &Map<String, Value>) -> Result<(), &'static str> {
    for (name, words) in [
        ("iss", "Jwt payload [iss] field is not a string"),
        ("sub", "Jwt payload [sub] field is not a string"),
    ] {
        if claims.get(name).is_some_and(|v| !v.is_string()) {
            return Err(words);
        }
    }
    for (name, kind, range) in [
        (
            "iat",
            "Jwt payload [iat] field is not an integer",
            "Jwt payload [iat] field is not a positive 64 bit integer",
        ),
        (
            "nbf",
            "Jwt payload [nbf] field is not an integer",
            "Jwt payload [nbf] field is not a positive 64 bit integer",
        ),
        (
            "exp",
            "Jwt payload [exp] field is not an integer",
            "Jwt payload [exp] field is not a positive 64 bit integer",
        ),
    ] {
        match claims.get(name) {
            None => {}
            Some(Value::Number(n)) if n.as_f64().is_some_and(|f| (0.0..9.3e18).contains(&f)) => {}
            Some(Value::Number(_)) => return Err(range),
            Some(_) => return Err(kind),
        }
    }
    if claims.get("jti").is_some_and(|v| !v.is_string()) {
        return Err("Jwt payload [jti] field is not a string");
    }
    match claims.get("aud") {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => Ok(()),
        Some(_) => Err("Jwt payload [aud] field is not a string or string list"),
    }
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes).ok()? {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

/// A JSON value as the core sees it.
pub(crate) fn claim(value: &Value) -> Claim {
    match value {
        Value::Null => Claim::Null,
        Value::Bool(b) => Claim::Bool(*b),
        Value::Number(n) => {
            n.as_i64().map_or_else(|| Claim::Float(n.as_f64().unwrap_or(0.0)), Claim::Integer)
        }
        Value::String(s) => Claim::String(s.as_str().into()),
        Value::Array(list) => Claim::List(list.iter().map(claim).collect()),
        Value::Object(map) => Claim::Object(map.iter().map(|(k, v)| (k.as_str().into(), claim(v))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWKS: &str = r#"{"keys":[{"kty":"RSA","kid":"k1","alg":"RS256","n":"mk0f","e":"AQAB"}]}"#;

    fn spec(text: &str) -> JwtSpec {
        serde_json::from_str(text).expect("shorthand")
    }

    #[test]
    fn shorthand_is_the_recorders_token_up_to_the_signature() {
        let token = mint(&spec(r#"{"iss":"https://idp.example.com","sub":"alice","aud":"web"}"#));
        let recorded = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbSIsInN1YiI6ImFsaWNlIiwiYXVkIjoid2ViIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjQxMDI0NDQ4MDB9";
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        assert_eq!(signed, recorded);
        assert!(is_symbolic_signature(signature));
    }

    #[test]
    fn claims_keep_their_order() {
        let token = mint(&spec(r#"{"claims":{"z":1,"realm":{"role":"r","a":[true]},"b":"x"}}"#));
        let payload = token.split('.').nth(1).and_then(|p| URL_SAFE_NO_PAD.decode(p).ok()).expect("payload");
        let text = String::from_utf8(payload).expect("text");
        assert!(text.ends_with(r#","z":1,"realm":{"role":"r","a":[true]},"b":"x"}"#), "{text}");
    }

    #[test]
    fn symbolic_signatures_verify_by_key_id() {
        let check = |text: &str| JwtReader.verify(&mint(&spec(text)), JWKS);
        assert_eq!(check("{}"), TokenStatus::Verified);
        assert_eq!(check(r#"{"valid":false}"#), TokenStatus::VerificationFails);
        assert_eq!(check(r#"{"key":"k2"}"#), TokenStatus::NoMatchingKey);
        let nobodys = JwtReader.verify(&mint(&spec("{}")), NOBODYS_KEYS);
        assert_eq!(nobodys, TokenStatus::VerificationFails);
    }

    #[test]
    fn real_signatures_are_checked() {
        // RFC 7515 A.1: HS256 with the key in the document.
        let jwks = r#"{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}"#;
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(JwtReader.verify(token, jwks), TokenStatus::Verified);
        let forged = token.replace("dBjft", "dBjfu");
        assert_eq!(JwtReader.verify(&forged, jwks), TokenStatus::VerificationFails);
        assert!(is_jwks(jwks) && !is_jwks("[]"));
    }

    #[test]
    fn broken_tokens_fail_in_envoys_words() {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let alg = encode(r#"{"alg":"RS256"}"#);
        for (token, words) in [
            (
                "abc".to_owned(),
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
            ),
            (
                "a..c".to_owned(),
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
            ),
            ("!.b.c".to_owned(), "Jwt header is an invalid Base64url encoded"),
            (format!("Bearer  {alg}.b.c"), "Jwt header is an invalid JSON"),
            (format!("{}.b.c", encode("no")), "Jwt header is an invalid JSON"),
            (format!("{}.b.c", encode(r#"{"alg":"none"}"#)), "Jwt header [alg] is not supported"),
            (format!("{alg}.!.c"), "Jwt payload is an invalid Base64url encoded"),
            (format!("{alg}.{}.cc", encode(r#"{"iss":1}"#)), "Jwt payload [iss] field is not a string"),
            (format!("{alg}.{}.!", encode("{}")), "Jwt signature is an invalid Base64url encoded"),
        ] {
            assert_eq!(JwtReader.decode(&token).map(|_| ()), Err(words.into()), "{token}");
        }
    }
}
