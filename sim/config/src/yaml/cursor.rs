//! A position in a text, moved a character or a line break at a time.

/// A place: byte for spans, character index for the limit on simple keys, line and column for indentation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) byte: usize,
    pub(crate) index: usize,
    pub(crate) line: usize,
    /// In characters from 0; -1 is "left of everything".
    pub(crate) column: isize,
}

/// Why a text is not YAML, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) message: String,
    pub(crate) at: usize,
}

/// Reads a text byte-wise; behind its end there are zeros, which valid texts do not contain.
#[derive(Debug)]
pub(crate) struct Cursor<'t> {
    text: &'t str,
    pub(crate) mark: Mark,
}

impl<'t> Cursor<'t> {
    /// Begins behind a byte order mark; refuses characters that YAML does not allow.
    pub(crate) fn new(text: &'t str) -> Result<Self, SyntaxError> {
        let start = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
        let plain = text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t'));
        let bad = match plain {
            true => None,
            false => text.char_indices().find(|(at, c)| *at >= start && !is_allowed(*c)),
        };
        if let Some((at, c)) = bad {
            let message = if c == '\u{FFFF}' {
                "these bytes are no UTF-8 text".to_owned()
            } else {
                format!("control characters are not allowed: U+{:04X}", u32::from(c))
            };
            return Err(SyntaxError { message, at });
        }
        let mark = Mark { byte: start, ..Mark::default() };
        let mut cursor = Cursor { text, mark };
        // A second byte order mark at the very beginning is skipped like the first.
        if cursor.text.get(start..).is_some_and(|rest| rest.starts_with('\u{FEFF}')) {
            cursor.skip();
            cursor.mark.column = 0;
        }
        Ok(cursor)
    }

    pub(crate) fn peek(&self) -> u8 {
        self.peek_at(0)
    }

    pub(crate) fn peek_at(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.mark.byte + ahead).copied().unwrap_or(0)
    }

    pub(crate) fn at_end(&self) -> bool {
        self.peek() == 0
    }

    pub(crate) fn is_blank(&self) -> bool {
        matches!(self.peek(), b' ' | b'\t')
    }

    pub(crate) fn is_break(&self) -> bool {
        self.break_len(0) > 0
    }

    pub(crate) fn is_breakz(&self) -> bool {
        self.at_end() || self.is_break()
    }

    pub(crate) fn is_blankz(&self) -> bool {
        self.is_blankz_at(0)
    }

    pub(crate) fn is_blankz_at(&self, ahead: usize) -> bool {
        matches!(self.peek_at(ahead), 0 | b' ' | b'\t') || self.break_len(ahead) > 0
    }

    /// `---` or `...` at the beginning of a line, with a blank behind it.
    pub(crate) fn at_document_indicator(&self, indicator: &str) -> bool {
        self.mark.column == 0
            && self.text.get(self.mark.byte..).is_some_and(|rest| rest.starts_with(indicator))
            && self.is_blankz_at(3)
    }

    /// Bytes of the line break at that place: LF, CR, CR LF, NEL, LS, PS; 0 if there is none.
    fn break_len(&self, ahead: usize) -> usize {
        match (self.peek_at(ahead), self.peek_at(ahead + 1), self.peek_at(ahead + 2)) {
            (b'\r', b'\n', _) => 2,
            (b'\r' | b'\n', ..) => 1,
            (0xC2, 0x85, _) => 2,
            (0xE2, 0x80, 0xA8 | 0xA9) => 3,
            _ => 0,
        }
    }

    /// The next character; nothing at the end.
    fn char(&self) -> Option<char> {
        self.text.get(self.mark.byte..).and_then(|rest| rest.chars().next())
    }

    /// Moves over one character.
    pub(crate) fn skip(&mut self) {
        self.mark.byte += self.char().map_or(0, char::len_utf8);
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Moves over one character and keeps it.
    pub(crate) fn read(&mut self, out: &mut String) {
        out.extend(self.char());
        self.skip();
    }

    /// Moves over the longest run of accepted bytes, which must be ASCII and no line breaks, and gives it.
    pub(crate) fn run(&mut self, accepts: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.text.get(self.mark.byte..).unwrap_or("");
        let length = rest.bytes().position(|b| !(b.is_ascii() && accepts(b))).unwrap_or(rest.len());
        self.mark.byte += length;
        self.mark.index += length;
        self.mark.column += isize::try_from(length).unwrap_or(0);
        rest.get(..length).unwrap_or("")
    }

    /// What was written between two places.
    pub(crate) fn between(&self, start: Mark, end: Mark) -> &'t str {
        self.text.get(start.byte..end.byte).unwrap_or("")
    }

    /// Moves over one line break, if there is one.
    pub(crate) fn skip_line(&mut self) {
        self.read_line(&mut String::new());
    }

    /// Moves over one line break and keeps it: LS and PS as they are, the others as LF.
    pub(crate) fn read_line(&mut self, out: &mut String) {
        let length = self.break_len(0);
        match (length, self.peek()) {
            (0, _) => return,
            (3, _) => out.extend(self.char()),
            _ => out.push('\n'),
        }
        let crlf = self.peek() == b'\r' && length == 2;
        self.mark.byte += length;
        self.mark.index += if crlf { 2 } else { 1 };
        self.mark.line += 1;
        self.mark.column = 0;
    }

    /// Moves over spaces and tabs.
    pub(crate) fn skip_blanks(&mut self) {
        self.run(|b| matches!(b, b' ' | b'\t'));
    }

    /// Moves over a comment up to its line break.
    pub(crate) fn skip_comment(&mut self) {
        if self.peek() == b'#' {
            while !self.is_breakz() {
                self.run(|b| matches!(b, b' '..=b'~'));
                if !self.is_breakz() {
                    self.skip();
                }
            }
        }
    }

    /// An error at the present place, as go-yaml's scanner reports it.
    pub(crate) fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { message: message.into(), at: self.mark.byte }
    }
}

/// go-yaml's reader: printable characters, tab and line breaks.
fn is_allowed(c: char) -> bool {
    matches!(c,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}'
        | '\u{10000}'..='\u{10FFFF}')
}
