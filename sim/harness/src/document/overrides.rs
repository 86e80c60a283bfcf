//! `--set spec.traffic[0].rate=200/s`: overrides of a document, applied to its tree before it is decoded.

use mesh_config::source::{FileId, Span};
use mesh_config::yaml::{Key, Node, Value, parse_stream};

/// One override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    path: Vec<Step>,
    value: String,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Override {
    /// Parses `path=value`; the value is YAML.
    ///
    /// # Errors
    /// A message for people.
    pub fn parse(text: &str) -> Result<Override, String> {
        let (path, value) =
            text.split_once('=').ok_or_else(|| format!("`{text}`: `path=value` is expected"))?;
        let mut steps = Vec::new();
        for word in path.split('.') {
            let (key, indexes) = word.split_at(word.find('[').unwrap_or(word.len()));
            if !key.is_empty() {
                steps.push(Step::Key(key.to_owned()));
            }
            for index in indexes.split_terminator(']') {
                let number = index.strip_prefix('[').and_then(|i| i.parse().ok());
                steps.push(Step::Index(number.ok_or_else(|| format!("`{text}`: bad index in `{word}`"))?));
            }
        }
        if steps.is_empty() {
            return Err(format!("`{text}` names no field"));
        }
        Ok(Override { path: steps, value: value.to_owned(), text: text.to_owned() })
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
        assert!(Override::parse("nothing").is_err());
    }
}
