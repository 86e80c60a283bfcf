//! Differences of two JSON values, by path.

use std::fmt;

use serde_json::Value;

/// One place where two values differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where: keys and indexes; elements with a `name` are named.
    pub path: String,
    /// What lowering made; `None` if it made nothing.
    pub ours: Option<Value>,
    /// What istiod sent; `None` if it sent nothing.
    pub recorded: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Value>| match value {
            None => "nothing".to_owned(),
            Some(value) => {
                let text = value.to_string();
                match text.char_indices().nth(160) {
                    Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
                    None => text,
                }
            }
        };
        write!(f, "{}: ours {}, recorded {}", self.path, show(&self.ours), show(&self.recorded))
    }
}

/// All differences below a path.
pub(super) fn compare(path: &str, ours: &Value, recorded: &Value, out: &mut Vec<Difference>) {
    match (ours, recorded) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                let path = format!("{path}.{key}");
                match b.get(key) {
                    Some(other) => compare(&path, value, other, out),
                    None => out.push(Difference { path, ours: Some(value.clone()), recorded: None }),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                let path = format!("{path}.{key}");
                out.push(Difference { path, ours: None, recorded: Some(value.clone()) });
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let label = a.get(index).or(b.get(index)).and_then(|v| v.get("name")).and_then(Value::as_str);
                let path = format!("{path}[{index}{}]", label.map(|l| format!(" {l}")).unwrap_or_default());
                match (a.get(index), b.get(index)) {
                    (Some(x), Some(y)) => compare(&path, x, y, out),
                    (x, y) => out.push(Difference { path, ours: x.cloned(), recorded: y.cloned() }),
                }
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            out.push(Difference { path: path.to_owned(), ours: Some(a.clone()), recorded: Some(b.clone()) })
        }
    }
}
