//! The type of a scalar, as go-yaml v2 resolves it (`resolve.go`): YAML 1.1's booleans, octals, underscores.

use super::node::Value;
use super::number::Number;

/// How a scalar was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) text: &'a str,
    /// Without quotes and without block indicator.
    pub(crate) plain: bool,
    /// Its tag with `!!` for YAML's own namespace.
    pub(crate) tag: Option<&'a str>,
}

/// What a scalar resolves to.
#[derive(Debug)]
pub(crate) enum Resolved {
    Value(Value),
    /// `<<`, when it was written plainly: the merge key, or the text `<<` elsewhere.
    Merge,
    /// `.inf` and `.nan`: a YAML number that JSON cannot hold.
    NotFinite(f64),
}

/// Resolves a scalar; the error is a message.
pub(crate) fn resolve(written: Written<'_>) -> Result<Resolved, String> {
    let text = written.text;
    let Some(tag) = written.tag else {
        return Ok(if written.plain { untagged(text) } else { string(text) });
    };
    match tag {
        "!!str" => Ok(string(text)),
        "!!binary" => decode_binary(text).map(|s| string(&s)),
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => {
            let resolved = untagged(text);
            let found = tag_of(&resolved, text);
            match (tag, found) {
                _ if tag == found => Ok(resolved),
                ("!!float", "!!int")
                    if !matches!(resolved, Resolved::Value(Value::Number(Number::Unsigned(_)))) =>
                {
                    Ok(widen(resolved))
                }
                _ => Err(format!("cannot decode {found} `{text}` as a {tag}")),
            }
        }
        _ => Ok(string(text)),
    }
}

fn string(text: &str) -> Resolved {
    Resolved::Value(Value::String(text.to_owned()))
}

fn widen(resolved: Resolved) -> Resolved {
    match resolved {
        Resolved::Value(Value::Number(n @ Number::Int(_))) => {
            Resolved::Value(Value::Number(Number::Float(n.as_f64())))
        }
        other => other,
    }
}

fn tag_of(resolved: &Resolved, text: &str) -> &'static str {
    match resolved {
        Resolved::Merge => "!!merge",
        Resolved::NotFinite(_) => "!!float",
        Resolved::Value(Value::Null) => "!!null",
        Resolved::Value(Value::Bool(_)) => "!!bool",
        Resolved::Value(Value::Number(Number::Float(_))) => "!!float",
        Resolved::Value(Value::Number(_)) => "!!int",
        Resolved::Value(_) if super::timestamp::is_timestamp(text) => "!!timestamp",
        Resolved::Value(_) => "!!str",
    }
}

fn untagged(text: &str) -> Resolved {
    use Value::{Bool, Null};
    let value = match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Bool(false),
        "" | "~" | "null" | "Null" | "NULL" => Null,
        ".nan" | ".NaN" | ".NAN" => return Resolved::NotFinite(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::NotFinite(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::NotFinite(f64::NEG_INFINITY),
        "<<" => return Resolved::Merge,
        _ => return numeric(text),
    };
    Resolved::Value(value)
}

fn numeric(text: &str) -> Resolved {
    let number = match text.as_bytes().first() {
        Some(b'.') => parse_go_float(text),
        Some(b'0'..=b'9' | b'+' | b'-') if !super::timestamp::is_timestamp(text) => {
            let plain = text.replace('_', "");
            parse_go_int(&plain)
                .or_else(|| if yaml_style_float(&plain) { parse_go_float(&plain) } else { None })
        }
        _ => None,
    };
    match number {
        Some(Number::Float(f)) if !f.is_finite() => Resolved::NotFinite(f),
        Some(n) => Resolved::Value(Value::Number(n)),
        None => string(text),
    }
}

/// `strconv.ParseInt(s, 0, 64)`, then `ParseUint`; underscores are gone already.
fn parse_go_int(s: &str) -> Option<Number> {
    let (negative, rest) = match s.as_bytes().first()? {
        b'-' => (true, s.get(1..)?),
        b'+' => (false, s.get(1..)?),
        _ => (false, s),
    };
    let (radix, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, rest.get(2..)?),
        [b'0', b'o' | b'O', ..] => (8, rest.get(2..)?),
        [b'0', b'b' | b'B', ..] => (2, rest.get(2..)?),
        [b'0', _, ..] => (8, rest.get(1..)?),
        _ => (10, rest),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Number::Int);
    }
    match i64::try_from(magnitude) {
        Ok(i) => Some(Number::Int(i)),
        // ParseUint takes no sign.
        Err(_) if s.starts_with('+') => None,
        Err(_) => Some(Number::Unsigned(magnitude)),
    }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn yaml_style_float(s: &str) -> bool {
    let unsigned = s.strip_prefix(['-', '+']).unwrap_or(s);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e)),
        None => (unsigned, None),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

/// `strconv.ParseFloat(s, 64)` on the texts that reach it; out of range is an error there, so none here.
fn parse_go_float(s: &str) -> Option<Number> {
    if !s.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    s.parse::<f64>().ok().filter(|f| f.is_finite()).map(Number::Float)
}

fn decode_binary(text: &str) -> Result<String, String> {
    use base64::Engine as _;
    // Go's decoder skips line breaks only.
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
    // JSON strings are text: Go replaces what is not UTF-8.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        match resolve(Written { text, plain: true, tag: None }) {
            Ok(Resolved::Value(value)) => super::super::Node::made_up(value).to_json(),
            Ok(other) => format!("{other:?}"),
            Err(e) => e,
        }
    }

    #[test]
    fn scalars_resolve_as_in_go() {
        // Recorded from sigs.k8s.io/yaml.
        for (text, json) in [
            ("yes", "true"),
            ("off", "false"),
            ("010", "8"),
            ("0o10", "8"),
            ("0x1F", "31"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("12:30:45", "\"12:30:45\""),
            ("1.10", "1.1"),
            ("1e3", "1000"),
            (".5", "0.5"),
            ("2001-12-14", "\"2001-12-14\""),
            ("08", "8"),
            ("0777", "511"),
            ("1.2.3", "\"1.2.3\""),
            ("0.", "0"),
            ("12e03", "12000"),
            ("99999999999999999999", "100000000000000000000"),
            ("-0", "0"),
            ("+1", "1"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0x", "\"0x\""),
            ("1e400", "\"1e400\""),
            ("-0b11", "-3"),
            ("tRUE", "\"tRUE\""),
            ("-", "\"-\""),
        ] {
            assert_eq!(plain(text), json, "{text}");
        }
    }
}
