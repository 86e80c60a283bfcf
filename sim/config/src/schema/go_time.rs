//! Go's notions of durations and times, as CEL and the API server use them.

/// Nanoseconds of a Go duration (`time.ParseDuration`): `1.5s`, `1h30m`, `-2ms`. `None` if it is none.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, tail) = term(rest)?;
        total = total.checked_add(part).filter(|&t| t <= 1 << 63)?;
        rest = tail;
    }
    if negative {
        return 0i64.checked_sub_unsigned(total);
    }
    i64::try_from(total).ok()
}

/// One number with its unit, in nanoseconds.
fn term(text: &str) -> Option<(u64, &str)> {
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole_len = digits(text);
    let (whole, mut rest) = text.split_at_checked(whole_len)?;
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        (fraction, rest) = after.split_at_checked(digits(after))?;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_len = rest.bytes().take_while(|b| *b != b'.' && !b.is_ascii_digit()).count();
    let (unit, rest) = rest.split_at_checked(unit_len)?;
    let scale: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(scale)?;
    // Go drops what is below a nanosecond.
    let mut divisor = 1.0;
    let mut value: u64 = 0;
    for digit in fraction.bytes() {
        match value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0'))) {
            Some(next) if next <= 1 << 63 => {
                value = next;
                divisor *= 10.0;
            }
            _ => break,
        }
    }
    if value > 0 {
        nanos = nanos.checked_add((value as f64 * (scale as f64 / divisor)) as u64)?;
    }
    (nanos <= 1 << 63).then_some((nanos, rest))
}

/// Whether `time.Parse(time.RFC3339, text)` succeeds.
pub(super) fn is_rfc3339(text: &str) -> bool {
    let Some((date, time)) = text.split_once('T') else { return false };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    if year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return false;
    }
    crate::yaml::is_timestamp(&format!("{date}T{time}"))
        && time.get(2..3) == Some(":")
        && time.get(5..6) == Some(":")
        && time.get(6..8).is_some_and(|s| s.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_as_in_go() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1.5s", Some(1_500_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("1.s", Some(1_000_000_000)),
            ("-2ms", Some(-2_000_000)),
            ("2562047h47m16.854775807s", Some(i64::MAX)),
            ("2562048h", None),
            ("5S", None),
            ("2m30", None),
            ("1d", None),
            ("", None),
            ("s", None),
            (".s", None),
            ("1 s", None),
        ] {
            assert_eq!(parse_duration(text), nanos, "{text}");
        }
    }

    #[test]
    fn times_parse_as_in_go() {
        assert!(is_rfc3339("2024-01-01T00:00:00Z"));
        assert!(is_rfc3339("2024-01-01T00:00:00.5+02:00"));
        for no in ["2024-01-01", "2024-1-1T00:00:00Z", "2024-01-01T0:0:0Z", "2024-01-01T00:00:00", "now"] {
            assert!(!is_rfc3339(no), "{no}");
        }
    }
}
