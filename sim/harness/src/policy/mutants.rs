//! Small changes of a mesh's rules, each of which a good test should notice.
//!
//! A table says which places of which kinds are changed and how; a walk over the documents finds the places. Nothing
//! is random: the same manifests give the same mutants in the same order.

use mesh_config::document::RawObject;
use mesh_config::source::{Sources, Span};
use mesh_config::yaml::{Key, Node, Value};

/// Most lines of a removed part that are shown.
const SHOWN: usize = 6;

/// One change.
#[derive(Debug, Clone)]
pub(super) struct Mutant {
    /// Which of the mesh's objects.
    pub(super) object: usize,
    /// What was done, in a few words.
    pub(super) what: String,
    /// Field path.
    pub(super) path: String,
    /// Where it was done.
    pub(super) span: Span,
    /// The changed document.
    pub(super) node: Node,
    /// The change as lines of a diff.
    pub(super) diff: Vec<String>,
}

/// What is done at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The entry or element goes.
    Drop,
    /// The element goes, if others of its list stay.
    DropOne,
    /// The element and the next one change places.
    SwapNext,
    /// Ten points of weight move to the next destination.
    ShiftWeight,
    /// Exact and prefix conditions on the path take more.
    WidenUri,
    /// A path pattern takes everything that begins with it.
    WidenPath,
    /// ALLOW and DENY.
    FlipAction,
    /// Mutual TLS is no longer demanded.
    LoosenMtls,
}

use Change::{Drop, DropOne, FlipAction, LoosenMtls, ShiftWeight, SwapNext, WidenPath, WidenUri};

/// Kind, place (`*` is any element or key) and what is done there.
const PLACES: &[(&str, &str, &[Change])] = &[
    ("VirtualService", "spec/http/*", &[DropOne, SwapNext]),
    ("VirtualService", "spec/http/*/match/*", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/uri", &[Drop, WidenUri]),
    ("VirtualService", "spec/http/*/match/*/scheme", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/method", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/authority", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/port", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/gateways", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/sourceLabels", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/sourceNamespace", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/headers/*", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/withoutHeaders/*", &[Drop]),
    ("VirtualService", "spec/http/*/match/*/queryParams/*", &[Drop]),
    ("VirtualService", "spec/http/*/route/*", &[DropOne, ShiftWeight]),
    ("VirtualService", "spec/http/*/route/*/destination/subset", &[Drop]),
    ("VirtualService", "spec/http/*/route/*/headers", &[Drop]),
    ("VirtualService", "spec/http/*/redirect", &[Drop]),
    ("VirtualService", "spec/http/*/directResponse", &[Drop]),
    ("VirtualService", "spec/http/*/rewrite", &[Drop]),
    ("VirtualService", "spec/http/*/timeout", &[Drop]),
    ("VirtualService", "spec/http/*/retries", &[Drop]),
    ("VirtualService", "spec/http/*/fault", &[Drop]),
    ("VirtualService", "spec/http/*/mirror", &[Drop]),
    ("VirtualService", "spec/http/*/mirrors/*", &[Drop]),
    ("VirtualService", "spec/http/*/corsPolicy", &[Drop]),
    ("VirtualService", "spec/http/*/headers", &[Drop]),
    ("VirtualService", "spec/tls/*", &[DropOne]),
    ("VirtualService", "spec/tls/*/route/*", &[DropOne, ShiftWeight]),
    ("VirtualService", "spec/tcp/*", &[DropOne, SwapNext]),
    ("VirtualService", "spec/tcp/*/match/*", &[Drop]),
    ("VirtualService", "spec/tcp/*/route/*", &[DropOne, ShiftWeight]),
    ("DestinationRule", "spec/trafficPolicy/tls/mode", &[LoosenMtls]),
    ("DestinationRule", "spec/trafficPolicy/portLevelSettings/*", &[Drop]),
    ("DestinationRule", "spec/subsets/*/labels/*", &[Drop]),
    ("DestinationRule", "spec/subsets/*/trafficPolicy", &[Drop]),
    ("Gateway", "spec/servers/*", &[DropOne]),
    ("Gateway", "spec/servers/*/tls/httpsRedirect", &[Drop]),
    ("Sidecar", "spec/egress/*/hosts/*", &[DropOne]),
    ("Sidecar", "spec/outboundTrafficPolicy", &[Drop]),
    ("PeerAuthentication", "spec/mtls/mode", &[LoosenMtls]),
    ("PeerAuthentication", "spec/portLevelMtls/*", &[Drop]),
    ("PeerAuthentication", "spec/portLevelMtls/*/mode", &[LoosenMtls]),
    ("RequestAuthentication", "spec/jwtRules/*", &[Drop]),
    ("AuthorizationPolicy", "spec/action", &[FlipAction]),
    ("AuthorizationPolicy", "spec/selector", &[Drop]),
    ("AuthorizationPolicy", "spec/rules/*", &[Drop]),
    ("AuthorizationPolicy", "spec/rules/*/from", &[Drop]),
    ("AuthorizationPolicy", "spec/rules/*/to", &[Drop]),
    ("AuthorizationPolicy", "spec/rules/*/when", &[Drop]),
    ("AuthorizationPolicy", "spec/rules/*/from/*", &[DropOne]),
    ("AuthorizationPolicy", "spec/rules/*/to/*", &[DropOne]),
    ("AuthorizationPolicy", "spec/rules/*/when/*", &[DropOne]),
    ("AuthorizationPolicy", "spec/rules/*/from/*/source/*", &[Drop]),
    ("AuthorizationPolicy", "spec/rules/*/from/*/source/*/*", &[DropOne]),
    ("AuthorizationPolicy", "spec/rules/*/to/*/operation/*", &[Drop]),
    ("AuthorizationPolicy", "spec/rules/*/to/*/operation/*/*", &[DropOne]),
    ("AuthorizationPolicy", "spec/rules/*/to/*/operation/paths/*", &[WidenPath]),
    ("AuthorizationPolicy", "spec/rules/*/when/*/values/*", &[DropOne]),
];

/// Every mutant of these objects, in their order.
pub(super) fn mutants(objects: &[RawObject], sources: &Sources) -> Vec<Mutant> {
    let mut all = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        for (_, pattern, changes) in PLACES.iter().filter(|(kind, ..)| *kind == object.kind) {
            let steps: Vec<&str> = pattern.split('/').collect();
            let mut places = Vec::new();
            find(&object.node, &steps, &mut Vec::new(), &mut places);
            for place in places {
                for change in *changes {
                    all.extend(mutant(index, object, &place, *change, sources));
                }
            }
        }
    }
    // By place, as people read a file.
    all.sort_by(|a, b| {
        (a.object, a.span.start, &a.path, &a.what).cmp(&(b.object, b.span.start, &b.path, &b.what))
    });
    all
}

/// The places that a pattern means, as indexes from the top.
fn find(node: &Node, steps: &[&str], at: &mut Vec<usize>, out: &mut Vec<Vec<usize>>) {
    let Some((step, rest)) = steps.split_first() else {
        out.push(at.clone());
        return;
    };
    let fits = |name: &str| *step == "*" || *step == name;
    match &node.value {
        Value::Mapping(entries) => {
            for (i, (_, child)) in entries.iter().enumerate().filter(|(_, (key, _))| fits(&key.text)) {
                at.push(i);
                find(child, rest, at, out);
                at.pop();
            }
        }
        Value::Sequence(items) if *step == "*" => {
            for (i, child) in items.iter().enumerate() {
                at.push(i);
                find(child, rest, at, out);
                at.pop();
            }
        }
        _ => {}
    }
}

/// What holds a place: an entry of a mapping or an element of a list.
enum Parent<'a> {
    Entries(&'a mut Vec<(Key, Node)>),
    Elements(&'a mut Vec<Node>),
}

fn mutant(
    index: usize,
    object: &RawObject,
    place: &[usize],
    change: Change,
    sources: &Sources,
) -> Option<Mutant> {
    let mut node = object.node.clone();
    let (&last, above) = place.split_last()?;
    let path = shown(&object.node, place);
    let parent = above.iter().try_fold(&mut node, |at, step| match &mut at.value {
        Value::Mapping(entries) => entries.get_mut(*step).map(|(_, n)| n),
        Value::Sequence(items) => items.get_mut(*step),
        _ => None,
    })?;
    let parent = match &mut parent.value {
        Value::Mapping(entries) => Parent::Entries(entries),
        Value::Sequence(items) => Parent::Elements(items),
        _ => return None,
    };
    let (what, span, diff) = apply(change, parent, last, &path, sources)?;
    Some(Mutant { object: index, what, path, span, node, diff })
}

type Applied = (String, Span, Vec<String>);

fn apply(change: Change, parent: Parent<'_>, at: usize, path: &str, sources: &Sources) -> Option<Applied> {
    match (change, parent) {
        (Drop, Parent::Entries(entries)) => {
            entries.get(at)?;
            let (key, node) = entries.remove(at);
            let span = key.span.to(node.span);
            Some((format!("drop {path}"), span, minus(sources, span)))
        }
        (Drop, Parent::Elements(items)) => {
            items.get(at)?;
            let node = items.remove(at);
            Some((format!("drop {path}"), node.span, minus(sources, node.span)))
        }
        (DropOne, Parent::Elements(items)) if items.len() > 1 => {
            items.get(at)?;
            let node = items.remove(at);
            Some((format!("drop {path}"), node.span, minus(sources, node.span)))
        }
        (SwapNext, Parent::Elements(items)) => {
            let (first, second) = (items.get(at)?.span, items.get(at + 1)?.span);
            items.swap(at, at + 1);
            let mut diff = minus(sources, first);
            diff.extend(lines(sources, second, ' '));
            diff.extend(lines(sources, first, '+'));
            Some((format!("swap {path} with the next"), first, diff))
        }
        (ShiftWeight, Parent::Elements(items)) => shift(items, at, path),
        (DropOne | SwapNext | ShiftWeight, _) => None,
        (WidenUri, Parent::Entries(entries)) => widen(&mut entries.get_mut(at)?.1, path),
        (_, Parent::Entries(entries)) => replace(change, &mut entries.get_mut(at)?.1, path),
        (_, Parent::Elements(items)) => replace(change, items.get_mut(at)?, path),
    }
}

/// Ten points from one destination to the next (fewer, if it has fewer).
fn shift(items: &mut [Node], at: usize, path: &str) -> Option<Applied> {
    let weight = |node: &Node| {
        node.get("weight").and_then(Node::as_number).and_then(|n| n.to_string().parse::<i64>().ok())
    };
    let (first, second) = (weight(items.get(at)?)?, weight(items.get(at + 1)?)?);
    let step = first.min(10);
    if step <= 0 {
        return None;
    }
    let span = items.get(at)?.get("weight")?.span;
    let mut diff = Vec::new();
    for (index, old, new) in [(at, first, first - step), (at + 1, second, second + step)] {
        diff.push(format!("- weight: {old}"));
        diff.push(format!("+ weight: {new}"));
        if let Value::Mapping(entries) = &mut items.get_mut(index)?.value {
            let (_, node) = entries.iter_mut().find(|(key, _)| key.text == "weight")?;
            node.value = number(new)?;
        }
    }
    Some((format!("move weight {step} from {path} to the next"), span, diff))
}

/// A number as the YAML reader makes it.
fn number(value: i64) -> Option<Value> {
    let (documents, _) =
        mesh_config::yaml::parse_stream(mesh_config::source::FileId::NONE, &value.to_string());
    documents.into_iter().next().map(|d| d.node.value)
}

/// `exact: /a` becomes `prefix: /a`; `prefix: /a` becomes `prefix: /`.
fn widen(uri: &mut Node, path: &str) -> Option<Applied> {
    let span = uri.span;
    let Value::Mapping(entries) = &mut uri.value else { return None };
    let (key, node) = entries.first_mut()?;
    let text = node.as_str()?.to_owned();
    let (new_key, new_text) = match key.text.as_str() {
        "exact" => ("prefix", text.as_str()),
        "prefix" if text != "/" => ("prefix", "/"),
        _ => return None,
    };
    let diff = vec![format!("- {}: {text}", key.text), format!("+ {new_key}: {new_text}")];
    new_key.clone_into(&mut key.text);
    node.value = Value::String(new_text.to_owned());
    Some((format!("widen {path}"), span, diff))
}

fn replace(change: Change, node: &mut Node, path: &str) -> Option<Applied> {
    let old = node.as_str()?.to_owned();
    let (verb, new) = match (change, old.as_str()) {
        (FlipAction, "ALLOW") => ("flip", "DENY".to_owned()),
        (FlipAction, "DENY") => ("flip", "ALLOW".to_owned()),
        (LoosenMtls, "STRICT") => ("loosen", "PERMISSIVE".to_owned()),
        (LoosenMtls, "ISTIO_MUTUAL" | "MUTUAL") => ("loosen", "DISABLE".to_owned()),
        (WidenPath, text) if text.starts_with('/') && !text.contains(['*', '{']) => {
            ("widen", format!("{text}*"))
        }
        _ => return None,
    };
    let key = path.rsplit('.').next().unwrap_or(path);
    let key = key.split('[').next().unwrap_or(key);
    let diff = vec![format!("- {key}: {old}"), format!("+ {key}: {new}")];
    node.value = Value::String(new);
    Some((format!("{verb} {path}"), node.span, diff))
}

fn minus(sources: &Sources, span: Span) -> Vec<String> {
    lines(sources, span, '-')
}

/// The text of a place, marked; long ones are cut.
fn lines(sources: &Sources, span: Span, mark: char) -> Vec<String> {
    let text = sources.text(span.file).get(span.start as usize..span.end as usize).unwrap_or("");
    let all: Vec<&str> = text.trim_end().lines().collect();
    let mut shown: Vec<String> = all.iter().take(SHOWN).map(|l| format!("{mark} {l}")).collect();
    if all.len() > SHOWN {
        shown.push(format!("{mark} … {} more lines", all.len() - SHOWN));
    }
    shown
}

/// `spec.http[0].match[1]`
fn shown(root: &Node, place: &[usize]) -> String {
    let mut out = String::new();
    let mut at = Some(root);
    for step in place {
        match at.map(|n| &n.value) {
            Some(Value::Mapping(entries)) => {
                let Some((key, child)) = entries.get(*step) else { break };
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(&key.text);
                at = Some(child);
            }
            Some(Value::Sequence(items)) => {
                out.push_str(&format!("[{step}]"));
                at = items.get(*step);
            }
            _ => break,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_config::load::read_text;

    const TEXT: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  http:
  - match: [{uri: {exact: /x}, headers: {h: {exact: v}}}]
    route: [{destination: {host: a}}]
  - route:
    - {destination: {host: a, subset: one}, weight: 95}
    - {destination: {host: a}, weight: 5}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/a, /b*]}}]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: q}
spec: {mtls: {mode: STRICT}}
";

    #[test]
    fn every_place_is_changed_in_its_way() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml".to_owned(), TEXT.to_owned());
        let (objects, _) = read_text(file, TEXT);
        let all = mutants(&objects, &sources);
        let what: Vec<&str> = all.iter().map(|m| m.what.as_str()).collect();
        for wanted in [
            "drop spec.http[0]",
            "swap spec.http[0] with the next",
            "drop spec.http[0].match[0]",
            "widen spec.http[0].match[0].uri",
            "drop spec.http[0].match[0].headers.h",
            "move weight 10 from spec.http[1].route[0] to the next",
            "drop spec.http[1].route[0].destination.subset",
            "flip spec.action",
            "drop spec.rules[0].to[0].operation.paths[0]",
            "widen spec.rules[0].to[0].operation.paths[0]",
            "loosen spec.mtls.mode",
        ] {
            assert!(what.contains(&wanted), "no `{wanted}` in {what:#?}");
        }
        let of = |name: &str| all.iter().find(|m| m.what == name).expect("mutant");
        let widened = of("widen spec.http[0].match[0].uri");
        assert_eq!(widened.diff, ["- exact: /x", "+ prefix: /x"]);
        assert!(widened.node.to_json().contains(r#""uri":{"prefix":"/x"}"#), "{}", widened.node.to_json());
        let moved = of("move weight 10 from spec.http[1].route[0] to the next");
        assert!(
            moved.node.to_json().contains(r#""weight":85"#)
                && moved.node.to_json().contains(r#""weight":15"#)
        );
        assert_eq!(
            sources.location(of("flip spec.action").span).rsplit_once(':').map(|(l, _)| l),
            Some("a.yaml:16")
        );
        // A starred path cannot be widened, a single rule not be dropped from its service.
        assert!(!what.contains(&"widen spec.rules[0].to[0].operation.paths[1]"));
    }
}
