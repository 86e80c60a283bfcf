//! Objects as YAML that `kubectl apply` takes.
//!
//! Kubernetes reads YAML 1.1, where `on` and `yes` are booleans; the YAML library writes 1.2 and leaves them bare. So
//! it writes the scalars, and what 1.1 would read as something else is quoted here.

use std::fmt::Write as _;

use serde_json::Value;

/// One document, without separator; keys stay in their order.
#[must_use]
pub fn yaml(object: &Value) -> String {
    let mut out = String::new();
    node(object, 0, &mut out);
    out
}

/// Writes a node whose lines begin at a column; the first one begins where the text ends.
fn node(value: &Value, column: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (key, field)) in fields.iter().enumerate() {
                indent(index, column, out);
                let _ = write!(out, "{}:", text(key));
                match field {
                    Value::Object(inner) if !inner.is_empty() => below(field, column + 2, out),
                    Value::Array(inner) if !inner.is_empty() => below(field, column, out),
                    scalar => {
                        out.push(' ');
                        node(scalar, column, out);
                    }
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                indent(index, column, out);
                out.push_str("- ");
                node(item, column + 2, out);
            }
        }
        scalar => {
            let shown = match scalar {
                Value::String(written) => text(written),
                Value::Object(_) => "{}".to_owned(),
                Value::Array(_) => "[]".to_owned(),
                other => other.to_string(),
            };
            let _ = writeln!(out, "{shown}");
        }
    }
}

fn below(value: &Value, column: usize, out: &mut String) {
    out.push('\n');
    let _ = write!(out, "{:column$}", "");
    node(value, column, out);
}

/// The first entry begins where the text ends.
fn indent(index: usize, column: usize, out: &mut String) {
    if index > 0 {
        let _ = write!(out, "{:column$}", "");
    }
}

/// What YAML 1.1 reads as a boolean and 1.2 as a text, in lower case.
const BOOLEANS: [&str; 6] = ["y", "yes", "on", "n", "no", "off"];

fn text(written: &str) -> String {
    if written.contains(['\n', '\r']) {
        // A JSON string is a YAML string on one line.
        return Value::from(written).to_string();
    }
    if BOOLEANS.contains(&written.to_ascii_lowercase().as_str()) {
        return format!("'{written}'");
    }
    serde_yaml::to_string(written)
        .map_or_else(|_| Value::from(written).to_string(), |t| t.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_words_that_look_like_others_keep_their_type() {
        let text = yaml(&json!({"kind": "A", "spec": {"ports": ["8080"], "on": "yes", "port": 1}}));
        assert_eq!(text, "kind: A\nspec:\n  ports:\n  - '8080'\n  'on': 'yes'\n  port: 1\n");
        let nested =
            json!({"rules": [{"from": [{"source": {"principals": ["*"]}}], "to": []}, "a\nb"], "z": {}});
        let expected =
            "rules:\n- from:\n  - source:\n      principals:\n      - '*'\n  to: []\n- \"a\\nb\"\nz: {}\n";
        assert_eq!(yaml(&nested), expected);
        let read: serde_json::Value = serde_yaml::from_str(&yaml(&nested)).expect("YAML");
        assert_eq!(read, nested);
    }
}
