//! RE2's grammar over bytes. RE2: re2/parse.cc, flags as for `LikePerl | Latin1`.
//!
//! What is an error here is an error of RE2, in its words; nothing else is.

use regex_syntax::hir::{Capture, Class, ClassBytes, Hir, Look, Repetition};

use crate::re2::classes::{bytes_class, class, dot, fold, perl_class};
use crate::re2::escapes::escape;
use crate::re2::groups::unicode_group;

/// `kMaxRepeat`, for one repetition and for the product of nested ones.
const MAX_REPEAT: u32 = 1000;
/// `kMaxNestingDepth` of the parser.
const MAX_NESTING: usize = 1000;

/// Flags that a pattern can change.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    /// `(?i)`
    pub(super) fold: bool,
    /// `(?m)`
    multi_line: bool,
    /// `(?s)`
    dot_newline: bool,
    /// `(?U)`
    swap_greed: bool,
}

/// A group that is open.
struct Open {
    /// Capture index; `None` for `(?:`.
    capture: Option<u32>,
    /// Flags to restore at its end.
    flags: Flags,
    /// Finished alternatives.
    branches: Vec<Item>,
    /// The current one.
    items: Vec<Item>,
}

/// A piece and the product of the nested repetition counts in it.
struct Item {
    hir: Hir,
    repeats: u32,
}

/// Reads a pattern.
///
/// # Errors
/// RE2's complaint.
pub(super) fn parse(pattern: &[u8]) -> Result<Hir, String> {
    let mut parser = Parser {
        rest: pattern,
        flags: Flags::default(),
        open: vec![Open::new(None, Flags::default())],
        captures: 0,
    };
    // what a repetition operator directly behind another one would stack on
    let mut last_unary = false;
    while let Some((&first, _)) = parser.rest.split_first() {
        last_unary = parser.step(first, last_unary)?;
    }
    match (parser.open.pop(), parser.open.is_empty()) {
        (Some(top), true) => Ok(top.finish().hir),
        _ => Err(format!("missing ): {}", String::from_utf8_lossy(pattern))),
    }
}

impl Open {
    fn new(capture: Option<u32>, flags: Flags) -> Open {
        Open { capture, flags, branches: vec![], items: vec![] }
    }

    fn end_branch(&mut self) {
        let items = std::mem::take(&mut self.items);
        let repeats = items.iter().map(|i| i.repeats).max().unwrap_or(1);
        let hir = Hir::concat(items.into_iter().map(|i| i.hir).collect());
        self.branches.push(Item { hir, repeats });
    }

    fn finish(mut self) -> Item {
        self.end_branch();
        let repeats = self.branches.iter().map(|b| b.repeats).max().unwrap_or(1);
        let hir = Hir::alternation(self.branches.into_iter().map(|b| b.hir).collect());
        let hir = match self.capture {
            Some(index) => Hir::capture(Capture { index, name: None, sub: Box::new(hir) }),
            None => hir,
        };
        Item { hir, repeats }
    }
}

struct Parser<'p> {
    rest: &'p [u8],
    flags: Flags,
    open: Vec<Open>,
    captures: u32,
}

impl Parser<'_> {
    /// One piece of the pattern; true when it was a repetition operator.
    fn step(&mut self, first: u8, last_unary: bool) -> Result<bool, String> {
        match first {
            b'(' if self.rest.starts_with(b"(?") => self.perl_group()?,
            b'(' => {
                self.captures += 1;
                let capture = Some(self.captures);
                self.take(1);
                self.open_group(capture)?;
            }
            b'|' => {
                self.take(1);
                if let Some(top) = self.open.last_mut() {
                    top.end_branch();
                }
            }
            b')' => self.close_group()?,
            b'^' => {
                self.push_taken(1, Hir::look(if self.flags.multi_line { Look::StartLF } else { Look::Start }))
            }
            b'$' => {
                self.push_taken(1, Hir::look(if self.flags.multi_line { Look::EndLF } else { Look::End }));
            }
            b'.' => self.push_taken(1, dot(self.flags.dot_newline)),
            b'[' => {
                let (set, rest) = class(self.rest, self.flags.fold)?;
                self.rest = rest;
                self.push(Hir::class(Class::Bytes(set)));
            }
            b'*' | b'+' | b'?' => {
                let (min, max) = match first {
                    b'*' => (0, None),
                    b'+' => (1, None),
                    _ => (0, Some(1)),
                };
                self.repeat(1, min, max, last_unary)?;
                return Ok(true);
            }
            b'{' => match repetition(self.rest) {
                Some((length, min, max)) => {
                    self.repeat(length, min, max, last_unary)?;
                    return Ok(true);
                }
                None => self.literal(1, b'{'),
            },
            b'\\' => self.backslash()?,
            byte => self.literal(1, byte),
        }
        Ok(false)
    }

    fn take(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or(&[]);
    }

    fn push(&mut self, hir: Hir) {
        if let Some(top) = self.open.last_mut() {
            top.items.push(Item { hir, repeats: 1 });
        }
    }

    fn push_taken(&mut self, length: usize, hir: Hir) {
        self.take(length);
        self.push(hir);
    }

    fn literal(&mut self, length: usize, byte: u8) {
        let hir = if self.flags.fold {
            Hir::class(Class::Bytes(bytes_class(&fold(&[(byte, byte)]))))
        } else {
            Hir::literal([byte])
        };
        self.push_taken(length, hir);
    }

    fn open_group(&mut self, capture: Option<u32>) -> Result<(), String> {
        if self.open.len() >= MAX_NESTING {
            return Err("expression nests too deeply".to_owned());
        }
        self.open.push(Open::new(capture, self.flags));
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), String> {
        if self.open.len() < 2 {
            return Err(format!("unexpected ): {}", String::from_utf8_lossy(self.rest)));
        }
        self.take(1);
        if let Some(group) = self.open.pop() {
            self.flags = group.flags;
            let item = group.finish();
            if let Some(top) = self.open.last_mut() {
                top.items.push(item);
            }
        }
        Ok(())
    }

    /// `*`, `+`, `?`, `{n,m}` and their reluctant forms on the last piece.
    fn repeat(&mut self, length: usize, min: u32, max: Option<u32>, last_unary: bool) -> Result<(), String> {
        let operator = String::from_utf8_lossy(self.rest.get(..length).unwrap_or(&[])).into_owned();
        self.take(length);
        let mut greedy = !self.flags.swap_greed;
        if self.rest.first() == Some(&b'?') {
            greedy = !greedy;
            self.take(1);
        }
        if last_unary {
            return Err(format!("bad repetition operator: {operator}"));
        }
        let Some(item) = self.open.last_mut().and_then(|top| top.items.pop()) else {
            return Err(format!("no argument for repetition operator: {operator}"));
        };
        let too_large = || format!("invalid repetition size: {operator}");
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(too_large());
        }
        // only `{…}` multiplies; `*`, `+`, `?` do not
        let own = if length > 1 { max.unwrap_or(min).max(1) } else { 1 };
        let repeats = item.repeats.saturating_mul(own);
        if repeats > MAX_REPEAT {
            return Err(too_large());
        }
        let hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(item.hir) });
        if let Some(top) = self.open.last_mut() {
            top.items.push(Item { hir, repeats });
        }
        Ok(())
    }

    fn backslash(&mut self) -> Result<(), String> {
        match self.rest.get(1) {
            Some(b'b') => self.push_taken(2, Hir::look(Look::WordAscii)),
            Some(b'B') => self.push_taken(2, Hir::look(Look::WordAsciiNegate)),
            Some(b'A') => self.push_taken(2, Hir::look(Look::Start)),
            Some(b'z') => self.push_taken(2, Hir::look(Look::End)),
            Some(b'C') => self.push_taken(2, dot(true)),
            Some(b'Q') => self.quoted(),
            Some(b'p' | b'P') => {
                let (ranges, rest) = unicode_group(self.rest, self.flags.fold)?;
                self.rest = rest;
                self.push(Hir::class(Class::Bytes(bytes_class(&ranges))));
            }
            Some(byte) => match perl_class(*byte, self.flags.fold) {
                Some(ranges) => self.push_taken(2, Hir::class(Class::Bytes(bytes_class(&ranges)))),
                None => {
                    let (byte, rest) = escape(self.rest)?;
                    let taken = self.rest.len() - rest.len();
                    self.literal(taken, byte);
                }
            },
            None => return Err("trailing \\".to_owned()),
        }
        Ok(())
    }

    /// `\Q…\E`, to the end of the pattern without `\E`.
    fn quoted(&mut self) {
        self.take(2);
        while let Some(&byte) = self.rest.first() {
            if self.rest.starts_with(b"\\E") {
                self.take(2);
                return;
            }
            self.literal(1, byte);
        }
    }

    /// `(?flags)`, `(?flags:…)`, `(?P<name>…)`, `(?<name>…)`.
    fn perl_group(&mut self) -> Result<(), String> {
        let bad = |upto: &[u8]| Err(format!("invalid perl operator: {}", String::from_utf8_lossy(upto)));
        let rest = self.rest;
        for assertion in [b"(?=".as_slice(), b"(?!", b"(?<=", b"(?<!"] {
            if rest.starts_with(assertion) && rest.len() > assertion.len() {
                return bad(assertion);
            }
        }
        for opener in [b"(?P<".as_slice(), b"(?<"] {
            if rest.starts_with(opener) && rest.len() > opener.len() {
                return self.named_group(opener.len());
            }
        }
        self.take(2);
        let (mut flags, mut negated, mut saw_flag) = (self.flags, false, false);
        loop {
            let Some((&byte, tail)) = self.rest.split_first() else { return bad(rest) };
            self.rest = tail;
            let on = !negated;
            match byte {
                b'i' => (flags.fold, saw_flag) = (on, true),
                b'm' => (flags.multi_line, saw_flag) = (on, true),
                b's' => (flags.dot_newline, saw_flag) = (on, true),
                b'U' => (flags.swap_greed, saw_flag) = (on, true),
                b'-' if !negated => (negated, saw_flag) = (true, false),
                b':' | b')' if negated && !saw_flag => return bad(rest),
                b':' => {
                    self.open_group(None)?;
                    self.flags = flags;
                    return Ok(());
                }
                b')' => {
                    self.flags = flags;
                    return Ok(());
                }
                _ => return bad(rest.get(..rest.len() - self.rest.len()).unwrap_or(rest)),
            }
        }
    }

    fn named_group(&mut self, opener: usize) -> Result<(), String> {
        let shown = |text: &[u8]| format!("invalid named capture group: {}", String::from_utf8_lossy(text));
        let body = self.rest.get(opener..).unwrap_or(&[]);
        let Some(end) = body.iter().position(|b| *b == b'>') else { return Err(shown(self.rest)) };
        let name = body.get(..end).unwrap_or(&[]);
        if name.is_empty() || !name.iter().all(|b| is_name_byte(*b)) {
            return Err(shown(self.rest.get(..opener + end + 1).unwrap_or(self.rest)));
        }
        self.captures += 1;
        // two groups may share a name, which nothing here ever asks for
        let capture = Some(self.captures);
        self.take(opener + end + 1);
        self.open_group(capture)
    }
}

/// Letters, marks, digits and connectors; of Latin-1 these.
fn is_name_byte(byte: u8) -> bool {
    byte == b'_' || char::from(byte).is_alphanumeric()
}

/// `{n}`, `{n,}`, `{n,m}`: its length and bounds; anything else is literal text.
fn repetition(text: &[u8]) -> Option<(usize, u32, Option<u32>)> {
    let body = text.strip_prefix(b"{")?;
    let (min, rest) = integer(body)?;
    let (max, rest) = match rest.strip_prefix(b",") {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with(b"}") => (None, rest),
        Some(rest) => {
            let (max, rest) = integer(rest)?;
            (Some(max), rest)
        }
    };
    let rest = rest.strip_prefix(b"}")?;
    Some((text.len() - rest.len(), min, max))
}

/// Digits without leading zero, below 100 000 000.
fn integer(text: &[u8]) -> Option<(u32, &[u8])> {
    let length = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = (text.get(..length)?, text.get(length..)?);
    if digits.is_empty() || (digits.len() > 1 && digits.first() == Some(&b'0')) {
        return None;
    }
    let value = digits.iter().try_fold(0u32, |n, d| {
        (n < 100_000_000).then(|| n.saturating_mul(10).saturating_add(u32::from(d - b'0')))
    })?;
    Some((value, rest))
}

/// The type of a class of bytes, for the other files here.
pub(super) type Set = ClassBytes;
