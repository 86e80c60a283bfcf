//! Small readers of protobuf JSON.

use serde_json::Value;

/// A member by dotted path; `Null` when absent.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('/').fold(value, |v, key| v.get(key).unwrap_or(&Value::Null))
}

/// Text, empty when absent.
pub(crate) fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    at(value, path).as_str().unwrap_or("")
}

/// A list, empty when absent.
pub(crate) fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// A flag, false when absent.
pub(crate) fn flag(value: &Value, path: &str) -> bool {
    at(value, path).as_bool().unwrap_or(false)
}

/// A number (protobuf writes 64-bit ones as text), 0 when absent.
pub(crate) fn number(value: &Value, path: &str) -> u64 {
    let v = at(value, path);
    v.as_u64().or_else(|| v.as_str()?.parse().ok()).unwrap_or(0)
}

/// A duration in nanoseconds.
pub(crate) fn duration(value: &Value) -> Option<u64> {
    let seconds: f64 = value.as_str()?.strip_suffix('s')?.parse().ok()?;
    Some((seconds * 1e9).round() as u64)
}

/// Parts per million of a fractional percent.
pub(crate) fn per_million(value: &Value) -> u32 {
    let scale = match text(value, "denominator") {
        "MILLION" => 1,
        "TEN_THOUSAND" => 100,
        _ => 10_000,
    };
    number(value, "numerator") as u32 * scale
}
