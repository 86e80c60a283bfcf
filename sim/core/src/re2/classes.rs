//! Character classes over Latin-1 bytes.

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir};

use crate::re2::escapes::escape;
use crate::re2::groups::unicode_group;
use crate::re2::parse::Set;

/// Inclusive ranges of bytes.
pub(super) type Ranges = Vec<(u8, u8)>;

/// The class of some ranges.
pub(super) fn bytes_class(ranges: &[(u8, u8)]) -> Set {
    ClassBytes::new(ranges.iter().map(|(low, high)| ClassBytesRange::new(*low, *high)))
}

/// Any byte, or any but a line feed.
pub(super) fn dot(newline: bool) -> Hir {
    let ranges: &[(u8, u8)] = if newline { &[(0, 255)] } else { &[(0, b'\n' - 1), (b'\n' + 1, 255)] };
    Hir::class(Class::Bytes(bytes_class(ranges)))
}

/// What is left over.
pub(super) fn negate(ranges: &[(u8, u8)]) -> Ranges {
    let mut set = bytes_class(ranges);
    set.negate();
    set.ranges().iter().map(|r| (r.start(), r.end())).collect()
}

/// Adds the other cases of ASCII letters. In Latin-1 mode RE2 folds no others.
pub(super) fn fold(ranges: &[(u8, u8)]) -> Ranges {
    let mut set = bytes_class(ranges);
    set.case_fold_simple();
    set.ranges().iter().map(|r| (r.start(), r.end())).collect()
}

/// `\d \D \s \S \w \W`; ASCII only, `\s` without vertical tab.
pub(super) fn perl_class(letter: u8, folded: bool) -> Option<Ranges> {
    let positive: &[(u8, u8)] = match letter.to_ascii_lowercase() {
        b'd' => &[(b'0', b'9')],
        b's' => &[(b'\t', b'\n'), (0x0C, b'\r'), (b' ', b' ')],
        b'w' => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
        _ => return None,
    };
    let ranges = if folded { fold(positive) } else { positive.to_vec() };
    Some(if letter.is_ascii_uppercase() { negate(&ranges) } else { ranges })
}

/// `[:alpha:]` and so on.
fn posix_class(name: &[u8]) -> Option<&'static [(u8, u8)]> {
    Some(match name {
        b"alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        b"alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        b"ascii" => &[(0, 0x7F)],
        b"blank" => &[(b'\t', b'\t'), (b' ', b' ')],
        b"cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
        b"digit" => &[(b'0', b'9')],
        b"graph" => &[(b'!', b'~')],
        b"lower" => &[(b'a', b'z')],
        b"print" => &[(b' ', b'~')],
        b"punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        b"space" => &[(b'\t', b'\r'), (b' ', b' ')],
        b"upper" => &[(b'A', b'Z')],
        b"word" => &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')],
        b"xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    })
}

/// Reads `[…]`; the rest of the pattern behind it.
///
/// # Errors
/// RE2's complaint.
pub(super) fn class(text: &[u8], folded: bool) -> Result<(Set, &[u8]), String> {
    let missing = || format!("missing ]: {}", String::from_utf8_lossy(text));
    let mut rest = text.get(1..).unwrap_or(&[]);
    let negated = rest.first() == Some(&b'^');
    if negated {
        rest = rest.get(1..).unwrap_or(&[]);
    }
    let mut ranges: Ranges = vec![];
    let mut first = true;
    loop {
        match rest.first() {
            None => return Err(missing()),
            // `]` is a member when it comes first
            Some(b']') if !first => break,
            Some(_) => {}
        }
        first = false;
        let (members, behind) = member(rest, folded, text)?;
        ranges.extend(members);
        rest = behind;
    }
    let ranges = if negated { negate(&ranges) } else { ranges };
    Ok((bytes_class(&ranges), rest.get(1..).unwrap_or(&[])))
}

/// One member of a class: a named class, an escape class, a character or a range.
fn member<'t>(rest: &'t [u8], folded: bool, whole: &[u8]) -> Result<(Ranges, &'t [u8]), String> {
    if rest.len() > 2
        && rest.starts_with(b"[:")
        && let Some(found) = named_class(rest, folded)?
    {
        return Ok(found);
    }
    if let [b'\\', letter, tail @ ..] = rest {
        if matches!(letter, b'p' | b'P') && !tail.is_empty() {
            return unicode_group(rest, folded);
        }
        if let Some(ranges) = perl_class(*letter, folded) {
            return Ok((ranges, tail));
        }
    }
    let (low, rest) = character(rest, whole)?;
    let (high, rest) = match rest {
        [b'-', next, ..] if *next != b']' => character(rest.get(1..).unwrap_or(&[]), whole)?,
        _ => (low, rest),
    };
    if high < low {
        return Err(format!("invalid character class range: {}", String::from_utf8_lossy(whole)));
    }
    let ranges = vec![(low, high)];
    Ok((if folded { fold(&ranges) } else { ranges }, rest))
}

fn character<'t>(text: &'t [u8], whole: &[u8]) -> Result<(u8, &'t [u8]), String> {
    match text.split_first() {
        Some((b'\\', _)) => escape(text),
        Some((byte, rest)) => Ok((*byte, rest)),
        None => Err(format!("missing ]: {}", String::from_utf8_lossy(whole))),
    }
}

/// Members and what follows them.
type Members<'t> = (Ranges, &'t [u8]);

/// `[:name:]`, `[:^name:]`; nothing without a closing `:]`.
fn named_class(text: &[u8], folded: bool) -> Result<Option<Members<'_>>, String> {
    let body = text.get(2..).unwrap_or(&[]);
    let Some(end) = body.windows(2).position(|w| w == b":]") else { return Ok(None) };
    let name = body.get(..end).unwrap_or(&[]);
    let rest = body.get(end + 2..).unwrap_or(&[]);
    let (bare, negated) = match name.strip_prefix(b"^") {
        Some(bare) => (bare, true),
        None => (name, false),
    };
    let Some(ranges) = posix_class(bare) else {
        let shown = text.get(..end + 4).unwrap_or(text);
        return Err(format!("invalid character class range: {}", String::from_utf8_lossy(shown)));
    };
    let ranges = if folded { fold(ranges) } else { ranges.to_vec() };
    Ok(Some((if negated { negate(&ranges) } else { ranges }, rest)))
}
