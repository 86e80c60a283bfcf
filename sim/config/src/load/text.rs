//! Bytes to text, and JSON streams to their values.

use std::ops::Range;

/// Stands for a byte that is no text; the YAML reader refuses the document that holds it.
const NOT_TEXT: char = '\u{FFFF}';

/// The text of a file, or why it has none. Byte order marks of UTF-8 stay; UTF-16 is converted.
pub(super) fn decode(bytes: &[u8]) -> (String, Option<String>) {
    let utf16 = match bytes {
        [0xff, 0xfe, rest @ ..] => Some(units(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Some(units(rest, u16::from_be_bytes)),
        _ => None,
    };
    if let Some(units) = utf16 {
        return (char::decode_utf16(units).map(|c| c.unwrap_or(NOT_TEXT)).collect(), None);
    }
    if bytes.iter().take(8192).any(|&b| b == 0) {
        return (String::new(), Some("this is a binary file, not YAML".to_owned()));
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(NOT_TEXT);
        }
    }
    (text, None)
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
