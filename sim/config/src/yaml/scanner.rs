//! Text to tokens, exactly as go-yaml v2 does it (`scannerc.go`, after libyaml's scanner.c).
//!
//! Our own, because what a cluster refuses depends on this scanner's habits: tabs, simple keys of at most
//! 1024 characters on one line, flow indicators inside plain scalars. YAML 1.2 parsers read other texts.

mod properties;
mod scalars;

use std::borrow::Cow;
use std::collections::VecDeque;

use super::cursor::{Cursor, Mark, SyntaxError};

/// What the parser sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind<'t> {
    StreamStart,
    StreamEnd,
    VersionDirective(u8, u8),
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { text: Cow<'t, str>, plain: bool },
}

/// A token with its place.
#[derive(Debug, Clone)]
pub(crate) struct Token<'t> {
    pub(crate) kind: TokenKind<'t>,
    pub(crate) start: Mark,
    pub(crate) end: Mark,
}

type Result<T> = std::result::Result<T, SyntaxError>;

/// A place where a mapping key without `?` may have begun.
#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token: usize,
    mark: Mark,
}

/// The scanner: a queue of tokens that grows as far as simple keys demand.
#[derive(Debug)]
pub(crate) struct Scanner<'t> {
    cursor: Cursor<'t>,
    tokens: VecDeque<Token<'t>>,
    /// Tokens handed out so far.
    parsed: usize,
    started: bool,
    indent: isize,
    indents: Vec<isize>,
    flow_level: usize,
    simple_key_allowed: bool,
    /// One per flow level, the block level first.
    simple_keys: Vec<SimpleKey>,
}

impl<'t> Scanner<'t> {
    pub(crate) fn new(text: &'t str) -> Result<Self> {
        Ok(Scanner {
            cursor: Cursor::new(text)?,
            tokens: VecDeque::new(),
            parsed: 0,
            started: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
        })
    }

    /// The next token, which stays in the queue.
    pub(crate) fn peek(&mut self) -> Result<&Token<'t>> {
        while self.needs_more()? {
            self.fetch_next()?;
        }
        self.tokens.front().ok_or_else(|| SyntaxError { message: "nothing left to read".to_owned(), at: 0 })
    }

    /// Takes the next token out of the queue.
    pub(crate) fn next(&mut self) -> Result<Token<'t>> {
        self.peek()?;
        self.parsed += 1;
        let token = self.tokens.pop_front();
        token.ok_or_else(|| SyntaxError { message: "nothing left to read".to_owned(), at: 0 })
    }

    /// Whether the head of the queue may still turn out to be a key.
    fn needs_more(&mut self) -> Result<bool> {
        if self.tokens.is_empty() {
            return Ok(true);
        }
        match self.simple_keys.iter().position(|key| key.possible && key.token == self.parsed) {
            Some(index) => self.is_simple_key_valid(index),
            None => Ok(false),
        }
    }

    fn fetch_next(&mut self) -> Result<()> {
        if !self.started {
            self.started = true;
            let mark = self.cursor.mark;
            self.push(TokenKind::StreamStart, mark);
            return Ok(());
        }
        self.skip_to_token();
        self.unroll_indent(self.cursor.mark.column);
        if self.cursor.at_end() {
            return self.fetch_stream_end();
        }
        if self.cursor.mark.column == 0 && self.cursor.peek() == b'%' {
            return self.fetch_directive();
        }
        if self.cursor.at_document_indicator("---") {
            return self.fetch_document_indicator(TokenKind::DocumentStart);
        }
        if self.cursor.at_document_indicator("...") {
            return self.fetch_document_indicator(TokenKind::DocumentEnd);
        }
        self.fetch_content()
    }

    fn fetch_content(&mut self) -> Result<()> {
        let flow = self.flow_level > 0;
        let blank_follows = self.cursor.is_blankz_at(1);
        match self.cursor.peek() {
            b'[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            b']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if blank_follows => self.fetch_block_entry(),
            b'?' if flow || blank_follows => self.fetch_key(),
            b':' if flow || blank_follows => self.fetch_value(),
            b'*' => self.fetch_property(|s| s.scan_anchor(TokenKind::Alias)),
            b'&' => self.fetch_property(|s| s.scan_anchor(TokenKind::Anchor)),
            b'!' => self.fetch_property(Self::scan_tag),
            b'|' if !flow => self.fetch_block_scalar(true),
            b'>' if !flow => self.fetch_block_scalar(false),
            b'\'' => self.fetch_property(|s| s.scan_quoted(true)),
            b'"' => self.fetch_property(|s| s.scan_quoted(false)),
            b'?' | b':' if !flow => self.fetch_property(Self::scan_plain),
            b'-' => self.fetch_property(Self::scan_plain),
            b'\t' | b'?' | b':' | b'#' | b'|' | b'>' | b'%' | b'@' | b'`' => {
                Err(self.cursor.error("found character that cannot start any token"))
            }
            _ => self.fetch_property(Self::scan_plain),
        }
    }

    /// Skips blanks, comments and line breaks. Tabs count as blanks only where no key may begin.
    fn skip_to_token(&mut self) {
        loop {
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            self.cursor.run(|b| b == b' ' || (tabs && b == b'\t'));
            self.cursor.skip_comment();
            if !self.cursor.is_break() {
                return;
            }
            self.cursor.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    fn push(&mut self, kind: TokenKind<'t>, start: Mark) {
        self.tokens.push_back(Token { kind, start, end: self.cursor.mark });
    }

    /// Inserts before the token of that number, counted from the first ever.
    fn insert(&mut self, number: usize, kind: TokenKind<'t>, mark: Mark) {
        let at = number.saturating_sub(self.parsed).min(self.tokens.len());
        self.tokens.insert(at, Token { kind, start: mark, end: mark });
    }

    /// An indicator of `len` characters.
    fn push_indicator(&mut self, kind: TokenKind<'t>, len: usize) {
        let start = self.cursor.mark;
        for _ in 0..len {
            self.cursor.skip();
        }
        self.push(kind, start);
    }

    fn is_simple_key_valid(&mut self, index: usize) -> Result<bool> {
        let mark = self.cursor.mark;
        let Some(key) = self.simple_keys.get_mut(index).filter(|k| k.possible) else { return Ok(false) };
        // A key is on one line and at most 1024 characters long.
        if key.mark.line < mark.line || key.mark.index + 1024 < mark.index {
            if key.required {
                return Err(self.cursor.error("could not find expected ':'"));
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_simple_key(&mut self) -> Result<()> {
        let required = self.flow_level == 0 && self.indent == self.cursor.mark.column;
        if !self.simple_key_allowed {
            return Ok(());
        }
        let token = self.parsed + self.tokens.len();
        self.remove_simple_key()?;
        if let Some(last) = self.simple_keys.last_mut() {
            *last = SimpleKey { possible: true, required, token, mark: self.cursor.mark };
        }
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Result<()> {
        let Some(key) = self.simple_keys.last_mut().filter(|k| k.possible) else { return Ok(()) };
        if key.required {
            return Err(self.cursor.error("could not find expected ':'"));
        }
        key.possible = false;
        Ok(())
    }

    /// Opens an indentation level, if the column is deeper; the start token goes before token `number`.
    fn roll_indent(
        &mut self,
        column: isize,
        number: Option<usize>,
        kind: TokenKind<'t>,
        mark: Mark,
    ) -> Result<()> {
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > super::MAX_DEPTH {
            return Err(self.cursor.error(super::TOO_DEEP));
        }
        self.insert(number.unwrap_or(usize::MAX), kind, mark);
        Ok(())
    }

    fn unroll_indent(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            let mark = self.cursor.mark;
            self.push(TokenKind::BlockEnd, mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_stream_end(&mut self) -> Result<()> {
        if self.cursor.mark.column != 0 {
            self.cursor.mark.column = 0;
            self.cursor.mark.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push_indicator(TokenKind::StreamEnd, 0);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.scan_directive()
    }

    fn fetch_document_indicator(&mut self, kind: TokenKind<'t>) -> Result<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push_indicator(kind, 3);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind<'t>) -> Result<()> {
        self.save_simple_key()?;
        let token = self.parsed + self.tokens.len();
        self.simple_keys.push(SimpleKey { token, mark: self.cursor.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > super::MAX_DEPTH {
            return Err(self.cursor.error(super::TOO_DEEP));
        }
        self.simple_key_allowed = true;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind<'t>) -> Result<()> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            self.simple_keys.pop();
        }
        self.simple_key_allowed = false;
        self.push_indicator(kind, 1);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::FlowEntry, 1);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<()> {
        let mark = self.cursor.mark;
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.cursor.error("block sequence entries are not allowed in this context"));
            }
            self.roll_indent(mark.column, None, TokenKind::BlockSequenceStart, mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::BlockEntry, 1);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<()> {
        let mark = self.cursor.mark;
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.cursor.error("mapping keys are not allowed in this context"));
            }
            self.roll_indent(mark.column, None, TokenKind::BlockMappingStart, mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(TokenKind::Key, 1);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<()> {
        let mark = self.cursor.mark;
        let last = self.simple_keys.len().saturating_sub(1);
        if self.is_simple_key_valid(last)? {
            let key = self.simple_keys.get(last).copied().unwrap_or_default();
            self.insert(key.token, TokenKind::Key, key.mark);
            self.roll_indent(key.mark.column, Some(key.token), TokenKind::BlockMappingStart, key.mark)?;
            if let Some(key) = self.simple_keys.get_mut(last) {
                key.possible = false;
            }
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.cursor.error("mapping values are not allowed in this context"));
                }
                self.roll_indent(mark.column, None, TokenKind::BlockMappingStart, mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(TokenKind::Value, 1);
        Ok(())
    }

    /// Anchors, aliases, tags and flow scalars: a simple key may begin here, and none behind.
    fn fetch_property(&mut self, scan: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        scan(self)
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Result<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.scan_block_scalar(literal)
    }
}
