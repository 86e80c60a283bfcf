//! The tree: JSON-typed values, each with the bytes it was written in.

use super::number::Number;
use crate::source::Span;

/// One YAML document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its root.
    pub node: Node,
    /// All its bytes, from its separator to the next.
    pub span: Span,
}

/// A value with its place.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
    /// The alias or merge key that brought it here, when it was written elsewhere.
    pub via: Option<Span>,
}

/// What a cluster's JSON would hold.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    #[default]
    Null,
    /// `true`, and YAML 1.1's `yes`, `on`, `y`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping in written order, keys unique.
    Mapping(Vec<(Key, Node)>),
}

/// A mapping key; YAML keys of other types become text as in a cluster (`on:` is `"true"`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key as JSON spells it.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

impl Node {
    /// A node nobody wrote.
    pub fn made_up(value: Value) -> Self {
        Node { value, span: Span::NONE, via: None }
    }

    /// The value under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, node)| node)
    }

    /// Key and value under `key`, if this is a mapping that has it.
    pub fn entry(&self, key: &str) -> Option<(&Key, &Node)> {
        self.mapping().iter().find(|(k, _)| k.text == key).map(|(k, n)| (k, n))
    }

    /// The element at `index`, if this is a list that has it.
    pub fn at(&self, index: usize) -> Option<&Node> {
        self.sequence().get(index)
    }

    /// The node at a path such as `spec/http/0/route`; list indexes are numbers.
    pub fn path(&self, path: &str) -> Option<&Node> {
        path.split('/').filter(|s| !s.is_empty()).try_fold(self, |node, step| match &node.value {
            Value::Sequence(items) => items.get(step.parse::<usize>().ok()?),
            _ => node.get(step),
        })
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<&Number> {
        match &self.value {
            Value::Number(n) => Some(n),
            _ => None,
        }
    }

    /// The elements; empty if this is not a list.
    pub fn sequence(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The entries; empty if this is not a mapping.
    pub fn mapping(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// True for null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The place a person should look at first: the alias or merge that brought it here, or its own.
    pub fn site(&self) -> Span {
        self.via.unwrap_or(self.span)
    }

    /// What it is, in the words of error messages.
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(n) if n.is_integer() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Sequence(_) => "list",
            Value::Mapping(_) => "mapping",
        }
    }

    /// The document as compact JSON, keys sorted, numbers as Go prints them.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write_json(self, &mut out);
        out
    }
}

fn write_json(node: &Node, out: &mut String) {
    let quote = |s: &str| serde_json::Value::from(s).to_string();
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&n.to_string()),
        Value::String(s) => out.push_str(&quote(s)),
        Value::Sequence(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Mapping(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| a.0.text.cmp(&b.0.text));
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&quote(&key.text));
                out.push(':');
                write_json(value, out);
            }
            out.push('}');
        }
    }
}
