//! serde over the tree: `deserialize_struct` knows the field list, so unknown keys are found for free.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::{SeqDeserializer, StrDeserializer, U32Deserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::spanned::SPANNED;
use super::{Unknown, address};
use crate::source::Span;
use crate::yaml::{Key, Node, Number, Value};

/// The field that receives the place of its mapping.
const ORIGIN: &str = "@origin";

/// Shared by one decoding pass.
pub(crate) struct State<'a> {
    /// Nodes that are broken and therefore count as absent.
    skipped: &'a BTreeSet<usize>,
    pub(crate) unknown: RefCell<Vec<Unknown>>,
}

impl<'a> State<'a> {
    pub(crate) fn new(skipped: &'a BTreeSet<usize>) -> Self {
        State { skipped, unknown: RefCell::new(Vec::new()) }
    }

    fn skips(&self, node: &Node) -> bool {
        !self.skipped.is_empty() && self.skipped.contains(&address(node))
    }
}

/// Why a node could not be decoded. The innermost node that fails is the one reported.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) span: Span,
    pub(crate) node: Option<usize>,
    pub(crate) missing: bool,
    pub(crate) unknown: bool,
}

impl Problem {
    fn new(message: String) -> Self {
        Problem { message, help: None, span: Span::NONE, node: None, missing: false, unknown: false }
    }

    fn at(mut self, node: &Node) -> Self {
        if self.node.is_none() {
            self.node = Some(address(node));
            self.span = node.site();
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(msg: T) -> Self {
        Problem::new(msg.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Problem::new(format!("expected {}, found {}", wanted(expected), describe(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Problem::new(format!("expected {}, found {}", wanted(expected), describe(found)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let list = expected.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
        let mut problem = Problem::new(format!("`{variant}` is not one of {list}"));
        problem.help =
            super::closest(variant, expected.iter().copied()).map(|h| format!("did you mean `{h}`?"));
        problem
    }

    /// Raised by types that are written as text or as a mapping and check their keys themselves.
    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut problem = Problem::new(format!("unknown field `{field}`"));
        problem.unknown = true;
        problem.help =
            super::closest(field, expected.iter().copied()).map(|h| format!("did you mean `{h}`?"));
        problem
    }

    fn missing_field(field: &'static str) -> Self {
        let mut problem = Problem::new(format!("missing field `{field}`"));
        problem.missing = true;
        problem
    }
}

/// serde names Rust's types; people know ranges.
fn wanted(expected: &dyn de::Expected) -> String {
    let text = expected.to_string();
    let range = match text.as_str() {
        "u8" => "0 to 255",
        "u16" => "0 to 65535",
        "u32" => "0 to 4294967295",
        "u64" => "0 to 18446744073709551615",
        "i32" => "-2147483648 to 2147483647",
        "i64" => "-9223372036854775808 to 9223372036854775807",
        "f32" | "f64" => return "a number".to_owned(),
        "a sequence" => return "a list".to_owned(),
        "a map" => return "a mapping".to_owned(),
        _ => return text,
    };
    format!("a whole number from {range}")
}

fn describe(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(b) => format!("the boolean `{b}`"),
        Unexpected::Unsigned(n) => format!("the number `{n}`"),
        Unexpected::Signed(n) => format!("the number `{n}`"),
        Unexpected::Float(n) => format!("the number `{n}`"),
        Unexpected::Str(s) => format!("the string `{s}`"),
        Unexpected::Unit => "null".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// One node on its way into a type.
pub(crate) struct NodeDeserializer<'a> {
    node: &'a Node,
    state: &'a State<'a>,
}

impl<'a> NodeDeserializer<'a> {
    pub(crate) fn new(node: &'a Node, state: &'a State<'a>) -> Self {
        NodeDeserializer { node, state }
    }

    fn any<'de, V: Visitor<'de>>(&self, visitor: V, fields: Fields) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => visit_number(n, visitor),
            Value::String(s) => visitor.visit_str(s),
            Value::Sequence(items) => visitor.visit_seq(Elements { items: items.iter(), state: self.state }),
            Value::Mapping(entries) => visitor.visit_map(Entries {
                mapping: self.node,
                origin: fields.is_some_and(|f| f.contains(&ORIGIN)),
                entries: entries.iter(),
                value: Pending::Nothing,
                fields,
                state: self.state,
            }),
        }
    }

    fn finish<T>(self, result: Result<T, Problem>) -> Result<T, Problem> {
        result.map_err(|problem| problem.at(self.node))
    }

    /// A number or boolean where a string belongs: what a cluster refuses and YAML users run into.
    fn want_string<T>(self) -> Result<T, Problem> {
        let mut problem = Problem::new(format!("expected a string, found {}", article(self.node)));
        if matches!(self.node.value, Value::Number(_) | Value::Bool(_)) {
            problem.help = Some("YAML reads this as a number or boolean: put it in quotes".to_owned());
        }
        self.finish(Err(problem))
    }
}

fn article(node: &Node) -> String {
    match &node.value {
        Value::Bool(b) => format!("the boolean `{b}`"),
        Value::Number(n) => format!("the number `{n}`"),
        Value::Null => "null".to_owned(),
        _ => format!("a {}", node.type_name()),
    }
}

fn visit_number<'de, V: Visitor<'de>>(n: &Number, visitor: V) -> Result<V::Value, Problem> {
    match (n.as_i64(), n.as_u64()) {
        (Some(i), None) => visitor.visit_i64(i),
        (_, Some(u)) => visitor.visit_u64(u),
        (None, None) => visitor.visit_f64(n.as_f64()),
    }
}

type Fields = Option<&'static [&'static str]>;

macro_rules! forward_to_any {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
            let result = self.any(visitor, None);
            self.finish(result)
        })*
    };
}

impl<'de> Deserializer<'de> for NodeDeserializer<'_> {
    type Error = Problem;

    forward_to_any! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
        deserialize_unit deserialize_seq deserialize_map deserialize_bytes deserialize_byte_buf
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match &self.node.value {
            Value::String(s) => {
                let result = visitor.visit_str(s);
                self.finish(result)
            }
            _ => self.want_string(),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let node = self.node;
        visitor.visit_newtype_struct(self).map_err(|p| p.at(node))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let node = self.node;
        if name == SPANNED {
            return visitor.visit_map(SpannedParts { inner: self, step: 0 }).map_err(|p| p.at(node));
        }
        if !matches!(node.value, Value::Mapping(_)) {
            return self.finish(Err(Problem::new(format!("expected a mapping, found {}", article(node)))));
        }
        let result = self.any(visitor, Some(fields));
        self.finish(result)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let node = self.node;
        match &node.value {
            Value::String(word) => {
                visitor.visit_enum(IntoDeserializer::<Problem>::into_deserializer(word.as_str()))
            }
            Value::Mapping(entries) if entries.len() == 1 => {
                visitor.visit_enum(Variant { entry: entries.first(), state: self.state })
            }
            _ => return self.want_string(),
        }
        .map_err(|p| p.at(node))
    }
}

struct Elements<'a> {
    items: std::slice::Iter<'a, Node>,
    state: &'a State<'a>,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        for node in self.items.by_ref() {
            if !self.state.skips(node) {
                return seed.deserialize(NodeDeserializer::new(node, self.state)).map(Some);
            }
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

enum Pending<'a> {
    Nothing,
    Node(&'a Node),
    Origin(Span),
}

/// A mapping's entries: nulls and broken values are left out, unknown keys noted, the origin added.
struct Entries<'a> {
    mapping: &'a Node,
    origin: bool,
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Pending<'a>,
    fields: Fields,
    state: &'a State<'a>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        if std::mem::take(&mut self.origin) {
            self.value = Pending::Origin(self.mapping.site());
            return seed.deserialize(StrDeserializer::<Problem>::new(ORIGIN)).map(Some);
        }
        for (key, node) in self.entries.by_ref() {
            if let Some(fields) = self.fields
                && (!fields.contains(&key.text.as_str()) || key.text == ORIGIN)
            {
                self.state.unknown.borrow_mut().push(Unknown {
                    mapping: address(self.mapping),
                    key: key.text.clone(),
                    span: node.via.unwrap_or(key.span),
                    fields,
                });
                continue;
            }
            if node.is_null() || self.state.skips(node) {
                continue;
            }
            self.value = Pending::Node(node);
            if self.fields.is_some() {
                return seed.deserialize(StrDeserializer::<Problem>::new(&key.text)).map(Some);
            }
            let key_node = Node { value: Value::String(key.text.clone()), span: key.span, via: None };
            return seed.deserialize(NodeDeserializer::new(&key_node, self.state)).map(Some).map_err(
                |mut p| {
                    p.node = Some(address(node));
                    p
                },
            );
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        match std::mem::replace(&mut self.value, Pending::Nothing) {
            Pending::Node(node) => {
                seed.deserialize(NodeDeserializer::new(node, self.state)).map_err(|p| p.at(node))
            }
            Pending::Origin(span) => seed.deserialize(triple(span)),
            Pending::Nothing => Err(Problem::new("value without a key".to_owned())),
        }
    }
}

fn triple(span: Span) -> SeqDeserializer<std::array::IntoIter<U32Deserializer<Problem>, 3>, Problem> {
    SeqDeserializer::new(
        [span.file.0, span.start, span.end].map(IntoDeserializer::into_deserializer).into_iter(),
    )
}

/// The two parts of a `Spanned`: first the place, then the value.
struct SpannedParts<'a> {
    inner: NodeDeserializer<'a>,
    step: u8,
}

impl<'de> MapAccess<'de> for SpannedParts<'_> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        let key = match self.step {
            0 => "span",
            1 => "value",
            _ => return Ok(None),
        };
        self.step += 1;
        seed.deserialize(StrDeserializer::<Problem>::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        if self.step == 1 {
            return seed.deserialize(triple(self.inner.node.site()));
        }
        seed.deserialize(NodeDeserializer::new(self.inner.node, self.inner.state))
    }
}

/// `{variant: payload}` for enums that carry data.
struct Variant<'a> {
    entry: Option<&'a (Key, Node)>,
    state: &'a State<'a>,
}

impl<'a, 'de> EnumAccess<'de> for Variant<'a> {
    type Error = Problem;
    type Variant = NodeDeserializer<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Problem> {
        let Some((key, node)) = self.entry else { return Err(Problem::new("empty mapping".to_owned())) };
        let word = seed.deserialize(StrDeserializer::<Problem>::new(&key.text))?;
        Ok((word, NodeDeserializer::new(node, self.state)))
    }
}

impl<'de> VariantAccess<'de> for NodeDeserializer<'_> {
    type Error = Problem;

    fn unit_variant(self) -> Result<(), Problem> {
        if self.node.is_null() {
            Ok(())
        } else {
            self.finish(Err(Problem::new("expected nothing here".into())))
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Problem> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Problem> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        self.deserialize_struct("", fields, visitor)
    }
}
