//! `--set spec.traffic[0].rate=200/s`, `--set VirtualService/default/web:spec.http[0].timeout=2s`: overrides of a document
//! or of an object among its manifests, applied to the tree before it is decoded or admitted.

use mesh_config::document::RawObject;
use mesh_config::source::{FileId, Span};
use mesh_config::yaml::{Key, Node, Value, parse_stream};

use crate::loaded::DEFAULT_NAMESPACE;

/// One override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    object: Option<ObjectName>,
    path: Vec<Step>,
    value: String,
    text: String,
}

/// `Kind/namespace/name`; without a namespace the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ObjectName {
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Override {
    /// Parses `path=value` or `Kind/namespace/name:path=value`; the value is YAML. In a path `[3]` is the fourth item of a
    /// list and `["a.b/c"]` a key with dots.
    ///
    /// # Errors
    /// A message for people.
    pub fn parse(text: &str) -> Result<Override, String> {
        let (place, value) =
            text.split_once('=').ok_or_else(|| format!("`{text}`: `path=value` is expected"))?;
        let (object, path) = match place.split_once(':') {
            Some((name, path)) => (Some(ObjectName::parse(name)?), path),
            None => (None, place),
        };
        let path = steps(path).ok_or_else(|| format!("`{text}`: `{path}` is no path to a field"))?;
        Ok(Override { object, path, value: value.to_owned(), text: text.to_owned() })
    }

    /// Whether it is about an object among the manifests, and not about the document itself.
    #[must_use]
    pub fn is_of_object(&self) -> bool {
        self.object.is_some()
    }

    /// Sets the value in a document.
    ///
    /// # Errors
    /// When the path leads through something that is no mapping or past the end of a list.
    pub fn apply(&self, document: &mut Node) -> Result<(), String> {
        let (parsed, problems) = parse_stream(FileId::NONE, &self.value);
        if !problems.is_empty() || parsed.len() > 1 {
            return Err(format!("`--set {}`: the value is not YAML", self.text));
        }
        let mut value = parsed.into_iter().next().map(|d| d.node).unwrap_or_default();
        nowhere(&mut value);
        let target = self.path.iter().try_fold(document, |node, step| descend(node, step));
        match target {
            Some(node) => {
                node.value = value.value;
                Ok(())
            }
            None => Err(format!("`--set {}`: there is no such place in the document", self.text)),
        }
    }

    /// Sets the value in the object that is meant, in the last of several that a cluster would take for one.
    ///
    /// # Errors
    /// When there is no such object, or no such place in it.
    pub fn apply_to_objects(&self, objects: &mut [RawObject]) -> Result<(), String> {
        let Some(name) = &self.object else { return Ok(()) };
        match objects.iter_mut().rev().find(|object| name.is(object)) {
            Some(object) => {
                self.apply(&mut object.node)?;
                object.refresh();
                Ok(())
            }
            None => Err(format!(
                "`--set {}`: there is no {} `{}` in namespace `{}`",
                self.text, name.kind, name.name, name.namespace
            )),
        }
    }
}

impl ObjectName {
    fn parse(text: &str) -> Result<ObjectName, String> {
        let (kind, namespace, name) = match text.split('/').collect::<Vec<_>>().as_slice() {
            [kind, name] => (*kind, DEFAULT_NAMESPACE, *name),
            [kind, namespace, name] => (*kind, *namespace, *name),
            _ => return Err(format!("`{text}` is not `Kind/namespace/name`")),
        };
        Ok(ObjectName { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() })
    }

    fn is(&self, object: &RawObject) -> bool {
        let here = if object.namespace.is_empty() { DEFAULT_NAMESPACE } else { &object.namespace };
        object.kind.eq_ignore_ascii_case(&self.kind) && here == self.namespace && object.name == self.name
    }
}

/// `spec.http[0].route`, `metadata.annotations["a.b/c"]`.
fn steps(path: &str) -> Option<Vec<Step>> {
    let (mut steps, mut rest) = (Vec::new(), path);
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (word, tail) = match inner.strip_prefix('"') {
                Some(quoted) => {
                    quoted.split_once("\"]").map(|(key, tail)| (Step::Key(key.to_owned()), tail))?
                }
                None => {
                    let (index, tail) = inner.split_once(']')?;
                    (Step::Index(index.parse().ok()?), tail)
                }
            };
            steps.push(word);
            rest = tail;
        } else {
            let word = rest.strip_prefix('.').filter(|_| !steps.is_empty()).unwrap_or(rest);
            let (key, tail) = word.split_at(word.find(['.', '[']).unwrap_or(word.len()));
            if key.is_empty() {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
            rest = tail;
        }
    }
    (!steps.is_empty()).then_some(steps)
}

fn descend<'a>(node: &'a mut Node, step: &Step) -> Option<&'a mut Node> {
    if node.is_null() {
        node.value = match step {
            Step::Key(_) => Value::Mapping(Vec::new()),
            Step::Index(_) => Value::Sequence(Vec::new()),
        };
    }
    let span = node.span;
    match (&mut node.value, step) {
        (Value::Mapping(entries), Step::Key(key)) => {
            let position = entries.iter().position(|(k, _)| k.text == *key).unwrap_or_else(|| {
                entries.push((Key { text: key.clone(), span }, Node { span, ..Node::default() }));
                entries.len() - 1
            });
            entries.get_mut(position).map(|(_, node)| node)
        }
        (Value::Sequence(items), Step::Index(index)) => items.get_mut(*index),
        _ => None,
    }
}

/// Values from the command line stand in no file.
fn nowhere(node: &mut Node) {
    node.span = Span::NONE;
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(nowhere),
        Value::Mapping(entries) => {
            for (key, value) in entries {
                key.span = Span::NONE;
                nowhere(value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_set_in_place() {
        let (documents, _) = parse_stream(FileId(0), "spec: {traffic: [{rate: 1/s}], seed: 1}\n");
        let mut node = documents[0].node.clone();
        for text in
            ["spec.traffic[0].rate=200/s", "spec.duration=5m", "spec.network.latency=1ms", "spec.seed=7"]
        {
            Override::parse(text).and_then(|o| o.apply(&mut node)).expect(text);
        }
        assert_eq!(
            node.to_json(),
            r#"{"spec":{"duration":"5m","network":{"latency":"1ms"},"seed":7,"traffic":[{"rate":"200/s"}]}}"#
        );
        assert!(Override::parse("spec.traffic[3].rate=1").and_then(|o| o.apply(&mut node)).is_err());
        assert!(Override::parse("spec.seed.x=1").and_then(|o| o.apply(&mut node)).is_err());
        for wrong in
            ["nothing", "=1", "a..b=1", "a[x]=1", "a[1=1", ".a=1", "a/b/c/d:spec=1", "Deployment:spec=1"]
        {
            assert!(Override::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn objects_are_found_as_a_cluster_would() {
        let yaml = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}\n";
        let input = mesh_config::input::InputFile { display_name: "a.yaml".into(), bytes: yaml.into() };
        let mut objects = mesh_config::load::read(vec![input]).objects;
        for text in [
            "Deployment/default/web:spec.replicas=3",
            "deployment/web:spec.template.metadata.annotations[\"a.b/c\"]=\"x\"",
        ] {
            Override::parse(text).and_then(|o| o.apply_to_objects(&mut objects)).expect(text);
        }
        let shown = objects[0].node.to_json();
        assert!(shown.contains(r#""replicas":3"#), "{shown}");
        assert!(shown.contains(r#""annotations":{"a.b/c":"x"}"#), "{shown}");
        Override::parse("Deployment/web:metadata.labels.app=web")
            .and_then(|o| o.apply_to_objects(&mut objects))
            .expect("a label");
        assert_eq!(objects[0].labels.get("app").map(String::as_str), Some("web"));
        let other = Override::parse("Deployment/prod/web:spec.replicas=3").expect("an override");
        let said = other.apply_to_objects(&mut objects).expect_err("no such object");
        assert!(said.contains("no Deployment `web` in namespace `prod`"), "{said}");
    }
}
