//! The way to a value inside its object, written out only for what is said of it.
//!
//! Admission walks every value of every object several times; the path of one that has no problem is never text.

use std::fmt;

/// Steps from the object down, each borrowing the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Object,
    Field(&'p str),
    Item(usize),
}

impl<'p> Path<'p> {
    /// The object itself, whose path is empty.
    pub(super) const ROOT: Path<'static> = Path { above: None, step: Step::Object };

    /// A field or key below this.
    pub(super) fn field(&'p self, name: &'p str) -> Path<'p> {
        Path { above: Some(self), step: Step::Field(name) }
    }

    /// An element of this list.
    pub(super) fn item(&'p self, index: usize) -> Path<'p> {
        Path { above: Some(self), step: Step::Item(index) }
    }

    /// Whether this is the object itself.
    pub(super) fn is_root(&self) -> bool {
        matches!(self.step, Step::Object)
    }

    /// Whether this is an element of a list.
    pub(super) fn is_item(&self) -> bool {
        matches!(self.step, Step::Item(_))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match self.step {
            Step::Object => Ok(()),
            Step::Item(index) => write!(f, "[{index}]"),
            Step::Field(name) if self.above.is_none_or(Path::is_root) => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_people_write_them() {
        let spec = Path::ROOT.field("spec");
        let http = spec.field("http");
        let route = http.item(0);
        assert_eq!(route.field("match").to_string(), "spec.http[0].match");
        assert!(route.is_item() && Path::ROOT.to_string().is_empty());
    }
}
