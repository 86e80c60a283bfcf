//! The only file that names the YAML crate: its events in our words, with byte spans.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{Event as Raw, Parser, ScalarStyle};

/// What the parser met.
#[derive(Debug)]
pub(crate) enum Event<'t> {
    Scalar { text: Cow<'t, str>, plain: bool, tag: Option<String>, anchor: usize },
    SequenceStart { anchor: usize },
    MappingStart { anchor: usize },
    End,
    Alias(usize),
}

/// Why the parser stopped, and where.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) at: usize,
}

/// The node events of the first document of `text`.
pub(crate) fn events(text: &str) -> Result<Vec<(Event<'_>, Range<usize>)>, SyntaxError> {
    let options = granit_parser::options! { emit_comments: false };
    let mut out = Vec::new();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|e| SyntaxError {
            message: e.kind().to_string(),
            at: e.marker().byte_offset().unwrap_or(0),
        })?;
        let range = span.byte_range().unwrap_or(0..0);
        let event = match event {
            Raw::Scalar(text, style, anchor, tag) => Event::Scalar {
                text,
                plain: style == ScalarStyle::Plain,
                tag: tag.map(|t| match t.core_suffix() {
                    Some(suffix) => format!("!!{suffix}"),
                    None => t.original(),
                }),
                anchor,
            },
            Raw::SequenceStart(_, anchor, _) => Event::SequenceStart { anchor },
            Raw::MappingStart(_, anchor, _) => Event::MappingStart { anchor },
            Raw::SequenceEnd | Raw::MappingEnd => Event::End,
            Raw::Alias(id) => Event::Alias(id),
            Raw::DocumentEnd => break,
            _ => continue,
        };
        out.push((event, range));
    }
    Ok(out)
}
