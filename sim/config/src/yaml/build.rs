//! Events to tree: aliases, merge keys, keys to text, duplicate keys; go-yaml v2's `decode.go` in our words.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::advice::advice;
use super::node::{Document, Key, Node, Value};
use super::number::Number;
use super::parser::{self, Event};
use super::scalar::{self, Resolved, Written};
use super::{Chunk, MAX_DEPTH, TOO_DEEP, span};
use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::source::{FileId, Span};

/// A document and what is odd about it, such as repeated keys, which only strict readers refuse.
pub(crate) struct Parsed {
    pub(crate) document: Document,
    pub(crate) remarks: Vec<Diagnostic>,
}

type Error = Box<Diagnostic>;

/// Parses one piece of a file.
pub(crate) fn parse_chunk(file: FileId, chunk: &Chunk<'_>) -> Result<Parsed, Error> {
    let whole = span(file, chunk.start, chunk.start + chunk.text.len());
    let parsed = parser::parse(chunk.text).map_err(|e| {
        let at = chunk.start + e.at.min(chunk.text.len());
        let code = if e.message == TOO_DEEP { codes::YAML_LIMIT } else { codes::YAML_SYNTAX };
        let help = advice(&e.message, chunk.text, e.at);
        let mut d = Diagnostic::error(code, Stage::Parse, span(file, at, at), e.message);
        d.help = help.map(str::to_owned);
        Box::new(d)
    })?;
    let raw = RawTree::new(file, chunk.start, parsed.events)?;
    let mut builder =
        Builder { raw: &raw, expanding: Vec::new(), remarks: Vec::new(), decoded: 0, aliased: 0 };
    let node = match raw.root {
        Some(root) => builder.node(root, None)?,
        None => Node { span: whole, ..Node::default() },
    };
    if let Some(from) = parsed.ignored_from {
        let at = span(file, chunk.start + from, chunk.start + chunk.text.len());
        let message = "what follows the end of the document is ignored";
        let d = Diagnostic::warning(codes::IGNORED_CONTENT, Stage::Parse, at, message);
        builder.remarks.push(d.help("separate documents with a line `---`"));
    }
    Ok(Parsed { document: Document { node, span: whole }, remarks: builder.remarks })
}

/// Nodes by index, aliases unresolved.
struct RawTree<'t> {
    nodes: Vec<RawNode<'t>>,
    root: Option<usize>,
}

struct RawNode<'t> {
    kind: RawKind<'t>,
    span: Span,
}

enum RawKind<'t> {
    Scalar { text: Cow<'t, str>, plain: bool, tag: Option<String> },
    Sequence(Vec<usize>),
    Mapping(Vec<usize>),
    Alias(usize),
}

impl<'t> RawTree<'t> {
    fn new(file: FileId, base: usize, events: Vec<(Event<'t>, Range<usize>)>) -> Result<Self, Error> {
        let mut tree = RawTree { nodes: Vec::new(), root: None };
        let mut anchors: BTreeMap<String, usize> = BTreeMap::new();
        let mut open: Vec<usize> = Vec::new();
        for (event, range) in events {
            let at = span(file, base + range.start, base + range.end);
            let (kind, anchor) = match event {
                Event::End => {
                    tree.close(&mut open, at);
                    continue;
                }
                Event::Scalar { text, plain, tag, anchor } => (RawKind::Scalar { text, plain, tag }, anchor),
                Event::SequenceStart { anchor } => (RawKind::Sequence(Vec::new()), anchor),
                Event::MappingStart { anchor } => (RawKind::Mapping(Vec::new()), anchor),
                Event::Alias(name) => match anchors.get(&name) {
                    Some(&target) => (RawKind::Alias(target), None),
                    None => {
                        return Err(syntax(at, format!("unknown anchor `{name}` referenced"))
                            .with_help("`*` begins an alias: put the value in quotes if it is text"));
                    }
                },
            };
            let index = tree.nodes.len();
            let opens = matches!(kind, RawKind::Sequence(_) | RawKind::Mapping(_));
            tree.nodes.push(RawNode { kind, span: at });
            if let Some(name) = anchor {
                anchors.insert(name, index);
            }
            match open.last().and_then(|&parent| tree.nodes.get_mut(parent)) {
                Some(RawNode { kind: RawKind::Sequence(c) | RawKind::Mapping(c), .. }) => c.push(index),
                _ => tree.root = tree.root.or(Some(index)),
            }
            if opens {
                open.push(index);
            }
            if open.len() > MAX_DEPTH {
                return Err(limit(at, TOO_DEEP.to_owned()));
            }
        }
        Ok(tree)
    }

    /// A collection ends where its last child does, or where the parser says for flow style.
    fn close(&mut self, open: &mut Vec<usize>, at: Span) {
        let Some(index) = open.pop() else { return };
        let last = match self.nodes.get(index).map(|n| &n.kind) {
            Some(RawKind::Sequence(c) | RawKind::Mapping(c)) => c.last().copied(),
            _ => None,
        };
        let child_end = last.and_then(|i| self.nodes.get(i)).map_or(0, |n| n.span.end);
        if let Some(node) = self.nodes.get_mut(index) {
            let flow_end = if at.end > at.start { at.end } else { 0 };
            node.span.end = node.span.end.max(child_end).max(flow_end);
        }
    }
}

fn limit(at: Span, message: String) -> Error {
    Box::new(Diagnostic::error(codes::YAML_LIMIT, Stage::Parse, at, message))
}

fn syntax(at: Span, message: impl Into<String>) -> Error {
    Box::new(Diagnostic::error(codes::YAML_SYNTAX, Stage::Parse, at, message))
}

struct Builder<'a> {
    raw: &'a RawTree<'a>,
    /// Aliases being expanded, innermost last: an anchor must not contain itself.
    expanding: Vec<usize>,
    remarks: Vec<Diagnostic>,
    decoded: u64,
    aliased: u64,
}

impl<'a> Builder<'a> {
    fn raw(&self, index: usize) -> Result<&'a RawNode<'a>, Error> {
        self.raw.nodes.get(index).ok_or_else(|| syntax(Span::NONE, "unfinished document"))
    }

    /// `via` is the alias or merge site through which this node is reached.
    fn node(&mut self, index: usize, via: Option<Span>) -> Result<Node, Error> {
        let raw = self.raw(index)?;
        self.count(raw.span)?;
        let value = match &raw.kind {
            RawKind::Scalar { text, plain, tag } => {
                self.scalar(text, *plain, tag.as_deref(), via.unwrap_or(raw.span))?
            }
            RawKind::Sequence(children) => {
                let items: Result<Vec<Node>, Error> = children.iter().map(|&c| self.node(c, via)).collect();
                Value::Sequence(items?)
            }
            RawKind::Mapping(children) => {
                let mut entries = Entries::with_capacity(children.len() / 2);
                self.fill(&mut entries, children, via)?;
                Value::Mapping(entries.list)
            }
            RawKind::Alias(target) => {
                let site = via.unwrap_or(raw.span);
                return self.alias(*target, site, |b, target| b.node(target, Some(site)));
            }
        };
        Ok(Node { value, span: raw.span, via })
    }

    fn alias<T>(
        &mut self,
        target: usize,
        site: Span,
        f: impl FnOnce(&mut Self, usize) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.expanding.contains(&target) {
            return Err(syntax(site, "anchor value contains itself"));
        }
        if self.expanding.len() >= MAX_DEPTH {
            return Err(limit(site, format!("more than {MAX_DEPTH} aliases inside each other")));
        }
        self.expanding.push(target);
        let result = f(self, target);
        self.expanding.pop();
        result
    }

    /// go-yaml's budget: a document may not consist of alias expansions (`allowedAliasRatio`).
    fn count(&mut self, at: Span) -> Result<(), Error> {
        const LOW: f64 = 400_000.0;
        const HIGH: f64 = 4_000_000.0;
        self.decoded += 1;
        if !self.expanding.is_empty() {
            self.aliased += 1;
        }
        let decoded = self.decoded as f64;
        let allowed = 0.99 - 0.89 * ((decoded - LOW) / (HIGH - LOW)).clamp(0.0, 1.0);
        if self.aliased > 100 && self.decoded > 1000 && self.aliased as f64 / decoded > allowed {
            return Err(limit(at, "document contains excessive aliasing".to_owned()));
        }
        Ok(())
    }

    fn scalar(&self, text: &str, plain: bool, tag: Option<&str>, at: Span) -> Result<Value, Error> {
        match scalar::resolve(Written { text, plain, tag }).map_err(|e| syntax(at, e))? {
            Resolved::Value(value) => Ok(value),
            Resolved::Merge => Ok(Value::String(text.to_owned())),
            Resolved::NotFinite(_) => Err(syntax(at, format!("`{text}` is a number JSON cannot hold"))
                .with_help("quote it if it is meant as text")),
        }
    }

    fn fill(&mut self, entries: &mut Entries, children: &[usize], via: Option<Span>) -> Result<(), Error> {
        for pair in children.chunks(2) {
            let [key, value] = pair else { return Err(syntax(Span::NONE, "key without value")) };
            let key_node = self.raw(*key)?;
            if is_merge(key_node) {
                self.merge(entries, *value, via.unwrap_or(key_node.span))?;
                continue;
            }
            let (kind, key) = self.key(*key, via)?;
            let value = self.node(*value, via)?;
            if let Some(duplicate) = entries.set(kind, key, value) {
                self.remarks.push(duplicate);
            }
        }
        Ok(())
    }

    /// `<<` takes a mapping or a list of them; the earlier of a list win (`decode.go`, `merge`).
    fn merge(&mut self, entries: &mut Entries, value: usize, site: Span) -> Result<(), Error> {
        let raw = self.raw(value)?;
        match &raw.kind {
            RawKind::Sequence(items) => {
                for &item in items.iter().rev() {
                    self.merge_one(entries, item, site)?;
                }
                Ok(())
            }
            _ => self.merge_one(entries, value, site),
        }
    }

    fn merge_one(&mut self, entries: &mut Entries, value: usize, site: Span) -> Result<(), Error> {
        let raw = self.raw(value)?;
        self.count(raw.span)?;
        match &raw.kind {
            RawKind::Mapping(children) => self.fill(entries, children, Some(site)),
            RawKind::Alias(target) => self.alias(*target, site, |b, target| match &b.raw(target)?.kind {
                RawKind::Mapping(children) => b.fill(entries, children, Some(site)),
                _ => Err(syntax(site, WANT_MAP)),
            }),
            _ => Err(syntax(raw.span, WANT_MAP)),
        }
    }

    /// Keys become text as `sigs.k8s.io/yaml` makes them; their YAML type decides which ones are the same.
    fn key(&mut self, index: usize, via: Option<Span>) -> Result<(KeyKind, Key), Error> {
        let raw = self.raw(index)?;
        let at = raw.span;
        let node = match &raw.kind {
            RawKind::Scalar { text, plain, tag } => {
                self.count(at)?;
                let written = Written { text, plain: *plain, tag: tag.as_deref() };
                let value = match scalar::resolve(written).map_err(|e| syntax(at, e))? {
                    Resolved::NotFinite(x) => {
                        return Ok((KeyKind::Float, Key { text: infinite_key(x).to_owned(), span: at }));
                    }
                    Resolved::Merge => Value::String(text.clone().into_owned()),
                    Resolved::Value(value) => value,
                };
                Node { value, span: at, via }
            }
            _ => self.node(index, via)?,
        };
        let (kind, text) = match node.value {
            Value::String(text) => (KeyKind::Text, text),
            Value::Bool(b) => (KeyKind::Bool, b.to_string()),
            Value::Number(n @ Number::Int(_)) => (KeyKind::Int, n.key_text()),
            Value::Number(n @ Number::Float(_)) => (KeyKind::Float, n.key_text()),
            Value::Number(Number::Unsigned(_)) | Value::Null => {
                return Err(syntax(at, format!("a {} cannot be a key", node.type_name())));
            }
            Value::Sequence(_) | Value::Mapping(_) => {
                return Err(syntax(at, format!("invalid map key: a {}", node.type_name()))
                    .with_help("`{{ … }}` of a template must be rendered or quoted"));
            }
        };
        Ok((kind, Key { text, span: at }))
    }
}

/// The YAML type of a key: `8080` and `"8080"` are two keys in YAML and one in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum KeyKind {
    Text,
    Bool,
    Int,
    Float,
}

const WANT_MAP: &str = "map merge requires map or sequence of maps as the value";

fn is_merge(node: &RawNode<'_>) -> bool {
    match &node.kind {
        RawKind::Scalar { text, plain, tag } => {
            text == "<<"
                && match tag.as_deref() {
                    None => *plain,
                    Some(tag) => tag == "!" || tag == "!!merge",
                }
        }
        _ => false,
    }
}

/// `.inf` and `.nan` are no JSON values, but as keys they have a text.
fn infinite_key(x: f64) -> &'static str {
    match (x.is_nan(), x > 0.0) {
        (true, _) => ".nan",
        (false, true) => ".inf",
        (false, false) => "-.inf",
    }
}

/// Entries in written order; large mappings get an index.
#[derive(Default)]
struct Entries {
    list: Vec<(Key, Node)>,
    kinds: Vec<KeyKind>,
    index: BTreeMap<String, usize>,
}

/// Up to so many keys a search is faster than an index.
const SMALL: usize = 24;

impl Entries {
    /// Most mappings are small and never change: their room is exact.
    fn with_capacity(entries: usize) -> Self {
        Entries { list: Vec::with_capacity(entries), ..Entries::default() }
    }

    fn position(&mut self, key: &str) -> Option<usize> {
        if self.list.len() <= SMALL {
            return self.list.iter().position(|(k, _)| k.text == key);
        }
        // Entries are only ever added at the end.
        for (at, (key, _)) in self.list.iter().enumerate().skip(self.index.len()) {
            self.index.insert(key.text.clone(), at);
        }
        self.index.get(key).copied()
    }

    /// Sets a key; the last one wins, and a repetition is reported.
    fn set(&mut self, kind: KeyKind, key: Key, value: Node) -> Option<Diagnostic> {
        let Some(at) = self.position(&key.text) else {
            self.list.push((key, value));
            self.kinds.push(kind);
            return None;
        };
        let same = self.kinds.get_mut(at).map(|old| std::mem::replace(old, kind)) == Some(kind);
        let old = self.list.get_mut(at)?;
        let diagnostic = if same {
            let message = format!("key `{}` is already set in this mapping", key.text);
            Diagnostic::error(codes::DUPLICATE_KEY, Stage::Strict, key.span, message)
                .label(key.span, "set again here; this one wins")
                .help("remove one of the two")
        } else {
            let message =
                format!("two keys become `{}` in JSON; which one a cluster keeps is chance", key.text);
            Diagnostic::warning(codes::DUPLICATE_KEY, Stage::Strict, key.span, message)
                .help("write the key once")
        };
        let diagnostic = diagnostic.label(old.0.span, "first set here");
        *old = (key, value);
        Some(diagnostic)
    }
}

trait WithHelp {
    fn with_help(self, text: &str) -> Self;
}

impl WithHelp for Error {
    fn with_help(mut self, text: &str) -> Self {
        self.help = Some(text.to_owned());
        self
    }
}
