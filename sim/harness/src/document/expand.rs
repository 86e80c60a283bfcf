//! `matrix:` of a case: one case per combination, `${name}` filled in.

use mesh_config::decode::closest;
use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::yaml::{Node, Value};

/// Most cases one matrix may stand for.
const MOST: usize = 10_000;
/// The number of a request in its traffic: filled in later.
const NUMBER: &str = "n";

/// The cases that one written case stands for, in the order of the matrix (its last axis varies fastest). A matrix
/// that cannot be filled in gives none and says why.
pub(super) fn matrix(case: &Node, problems: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut bare = case.clone();
    if let Value::Mapping(entries) = &mut bare.value {
        entries.retain(|(key, _)| key.text != "matrix");
    }
    let before = problems.len();
    let none = Node::default();
    let matrix = case.get("matrix").unwrap_or(&none);
    check(case, matrix, &bare, problems);
    if problems.len() > before {
        return Vec::new();
    }
    if matrix.is_null() {
        return vec![bare];
    }
    let mut combinations: Vec<Vec<(&str, &Node)>> = vec![Vec::new()];
    for (axis, values) in matrix.mapping() {
        combinations = combinations
            .iter()
            .flat_map(|chosen| {
                values.sequence().iter().map(|value| {
                    let mut more = chosen.clone();
                    more.push((axis.text.as_str(), value));
                    more
                })
            })
            .collect();
    }
    combinations.iter().map(|chosen| named(fill(&bare, chosen), chosen)).collect()
}

fn wrong(at: &Node, message: String) -> Diagnostic {
    Diagnostic::error(codes::CONTRADICTION, Stage::Schema, at.span, message)
}

/// Every axis is a list that is used, every placeholder has its axis.
fn check(case: &Node, matrix: &Node, bare: &Node, problems: &mut Vec<Diagnostic>) {
    let mut used: Vec<(String, &Node)> = Vec::new();
    placeholders(bare, &mut used);
    if case.get("matrix").is_some() && matrix.mapping().is_empty() {
        problems.push(wrong(matrix, "a matrix needs axes: `matrix: {path: [/a, /b]}`".to_owned()));
        return;
    }
    let mut combinations = 1_usize;
    for (axis, values) in matrix.mapping() {
        combinations = combinations.saturating_mul(values.sequence().len());
        if values.sequence().is_empty() {
            let message = format!("axis `{}` needs a list with values: no case would be left", axis.text);
            problems.push(wrong(values, message));
        } else if !used.iter().any(|(name, _)| *name == axis.text) {
            let message =
                format!("axis `{0}` is not used: nothing in the case mentions `${{{0}}}`", axis.text);
            problems.push(wrong(values, message));
        }
    }
    if combinations > MOST {
        problems.push(wrong(matrix, format!("the matrix has {combinations} combinations, more than {MOST}")));
    }
    for (name, at) in used.iter().filter(|(name, _)| name != NUMBER && matrix.get(name).is_none()) {
        let message = format!("`${{{name}}}` has no axis in `matrix`");
        let hint = closest(name, matrix.mapping().iter().map(|(axis, _)| axis.text.as_str()));
        let problem = Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at.span, message);
        problems.push(match hint {
            Some(hint) => problem.help(format!("did you mean `${{{hint}}}`?")),
            None => problem,
        });
    }
}

/// Every `${name}` in the texts of a node.
fn placeholders<'a>(node: &'a Node, found: &mut Vec<(String, &'a Node)>) {
    match &node.value {
        Value::String(text) => {
            for rest in text.split("${").skip(1) {
                let Some((name, _)) = rest.split_once('}') else { continue };
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
                if !name.is_empty() && name.chars().all(word) {
                    found.push((name.to_owned(), node));
                }
            }
        }
        Value::Sequence(items) => items.iter().for_each(|n| placeholders(n, found)),
        Value::Mapping(entries) => entries.iter().for_each(|(_, n)| placeholders(n, found)),
        _ => {}
    }
}

/// A name that does not mention the axes is completed, so that every case can be told apart.
fn named(mut case: Node, chosen: &[(&str, &Node)]) -> Node {
    let Value::Mapping(entries) = &mut case.value else { return case };
    for (key, value) in entries {
        if let ("name", Value::String(name)) = (key.text.as_str(), &mut value.value) {
            let words: Vec<String> =
                chosen.iter().map(|(_, v)| text(v)).filter(|w| !name.contains(w.as_str())).collect();
            if !words.is_empty() {
                name.push_str(&format!(" [{}]", words.join(", ")));
            }
        }
    }
    case
}

/// A string that is one placeholder becomes the value itself; elsewhere its text is put in.
fn fill(node: &Node, chosen: &[(&str, &Node)]) -> Node {
    let value = match &node.value {
        Value::String(s) => {
            if let Some((_, value)) = chosen.iter().find(|(axis, _)| *s == format!("${{{axis}}}")) {
                return Node { value: value.value.clone(), span: node.span, via: node.via };
            }
            let filled =
                chosen.iter().fold(s.clone(), |s, (axis, v)| s.replace(&format!("${{{axis}}}"), &text(v)));
            Value::String(filled)
        }
        Value::Sequence(items) => Value::Sequence(items.iter().map(|n| fill(n, chosen)).collect()),
        Value::Mapping(entries) => {
            Value::Mapping(entries.iter().map(|(k, n)| (k.clone(), fill(n, chosen))).collect())
        }
        other => other.clone(),
    };
    Node { value, span: node.span, via: node.via }
}

fn text(node: &Node) -> String {
    match &node.value {
        Value::String(s) => s.clone(),
        _ => node.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combinations_in_order_with_values_and_text() {
        let text = "name: case\nmatrix: {from: [a, {pod: {}}], path: [/x, /y]}\nfrom: ${from}\nrequest: GET http://h${path}\n";
        let (documents, _) = mesh_config::yaml::parse_stream(mesh_config::source::FileId(0), text);
        let mut problems = Vec::new();
        let cases: Vec<String> =
            matrix(&documents[0].node, &mut problems).iter().map(Node::to_json).collect();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(
            cases,
            [
                r#"{"from":"a","name":"case [/x]","request":"GET http://h/x"}"#,
                r#"{"from":"a","name":"case [/y]","request":"GET http://h/y"}"#,
                r#"{"from":{"pod":{}},"name":"case [{\"pod\":{}}, /x]","request":"GET http://h/x"}"#,
                r#"{"from":{"pod":{}},"name":"case [{\"pod\":{}}, /y]","request":"GET http://h/y"}"#,
            ]
        );
    }

    #[test]
    fn a_matrix_that_loses_cases_is_refused() {
        for (text, part) in [
            ("matrix: {path: []}\nrequest: GET http://h${path}\n", "no case would be left"),
            ("matrix: {path: /a}\nrequest: GET http://h${path}\n", "no case would be left"),
            ("matrix: [path]\nrequest: GET http://h\n", "needs axes"),
            ("matrix: {path: [/a]}\nrequest: GET http://h\n", "`path` is not used"),
            ("matrix: {path: [/a]}\nrequest: GET http://h${path}${pth}\n", "`${pth}` has no axis"),
            ("request: GET http://h${path}\n", "`${path}` has no axis"),
        ] {
            let (documents, _) = mesh_config::yaml::parse_stream(mesh_config::source::FileId(0), text);
            let mut problems = Vec::new();
            assert!(matrix(&documents[0].node, &mut problems).is_empty(), "{text}");
            assert!(problems.iter().any(|p| p.message.contains(part)), "{text}: {problems:?}");
        }
        // The number of a request, and text that only looks similar, stay.
        let text = "request: GET http://h/${n}?x=${jndi:ldap}\n";
        let (documents, _) = mesh_config::yaml::parse_stream(mesh_config::source::FileId(0), text);
        let mut problems = Vec::new();
        assert_eq!(matrix(&documents[0].node, &mut problems).len(), 1);
        assert!(problems.is_empty(), "{problems:?}");
    }
}
