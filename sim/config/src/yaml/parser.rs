//! Tokens to node events of the first document, as go-yaml v2's state machine does it (`parserc.go`).

mod flow;

use std::borrow::Cow;

use super::cursor::{Mark, SyntaxError};
use super::scanner::{Scanner, Token, TokenKind};

/// What the tree is built from. Ranges are bytes of the text.
#[derive(Debug)]
pub(crate) enum Event<'t> {
    Scalar { text: Cow<'t, str>, plain: bool, tag: Option<String>, anchor: Option<String> },
    SequenceStart { anchor: Option<String> },
    MappingStart { anchor: Option<String> },
    End,
    Alias(String),
}

/// The events of a text's first document, in order, and what was left unread.
#[derive(Debug)]
pub(crate) struct Events<'t> {
    pub(crate) events: Vec<(Event<'t>, std::ops::Range<usize>)>,
    /// Where content behind the first document begins, if there is any: a cluster ignores it.
    pub(crate) ignored_from: Option<usize>,
}

/// Parses the first document of a text.
pub(crate) fn parse(text: &str) -> Result<Events<'_>, SyntaxError> {
    let mut parser =
        Parser { scanner: Scanner::new(text)?, out: Vec::new(), states: Vec::new(), tags: Vec::new() };
    parser.document()?;
    // What comes behind the document is not read, so it cannot be wrong.
    let ignored_from = parser.ignored_from();
    Ok(Events { events: parser.out, ignored_from })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BlockNode,
    BlockSequence { first: bool },
    IndentlessSequence,
    BlockMappingKey { first: bool },
    BlockMappingValue,
    FlowSequence { first: bool },
    FlowSequencePairKey,
    FlowSequencePairValue,
    FlowSequencePairEnd,
    FlowMappingKey { first: bool },
    FlowMappingValue { empty: bool },
}

/// Where a node stands: what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Block,
    BlockOrIndentless,
    Flow,
}

struct Parser<'t> {
    scanner: Scanner<'t>,
    out: Vec<(Event<'t>, std::ops::Range<usize>)>,
    /// What to go on with, innermost last.
    states: Vec<State>,
    /// `%TAG` handles and their prefixes.
    tags: Vec<(String, String)>,
}

type Step = Result<(), SyntaxError>;

fn error_at(token: &Token<'_>, message: impl Into<String>) -> SyntaxError {
    SyntaxError { message: message.into(), at: token.start.byte }
}

impl<'t> Parser<'t> {
    fn document(&mut self) -> Step {
        use TokenKind::{DocumentEnd, DocumentStart, StreamEnd, TagDirective, VersionDirective};
        // The stream's start.
        self.scanner.next()?;
        let explicit = match self.scanner.peek()?.kind {
            StreamEnd => return Ok(()),
            VersionDirective(..) | TagDirective { .. } | DocumentStart => true,
            _ => false,
        };
        self.directives()?;
        if explicit {
            let token = self.scanner.next()?;
            if token.kind != DocumentStart {
                return Err(error_at(&token, "did not find expected <document start>"));
            }
            let token = self.scanner.peek()?;
            if let VersionDirective(..) | TagDirective { .. } | DocumentStart | DocumentEnd | StreamEnd =
                token.kind
            {
                let start = token.start;
                self.empty(start);
                return self.document_end();
            }
        }
        self.states.push(State::BlockNode);
        while let Some(state) = self.states.pop() {
            self.step(state)?;
        }
        self.document_end()
    }

    fn document_end(&mut self) -> Step {
        if self.scanner.peek()?.kind == TokenKind::DocumentEnd {
            self.scanner.next()?;
        }
        Ok(())
    }

    fn ignored_from(&mut self) -> Option<usize> {
        loop {
            match self.scanner.peek() {
                Ok(Token { kind: TokenKind::StreamEnd, .. }) => return None,
                Ok(Token { kind: TokenKind::DocumentEnd | TokenKind::DocumentStart, .. }) => {
                    self.scanner.next().ok()?;
                }
                Ok(token) => return Some(token.start.byte),
                Err(error) => return Some(error.at),
            }
        }
    }

    fn directives(&mut self) -> Step {
        let mut version = false;
        loop {
            match &self.scanner.peek()?.kind {
                TokenKind::VersionDirective(major, minor) => {
                    let known = (*major, *minor) == (1, 1);
                    let token = self.scanner.next()?;
                    if std::mem::replace(&mut version, true) {
                        return Err(error_at(&token, "found duplicate %YAML directive"));
                    }
                    if !known {
                        return Err(error_at(
                            &token,
                            "found incompatible YAML document: a cluster reads %YAML 1.1",
                        ));
                    }
                }
                TokenKind::TagDirective { .. } => {
                    let token = self.scanner.next()?;
                    if let TokenKind::TagDirective { handle, prefix } = token.kind.clone() {
                        if self.tags.iter().any(|(h, _)| *h == handle) {
                            return Err(error_at(&token, "found duplicate %TAG directive"));
                        }
                        self.tags.push((handle, prefix));
                    }
                }
                _ => break,
            }
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.tags.iter().any(|(h, _)| h == handle) {
                self.tags.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        Ok(())
    }

    fn step(&mut self, state: State) -> Step {
        match state {
            State::BlockNode => self.node(Place::Block),
            State::BlockSequence { first } => self.block_sequence(first),
            State::IndentlessSequence => self.indentless_sequence(),
            State::BlockMappingKey { first } => self.block_mapping_key(first),
            State::BlockMappingValue => self.block_mapping_value(),
            State::FlowSequence { first } => self.flow_sequence(first),
            State::FlowSequencePairKey => self.flow_sequence_pair_key(),
            State::FlowSequencePairValue => self.flow_sequence_pair_value(),
            State::FlowSequencePairEnd => self.flow_sequence_pair_end(),
            State::FlowMappingKey { first } => self.flow_mapping_key(first),
            State::FlowMappingValue { empty } => self.flow_mapping_value(empty),
        }
    }

    fn emit(&mut self, event: Event<'t>, start: Mark, end: Mark) {
        self.out.push((event, start.byte..end.byte));
    }

    /// A value that is not written.
    fn empty(&mut self, at: Mark) {
        self.emit(Event::Scalar { text: Cow::Borrowed(""), plain: true, tag: None, anchor: None }, at, at);
    }

    fn node(&mut self, place: Place) -> Step {
        if matches!(self.scanner.peek()?.kind, TokenKind::Alias(_)) {
            let token = self.scanner.next()?;
            if let TokenKind::Alias(name) = token.kind {
                self.emit(Event::Alias(name), token.start, token.end);
            }
            return Ok(());
        }
        let first = self.scanner.peek()?;
        let (start, mut end) = (first.start, first.start);
        let (anchor, tag) = self.properties(&mut end)?;
        let token = self.scanner.peek()?;
        let token_end = token.end;
        let block = place != Place::Flow;
        let (state, event) = match &token.kind {
            TokenKind::BlockEntry if place == Place::BlockOrIndentless => {
                (State::IndentlessSequence, Event::SequenceStart { anchor })
            }
            TokenKind::Scalar { .. } => return self.scalar(start, anchor, tag),
            TokenKind::FlowSequenceStart => {
                (State::FlowSequence { first: true }, Event::SequenceStart { anchor })
            }
            TokenKind::FlowMappingStart => {
                (State::FlowMappingKey { first: true }, Event::MappingStart { anchor })
            }
            TokenKind::BlockSequenceStart if block => {
                (State::BlockSequence { first: true }, Event::SequenceStart { anchor })
            }
            TokenKind::BlockMappingStart if block => {
                (State::BlockMappingKey { first: true }, Event::MappingStart { anchor })
            }
            _ if anchor.is_some() || tag.is_some() => {
                let plain = tag.as_deref().is_none_or(|t| t == "!");
                self.emit(Event::Scalar { text: Cow::Borrowed(""), plain, tag, anchor }, start, end);
                return Ok(());
            }
            _ => return Err(error_at(token, "did not find expected node content")),
        };
        self.emit(event, start, token_end);
        self.states.push(state);
        Ok(())
    }

    fn scalar(&mut self, start: Mark, anchor: Option<String>, tag: Option<String>) -> Step {
        let token = self.scanner.next()?;
        if let TokenKind::Scalar { text, plain } = token.kind {
            let plain = match tag.as_deref() {
                None => plain,
                Some(tag) => tag == "!",
            };
            // The place of the text itself, without anchor and tag.
            let start = if token.end.byte > token.start.byte { token.start } else { start };
            self.emit(Event::Scalar { text, plain, tag, anchor }, start, token.end);
        }
        Ok(())
    }

    /// An anchor and a tag, in either order.
    fn properties(&mut self, end: &mut Mark) -> Result<(Option<String>, Option<String>), SyntaxError> {
        let (mut anchor, mut tag) = (None, None);
        loop {
            let token = self.scanner.peek()?;
            match &token.kind {
                TokenKind::Anchor(name) if anchor.is_none() => {
                    anchor = Some(name.clone());
                }
                TokenKind::Tag { handle, suffix } if tag.is_none() => {
                    let resolved = if handle.is_empty() {
                        Some(suffix.clone())
                    } else {
                        self.tags
                            .iter()
                            .find(|(h, _)| h == handle)
                            .map(|(_, prefix)| format!("{prefix}{suffix}"))
                    };
                    match resolved.filter(|t| !t.is_empty()) {
                        Some(resolved) => tag = Some(shorten(resolved)),
                        None => return Err(error_at(token, "found undefined tag handle")),
                    }
                }
                _ => return Ok((anchor, tag)),
            }
            *end = token.end;
            self.scanner.next()?;
        }
    }

    fn end_collection(&mut self) -> Step {
        let token = self.scanner.next()?;
        self.emit(Event::End, token.start, token.end);
        Ok(())
    }

    fn block_sequence(&mut self, first: bool) -> Step {
        if first {
            self.scanner.next()?;
        }
        let token = self.scanner.peek()?;
        match token.kind {
            TokenKind::BlockEntry => {
                let mark = token.end;
                self.scanner.next()?;
                self.states.push(State::BlockSequence { first: false });
                match self.scanner.peek()?.kind {
                    TokenKind::BlockEntry | TokenKind::BlockEnd => {
                        self.empty(mark);
                        Ok(())
                    }
                    _ => self.node(Place::Block),
                }
            }
            TokenKind::BlockEnd => self.end_collection(),
            _ => Err(error_at(token, "did not find expected '-' indicator")),
        }
    }

    /// A sequence at the indentation of its key.
    fn indentless_sequence(&mut self) -> Step {
        let token = self.scanner.peek()?;
        if token.kind != TokenKind::BlockEntry {
            let at = token.start.byte;
            self.out.push((Event::End, at..at));
            return Ok(());
        }
        let mark = token.end;
        self.scanner.next()?;
        self.states.push(State::IndentlessSequence);
        match self.scanner.peek()?.kind {
            TokenKind::BlockEntry | TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd => {
                self.empty(mark);
                Ok(())
            }
            _ => self.node(Place::Block),
        }
    }

    fn block_mapping_key(&mut self, first: bool) -> Step {
        if first {
            self.scanner.next()?;
        }
        let token = self.scanner.peek()?;
        match token.kind {
            TokenKind::Key => {
                let mark = token.end;
                self.scanner.next()?;
                self.states.push(State::BlockMappingValue);
                self.block_mapping_node(mark)
            }
            TokenKind::BlockEnd => self.end_collection(),
            _ => Err(error_at(token, "did not find expected key")),
        }
    }

    fn block_mapping_value(&mut self) -> Step {
        self.states.push(State::BlockMappingKey { first: false });
        let token = self.scanner.peek()?;
        if token.kind != TokenKind::Value {
            let mark = token.start;
            self.empty(mark);
            return Ok(());
        }
        let mark = token.end;
        self.scanner.next()?;
        self.block_mapping_node(mark)
    }

    /// A key or value of a block mapping, which may be missing.
    fn block_mapping_node(&mut self, mark: Mark) -> Step {
        match self.scanner.peek()?.kind {
            TokenKind::Key | TokenKind::Value | TokenKind::BlockEnd => {
                self.empty(mark);
                Ok(())
            }
            _ => self.node(Place::BlockOrIndentless),
        }
    }
}

/// YAML's own tags in their short form.
fn shorten(tag: String) -> String {
    match tag.strip_prefix("tag:yaml.org,2002:") {
        Some(rest) => format!("!!{rest}"),
        None => tag,
    }
}
