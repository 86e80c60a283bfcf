//! Diagnostics as plain data: what is wrong, where, how bad, and what to do about it.
//!
//! Rendering lives in the reports; this module only says what a diagnostic is and lists every code.

pub mod codes;

use crate::source::Span;

/// A stable code such as `MS0102`; all of them are listed in [`codes::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be applied or predicted.
    Error,
    /// It can be applied, but probably does not do what was meant.
    Warning,
    /// Worth knowing; never fails a run.
    Info,
}

/// Where in the life of a document the problem shows: a cluster's admission stages in their order, then ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Not YAML.
    Parse,
    /// No such kind or version.
    Kind,
    /// Unknown or duplicate field, as `kubectl apply` asks for.
    Strict,
    /// Object metadata: names, labels, annotations.
    Meta,
    /// The CRD's OpenAPI schema.
    Schema,
    /// The CRD's CEL validation rules.
    Cel,
    /// istiod's own validation webhook.
    Webhook,
    /// Our static checks across objects.
    Analysis,
    /// What mesh-sim does not model.
    Support,
}

impl Stage {
    /// The word used in reports and in the admission corpus.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Parse => "parse",
            Stage::Kind => "kind",
            Stage::Strict => "strict",
            Stage::Meta => "meta",
            Stage::Schema => "schema",
            Stage::Cel => "cel",
            Stage::Webhook => "webhook",
            Stage::Analysis => "analysis",
            Stage::Support => "support",
        }
    }
}

/// A place with a remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be seen there; may be empty.
    pub text: String,
}

/// The object a diagnostic is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Kind, such as `VirtualService`.
    pub kind: String,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            return write!(f, "{}/{}", self.kind, self.name);
        }
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// One problem, with everything needed to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// How bad.
    pub severity: Severity,
    /// One sentence in lower case, user text in backticks.
    pub message: String,
    /// Places, the main one first.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// Where in the life of a document it shows.
    pub stage: Stage,
    /// The object it is about, where known.
    pub object: Option<ObjectRef>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: Code, stage: Stage, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, stage, span, message.into())
    }

    /// A warning at `span`.
    pub fn warning(code: Code, stage: Stage, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, stage, span, message.into())
    }

    /// A remark at `span`.
    pub fn info(code: Code, stage: Stage, span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, stage, span, message.into())
    }

    fn new(severity: Severity, code: Code, stage: Stage, span: Span, message: String) -> Self {
        let labels = if span.is_none() { Vec::new() } else { vec![Label { span, text: String::new() }] };
        Diagnostic { code, severity, message, labels, help: None, stage, object: None }
    }

    /// Adds a place with a remark.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        let text = text.into();
        match self.labels.first_mut() {
            Some(first) if first.span == span && first.text.is_empty() => first.text = text,
            _ => self.labels.push(Label { span, text }),
        }
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Names the object it is about.
    #[must_use]
    pub fn object(mut self, object: ObjectRef) -> Self {
        self.object = Some(object);
        self
    }

    /// The main place; [`Span::NONE`] if there is none.
    pub fn span(&self) -> Span {
        self.labels.first().map_or(Span::NONE, |l| l.span)
    }

    /// True for errors.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
