//! Small pieces of protobuf JSON: objects that leave out defaults, durations, strings.

use serde_json::{Map, Value, json};

/// An object under construction; absent, empty and false values are left out, as protobuf JSON does.
#[derive(Debug, Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    pub(super) fn new() -> Object {
        Object::default()
    }

    /// Sets a key unless the value is null, false, 0, or empty.
    pub(super) fn put(mut self, key: &str, value: impl Into<Value>) -> Object {
        let value = value.into();
        if !is_default(&value) {
            self.0.insert(key.to_owned(), value);
        }
        self
    }

    /// Sets a key whatever the value is.
    pub(super) fn always(mut self, key: &str, value: impl Into<Value>) -> Object {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(true) => false,
    }
}

/// `0.300s`: nine, six or three decimals, or none.
pub(super) fn duration(ns: u64) -> String {
    let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
    match rest {
        0 => format!("{seconds}s"),
        _ if rest % 1_000_000 == 0 => format!("{seconds}.{:03}s", rest / 1_000_000),
        _ if rest % 1_000 == 0 => format!("{seconds}.{:06}s", rest / 1_000),
        _ => format!("{seconds}.{rest:09}s"),
    }
}

/// A list of texts.
pub(super) fn texts(values: &[mesh_core::Str]) -> Value {
    json!(values.iter().map(AsRef::as_ref).collect::<Vec<&str>>())
}

/// A list made by a function.
pub(super) fn list<T>(values: &[T], each: impl Fn(&T) -> Value) -> Value {
    Value::Array(values.iter().map(each).collect())
}
