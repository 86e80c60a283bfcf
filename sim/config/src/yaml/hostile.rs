//! Input that means harm: it is refused with a word, in bounded time and memory, and nothing panics.

use proptest::prelude::*;

use super::{parse_stream, split};
use crate::diagnostic::codes;
use crate::load;
use crate::source::FileId;

fn codes_of(text: &str) -> Vec<&'static str> {
    parse_stream(FileId(0), text).1.into_iter().map(|d| d.code.0).collect()
}

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(100_000), "- ".repeat(50_000), "{a: ".repeat(50_000), "? ".repeat(50_000)] {
        assert_eq!(codes_of(&text), [codes::YAML_LIMIT.0]);
    }
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    assert!(codes_of(&nested).is_empty());
}

#[test]
fn alias_bombs_are_refused() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 9].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert_eq!(codes_of(&laughs), [codes::YAML_LIMIT.0]);
    assert_eq!(codes_of("a: &a [*a]\n"), [codes::YAML_SYNTAX.0]);
    assert_eq!(codes_of("a: &a {<<: *a}\n"), [codes::YAML_SYNTAX.0]);
}

#[test]
fn long_lines_and_many_keys_are_read_in_linear_time() {
    let long = format!("a: \"{}\"\n", "x".repeat(4 << 20));
    assert!(codes_of(&long).is_empty());
    let many: String = (0..20_000).map(|i| format!("k{i}: {i}\n")).collect();
    assert!(codes_of(&many).is_empty());
    let flow = format!("[{}]", "a, ".repeat(100_000));
    assert!(codes_of(&flow).is_empty());
}

#[test]
fn nothing_and_noise_have_answers() {
    assert!(parse_stream(FileId(0), "").0.is_empty());
    assert_eq!(codes_of("\u{0}"), [codes::YAML_SYNTAX.0]);
    assert_eq!(codes_of("a: 1\n...\nb: 2\n"), [codes::IGNORED_CONTENT.0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = load::read_text(FileId(0), &load::text_of_bytes(&bytes));
    }

    #[test]
    fn any_yamlish_text_is_read_without_panic_and_spans_lie_inside(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", ": ", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", "? ", "&x ", "*x", "!!int ", "|", ">-\n", "\"",
                "'", "\\x41", "#", "---\n", "...\n", "1", "<<: ", "é", "\u{2028}", "\r\n", "\t", "%YAML 1.1\n",
                "kind: List\nitems:\n", "apiVersion: v1\n", "metadata: {name: x}\n",
            ]),
            0..40,
        )
    ) {
        let text = words.concat();
        let (objects, diagnostics) = load::read_text(FileId(0), &text);
        let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let spans = objects.iter().map(|o| o.span).chain(diagnostics.iter().map(|d| d.span()));
        for span in spans.filter(|s| !s.is_none()) {
            prop_assert!(span.start <= span.end && span.end <= end, "{span:?} of {end}");
            prop_assert!(text.is_char_boundary(span.start as usize), "{span:?} in {text:?}");
        }
        prop_assert!(split::split(&text).0.len() <= text.matches("---").count() + 1);
    }
}
