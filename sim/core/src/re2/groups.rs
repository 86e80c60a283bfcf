//! `\p{…}` restricted to Latin-1. RE2 knows general categories and scripts by their exact names, and `Any`.

use regex_syntax::hir::{Class, HirKind};

use crate::re2::classes::{Ranges, fold, negate};

/// General categories of RE2.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl",
    "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];

/// Scripts whose full name has four letters; other names of that length are abbreviations, which RE2 lacks.
const SHORT_SCRIPTS: &[&str] = &["Ahom", "Cham", "Kawi", "Lisu", "Modi", "Thai", "Toto"];

/// Reads `\pN`, `\p{Name}`, `\p{^Name}` and their `\P` forms; the rest of the pattern behind it.
///
/// # Errors
/// RE2's complaint.
pub(super) fn unicode_group(text: &[u8], folded: bool) -> Result<(Ranges, &[u8]), String> {
    let bad =
        |shown: &[u8]| Err(format!("invalid character class range: {}", String::from_utf8_lossy(shown)));
    let negated = text.get(1) == Some(&b'P');
    let body = text.get(2..).unwrap_or(&[]);
    let (name, rest) = match body.split_first() {
        None => return bad(text),
        Some((b'{', inner)) => {
            let Some(end) = inner.iter().position(|b| *b == b'}') else { return bad(text) };
            (inner.get(..end).unwrap_or(&[]), inner.get(end + 1..).unwrap_or(&[]))
        }
        Some((_, rest)) => (body.get(..1).unwrap_or(&[]), rest),
    };
    let shown = text.get(..text.len() - rest.len()).unwrap_or(text);
    let (name, negated) = match name.strip_prefix(b"^") {
        Some(bare) => (bare, !negated),
        None => (name, negated),
    };
    let Some(ranges) = std::str::from_utf8(name).ok().and_then(latin1_of) else { return bad(shown) };
    let ranges = if folded { fold(&ranges) } else { ranges };
    Ok((if negated { negate(&ranges) } else { ranges }, rest))
}

fn latin1_of(name: &str) -> Option<Ranges> {
    if name == "Any" {
        return Some(vec![(0, 255)]);
    }
    let property = if CATEGORIES.contains(&name) {
        format!(r"\p{{gc={name}}}")
    } else if is_script_name(name) {
        format!(r"\p{{sc={name}}}")
    } else {
        return None;
    };
    let hir = regex_syntax::parse(&property).ok()?;
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else { return None };
    let low = |c: char| u8::try_from(u32::from(c)).ok();
    Some(class.iter().filter_map(|r| Some((low(r.start())?, low(r.end()).unwrap_or(255)))).collect())
}

/// `Greek`, `Old_Italic`, `Phags_Pa`, `SignWriting`.
fn is_script_name(name: &str) -> bool {
    let capitalised = name.split('_').all(|part| part.starts_with(|c: char| c.is_ascii_uppercase()));
    let letters = name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    capitalised && letters && (name.len() != 4 || SHORT_SCRIPTS.contains(&name))
}
