//! Flow collections: `[a, b: c]` and `{a: b}`.

use super::{Event, Parser, Place, State, Step, error_at};
use crate::yaml::scanner::TokenKind;

impl Parser<'_> {
    /// The comma before every element but the first.
    fn comma(&mut self, first: bool, close: &TokenKind<'_>, expected: &str) -> Step {
        if first {
            self.scanner.next()?;
            return Ok(());
        }
        let token = self.scanner.peek()?;
        if token.kind == TokenKind::FlowEntry {
            self.scanner.next()?;
        } else if token.kind != *close {
            return Err(error_at(token, expected));
        }
        Ok(())
    }

    pub(super) fn flow_sequence(&mut self, first: bool) -> Step {
        self.comma(first, &TokenKind::FlowSequenceEnd, "did not find expected ',' or ']'")?;
        let token = self.scanner.peek()?;
        match token.kind {
            TokenKind::FlowSequenceEnd => self.end_collection(),
            TokenKind::Key => {
                let (start, end) = (token.start, token.end);
                self.scanner.next()?;
                self.emit(Event::MappingStart { anchor: None }, start, end);
                self.states.push(State::FlowSequencePairKey);
                Ok(())
            }
            _ => {
                self.states.push(State::FlowSequence { first: false });
                self.node(Place::Flow)
            }
        }
    }

    pub(super) fn flow_sequence_pair_key(&mut self) -> Step {
        self.states.push(State::FlowSequencePairValue);
        let token = self.scanner.peek()?;
        match token.kind {
            TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowSequenceEnd => {
                let mark = token.end;
                // go-yaml drops the token here, and so do we.
                self.scanner.next()?;
                self.empty(mark);
                Ok(())
            }
            _ => self.node(Place::Flow),
        }
    }

    pub(super) fn flow_sequence_pair_value(&mut self) -> Step {
        self.states.push(State::FlowSequencePairEnd);
        let mut mark = self.scanner.peek()?.start;
        if self.scanner.peek()?.kind == TokenKind::Value {
            self.scanner.next()?;
            let token = self.scanner.peek()?;
            if !matches!(token.kind, TokenKind::FlowEntry | TokenKind::FlowSequenceEnd) {
                return self.node(Place::Flow);
            }
            mark = token.start;
        }
        self.empty(mark);
        Ok(())
    }

    pub(super) fn flow_mapping_key(&mut self, first: bool) -> Step {
        self.comma(first, &TokenKind::FlowMappingEnd, "did not find expected ',' or '}'")?;
        match self.scanner.peek()?.kind {
            TokenKind::FlowMappingEnd => self.end_collection(),
            TokenKind::Key => {
                self.scanner.next()?;
                self.states.push(State::FlowMappingValue { empty: false });
                let token = self.scanner.peek()?;
                match token.kind {
                    TokenKind::Value | TokenKind::FlowEntry | TokenKind::FlowMappingEnd => {
                        let mark = token.start;
                        self.empty(mark);
                        Ok(())
                    }
                    _ => self.node(Place::Flow),
                }
            }
            _ => {
                self.states.push(State::FlowMappingValue { empty: true });
                self.node(Place::Flow)
            }
        }
    }

    pub(super) fn flow_mapping_value(&mut self, empty: bool) -> Step {
        self.states.push(State::FlowMappingKey { first: false });
        let mut mark = self.scanner.peek()?.start;
        if !empty && self.scanner.peek()?.kind == TokenKind::Value {
            self.scanner.next()?;
            let token = self.scanner.peek()?;
            if !matches!(token.kind, TokenKind::FlowEntry | TokenKind::FlowMappingEnd) {
                return self.node(Place::Flow);
            }
            mark = token.start;
        }
        self.empty(mark);
        Ok(())
    }

    pub(super) fn flow_sequence_pair_end(&mut self) -> Step {
        let at = self.scanner.peek()?.start;
        self.emit(Event::End, at, at);
        self.states.push(State::FlowSequence { first: false });
        Ok(())
    }
}
