//! PeerAuthentication and RequestAuthentication (semantics: istio-validation 3.8, 3.9).

use super::Findings;
use super::blocks::{duration, selector, targets};
use crate::resource::peer_authentication::PeerAuthentication;
use crate::resource::request_authentication::{JwtRule, RequestAuthentication};

/// Judges a PeerAuthentication.
pub(super) fn validate_peer(policy: &PeerAuthentication, f: &mut Findings<'_>) {
    let empty = policy.selector.as_ref().is_none_or(|s| s.match_labels.is_empty());
    if !policy.port_level_mtls.is_empty() {
        if empty {
            f.error(policy.origin, "mesh/namespace peer authentication cannot have port level mTLS");
        }
        for (key, mtls) in &policy.port_level_mtls {
            // Keys are JSON numbers: no leading zeros.
            let number = if key.starts_with('0') { 0 } else { key.parse::<i64>().unwrap_or(0) };
            if !(1..=65535).contains(&number) {
                f.error(mtls.origin, format!("port `{key}` must be in the range 1..65535"));
            }
        }
    }
    if let Some(labels) = &policy.selector {
        selector(f, Some(&labels.match_labels), labels.origin);
    }
}

/// Judges a RequestAuthentication.
pub(super) fn validate_request(policy: &RequestAuthentication, f: &mut Findings<'_>) {
    targets(
        f,
        policy.selector.as_ref().map(|s| s.origin),
        policy.target_ref.as_ref(),
        &policy.target_refs,
        policy.origin,
    );
    if let Some(labels) = &policy.selector {
        selector(f, Some(&labels.match_labels), labels.origin);
    }
    for rule in &policy.jwt_rules {
        jwt_rule(f, rule);
    }
}

fn jwt_rule(f: &mut Findings<'_>, rule: &JwtRule) {
    let span = rule.origin;
    if rule.issuer.is_empty() && rule.jwks_uri.is_empty() {
        f.error(span, "issuer or jwksUri must be set");
    }
    if rule.audiences.iter().any(String::is_empty) {
        f.error(span, "audience must be non-empty string");
    }
    if !rule.jwks_uri.is_empty() {
        jwks_uri(f, rule);
    }
    if !rule.jwks.is_empty() {
        jwks(f, rule);
    }
    if rule.from_headers.iter().any(|h| h.name.is_empty()) {
        f.error(span, "location header name must be non-empty string");
    }
    if rule.from_params.iter().any(String::is_empty) {
        f.error(span, "location query must be non-empty string");
    }
    if rule.from_cookies.iter().any(String::is_empty) {
        f.error(span, "cookie name must be non-empty string");
    }
    for output in &rule.output_claim_to_headers {
        if output.header.is_empty() || output.claim.is_empty() {
            f.error(span, "outputClaimToHeaders header and claim value must be non-empty string");
        } else if !output.header.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            f.error(span, format!("invalid header name `{}`", output.header));
        }
    }
    duration(f, rule.timeout, span, "timeout");
}

fn jwks_uri(f: &mut Findings<'_>, rule: &JwtRule) {
    let rest = rule.jwks_uri.strip_prefix("http://").or_else(|| rule.jwks_uri.strip_prefix("https://"));
    let Some(rest) = rest else {
        f.error(rule.origin, format!("jwksUri `{}` must start with http:// or https://", rule.jwks_uri));
        return;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let bad_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !authority.ends_with(']') && (!port.bytes().all(|b| b.is_ascii_digit())));
    if bad_port || rest.contains(' ') {
        f.error(rule.origin, format!("jwksUri `{}` is not a URL", rule.jwks_uri));
    }
}

fn jwks(f: &mut Findings<'_>, rule: &JwtRule) {
    let set: serde_json::Value = match serde_json::from_str(&rule.jwks) {
        Ok(value) => value,
        Err(why) => {
            f.error(rule.origin, format!("parse jwks error: {why}"));
            return;
        }
    };
    let Some(object) = set.as_object() else {
        f.error(rule.origin, "parse jwks error: not an object");
        return;
    };
    // Without `keys` the object is the only key.
    let keys: Vec<&serde_json::Value> = match object.get("keys") {
        Some(keys) => keys.as_array().into_iter().flatten().collect(),
        None => vec![&set],
    };
    for key in keys {
        let kind = key.get("kty").and_then(serde_json::Value::as_str);
        let part = |name: &str| {
            key.get(name)
                .and_then(serde_json::Value::as_str)
                .is_some_and(|v| is_base64url(v) || name == "crv")
        };
        let complete = match kind {
            Some("RSA") => part("n") && part("e"),
            Some("EC") => part("crv") && part("x") && part("y"),
            Some("OKP") => part("crv") && part("x"),
            Some("oct") => part("k"),
            _ => false,
        };
        if !complete {
            f.error(rule.origin, "parse jwks error: a key is incomplete or of an unknown type");
        } else if kind == Some("oct") || part("d") {
            f.warn(rule.origin, "jwks contains a private or symmetric key");
        }
    }
}

fn is_base64url(text: &str) -> bool {
    use base64::Engine as _;
    !text.is_empty()
        && base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).is_ok()
}
