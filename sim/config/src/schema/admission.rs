//! What a cluster's admission says of one object, stage by stage.

use super::path::Path;
use super::{Kind, meta, openapi, registry, rules, strict};
use crate::decode::closest;
use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::document::RawObject;
use crate::inventory::{Effect, effect_of};

/// istiod's validation webhook: judges an object whose kind and schema are known.
pub type Webhook = fn(&RawObject) -> Vec<Diagnostic>;

/// Everything admission would say, in the order of its stages. All stages run, although a cluster stops at
/// the first that refuses: the first error's stage is the cluster's answer.
///
/// Parse problems and duplicate keys are found earlier, by the reader.
pub fn admit(object: &RawObject, webhook: Option<Webhook>) -> Vec<Diagnostic> {
    let reference = object.reference();
    let mut out = match known_kind(object) {
        Ok(Some(kind)) => checked(object, kind),
        Ok(None) => Vec::new(),
        Err(d) => vec![*d],
    };
    if let Some(webhook) = webhook {
        out.extend(webhook(object));
    }
    for d in &mut out {
        d.object.get_or_insert_with(|| reference.clone());
    }
    out
}

fn checked(object: &RawObject, kind: &'static Kind) -> Vec<Diagnostic> {
    let node = &object.node;
    let mut out = strict::check(node, kind);
    out.extend(meta::check(node, kind));
    let mut findings = openapi::check_fields(node, &kind.fields, &Path::ROOT);
    if !findings.blocking {
        rules::check_fields(node, &kind.fields, &Path::ROOT, &mut findings);
    }
    out.extend(findings.diagnostics);
    out
}

/// The schema of an object's kind; `None` for kinds that exist but are not read.
fn known_kind(object: &RawObject) -> Result<Option<&'static Kind>, Box<Diagnostic>> {
    let (group, version) = (object.group(), object.version());
    if let Some(kind) = super::kind(group, &object.kind) {
        return if kind.versions.contains(&version) {
            Ok(Some(kind))
        } else {
            Err(Box::new(no_match(object, Some(&kind.versions))))
        };
    }
    if let Some(versions) = registry().unread.get(group).and_then(|kinds| kinds.get(object.kind.as_str())) {
        return if versions.contains(&version) {
            Err(Box::new(not_read(object)))
        } else {
            Err(Box::new(no_match(object, Some(versions))))
        };
    }
    // Groups that are fully listed have no other kinds; other groups may be anybody's.
    if is_listed_group(group) {
        Err(Box::new(no_match(object, None)))
    } else {
        Err(Box::new(not_read(object)))
    }
}

fn is_listed_group(group: &str) -> bool {
    registry().kinds.contains_key(group) || registry().unread.contains_key(group)
}

fn no_match(object: &RawObject, versions: Option<&[&'static str]>) -> Diagnostic {
    let message = format!("no kind `{}` in version `{}`", object.kind, object.api_version);
    let key = if versions.is_some() { "apiVersion" } else { "kind" };
    let span = object.node.get(key).map_or(object.span, |n| n.site());
    let d = Diagnostic::error(codes::UNKNOWN_KIND, Stage::Kind, span, message);
    if let Some(versions) = versions {
        return d.help(format!("it exists in {}", versions.join(", ")));
    }
    let hint = closest(&object.kind, names_in(object.group()));
    if let Some(hint) = hint {
        return d.help(format!("did you mean `{hint}`?"));
    }
    let mut groups = registry().kinds.keys().chain(registry().unread.keys());
    match groups.find(|group| names_in(group).any(|name| name == object.kind)) {
        Some(group) => d.help(format!("`{}` is in the group `{group}`", object.kind)),
        None => d,
    }
}

/// The kinds of a group.
fn names_in(group: &str) -> impl Iterator<Item = &'static str> {
    let read = registry().kinds.get(group).into_iter().flat_map(|kinds| kinds.keys());
    let unread = registry().unread.get(group).into_iter().flat_map(|kinds| kinds.keys());
    read.chain(unread).copied()
}

/// Kinds without a schema: most say nothing about traffic, some do.
fn not_read(object: &RawObject) -> Diagnostic {
    let span = object.node.get("kind").map_or(object.span, |n| n.site());
    let what = format!("`{}` of `{}`", object.kind, object.api_version);
    if effect_of(object.group(), &object.kind) == Effect::Traffic {
        let message = format!("{what} is not modelled; predictions it may influence are unknown");
        return Diagnostic::info(codes::NOT_MODELLED, Stage::Support, span, message);
    }
    Diagnostic::info(codes::NOT_READ, Stage::Support, span, format!("{what} is not read"))
}
