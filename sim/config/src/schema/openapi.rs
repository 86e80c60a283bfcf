//! Types, limits, required fields and enumerations: the OpenAPI part of a CRD's schema.
//!
//! kube-openapi `pkg/validation`. Nulls in mappings are gone before this runs; nulls in lists are not.

use super::path::Path;
use super::{Field, Schema, Shape};
use crate::diagnostic::{Code, Diagnostic, Stage, codes};
use crate::yaml::{Node, Number, Value};

/// What was found, and whether the CEL rules are still evaluated.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) diagnostics: Vec<Diagnostic>,
    /// A wrong type, a missing or unsupported value, too long, too many: the rules are not looked at
    /// (apiextensions `hasBlockingErr`).
    pub(super) blocking: bool,
}

/// Checks the fields of a mapping that is known to be one.
pub(super) fn check_fields(node: &Node, fields: &'static [Field], path: &Path<'_>) -> Findings {
    let mut findings = Findings::default();
    findings.fields(node, fields, path);
    findings
}

impl Findings {
    fn add(&mut self, node: &Node, code: Code, path: &Path<'_>, message: &str) {
        self.add_with_help(node, code, path, message, None);
    }

    fn add_with_help(
        &mut self,
        node: &Node,
        code: Code,
        path: &Path<'_>,
        message: &str,
        help: Option<String>,
    ) {
        let mut d = Diagnostic::error(code, Stage::Schema, node.site(), format!("{path}: {message}"));
        d.help = help;
        self.diagnostics.push(d);
    }

    fn fields(&mut self, node: &Node, fields: &'static [Field], path: &Path<'_>) {
        for field in fields {
            match node.get(field.name).filter(|n| !n.is_null()) {
                Some(value) => self.value(value, &field.schema, &path.field(field.name)),
                None if field.required => {
                    let message = format!("required field `{}` is missing", field.name);
                    let place = node.get(field.name).unwrap_or(node);
                    let itself = path.field(field.name);
                    let path = if path.is_root() { &itself } else { path };
                    self.add(place, codes::MISSING_FIELD, path, &message);
                    self.blocking = true;
                }
                None => {}
            }
        }
    }

    fn value(&mut self, node: &Node, schema: &'static Schema, path: &Path<'_>) {
        let schema = schema.resolve();
        if !self.typed(node, schema, path) {
            return;
        }
        match (&node.value, &schema.shape) {
            (Value::Sequence(items), Shape::List(inner)) => {
                for (i, item) in items.iter().enumerate() {
                    self.value(item, inner, &path.item(i));
                }
                self.size(node, items.len(), schema, path, "items");
                self.list_keys(items, schema, path);
            }
            (Value::Mapping(entries), Shape::Map(inner)) => {
                let given = entries.iter().filter(|(_, n)| !n.is_null());
                let count = given.clone().count();
                for (key, value) in given {
                    self.value(value, inner, &path.field(&key.text));
                }
                self.size(node, count, schema, path, "entries");
            }
            (Value::Mapping(_), Shape::Object(fields)) => {
                self.fields(node, fields, path);
                self.exclusive(node, schema, path);
            }
            (Value::String(text), _) => self.text(node, text, schema, path),
            (Value::Number(number), _) => self.number(node, *number, schema, path),
            _ => {}
        }
    }

    /// Whether the value has the type of the schema; a mismatch is reported.
    fn typed(&mut self, node: &Node, schema: &'static Schema, path: &Path<'_>) -> bool {
        let wanted = match (&schema.shape, &node.value) {
            (Shape::Any | Shape::Shared(_), _) => return true,
            (_, Value::Null) if schema.nullable => return false,
            (Shape::String | Shape::Bytes | Shape::Time, Value::String(_)) => return true,
            (Shape::Bool, Value::Bool(_)) => return true,
            (Shape::Integer | Shape::Int32, Value::Number(n)) if whole(n) => return true,
            (Shape::Number, Value::Number(_)) => return true,
            (Shape::IntOrString, Value::String(_)) => return true,
            (Shape::IntOrString, Value::Number(n)) if whole(n) => return true,
            (Shape::List(_), Value::Sequence(_)) => return true,
            (Shape::Map(_) | Shape::Object(_), Value::Mapping(_)) => return true,
            (Shape::String | Shape::Bytes | Shape::Time, _) => "a string",
            (Shape::Bool, _) => "true or false",
            (Shape::Integer | Shape::Int32, _) => "a whole number",
            (Shape::Number, _) => "a number",
            (Shape::IntOrString, _) => "a whole number or a string",
            (Shape::List(_), _) => "a list",
            (Shape::Map(_) | Shape::Object(_), _) => "a mapping",
        };
        let found = match &node.value {
            Value::Bool(b) => format!("the boolean `{b}`"),
            Value::Number(n) => format!("the number `{n}`"),
            Value::String(s) => format!("the string `{s}`"),
            Value::Null => "null".to_owned(),
            Value::Sequence(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
        };
        let unquoted = wanted == "a string" && matches!(node.value, Value::Number(_) | Value::Bool(_));
        let quoted = matches!(
            (&schema.shape, &node.value),
            (Shape::Bool | Shape::Integer | Shape::Int32 | Shape::Number, Value::String(_))
        );
        let stray = matches!(node.value, Value::Null) && path.is_item();
        let help = match (unquoted, quoted) {
            _ if stray => Some("a `-` with nothing behind it: take it away, or write the item".to_owned()),
            (true, _) => Some("YAML reads this as a number or boolean: put it in quotes".to_owned()),
            (_, true) => Some("remove quotes and units: this field takes a bare value".to_owned()),
            _ => None,
        };
        let message = format!("expected {wanted}, found {found}");
        self.add_with_help(node, codes::WRONG_TYPE, path, &message, help);
        self.blocking = true;
        false
    }

    fn size(&mut self, node: &Node, size: usize, schema: &'static Schema, path: &Path<'_>, what: &str) {
        let (low, high) = schema.length;
        if let Some(low) = low.filter(|&low| size < low) {
            self.add(
                node,
                codes::INVALID_VALUE,
                path,
                &format!("has {size} {what}, at least {low} are needed"),
            );
        }
        if let Some(high) = high.filter(|&high| size > high) {
            self.add(
                node,
                codes::INVALID_VALUE,
                path,
                &format!("has {size} {what}, at most {high} are allowed"),
            );
            self.blocking = true;
        }
    }

    fn text(&mut self, node: &Node, text: &str, schema: &'static Schema, path: &Path<'_>) {
        let (low, high) = schema.length;
        let length = text.chars().count();
        if let Some(low) = low.filter(|&low| length < low) {
            let message = format!("must have at least {low} characters");
            self.add(node, codes::INVALID_VALUE, path, &message);
        }
        if let Some(high) = high.filter(|&high| length > high) {
            let message = format!("has {length} characters, at most {high} are allowed");
            self.add(node, codes::INVALID_VALUE, path, &message);
            self.blocking = true;
        }
        if !schema.words.is_empty() && !schema.words.contains(&text) {
            let list = schema.words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
            let hint = crate::decode::closest(text, schema.words.iter().copied());
            let help = hint.map(|h| format!("did you mean `{h}`?"));
            let message = format!("`{text}` is not one of {list}");
            self.add_with_help(node, codes::INVALID_VALUE, path, &message, help);
            self.blocking = true;
        }
        if let Some(pattern) = schema.pattern.filter(|p| !matches_pattern(p, text)) {
            let what = describe_pattern(pattern);
            self.add(node, codes::INVALID_VALUE, path, &format!("`{text}` is not {what}"));
        }
        match schema.shape {
            Shape::Bytes if !is_base64(text) => {
                self.add(node, codes::INVALID_VALUE, path, "is not base64 text");
            }
            Shape::Time if !super::go_time::is_rfc3339(text) => {
                let message = format!("`{text}` is not a time such as `2026-01-02T15:04:05Z`");
                self.add(node, codes::INVALID_VALUE, path, &message);
            }
            _ => {}
        }
    }

    fn number(&mut self, node: &Node, number: Number, schema: &'static Schema, path: &Path<'_>) {
        if let Shape::Int32 = schema.shape
            && number.as_i64().is_none_or(|n| i32::try_from(n).is_err())
        {
            self.add(node, codes::INVALID_VALUE, path, &format!("`{number}` does not fit a 32-bit integer"));
            return;
        }
        let value = number.as_f64();
        let (low, high) = schema.range;
        if low.is_some_and(|low| value < low) || high.is_some_and(|high| value > high) {
            let show = |x: Option<f64>| x.map_or_else(|| "…".to_owned(), |x| Number::Float(x).to_string());
            let message = format!("`{number}` is not in {}..{}", show(low), show(high));
            self.add(node, codes::INVALID_VALUE, path, &message);
        }
        if !schema.words.is_empty() {
            self.add(
                node,
                codes::INVALID_VALUE,
                path,
                &format!("`{number}` is not one of the allowed words"),
            );
            self.blocking = true;
        }
    }

    fn exclusive(&mut self, node: &Node, schema: &'static Schema, path: &Path<'_>) {
        for group in &schema.at_most_one {
            let given: Vec<_> = group
                .iter()
                .filter_map(|name| node.entry(name).filter(|(_, n)| !n.is_null()))
                .map(|(key, _)| key)
                .collect();
            let [first, second, ..] = given.as_slice() else { continue };
            let message = format!("{path}: `{}` and `{}` exclude each other", first.text, second.text);
            let d = Diagnostic::error(codes::INVALID_VALUE, Stage::Schema, second.span, message);
            self.diagnostics.push(d.label(first.span, "the other one"));
        }
    }

    fn list_keys(&mut self, items: &[Node], schema: &'static Schema, path: &Path<'_>) {
        if schema.list_keys.is_empty() {
            return;
        }
        let key = |item: &Node| -> Vec<String> {
            schema.list_keys.iter().map(|k| item.get(k).map(Node::to_json).unwrap_or_default()).collect()
        };
        for (i, item) in items.iter().enumerate() {
            let same = items.iter().take(i).any(|earlier| key(earlier) == key(item));
            if same && matches!(item.value, Value::Mapping(_)) {
                let keys = schema.list_keys.join("`, `");
                let message = format!("a second element with the same `{keys}`");
                self.add(item, codes::INVALID_VALUE, &path.item(i), &message);
            }
        }
    }
}

/// Whole numbers may be written with a point (`1.0`), but must fit 64 bits to be integers in JSON.
fn whole(n: &Number) -> bool {
    n.as_i64().is_some()
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    // Go's decoder skips line breaks.
    let compact: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    base64::engine::general_purpose::STANDARD.decode(compact).is_ok()
}

/// The CRDs' patterns, by name.
fn matches_pattern(name: &str, text: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_alphanumeric();
    match name {
        "header" => !text.is_empty() && text.bytes().all(|b| alnum(b) || b == b'-' || b == b'_'),
        "sha256" => {
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            text.is_empty() || (text.len() == 64 && text.bytes().all(hex))
        }
        "kind" => {
            text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
                && text.as_bytes().last().is_some_and(|&b| alnum(b))
                && text.bytes().all(|b| alnum(b) || b == b'-')
        }
        "group" => text.is_empty() || text.split('.').all(super::meta::is_lower_label),
        _ => false,
    }
}

fn describe_pattern(name: &str) -> &'static str {
    match name {
        "header" => "a header name of letters, digits, `-` and `_`",
        "sha256" => "a SHA-256 sum of 64 lower-case hex digits",
        "kind" => "a kind name",
        _ => "an API group",
    }
}
