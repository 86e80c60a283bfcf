//! `matrix:` of a case: one case per combination, `${name}` filled in.

use mesh_config::yaml::{Node, Value};

/// The cases that one written case stands for, in the order of the matrix (its last axis varies fastest).
pub(super) fn matrix(case: &Node) -> Vec<Node> {
    let Some(matrix) = case.get("matrix") else { return vec![case.clone()] };
    let mut bare = case.clone();
    if let Value::Mapping(entries) = &mut bare.value {
        entries.retain(|(key, _)| key.text != "matrix");
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
        let cases: Vec<String> = matrix(&documents[0].node).iter().map(Node::to_json).collect();
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
}
