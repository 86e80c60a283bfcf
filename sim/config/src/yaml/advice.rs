//! What to do about a syntax error: the scanner's words are go-yaml's, these are for people.

/// Advice for a syntax error at a byte of a text, if there is any worth giving.
pub(super) fn advice(message: &str, text: &str, at: usize) -> Option<&'static str> {
    let here = text.as_bytes().get(at).copied().unwrap_or(0);
    let has = |part: &str| message.contains(part);
    Some(if has("tab character") || (has("cannot start any token") && here == b'\t') {
        "YAML is indented with spaces: replace the tab"
    } else if has("cannot start any token") {
        "put the value in quotes"
    } else if has("alphabetic or numeric character") || has("unknown anchor") {
        "`*` and `&` begin aliases and anchors: put the value in quotes"
    } else if has("tag") {
        "`!` begins a tag: put the value in quotes"
    } else if has("mapping values are not allowed") {
        "check the indentation, and put values that contain `: ` in quotes"
    } else if has("expected key") || has("'-' indicator") || has("block sequence entries are not allowed") {
        "check the indentation of this line against the lines above"
    } else if has("expected ':'") {
        "a key needs a `:` behind it; check this line and the one above"
    } else if has("unknown escape") || has("hexadecimal") || has("Unicode character escape") {
        "in double quotes a backslash begins an escape: use single quotes"
    } else if has("unexpected end of stream") || has("unexpected document indicator") {
        "a quote is opened and not closed"
    } else if has("expected ',' or") {
        "a bracket is opened and not closed, or a comma is missing"
    } else if has("comment or line break") {
        "the text of a block begins on the next line"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use crate::source::FileId;
    use crate::yaml::parse_stream;

    #[test]
    fn common_mistakes_get_advice() {
        for (text, part) in [
            ("a:\n\tb: 1\n", "tab"),
            ("a: @x\n", "quotes"),
            ("hosts: [*]\n", "aliases"),
            ("a: 1\n b: 2\n", "indentation"),
            ("a: b: c\n", "`: `"),
            ("a: \"\\d\"\n", "single quotes"),
            ("a: \"x\n", "not closed"),
            ("a: [1, 2\n", "bracket"),
            ("a: |x\n", "next line"),
        ] {
            let (_, diagnostics) = parse_stream(FileId(0), text);
            let help = diagnostics.first().and_then(|d| d.help.clone()).unwrap_or_default();
            assert!(help.contains(part), "{text:?}: {help:?}");
        }
    }
}
