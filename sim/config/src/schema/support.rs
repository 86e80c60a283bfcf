//! What mesh-sim does not model, found where it is used.

use super::path::Path;
use super::{Class, Field, Kind, Schema, Shape, kind, kinds};
use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::document::RawObject;
use crate::lower::http_route;
use crate::source::Span;
use crate::yaml::{Node, Value};

/// A use of something that exists in Istio but is not modelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmodelled {
    /// The field's path in its object; empty if the whole kind is not modelled.
    pub path: String,
    /// Where it is written: what taints a verdict.
    pub span: Span,
}

impl Unmodelled {
    /// The remark a report shows.
    pub fn diagnostic(&self, object: &RawObject) -> Diagnostic {
        let message = if self.path.is_empty() {
            format!("{} is not modelled; predictions it may influence are unknown", object.kind)
        } else {
            format!("`{}` is not modelled; predictions it may influence are unknown", self.path)
        };
        Diagnostic::info(codes::NOT_MODELLED, Stage::Support, self.span, message).object(object.reference())
    }
}

/// All uses in an object, in written order.
pub fn unmodelled(object: &RawObject) -> Vec<Unmodelled> {
    let Some(kind) = kind(object.group(), &object.kind) else { return Vec::new() };
    if kind.class == Class::Known {
        let whole = Unmodelled { path: String::new(), span: object.name_span() };
        return if http_route::is_wholly_simulated(object) { Vec::new() } else { vec![whole] };
    }
    let mut out = Vec::new();
    fields(&object.node, &kind.fields, &Path::ROOT, &mut out);
    out
}

/// Every kind and field path that exists but is not modelled, for `support`; the path of a whole kind is empty.
pub fn not_modelled() -> Vec<(&'static Kind, String)> {
    let mut out = Vec::new();
    for kind in kinds() {
        if kind.class == Class::Known {
            out.push((kind, String::new()));
            continue;
        }
        let mut paths = Vec::new();
        known_paths(&kind.fields, "", &mut paths);
        out.extend(paths.into_iter().map(|path| (kind, path)));
    }
    out
}

fn known_paths(fields: &'static [Field], path: &str, out: &mut Vec<String>) {
    for field in fields {
        let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        if field.class == Class::Known {
            out.push(path);
            continue;
        }
        let mut schema = field.schema.resolve();
        let mut path = path;
        while let Shape::List(inner) | Shape::Map(inner) = &schema.shape {
            path.push_str(if matches!(schema.shape, Shape::List(_)) { "[]" } else { ".*" });
            schema = inner.resolve();
        }
        known_paths(schema.fields(), &path, out);
    }
}

fn fields(node: &Node, known: &'static [Field], path: &Path<'_>, out: &mut Vec<Unmodelled>) {
    for (key, value) in node.mapping().iter().filter(|(_, n)| !n.is_null()) {
        let Some(field) = known.iter().find(|f| f.name == key.text) else { continue };
        let path = path.field(&key.text);
        match field.class {
            Class::Known => out.push(Unmodelled {
                path: path.to_string(),
                span: value.via.unwrap_or(key.span.to(value.span)),
            }),
            Class::Simulated => inside(value, &field.schema, &path, out),
        }
    }
}

fn inside(node: &Node, schema: &'static Schema, path: &Path<'_>, out: &mut Vec<Unmodelled>) {
    match (&node.value, &schema.resolve().shape) {
        (Value::Sequence(items), Shape::List(inner)) => {
            for (i, item) in items.iter().enumerate() {
                inside(item, inner, &path.item(i), out);
            }
        }
        (Value::Mapping(entries), Shape::Map(inner)) => {
            for (key, value) in entries {
                inside(value, inner, &path.field(&key.text), out);
            }
        }
        (Value::Mapping(_), Shape::Object(known)) => fields(node, known, path, out),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_modelled_can_be_listed() {
        let list: Vec<String> =
            not_modelled().into_iter().map(|(kind, path)| format!("{} {path}", kind.name)).collect();
        assert!(list.contains(&"EnvoyFilter ".to_owned()));
        assert!(
            list.contains(&"DestinationRule spec.subsets[].trafficPolicy.tls.caCrl".to_owned()),
            "{list:?}"
        );
        assert!(!list.iter().any(|l| l.starts_with("AuthorizationPolicy")));
    }
}
