//! `headerMatches:` what a header's value must be like. Several lines are one value, joined by commas, as Envoy's header
//! matchers see them.

use mesh_core::re2::Regex;

use crate::format::policy::HeaderMatchWords;

/// Shown for a header that is not there.
pub(super) const ABSENT: &str = "absent";

/// The words as reports show them.
pub(super) fn text(words: &HeaderMatchWords) -> String {
    let texts = [
        ("exact", &words.exact),
        ("prefix", &words.prefix),
        ("suffix", &words.suffix),
        ("contains", &words.contains),
        ("regex", &words.regex),
    ];
    let given = texts.into_iter().filter_map(|(key, text)| text.as_ref().map(|t| format!("{key} `{t}`")));
    let present = words.present.map(|p| if p { "present".to_owned() } else { ABSENT.to_owned() });
    let all: Vec<String> = given.chain(present).collect();
    let all = if all.is_empty() { "present".to_owned() } else { all.join(" and ") };
    if words.not { format!("not {all}") } else { all }
}

/// Whether a value (or [`ABSENT`]) is like that. A regular expression that RE2 refuses fits nothing.
pub(super) fn holds(words: &HeaderMatchWords, got: &str) -> bool {
    let there = got != ABSENT;
    let fits = |want: &Option<String>, test: fn(&str, &str) -> bool| {
        want.as_ref().is_none_or(|want| there && test(got, want))
    };
    let like = fits(&words.exact, |got, want| got == want)
        && fits(&words.prefix, |got, want| got.starts_with(want))
        && fits(&words.suffix, |got, want| got.ends_with(want))
        && fits(&words.contains, |got, want| got.contains(want))
        && fits(&words.regex, |got, want| Regex::new(want).is_ok_and(|r| r.is_full_match(got.as_bytes())))
        && words.present.is_none_or(|present| present == there);
    let nothing = words.present.is_none()
        && [&words.exact, &words.prefix, &words.suffix, &words.contains, &words.regex]
            .iter()
            .all(|t| t.is_none());
    (like && (there || !nothing)) != words.not
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_counts() {
        let none = HeaderMatchWords::default;
        let table = [
            (HeaderMatchWords { exact: Some("a".into()), ..none() }, "a", true),
            (HeaderMatchWords { exact: Some("a".into()), ..none() }, ABSENT, false),
            (HeaderMatchWords { prefix: Some("a".into()), ..none() }, "ab", true),
            (HeaderMatchWords { suffix: Some("b".into()), ..none() }, "ba", false),
            (HeaderMatchWords { contains: Some("b".into()), ..none() }, "abc", true),
            (HeaderMatchWords { regex: Some("a+".into()), ..none() }, "aab", false),
            (HeaderMatchWords { present: Some(false), ..none() }, ABSENT, true),
            (none(), ABSENT, false),
            (none(), "x", true),
            (HeaderMatchWords { not: true, ..none() }, ABSENT, true),
        ];
        for (words, got, expected) in table {
            assert_eq!(holds(&words, got), expected, "{} of {got}", text(&words));
        }
    }
}
