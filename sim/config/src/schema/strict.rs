//! Unknown fields, as server-side field validation finds them: what pruning would drop.
//!
//! apiextensions `pkg/apiserver/schema/pruning`: a mapping where a list or a string belongs has only unknown
//! keys; lists are searched whatever the schema says of them; values under free-form fields are not.
//! Metadata and Kubernetes' own kinds are Go structs: there a value of the wrong type has no fields at all.

use super::path::Path;
use super::{Field, Kind, Schema, Shape};
use crate::decode::closest;
use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::yaml::{Key, Node, Value};

/// Unknown fields of an object, metadata included.
pub(super) fn check(node: &Node, kind: &'static Kind) -> Vec<Diagnostic> {
    let mut walk = Walk { kind, structs: kind.built_in, out: Vec::new() };
    let known = |name: &str| matches!(name, "apiVersion" | "kind" | "metadata");
    for (key, value) in node.mapping() {
        if let Some(field) = kind.fields.iter().find(|f| f.name == key.text) {
            walk.value(value, Some(&field.schema), &Path::ROOT.field(&key.text));
        } else if key.text == "metadata" {
            // What does not decode is refused for its types alone.
            if !super::meta::fits(value) {
                continue;
            }
            let structs = std::mem::replace(&mut walk.structs, true);
            walk.value(value, super::meta::schema(), &Path::ROOT.field("metadata"));
            walk.structs = structs;
        } else if !known(&key.text) {
            walk.unknown(key, value, &Path::ROOT, &kind.fields);
        }
    }
    walk.out
}

struct Walk {
    kind: &'static Kind,
    /// Whether values are decoded into Go structs rather than pruned by a schema.
    structs: bool,
    out: Vec<Diagnostic>,
}

impl Walk {
    fn value(&mut self, node: &Node, schema: Option<&'static Schema>, path: &Path<'_>) {
        let schema = schema.map(Schema::resolve);
        match (&node.value, schema.map(|s| &s.shape)) {
            (_, Some(Shape::Any)) => {}
            (Value::Mapping(entries), Some(Shape::Map(inner))) => {
                for (key, value) in entries {
                    self.value(value, Some(inner), &path.field(&key.text));
                }
            }
            (Value::Mapping(_) | Value::Sequence(_), shape) if self.structs && !fits(&node.value, shape) => {}
            (Value::Mapping(entries), shape) => {
                let fields: &'static [Field] = match shape {
                    Some(Shape::Object(fields)) => fields,
                    _ => &[],
                };
                for (key, value) in entries {
                    match fields.iter().find(|f| f.name == key.text) {
                        Some(field) => {
                            self.value(value, Some(&field.schema), &path.field(&key.text));
                        }
                        None => self.unknown(key, value, path, fields),
                    }
                }
            }
            (Value::Sequence(items), shape) => {
                let inner = match shape {
                    Some(Shape::List(inner)) => Some(&**inner),
                    _ => None,
                };
                for (i, item) in items.iter().enumerate() {
                    self.value(item, inner, &path.item(i));
                }
            }
            _ => {}
        }
    }

    fn unknown(&mut self, key: &Key, value: &Node, path: &Path<'_>, fields: &'static [Field]) {
        let span = value.via.unwrap_or(key.span);
        let place = if path.is_root() { String::new() } else { format!(" in {path}") };
        let message = format!("unknown field `{}`{place}", key.text);
        let mut d = Diagnostic::error(codes::UNKNOWN_FIELD, Stage::Strict, span, message);
        if let Some(hint) = closest(&key.text, fields.iter().map(|f| f.name)) {
            d = d.label(span, format!("did you mean `{hint}`?"));
        } else if let Some(elsewhere) = find(&self.kind.fields, &key.text, "") {
            d = d.help(format!("a field of this name exists at {elsewhere}"));
        } else if fields.is_empty() {
            d = d.help("this place takes no fields");
        }
        self.out.push(d);
    }
}

fn fits(value: &Value, shape: Option<&'static Shape>) -> bool {
    matches!(
        (value, shape),
        (Value::Mapping(_), Some(Shape::Object(_) | Shape::Map(_)))
            | (Value::Sequence(_), Some(Shape::List(_)))
    )
}

/// The first path of the kind that ends in a field of this name.
fn find(fields: &'static [Field], name: &str, path: &str) -> Option<String> {
    let here = fields.iter().find(|f| f.name == name).map(|_| format!("{path}{name}"));
    here.or_else(|| {
        fields.iter().find_map(|f| {
            let (inner, suffix) = elements(&f.schema);
            find(inner.fields(), name, &format!("{path}{}{suffix}.", f.name))
        })
    })
}

/// What a list or map holds, and how its elements are written in a path.
fn elements(schema: &'static Schema) -> (&'static Schema, &'static str) {
    let schema = schema.resolve();
    match &schema.shape {
        Shape::List(inner) => (inner, "[]"),
        Shape::Map(inner) => (inner, ".*"),
        _ => (schema, ""),
    }
}
