//! Backslash escapes of single characters. RE2: re2/parse.cc, `ParseEscape`.

/// Reads an escape; the byte and the rest of the pattern.
///
/// # Errors
/// RE2's complaint.
pub(super) fn escape(text: &[u8]) -> Result<(u8, &[u8]), String> {
    let Some((&letter, rest)) = text.get(1..).and_then(<[u8]>::split_first) else {
        return Err("trailing \\".to_owned());
    };
    let bad = |rest: &[u8]| {
        let taken = text.get(..text.len() - rest.len()).unwrap_or(text);
        Err(format!("invalid escape sequence: {}", String::from_utf8_lossy(taken)))
    };
    match letter {
        // a single digit would be a back-reference
        b'1'..=b'7' if !rest.first().is_some_and(|b| (b'0'..=b'7').contains(b)) => bad(rest),
        b'0'..=b'7' => {
            let more = rest.iter().take(2).take_while(|b| (b'0'..=b'7').contains(*b)).count();
            let (digits, behind) = rest.split_at(more);
            let code = digits.iter().fold(u32::from(letter - b'0'), |n, d| n * 8 + u32::from(d - b'0'));
            u8::try_from(code).map_or_else(|_| bad(behind), |byte| Ok((byte, behind)))
        }
        b'x' => hexadecimal(rest).map_or_else(|| bad(rest), Ok),
        b'a' => Ok((0x07, rest)),
        b'f' => Ok((0x0C, rest)),
        b'n' => Ok((b'\n', rest)),
        b'r' => Ok((b'\r', rest)),
        b't' => Ok((b'\t', rest)),
        b'v' => Ok((0x0B, rest)),
        other if other < 0x80 && !other.is_ascii_alphanumeric() => Ok((other, rest)),
        _ => bad(rest),
    }
}

/// `41`, `{41}`; in Latin-1 at most `{ff}`.
fn hexadecimal(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    if let Some(body) = text.strip_prefix(b"{") {
        let length = body.iter().take_while(|b| digit(b).is_some()).count();
        let rest = body.get(length..)?.strip_prefix(b"}")?;
        let digits = body.get(..length).filter(|digits| !digits.is_empty())?;
        let code = digits.iter().try_fold(0u32, |n, d| {
            let n = n * 16 + digit(d)?;
            (n <= 0xFF).then_some(n)
        })?;
        return Some((u8::try_from(code).ok()?, rest));
    }
    match text {
        [high, low, rest @ ..] => Some(((digit(high)? * 16 + digit(low)?) as u8, rest)),
        _ => None,
    }
}
