//! The file table: which text a byte came from, and what a person calls that place.
//!
//! Spans are byte ranges into a file's text, small enough to sit in every node. This module does not
//! read files (see `input`) and knows nothing of YAML.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// Index of a file in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

impl FileId {
    /// The file of things nobody wrote.
    pub const NONE: FileId = FileId(u32::MAX);
}

/// A byte range in one file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file the bytes are in; [`FileId::NONE`] for things that were made up.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span of things nobody wrote (defaults, generated objects).
    pub const NONE: Span = Span { file: FileId::NONE, start: 0, end: 0 };

    /// A span of `start..end` in `file`.
    pub fn new(file: FileId, start: u32, end: u32) -> Self {
        Span { file, start, end }
    }

    /// True for [`Span::NONE`].
    pub fn is_none(self) -> bool {
        self.file == FileId::NONE
    }

    /// The smallest span that covers both; a missing one does not count.
    pub fn to(self, other: Span) -> Span {
        if self.is_none() || other.file != self.file {
            return if self.is_none() { other } else { self };
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl Default for Span {
    fn default() -> Self {
        Span::NONE
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("Span(none)");
        }
        write!(f, "Span({}:{}..{})", self.file.0, self.start, self.end)
    }
}

/// The reader's deserializer hands a span over as a sequence of three numbers; nothing else produces one.
impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Triple;
        impl<'de> Visitor<'de> for Triple {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a source span")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Span, A::Error> {
                let mut next = || seq.next_element::<u32>()?.ok_or_else(|| de::Error::custom("short span"));
                Ok(Span { file: FileId(next()?), start: next()?, end: next()? })
            }
        }
        deserializer.deserialize_tuple(3, Triple)
    }
}

#[derive(Debug, Clone)]
struct File {
    name: Arc<str>,
    text: Arc<str>,
    line_starts: Arc<[u32]>,
}

/// All files of one run, in the order they were read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<File>,
}

impl Sources {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file under the name shown to people. Texts above 4 GiB must be refused by the caller.
    pub fn add(&mut self, display_name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> FileId {
        let text: Arc<str> = text.into();
        let starts = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| offset(i + 1));
        let line_starts: Arc<[u32]> = std::iter::once(0).chain(starts).collect();
        let id = FileId(offset(self.files.len()));
        self.files.push(File { name: display_name.into(), text, line_starts });
        id
    }

    /// The display name of a file; `<generated>` for things nobody wrote.
    pub fn name(&self, file: FileId) -> &str {
        self.file(file).map_or("<generated>", |f| &f.name)
    }

    /// The whole text of a file; empty for things nobody wrote.
    pub fn text(&self, file: FileId) -> &str {
        self.file(file).map_or("", |f| &f.text)
    }

    /// The texts of all files, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|f| f.text.as_ref())
    }

    /// The text a span covers; empty when it does not fall on character boundaries.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// All files in the order they were added.
    pub fn ids(&self) -> impl Iterator<Item = FileId> + '_ {
        (0..offset(self.files.len())).map(FileId)
    }

    /// Line and column of the span's first byte, both from 1; columns count characters. (0, 0) if made up.
    pub fn line_col(&self, span: Span) -> (u32, u32) {
        let Some(file) = self.file(span.file) else { return (0, 0) };
        let line = file.line_starts.partition_point(|&start| start <= span.start);
        let start = line.checked_sub(1).and_then(|i| file.line_starts.get(i)).copied().unwrap_or(0);
        let before = file.text.get(start as usize..span.start as usize).unwrap_or("");
        (offset(line), offset(before.chars().count()) + 1)
    }

    /// `file:line:col` as editors and terminals understand it; `<generated>` for made-up things.
    pub fn location(&self, span: Span) -> String {
        if span.is_none() {
            return "<generated>".to_owned();
        }
        let (line, col) = self.line_col(span);
        format!("{}:{line}:{col}", self.name(span.file))
    }

    /// `file:line`, the short form used inside sentences.
    pub fn file_line(&self, span: Span) -> String {
        if span.is_none() {
            return "<generated>".to_owned();
        }
        format!("{}:{}", self.name(span.file), self.line_col(span).0)
    }

    fn file(&self, file: FileId) -> Option<&File> {
        self.files.get(file.0 as usize)
    }
}

fn offset(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_count_lines_and_characters_from_one() {
        let mut sources = Sources::new();
        let a = sources.add("a.yaml", "x: é\nyy: 1\n");
        assert_eq!(sources.location(Span::new(a, 0, 1)), "a.yaml:1:1");
        assert_eq!(sources.location(Span::new(a, 5, 6)), "a.yaml:1:5");
        assert_eq!(sources.location(Span::new(a, 6, 8)), "a.yaml:2:1");
        assert_eq!(sources.slice(Span::new(a, 6, 8)), "yy");
        assert_eq!(sources.location(Span::NONE), "<generated>");
    }

    #[test]
    fn joining_spans_ignores_made_up_ones() {
        let s = Span::new(FileId(0), 3, 5);
        assert_eq!(Span::NONE.to(s), s);
        assert_eq!(s.to(Span::NONE), s);
        assert_eq!(s.to(Span::new(FileId(0), 8, 9)), Span::new(FileId(0), 3, 9));
    }
}
