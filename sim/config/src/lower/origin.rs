//! The 4-byte names of places: every IR node carries an [`OriginId`], this table says which YAML it means.
//!
//! Ids are handed out as lowering meets places, one per span, and mean nothing outside their table. The object a place
//! belongs to is found from its span; the field path is found by walking the object's tree, when somebody asks.

use std::sync::Mutex;

use indexmap::IndexSet;
use mesh_core::OriginId;
use mesh_core::ids::{Str, Taint};
use rustc_hash::FxBuildHasher;

use crate::diagnostic::ObjectRef;
use crate::source::Span;
use crate::yaml::{Node, Value};

/// A place in the YAML, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The bytes.
    pub span: Span,
    /// The object they are in; `None` for text outside objects (an inline mesh configuration).
    pub object: Option<ObjectRef>,
}

/// Spans by [`OriginId`], and objects by span. Shared by all proxies of a mesh.
#[derive(Debug, Default)]
pub struct OriginTable {
    /// Row `i` has the id `i + 1`; 0 is [`OriginId::NONE`].
    spans: Mutex<IndexSet<Span, FxBuildHasher>>,
    /// All objects, by place.
    objects: Vec<(Span, ObjectRef)>,
}

impl OriginTable {
    /// A table that knows these objects by the place of their documents.
    #[must_use]
    pub fn new(objects: impl IntoIterator<Item = (Span, ObjectRef)>) -> Self {
        let mut objects: Vec<_> = objects.into_iter().filter(|(span, _)| !span.is_none()).collect();
        objects.sort_by_key(|(span, _)| *span);
        OriginTable { spans: Mutex::default(), objects }
    }

    /// The id of a place; [`OriginId::NONE`] for things nobody wrote.
    #[must_use]
    pub fn id(&self, span: Span) -> OriginId {
        if span.is_none() {
            return OriginId::NONE;
        }
        let mut spans = self.spans.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (row, _) = spans.insert_full(span);
        u32::try_from(row + 1).map_or(OriginId::NONE, OriginId)
    }

    /// The place behind an id; `None` for [`OriginId::NONE`].
    #[must_use]
    pub fn origin(&self, id: OriginId) -> Option<Origin> {
        let row = (id.0 as usize).checked_sub(1)?;
        let span = *self.spans.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_index(row)?;
        Some(Origin { span, object: self.object_at(span).cloned() })
    }

    /// The object whose document holds this place.
    #[must_use]
    pub fn object_at(&self, span: Span) -> Option<&ObjectRef> {
        let after = self.objects.partition_point(|(o, _)| (o.file, o.start) <= (span.file, span.start));
        let (document, object) = self.objects.get(after.checked_sub(1)?)?;
        (document.file == span.file && span.end <= document.end).then_some(object)
    }

    /// A taint at a place.
    #[must_use]
    pub fn taint(&self, what: impl Into<Str>, span: Span) -> Taint {
        Taint { what: what.into(), origin: self.id(span) }
    }
}

/// The path of the node at `span` in `node`, as people write it (`spec.http[0].route[1]`); empty for the root itself.
/// Where a list and its only element share a span, the element is meant.
#[must_use]
pub fn field_path(node: &Node, span: Span) -> Option<String> {
    let outer = node.span;
    if outer.file != span.file || outer.start > span.start || span.end > outer.end {
        return None;
    }
    let join = |step: String, rest: &str| match rest.chars().next() {
        None | Some('[') => format!("{step}{rest}"),
        Some(_) => format!("{step}.{rest}"),
    };
    let below = match &node.value {
        Value::Sequence(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, child)| field_path(child, span).map(|rest| join(format!("[{i}]"), &rest))),
        Value::Mapping(entries) => entries
            .iter()
            .find_map(|(key, child)| field_path(child, span).map(|rest| join(key.text.clone(), &rest))),
        _ => None,
    };
    below.or_else(|| (outer == span).then(String::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn span(start: u32, end: u32) -> Span {
        Span::new(FileId(0), start, end)
    }

    #[test]
    fn a_place_has_one_id_and_its_object() {
        let vs = ObjectRef { kind: "VirtualService".into(), namespace: "ns".into(), name: "a".into() };
        let table = OriginTable::new([(span(10, 50), vs.clone())]);
        let id = table.id(span(20, 30));
        assert_eq!(table.id(span(20, 30)), id);
        assert_ne!(table.id(span(20, 31)), id);
        assert_eq!(table.origin(id), Some(Origin { span: span(20, 30), object: Some(vs) }));
        assert_eq!(table.id(Span::NONE), OriginId::NONE);
        assert_eq!(table.origin(OriginId::NONE), None);
        let outside = table.id(span(60, 61));
        assert_eq!(table.origin(outside).and_then(|o| o.object), None);
    }

    #[test]
    fn paths_lead_to_the_node() {
        let text = "spec:\n  http:\n  - match: []\n  - route:\n    - {a: 1}\n";
        let (documents, _) = crate::yaml::parse_stream(FileId(0), text);
        let root = &documents[0].node;
        let node = root.path("spec/http/1/route/0").map(|n| n.span).unwrap_or(Span::NONE);
        assert_eq!(field_path(root, node).as_deref(), Some("spec.http[1].route[0]"));
        assert_eq!(field_path(root, span(0, 1)), None);
    }
}
