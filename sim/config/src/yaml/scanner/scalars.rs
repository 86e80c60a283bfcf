//! Plain, quoted and block scalars.

use std::borrow::Cow;

use super::{Result, Scanner, TokenKind};
use crate::yaml::cursor::Mark;

/// Line breaks met inside a scalar, before it is known whether they count.
#[derive(Default)]
struct Folds {
    blanks: String,
    leading: String,
    trailing: String,
    on_new_line: bool,
}

impl Folds {
    /// Adds what lies between two words: blanks, a space for one line break, or the further breaks.
    fn flush(&mut self, text: &mut String) {
        if !self.on_new_line {
            text.push_str(&self.blanks);
            self.blanks.clear();
            return;
        }
        if !self.leading.starts_with('\n') {
            text.push_str(&self.leading);
            text.push_str(&self.trailing);
        } else if self.trailing.is_empty() {
            text.push(' ');
        } else {
            text.push_str(&self.trailing);
        }
        self.leading.clear();
        self.trailing.clear();
    }
}

impl<'t> Scanner<'t> {
    fn push_scalar(&mut self, text: Cow<'t, str>, plain: bool, start: Mark, end: Mark) {
        self.push(TokenKind::Scalar { text, plain }, start);
        if let Some(token) = self.tokens.back_mut() {
            token.end = end;
        }
    }

    /// Blanks and line breaks between words of a plain or quoted scalar.
    fn scan_folds(&mut self, folds: &mut Folds) {
        if self.cursor.is_blank() {
            if folds.on_new_line { self.cursor.skip() } else { self.cursor.read(&mut folds.blanks) }
        } else if folds.on_new_line {
            self.cursor.read_line(&mut folds.trailing);
        } else {
            folds.blanks.clear();
            self.cursor.read_line(&mut folds.leading);
            folds.on_new_line = true;
        }
    }

    pub(super) fn scan_plain(&mut self) -> Result<()> {
        let start = self.cursor.mark;
        let mut end = start;
        // The text once it is no longer what is written: from the first line break inside.
        let mut folded: Option<String> = None;
        let mut folds = Folds::default();
        let indent = self.indent + 1;
        let flow = self.flow_level > 0;
        loop {
            let document =
                self.cursor.at_document_indicator("---") || self.cursor.at_document_indicator("...");
            if document || self.cursor.peek() == b'#' {
                break;
            }
            while !self.cursor.is_blankz() && !self.ends_plain() {
                if folds.on_new_line && folded.is_none() {
                    folded = Some(self.cursor.between(start, end).to_owned());
                }
                let begin = self.cursor.mark;
                self.cursor.run(|b| is_inside_plain(b, flow));
                if self.cursor.mark == begin {
                    self.cursor.skip();
                }
                end = self.cursor.mark;
                if let Some(text) = &mut folded {
                    folds.flush(text);
                    text.push_str(self.cursor.between(begin, end));
                }
                folds.blanks.clear();
                folds.on_new_line = false;
            }
            if !(self.cursor.is_blank() || self.cursor.is_break()) {
                break;
            }
            while self.cursor.is_blank() || self.cursor.is_break() {
                if folds.on_new_line && self.cursor.mark.column < indent && self.cursor.peek() == b'\t' {
                    return Err(self.cursor.error("found a tab character that violates indentation"));
                }
                self.scan_folds(&mut folds);
            }
            if self.flow_level == 0 && self.cursor.mark.column < indent {
                break;
            }
        }
        let text = folded.map_or_else(|| Cow::Borrowed(self.cursor.between(start, end)), Cow::Owned);
        self.push_scalar(text, true, start, end);
        if folds.on_new_line {
            self.simple_key_allowed = true;
        }
        Ok(())
    }

    /// `: ` anywhere, and flow indicators inside a flow collection.
    fn ends_plain(&self) -> bool {
        let c = self.cursor.peek();
        (c == b':' && self.cursor.is_blankz_at(1))
            || (self.flow_level > 0 && matches!(c, b',' | b'?' | b'[' | b']' | b'{' | b'}'))
    }

    pub(super) fn scan_quoted(&mut self, single: bool) -> Result<()> {
        let quote = if single { b'\'' } else { b'"' };
        let start = self.cursor.mark;
        self.cursor.skip();
        let mut text = String::new();
        let mut folds = Folds::default();
        loop {
            if self.cursor.at_document_indicator("---") || self.cursor.at_document_indicator("...") {
                return Err(self.cursor.error("found unexpected document indicator"));
            }
            if self.cursor.at_end() {
                return Err(self.cursor.error("found unexpected end of stream"));
            }
            folds.on_new_line = self.scan_quoted_word(single, &mut text)?;
            if self.cursor.peek() == quote {
                break;
            }
            while self.cursor.is_blank() || self.cursor.is_break() {
                self.scan_folds(&mut folds);
            }
            folds.flush(&mut text);
        }
        self.cursor.skip();
        let end = self.cursor.mark;
        self.push_scalar(Cow::Owned(text), false, start, end);
        Ok(())
    }

    /// Characters up to a blank, a line break or the closing quote; true behind an escaped line break.
    fn scan_quoted_word(&mut self, single: bool, text: &mut String) -> Result<bool> {
        while !self.cursor.is_blankz() {
            match self.cursor.peek() {
                b'\'' if single => {
                    if self.cursor.peek_at(1) != b'\'' {
                        break;
                    }
                    text.push('\'');
                    self.cursor.skip();
                    self.cursor.skip();
                }
                b'"' if !single => break,
                b'\\' if !single => {
                    if self.cursor.is_blankz_at(1) && !matches!(self.cursor.peek_at(1), 0 | b' ' | b'\t') {
                        self.cursor.skip();
                        self.cursor.skip_line();
                        return Ok(true);
                    }
                    self.scan_escape(text)?;
                }
                _ => {
                    let run =
                        self.cursor.run(|b| matches!(b, b'!'..=b'~') && !matches!(b, b'\'' | b'"' | b'\\'));
                    text.push_str(run);
                    if run.is_empty() {
                        self.cursor.read(text);
                    }
                }
            }
        }
        Ok(false)
    }

    fn scan_escape(&mut self, text: &mut String) -> Result<()> {
        let digits = match self.cursor.peek_at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            other => {
                let Some(c) = named_escape(other) else {
                    return Err(self.cursor.error("found unknown escape character"));
                };
                text.push(c);
                0
            }
        };
        self.cursor.skip();
        self.cursor.skip();
        if digits == 0 {
            return Ok(());
        }
        let mut value: u32 = 0;
        for k in 0..digits {
            let Some(digit) = char::from(self.cursor.peek_at(k)).to_digit(16) else {
                return Err(self.cursor.error("did not find expected hexadecimal number"));
            };
            value = (value << 4) + digit;
        }
        // Surrogates are refused: JSON's pairs of `\u` escapes are not YAML here.
        let Some(c) = char::from_u32(value) else {
            return Err(self.cursor.error("found invalid Unicode character escape code"));
        };
        text.push(c);
        for _ in 0..digits {
            self.cursor.skip();
        }
        Ok(())
    }

    pub(super) fn scan_block_scalar(&mut self, literal: bool) -> Result<()> {
        let start = self.cursor.mark;
        self.cursor.skip();
        let (chomp, increment) = self.scan_block_header()?;
        let mut end = self.cursor.mark;
        let mut indent = match isize::try_from(increment).unwrap_or(0) {
            0 => 0,
            increment => self.indent.max(0) + increment,
        };
        let (mut text, mut leading, mut trailing) = (String::new(), String::new(), String::new());
        self.scan_block_breaks(&mut indent, &mut trailing, &mut end)?;
        let mut leading_blank = false;
        while self.cursor.mark.column == indent && !self.cursor.at_end() {
            let trailing_blank = self.cursor.is_blank();
            if !literal && !leading_blank && !trailing_blank && leading.starts_with('\n') {
                if trailing.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&leading);
            }
            leading.clear();
            text.push_str(&trailing);
            trailing.clear();
            leading_blank = self.cursor.is_blank();
            while !self.cursor.is_breakz() {
                let run = self.cursor.run(|b| matches!(b, b' '..=b'~' | b'\t'));
                text.push_str(run);
                if run.is_empty() {
                    self.cursor.read(&mut text);
                }
            }
            self.cursor.read_line(&mut leading);
            self.scan_block_breaks(&mut indent, &mut trailing, &mut end)?;
        }
        if chomp != Chomp::Strip {
            text.push_str(&leading);
        }
        if chomp == Chomp::Keep {
            text.push_str(&trailing);
        }
        self.push_scalar(Cow::Owned(text), false, start, end);
        Ok(())
    }

    /// `|2-` and its comment, up to and with the line break.
    fn scan_block_header(&mut self) -> Result<(Chomp, u32)> {
        let mut chomp = Chomp::Clip;
        let mut increment = 0;
        if let Some(c) = self.take_chomp() {
            chomp = c;
            increment = self.take_increment()?;
        } else {
            increment = self.take_increment()?.max(increment);
            if increment > 0 {
                chomp = self.take_chomp().unwrap_or(chomp);
            }
        }
        self.cursor.skip_blanks();
        self.cursor.skip_comment();
        if !self.cursor.is_breakz() {
            return Err(self.cursor.error("did not find expected comment or line break"));
        }
        self.cursor.skip_line();
        Ok((chomp, increment))
    }

    fn take_chomp(&mut self) -> Option<Chomp> {
        let chomp = match self.cursor.peek() {
            b'+' => Chomp::Keep,
            b'-' => Chomp::Strip,
            _ => return None,
        };
        self.cursor.skip();
        Some(chomp)
    }

    fn take_increment(&mut self) -> Result<u32> {
        match char::from(self.cursor.peek()).to_digit(10) {
            Some(0) => Err(self.cursor.error("found an indentation indicator equal to 0")),
            Some(digit) => {
                self.cursor.skip();
                Ok(digit)
            }
            None => Ok(0),
        }
    }

    /// Indentation and empty lines; the first text line decides an indentation that is not given.
    fn scan_block_breaks(&mut self, indent: &mut isize, breaks: &mut String, end: &mut Mark) -> Result<()> {
        *end = self.cursor.mark;
        let mut deepest = 0;
        loop {
            let inside = |s: &Self, indent: isize| indent == 0 || s.cursor.mark.column < indent;
            while inside(self, *indent) && self.cursor.peek() == b' ' {
                self.cursor.skip();
            }
            deepest = deepest.max(self.cursor.mark.column);
            if inside(self, *indent) && self.cursor.peek() == b'\t' {
                let message = "found a tab character where an indentation space is expected";
                return Err(self.cursor.error(message));
            }
            if !self.cursor.is_break() {
                break;
            }
            self.cursor.read_line(breaks);
            *end = self.cursor.mark;
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}

/// Bytes that never end a plain scalar; the others need a second look.
fn is_inside_plain(b: u8, flow: bool) -> bool {
    matches!(b, b'!'..=b'~') && b != b':' && !(flow && matches!(b, b',' | b'?' | b'[' | b']' | b'{' | b'}'))
}

/// What happens to the line breaks at the end of a block scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Strip,
    Clip,
    Keep,
}

fn named_escape(c: u8) -> Option<char> {
    Some(match c {
        b'0' => '\0',
        b'a' => '\u{07}',
        b'b' => '\u{08}',
        b't' | b'\t' => '\t',
        b'n' => '\n',
        b'v' => '\u{0B}',
        b'f' => '\u{0C}',
        b'r' => '\r',
        b'e' => '\u{1B}',
        b' ' => ' ',
        b'"' => '"',
        b'\'' => '\'',
        b'\\' => '\\',
        b'N' => '\u{85}',
        b'_' => '\u{A0}',
        b'L' => '\u{2028}',
        b'P' => '\u{2029}',
        _ => return None,
    })
}
