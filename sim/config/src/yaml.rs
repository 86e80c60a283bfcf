//! YAML text to a tree with byte spans, typed the way a Kubernetes cluster types it.
//!
//! kubectl splits a file at lines that begin with `---` and hands every piece to go-yaml v2, of which only
//! the first document counts. This module does the same, so it recovers at the next `---` by construction.
//! It knows nothing of Kubernetes objects (see `document`) and of typed fields (see `decode`).

mod advice;
mod build;
mod cursor;
#[cfg(test)]
mod hostile;
mod node;
mod number;
mod parser;
mod scalar;
mod scanner;
mod split;
mod timestamp;

pub use node::{Document, Key, Node, Value};
pub use number::Number;
pub(crate) use timestamp::is_timestamp;

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::source::{FileId, Span};

/// Deeper documents are refused; real manifests stay below 40 levels. (go-yaml stops at 10,000.)
pub(crate) const MAX_DEPTH: usize = 256;
pub(crate) const TOO_DEEP: &str = "more than 256 levels of nesting";

/// One piece of a file, from which one document is read.
#[derive(Debug)]
pub(crate) struct Chunk<'t> {
    pub(crate) text: &'t str,
    pub(crate) start: usize,
}

/// Parses all documents of one file. Broken documents become diagnostics; the others are returned.
pub fn parse_stream(file: FileId, text: &str) -> (Vec<Document>, Vec<Diagnostic>) {
    let mut out = (Vec::new(), Vec::new());
    for piece in split::split(text) {
        match piece {
            Ok(chunk) => parse_piece(file, &chunk, &mut out),
            Err(bad) => {
                let span = span(file, bad.start, bad.end);
                let message = format!("invalid document separator: `---` is followed by `{}`", bad.trailing);
                out.1.push(
                    Diagnostic::error(codes::YAML_SYNTAX, Stage::Parse, span, message)
                        .help("put the content on the next line; nothing after this line is read"),
                );
            }
        }
    }
    out
}

/// Parses one document from each of the given byte ranges of a file.
pub fn parse_pieces(file: FileId, text: &str, ranges: &[Range<usize>]) -> (Vec<Document>, Vec<Diagnostic>) {
    let mut out = (Vec::new(), Vec::new());
    for range in ranges {
        let chunk = Chunk { text: text.get(range.clone()).unwrap_or(""), start: range.start };
        parse_piece(file, &chunk, &mut out);
    }
    out
}

fn parse_piece(file: FileId, chunk: &Chunk<'_>, out: &mut (Vec<Document>, Vec<Diagnostic>)) {
    match build::parse_chunk(file, chunk) {
        Ok(parsed) => {
            out.1.extend(parsed.remarks);
            out.0.push(parsed.document);
        }
        Err(d) => out.1.push(*d),
    }
}

pub(crate) fn span(file: FileId, start: usize, end: usize) -> Span {
    let n = |x: usize| u32::try_from(x).unwrap_or(u32::MAX);
    Span::new(file, n(start), n(end))
}
