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

use rayon::prelude::*;

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
    let (chunks, bad) = split::split(text);
    let (documents, mut diagnostics) = parse_chunks(file, text, chunks);
    if let Some(bad) = bad {
        let span = span(file, bad.start, bad.end);
        let message = format!("invalid document separator: `---` is followed by `{}`", bad.trailing);
        diagnostics.push(
            Diagnostic::error(codes::YAML_SYNTAX, Stage::Parse, span, message)
                .help("put the content on the next line; nothing after this line is read"),
        );
    }
    (documents, diagnostics)
}

/// Parses one document from each of the given byte ranges of a file.
pub fn parse_pieces(file: FileId, text: &str, ranges: &[Range<usize>]) -> (Vec<Document>, Vec<Diagnostic>) {
    let chunk =
        |range: &Range<usize>| Chunk { text: text.get(range.clone()).unwrap_or(""), start: range.start };
    parse_chunks(file, text, ranges.iter().map(chunk).collect())
}

/// Smaller texts are read before threads have started.
const WORTH_THREADS: usize = 256 << 10;

/// Documents do not know each other, so large texts are read in parallel; the order is that of the text.
fn parse_chunks(file: FileId, text: &str, chunks: Vec<Chunk<'_>>) -> (Vec<Document>, Vec<Diagnostic>) {
    let parse = |chunk: &Chunk<'_>| build::parse_chunk(file, chunk);
    let parsed: Vec<_> = if text.len() < WORTH_THREADS {
        chunks.iter().map(parse).collect()
    } else {
        chunks.par_iter().map(parse).collect()
    };
    let (mut documents, mut diagnostics) = (Vec::with_capacity(parsed.len()), Vec::new());
    for one in parsed {
        match one {
            Ok(parsed) => {
                diagnostics.extend(parsed.remarks);
                documents.push(parsed.document);
            }
            Err(d) => diagnostics.push(*d),
        }
    }
    (documents, diagnostics)
}

pub(crate) fn span(file: FileId, start: usize, end: usize) -> Span {
    let n = |x: usize| u32::try_from(x).unwrap_or(u32::MAX);
    Span::new(file, n(start), n(end))
}
