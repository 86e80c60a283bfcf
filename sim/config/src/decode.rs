//! Typed values out of the tree, with every problem at once.
//!
//! Types are plain serde structs. Three things are ours: [`Spanned`], a value with its place; a field renamed
//! `@origin` of type `Span`, which receives the place of the mapping it sits in; and
//! error collection: a broken field is reported, left at its default, and decoding goes on.
//! Numbers and booleans are never taken for strings, as in a cluster. Nulls in mappings count as absent.
//! Manifest types must not use `flatten` (it hides the field list) nor `deny_unknown_fields` (we report them).

mod deserializer;
mod hint;
mod spanned;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, ObjectRef, Severity, Stage, codes};
use crate::source::Span;
use crate::yaml::{Node, Value};

use deserializer::{NodeDeserializer, Problem};
pub use hint::closest;
pub use spanned::Spanned;

/// After so many broken fields in one document the rest is not worth listing.
const MAX_ERRORS: usize = 50;

/// What decoding found out, apart from the value.
#[derive(Debug, Default)]
pub struct DecodeCx {
    /// Problems in the order they were met.
    pub diagnostics: Vec<Diagnostic>,
    /// The object that is being decoded, named in every diagnostic.
    pub object: Option<ObjectRef>,
    /// Where the decoded node sits in its object, such as `spec`; prefixed to field paths in messages.
    pub path: String,
}

impl DecodeCx {
    /// A context for one object's part, `path` being its field path (`spec`).
    pub fn new(object: Option<ObjectRef>, path: impl Into<String>) -> Self {
        DecodeCx { diagnostics: Vec::new(), object, path: path.into() }
    }

    /// True if any problem is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Decodes `node`; problems go to `cx`. Broken fields keep their default; `None` if nothing could be made of it.
pub fn from_node<T: DeserializeOwned>(node: &Node, cx: &mut DecodeCx) -> Option<T> {
    let mut skipped: BTreeSet<usize> = BTreeSet::new();
    let mut unknown: BTreeMap<Span, Unknown> = BTreeMap::new();
    let mut broken = Vec::new();
    let value = loop {
        let state = deserializer::State::new(&skipped);
        let result = T::deserialize(NodeDeserializer::new(node, &state));
        unknown.extend(state.unknown.into_inner().into_iter().map(|u| (u.span, u)));
        let problem = match result {
            Ok(value) => break Some(value),
            Err(problem) => problem,
        };
        let at = problem.node.unwrap_or(address(node));
        broken.push(broken_field(node, &cx.path, at, problem));
        if !skipped.insert(at) || at == address(node) || skipped.len() > MAX_ERRORS {
            break None;
        }
    };
    let unknown = unknown.into_values().map(|u| unknown_field(node, &cx.path, &u));
    for diagnostic in unknown.chain(broken).collect::<Vec<_>>() {
        cx.push(diagnostic);
    }
    value
}

impl DecodeCx {
    fn push(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.object.clone_from(&self.object);
        self.diagnostics.push(diagnostic);
    }
}

/// A key that is no field.
#[derive(Debug)]
pub(crate) struct Unknown {
    /// The mapping it stands in.
    mapping: usize,
    key: String,
    span: Span,
    fields: &'static [&'static str],
}

/// The identity of a node within its tree.
fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

fn unknown_field(root: &Node, prefix: &str, unknown: &Unknown) -> Diagnostic {
    let path = join(prefix, &path_of(root, unknown.mapping).unwrap_or_default());
    let place = if path.is_empty() { String::new() } else { format!(" in {path}") };
    let message = format!("unknown field `{}`{place}", unknown.key);
    let d = Diagnostic::error(codes::UNKNOWN_FIELD, Stage::Strict, unknown.span, message);
    let fields = unknown.fields.iter().copied().filter(|f| !f.starts_with('@'));
    match closest(&unknown.key, fields) {
        Some(hint) => d.label(unknown.span, format!("did you mean `{hint}`?")),
        None => d,
    }
}

fn broken_field(root: &Node, prefix: &str, at: usize, problem: Problem) -> Diagnostic {
    let path = join(prefix, &path_of(root, at).unwrap_or_default());
    let message = if path.is_empty() { problem.message } else { format!("{path}: {}", problem.message) };
    let (code, stage) = match (problem.missing, problem.unknown) {
        (true, _) => (codes::MISSING_FIELD, Stage::Schema),
        (_, true) => (codes::UNKNOWN_FIELD, Stage::Strict),
        _ => (codes::WRONG_TYPE, Stage::Schema),
    };
    let d = Diagnostic::error(code, stage, problem.span, message);
    match problem.help {
        Some(help) => d.help(help),
        None => d,
    }
}

fn join(prefix: &str, path: &str) -> String {
    match (prefix.is_empty(), path.is_empty() || path.starts_with('[')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("{prefix}{path}"),
        (false, false) => format!("{prefix}.{path}"),
    }
}

/// The field path of a node in its tree, as Kubernetes writes it: `http[0].route[1].weight`.
fn path_of(root: &Node, target: usize) -> Option<String> {
    if address(root) == target {
        return Some(String::new());
    }
    match &root.value {
        Value::Sequence(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, n)| path_of(n, target).map(|p| join(&format!("[{i}]"), &p))),
        Value::Mapping(entries) => {
            entries.iter().find_map(|(k, n)| path_of(n, target).map(|p| join(&k.text, &p)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Route {
        #[serde(rename = "@origin", default)]
        origin: Span,
        host: String,
        weight: Option<u32>,
        hosts: Vec<Spanned<String>>,
        port: Spanned<u16>,
        mode: Option<Mode>,
        next: Vec<Route>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    enum Mode {
        #[serde(rename = "STRICT")]
        Strict,
    }

    fn decode(text: &str) -> (Option<Route>, Vec<Diagnostic>) {
        let (documents, diagnostics) = crate::yaml::parse_stream(FileId(0), text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let mut cx = DecodeCx::new(None, "spec");
        (from_node(&documents[0].node, &mut cx), cx.diagnostics)
    }

    #[test]
    fn values_places_and_origins_arrive() {
        let text = "host: a\nhosts: [b, c]\nport: 80.0\nmode: STRICT\nnext:\n- host: d\n  weight: null\n";
        let (route, diagnostics) = decode(text);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let route = route.expect("decodes");
        assert_eq!((route.host.as_str(), *route.port, &route.mode), ("a", 80, &Some(Mode::Strict)));
        let at = |s: Span| &text[s.start as usize..s.end as usize];
        assert_eq!(at(route.hosts[1].span), "c");
        assert_eq!(at(route.next[0].origin), "host: d\n  weight: null");
        assert_eq!(route.next[0].weight, None);
        assert_eq!(route.origin.start, 0);
    }

    #[test]
    fn all_problems_are_reported_and_the_rest_is_kept() {
        let text =
            "host: 1.10\nweigth: 3\nmode: STRIKT\nnext:\n- {host: x, port: -1}\n- {host: z, wait: 1}\n";
        let (route, diagnostics) = decode(text);
        let messages: Vec<_> = diagnostics.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "unknown field `weigth` in spec",
                "unknown field `wait` in spec.next[1]",
                "spec.host: expected a string, found the number `1.1`",
                "spec.mode: `STRIKT` is not one of `STRICT`",
                "spec.next[0].port: expected a whole number from 0 to 65535, found the number `-1`",
            ]
        );
        assert_eq!(diagnostics[0].labels[0].text, "did you mean `weight`?");
        let route = route.expect("the rest is kept");
        assert_eq!(route.next.len(), 2);
        assert_eq!(route.next[0].host, "x");
    }
}
