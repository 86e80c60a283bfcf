//! What every object has: kind-independent metadata, and the pairing of metadata with a typed spec.

use std::collections::BTreeMap;

use crate::source::Span;

/// When objects without creation time count as created: 2025-01-01, as in the recordings. Equal among themselves, they
/// stand before what is newer and after what is older.
pub const UNDATED: i64 = 1_735_689_600;

/// `metadata` of an object, as far as Istio looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectMeta {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`, the default namespace filled in; empty for cluster-scoped kinds.
    pub namespace: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// `metadata.creationTimestamp` in seconds since 1970; `None` counts as [`UNDATED`].
    pub creation_timestamp: Option<i64>,
    /// The controlling entry of `metadata.ownerReferences`, as kind and name.
    pub controller: Option<(String, String)>,
    /// The whole document.
    pub origin: Span,
}

impl ObjectMeta {
    /// Istio's conflict order: older first, then name, then namespace (`sortConfigByCreationTime`; semantics: istio-networking 3.1).
    pub fn conflict_key(&self) -> (i64, &str, &str) {
        (self.creation_timestamp.unwrap_or(UNDATED), &self.name, &self.namespace)
    }

    /// `namespace/name`, the way references and reports write it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// One object of a known kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object<T> {
    /// Who it is.
    pub meta: ObjectMeta,
    /// What it says.
    pub spec: T,
}

/// Seconds since 1970 of an RFC 3339 time (`2024-05-01T10:00:00Z`, fractions cut off, offsets applied).
/// `None` when the text is no such time.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let digits = |from: usize, len: usize| -> Option<i64> {
        let part = text.get(from..from + len)?;
        if part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok() } else { None }
    };
    let byte = |at: usize, any: &[u8]| text.as_bytes().get(at).is_some_and(|b| any.contains(b));
    if !(byte(4, b"-") && byte(7, b"-") && byte(10, b"Tt") && byte(13, b":") && byte(16, b":")) {
        return None;
    }
    let (year, month, day) = (digits(0, 4)?, digits(5, 2)?, digits(8, 2)?);
    let (hour, minute, second) = (digits(11, 2)?, digits(14, 2)?, digits(17, 2)?);
    let mut at = 19;
    if byte(at, b".,") {
        at += 1;
        while text.as_bytes().get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
    }
    let offset = match text.as_bytes().get(at)? {
        b'Z' | b'z' if text.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if text.len() == at + 6 && byte(at + 3, b":") => {
            let seconds = digits(at + 1, 2)? * 3600 + digits(at + 4, 2)? * 60;
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    Some(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// Days of a month in the Gregorian calendar.
fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Howard Hinnant's civil calendar algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::parse_rfc3339;

    #[test]
    fn times_become_seconds() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("2024-02-29T12:34:56Z", Some(1_709_210_096)),
            ("2024-02-29T12:34:56.789Z", Some(1_709_210_096)),
            ("2024-02-29T14:34:56+02:00", Some(1_709_210_096)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-01-01", None),
            ("2024-01-01T00:00:00", None),
            ("now", None),
        ] {
            assert_eq!(parse_rfc3339(text), want, "{text}");
        }
    }
}
