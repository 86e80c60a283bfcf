//! Object metadata: its types, names, labels and annotations.
//!
//! apimachinery `pkg/api/validation/objectmeta.go` and `pkg/util/validation`.

use super::path::Path;
use super::{Kind, Schema, Shape, openapi, registry};
use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::source::Span;
use crate::yaml::{Node, Value};

const MAX_ANNOTATION_BYTES: usize = 256 << 10;

/// The schema of `metadata`.
pub(super) fn schema() -> Option<&'static Schema> {
    registry().shared.get("object-meta")
}

/// Problems with an object's metadata.
pub(super) fn check(object: &Node, kind: &Kind) -> Vec<Diagnostic> {
    let Some(meta) = object.get("metadata").filter(|n| !n.is_null()) else {
        return vec![problem(object.span, "metadata.name is required".to_owned())];
    };
    if !matches!(meta.value, Value::Mapping(_)) {
        let message = format!("metadata: expected a mapping, found a {}", meta.type_name());
        return vec![problem(meta.site(), message)];
    }
    let mut out = types(meta);
    // A cluster stops where the types are wrong.
    if out.is_empty() {
        names(object, meta, kind, &mut out);
        labels(meta, &mut out);
        annotations(meta, &mut out);
        finalizers(meta, &mut out);
        owners(meta, &mut out);
    }
    out
}

fn problem(span: Span, message: String) -> Diagnostic {
    Diagnostic::error(codes::BAD_METADATA, Stage::Meta, span, message)
}

/// Whether every field of `metadata` has the type it must have.
pub(super) fn fits(meta: &Node) -> bool {
    types(meta).is_empty()
}

fn types(meta: &Node) -> Vec<Diagnostic> {
    let Some(Schema { shape: Shape::Object(fields), .. }) = schema() else { return Vec::new() };
    let mut findings = openapi::check_fields(meta, fields, &Path::ROOT.field("metadata")).diagnostics;
    for d in &mut findings {
        d.stage = Stage::Meta;
    }
    findings
}

fn names(object: &Node, meta: &Node, kind: &Kind, out: &mut Vec<Diagnostic>) {
    let written =
        |key: &str| meta.get(key).and_then(|n| n.as_str().filter(|s| !s.is_empty()).map(|s| (n.site(), s)));
    let (name, prefix) = (written("name"), written("generateName"));
    if let Some((span, prefix)) = prefix {
        // A generated name gets a suffix, so the prefix may end in a dash.
        let stem = prefix.strip_suffix('-').unwrap_or(prefix);
        if let Some(why) = name_problem(kind, &format!("{stem}a")) {
            out.push(problem(span, format!("metadata.generateName: `{prefix}` {why}")));
        }
    }
    if let Some((span, name)) = name {
        if let Some(why) = name_problem(kind, name) {
            out.push(problem(span, format!("metadata.name: `{name}` {why}")));
        }
    } else if prefix.is_none() {
        let place = if meta.span.is_none() { object.span } else { meta.span };
        let span = meta.get("name").map_or(place, Node::site);
        out.push(problem(span, "metadata.name is required".to_owned()));
    }
    // The namespace of a cluster-wide object is dropped without a word.
    if let Some((span, namespace)) = written("namespace").filter(|_| kind.namespaced)
        && (!is_lower_label(namespace) || namespace.len() > 63)
    {
        out.push(problem(span, format!("metadata.namespace: `{namespace}` {LABEL_RULE}")));
    }
}

const LABEL_RULE: &str =
    "must be lower-case letters, digits and `-`, begin and end with a letter or digit, at most 63 characters";
const SUBDOMAIN_RULE: &str = "must be lower-case letters, digits, `-` and `.`, begin and end with a letter or digit, at most 253 characters";

/// Services and namespaces are DNS labels, everything else we read is a DNS subdomain.
fn name_problem(kind: &Kind, name: &str) -> Option<&'static str> {
    match (kind.group, kind.name) {
        ("", "Service") => {
            let letter = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
            (!letter || !is_lower_label(name) || name.len() > 63).then_some(
                "must be lower-case letters, digits and `-`, begin with a letter, at most 63 characters",
            )
        }
        ("", "Namespace") => (!is_lower_label(name) || name.len() > 63).then_some(LABEL_RULE),
        _ => (!is_subdomain(name)).then_some(SUBDOMAIN_RULE),
    }
}

fn labels(meta: &Node, out: &mut Vec<Diagnostic>) {
    for (key, value) in entries(meta, "labels") {
        if let Some(why) = qualified_name_problem(&key.text) {
            out.push(problem(key.span, format!("metadata.labels: key `{}` {why}", key.text)));
        }
        let text = value.as_str().unwrap_or("");
        if text.len() > 63 {
            out.push(problem(value.site(), "metadata.labels: a value has at most 63 characters".to_owned()));
        } else if !text.is_empty() && !is_name_part(text) {
            let message = format!("metadata.labels: value `{text}` {NAME_PART_RULE}");
            out.push(problem(value.site(), message));
        }
    }
}

fn annotations(meta: &Node, out: &mut Vec<Diagnostic>) {
    let mut total = 0;
    for (key, value) in entries(meta, "annotations") {
        // The key is compared in lower case: upper-case prefixes were accepted once.
        if let Some(why) = qualified_name_problem(&key.text.to_lowercase()) {
            out.push(problem(key.span, format!("metadata.annotations: key `{}` {why}", key.text)));
        }
        total += key.text.len() + value.as_str().map_or(0, str::len);
    }
    if total > MAX_ANNOTATION_BYTES {
        let span = meta.get("annotations").map_or(meta.span, Node::site);
        out.push(problem(span, "metadata.annotations: all together have at most 262144 bytes".to_owned()));
    }
}

fn finalizers(meta: &Node, out: &mut Vec<Diagnostic>) {
    for item in meta.get("finalizers").map(Node::sequence).unwrap_or_default() {
        if let Some(why) = qualified_name_problem(item.as_str().unwrap_or("")) {
            out.push(problem(item.site(), format!("metadata.finalizers: {why}")));
        }
    }
}

fn owners(meta: &Node, out: &mut Vec<Diagnostic>) {
    let owners = meta.get("ownerReferences").map(Node::sequence).unwrap_or_default();
    for owner in owners {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(key).and_then(Node::as_str).is_none_or(str::is_empty) {
                out.push(problem(
                    owner.site(),
                    format!("metadata.ownerReferences: `{key}` must not be empty"),
                ));
            }
        }
        if owner.get("apiVersion").and_then(Node::as_str).is_some_and(|v| v.matches('/').count() > 1) {
            out.push(problem(
                owner.site(),
                "metadata.ownerReferences: `apiVersion` is no group and version".into(),
            ));
        }
    }
    let mut controllers =
        owners.iter().filter_map(|o| o.get("controller").filter(|c| c.as_bool() == Some(true)));
    if let (Some(_), Some(second)) = (controllers.next(), controllers.next()) {
        out.push(problem(
            second.site(),
            "metadata.ownerReferences: only one owner may be the controller".into(),
        ));
    }
}

fn entries<'a>(meta: &'a Node, key: &str) -> impl Iterator<Item = &'a (crate::yaml::Key, Node)> {
    meta.get(key).map(Node::mapping).unwrap_or_default().iter().filter(|(_, n)| !n.is_null())
}

const NAME_PART_RULE: &str =
    "must be letters, digits, `-`, `_` and `.`, and begin and end with a letter or digit";

/// `IsQualifiedName`: an optional DNS subdomain and `/`, then a name of at most 63 characters.
fn qualified_name_problem(key: &str) -> Option<&'static str> {
    let name = match key.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return Some("has more than one `/`"),
        Some(("", _)) => return Some("has an empty prefix"),
        Some((prefix, _)) if !is_subdomain(prefix) => return Some("has a prefix that is no DNS subdomain"),
        Some((_, name)) => name,
        None => key,
    };
    match name {
        "" => Some("has an empty name"),
        _ if name.len() > 63 => Some("has a name of more than 63 characters"),
        _ if !is_name_part(name) => Some(NAME_PART_RULE),
        _ => None,
    }
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_name_part(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_lower_label)
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
pub(super) fn is_lower_label(text: &str) -> bool {
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.as_bytes().first().is_some_and(alnum)
        && text.as_bytes().last().is_some_and(alnum)
        && text.bytes().all(|b| alnum(&b) || b == b'-')
}
