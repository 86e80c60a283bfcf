//! RE2's `GlobalReplace`. RE2: re2/re2.cc.

use regex_automata::util::captures::Captures;
use regex_automata::{Input, meta};

/// Every match of `regex` in `text` replaced. An empty match directly behind the last match does not count.
pub(super) fn global_replace(regex: &meta::Regex, text: &str, substitution: &str) -> String {
    let bytes = text.as_bytes();
    let Some(parts) = read_substitution(substitution.as_bytes(), regex.captures_len()) else {
        return text.to_owned();
    };
    let mut groups = regex.create_captures();
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let (mut at, mut last_end, mut count) = (0, None, 0u32);
    while at <= bytes.len() {
        regex.search_captures(&Input::new(bytes).range(at..), &mut groups);
        let Some(found) = groups.get_match() else { break };
        out.extend_from_slice(bytes.get(at..found.start()).unwrap_or(&[]));
        if found.is_empty() && last_end == Some(found.start()) {
            out.extend(bytes.get(found.start()));
            at = found.start() + 1;
            continue;
        }
        for part in &parts {
            part.write(bytes, &groups, &mut out);
        }
        at = found.end();
        last_end = Some(at);
        count += 1;
    }
    if count == 0 {
        return text.to_owned();
    }
    out.extend_from_slice(bytes.get(at..).unwrap_or(&[]));
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// A piece of a substitution.
enum Part {
    Text(u8),
    Group(usize),
}

impl Part {
    fn write(&self, text: &[u8], groups: &Captures, out: &mut Vec<u8>) {
        match self {
            Part::Text(byte) => out.push(*byte),
            Part::Group(i) => {
                let span = groups.get_group(*i).map(|span| span.range());
                out.extend_from_slice(span.and_then(|range| text.get(range)).unwrap_or(&[]));
            }
        }
    }
}

/// `\0`–`\9` and `\\`; `None` for other escapes and groups the pattern lacks (RE2 refuses those).
fn read_substitution(text: &[u8], groups: usize) -> Option<Vec<Part>> {
    let mut parts = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        parts.push(match byte {
            b'\\' => match bytes.next()? {
                b'\\' => Part::Text(b'\\'),
                digit @ b'0'..=b'9' => {
                    let group = usize::from(digit - b'0');
                    (group < groups).then_some(Part::Group(group))?
                }
                _ => return None,
            },
            byte => Part::Text(*byte),
        });
    }
    Some(parts)
}
