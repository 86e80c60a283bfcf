//! Bytes to text, and JSON streams to their values.

use std::ops::Range;

/// Stands for a byte that is no text; the YAML reader refuses the document that holds it.
const NOT_TEXT: char = '\u{FFFF}';

/// A file's text.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) text: String,
    /// Why there is none.
    pub(super) problem: Option<&'static str>,
    /// Whether the file is one document whatever is in it: kubectl looks for `---` in bytes, which UTF-16
    /// does not have.
    pub(super) whole: bool,
}

/// The text of a file. Byte order marks of UTF-8 stay; UTF-16 is converted.
pub(super) fn decode(bytes: &[u8]) -> Decoded {
    let utf16 = match bytes {
        [0xff, 0xfe, rest @ ..] => Some(units(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some(units(rest, u16::from_be_bytes)),
        _ => None,
    };
    if let Some(units) = utf16 {
        let text = char::decode_utf16(units).map(|c| c.unwrap_or(NOT_TEXT)).collect();
        return Decoded { text, problem: None, whole: true };
    }
    let mut text = String::with_capacity(bytes.len());
    let mut broken = false;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            broken = true;
            text.push(NOT_TEXT);
        }
    }
    if broken && bytes.iter().take(8192).any(|&b| b == 0) {
        let problem = Some("this is a binary file, not YAML");
        return Decoded { problem, ..Decoded::default() };
    }
    Decoded { text, problem: None, whole: false }
}

fn units(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Vec<u16> {
    bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair)).collect()
}

/// The values of a JSON stream (`{…}{…}`), when the text is one with more than one value.
pub(super) fn json_stream(text: &str) -> Option<Vec<Range<usize>>> {
    let body = text.trim_start();
    if !body.starts_with('{') {
        return None;
    }
    let base = text.len() - body.len();
    let mut stream = serde_json::Deserializer::from_str(body).into_iter::<serde::de::IgnoredAny>();
    let mut ranges = Vec::new();
    let mut start = 0;
    while let Some(value) = stream.next() {
        value.ok()?;
        let end = stream.byte_offset();
        ranges.push(base + start..base + end);
        start = end;
    }
    (ranges.len() > 1).then_some(ranges)
}
