//! The notation of the schema files.
//!
//! ```text
//! kind VirtualService networking.istio.io v1 v1beta1     group `-` is core; flags: built-in cluster unmodelled
//!   spec! obj                                            two spaces a level; `!` is required
//!     hosts [str len=1..] size=..256                     a list; limits of elements inside, of the list outside
//!     headers {@string-match}                            a map of a shared schema
//!     ~ percent ?i32 range=0..100                        `~` exists but is not modelled; `?` may be null
//! def string-match obj one=exact|prefix|regex            a shared schema; at most one of these fields
//!   exact str
//! unread apps/v1 ControllerRevision                      exists in a cluster, has no influence on traffic
//! ```
//! Types: `any str bytes time bool int i32 u32 port num intstr duration obj [T] {T} @shared`.
//! Attributes: `len= size= range= enum= re= one= key= cel=`. `#` begins a comment.

use super::{Class, Field, Kind, Registry, Rule, Schema, Shape};

/// Reads a schema file into the registry; the error names the line.
pub(super) fn parse(text: &'static str, registry: &mut Registry) -> Result<(), String> {
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next_at(0) {
        let number = lines.number;
        let fail = |e: String| format!("{number}: {e}");
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "kind" => {
                let kind = kind(rest, &mut lines)?;
                registry.kinds.entry(kind.group).or_default().insert(kind.name, kind);
            }
            "def" => {
                let (name, ty) =
                    rest.split_once(' ').ok_or_else(|| fail("a definition needs a type".into()))?;
                let schema = schema(ty, &mut lines, 1).map_err(fail)?;
                registry.shared.insert(name, schema);
            }
            "unread" => {
                let mut words = rest.split_whitespace();
                let (group, version) = api_version(words.next().unwrap_or(""));
                for kind in words {
                    let versions = registry.unread.entry(group).or_default().entry(kind).or_default();
                    versions.push(version);
                }
            }
            _ => return Err(fail(format!("unknown word `{word}`"))),
        }
    }
    match lines.next_any() {
        Some(line) => Err(format!("{}: unexpected indentation: `{line}`", lines.number)),
        None => Ok(()),
    }
}

fn api_version(text: &'static str) -> (&'static str, &'static str) {
    text.rsplit_once('/').unwrap_or(("", text))
}

fn kind(head: &'static str, lines: &mut Lines) -> Result<Kind, String> {
    let mut words = head.split_whitespace();
    let (name, group) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut kind = Kind {
        name,
        group: if group == "-" { "" } else { group },
        versions: Vec::new(),
        namespaced: true,
        built_in: false,
        class: Class::Simulated,
        fields: Vec::new(),
    };
    for word in words {
        match word {
            "built-in" => kind.built_in = true,
            "cluster" => kind.namespaced = false,
            "unmodelled" => kind.class = Class::Known,
            version => kind.versions.push(version),
        }
    }
    kind.fields = fields(lines, 1)?;
    Ok(kind)
}

fn fields(lines: &mut Lines, level: usize) -> Result<Vec<Field>, String> {
    let mut out = Vec::new();
    while let Some(line) = lines.next_at(level) {
        let number = lines.number;
        let (class, line) = match line.strip_prefix("~ ") {
            Some(rest) => (Class::Known, rest),
            None => (Class::Simulated, line),
        };
        let (name, ty) = line.split_once(' ').ok_or_else(|| format!("{number}: `{line}` has no type"))?;
        let (name, required) = match name.strip_suffix('!') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let schema = schema(ty, lines, level + 1).map_err(|e| format!("{number}: {e}"))?;
        out.push(Field { name, required, class, schema });
    }
    Ok(out)
}

/// A type and, for objects, the fields below it.
fn schema(ty: &'static str, lines: &mut Lines, level: usize) -> Result<Schema, String> {
    let mut cursor = Cursor { rest: ty };
    let mut schema = cursor.schema()?;
    if !cursor.rest.is_empty() {
        return Err(format!("left over: `{}`", cursor.rest));
    }
    if let Some(object) = innermost(&mut schema) {
        *object = fields(lines, level)?;
    }
    Ok(schema)
}

fn innermost(schema: &mut Schema) -> Option<&mut Vec<Field>> {
    match &mut schema.shape {
        Shape::Object(fields) => Some(fields),
        Shape::List(inner) | Shape::Map(inner) => innermost(inner),
        _ => None,
    }
}

struct Cursor {
    rest: &'static str,
}

impl Cursor {
    fn schema(&mut self) -> Result<Schema, String> {
        let nullable = self.take("?");
        let mut schema = if self.take("[") {
            let inner = self.schema()?;
            self.expect("]")?;
            Schema { shape: Shape::List(Box::new(inner)), ..Schema::default() }
        } else if self.take("{") {
            let inner = self.schema()?;
            self.expect("}")?;
            Schema { shape: Shape::Map(Box::new(inner)), ..Schema::default() }
        } else {
            named(self.word())?
        };
        schema.nullable = nullable;
        while self.rest.starts_with(' ') {
            self.rest = self.rest.trim_start();
            let attribute = self.word();
            apply(&mut schema, attribute).ok_or_else(|| format!("bad attribute `{attribute}`"))?;
        }
        Ok(schema)
    }

    fn word(&mut self) -> &'static str {
        let end = self.rest.find([' ', ']', '}']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, close: &str) -> Result<(), String> {
        if self.take(close) { Ok(()) } else { Err(format!("expected `{close}` at `{}`", self.rest)) }
    }
}

fn named(word: &'static str) -> Result<Schema, String> {
    let mut schema = Schema::default();
    schema.shape = match word {
        "any" => Shape::Any,
        "str" => Shape::String,
        "bytes" => Shape::Bytes,
        "time" => Shape::Time,
        "bool" => Shape::Bool,
        "int" => Shape::Integer,
        "i32" => Shape::Int32,
        "num" => Shape::Number,
        "intstr" => Shape::IntOrString,
        "obj" => Shape::Object(Vec::new()),
        "u32" | "port" => {
            schema.range = (Some(0.0), Some(f64::from(u32::MAX)));
            if word == "port" {
                schema.rules.push(Rule::Port);
            }
            Shape::Integer
        }
        "duration" => {
            schema.rules.push(Rule::Duration);
            Shape::String
        }
        _ => match word.strip_prefix('@') {
            Some(shared) => Shape::Shared(shared),
            None => return Err(format!("unknown type `{word}`")),
        },
    };
    Ok(schema)
}

/// Sets one attribute; `None` if it is malformed.
fn apply(schema: &mut Schema, attribute: &'static str) -> Option<()> {
    let (key, value) = attribute.split_once('=')?;
    let words = || value.split('|').collect::<Vec<_>>();
    match key {
        "len" | "size" => {
            let (low, high) = value.split_once("..")?;
            schema.length = (optional(low)?, optional(high)?);
        }
        "range" => {
            let (low, high) = value.split_once("..")?;
            schema.range = (optional(low)?, optional(high)?);
        }
        "enum" => schema.words = words(),
        "re" => schema.pattern = Some(value),
        "one" => schema.at_most_one.push(words()),
        "key" => schema.list_keys = value.split(',').collect(),
        "cel" => schema.rules.push(Rule::named(value)?),
        _ => return None,
    }
    Some(())
}

/// An empty text is no limit; the outer `None` is a malformed one.
fn optional<T: std::str::FromStr>(text: &str) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

/// Lines with their level of indentation, comments and blank lines left out.
struct Lines {
    lines: std::iter::Peekable<std::vec::IntoIter<(usize, usize, &'static str)>>,
    number: usize,
}

impl Lines {
    fn new(text: &'static str) -> Self {
        let lines: Vec<_> = text
            .lines()
            .enumerate()
            .map(|(i, line)| (i + 1, line.split('#').next().unwrap_or("").trim_end()))
            .filter(|(_, line)| !line.is_empty())
            .map(|(i, line)| {
                let body = line.trim_start();
                (i, (line.len() - body.len()) / 2, body)
            })
            .collect();
        Lines { lines: lines.into_iter().peekable(), number: 0 }
    }

    fn next_at(&mut self, level: usize) -> Option<&'static str> {
        let (number, _, line) = self.lines.next_if(|(_, l, _)| *l == level)?;
        self.number = number;
        Some(line)
    }

    fn next_any(&mut self) -> Option<&'static str> {
        self.lines.next().map(|(number, _, line)| {
            self.number = number;
            line
        })
    }
}
