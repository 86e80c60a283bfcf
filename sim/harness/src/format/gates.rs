//! `uses:` and `audit:`: reusable gates and the checks they are made of.

use std::fmt;

use mesh_config::decode::Spanned;
use mesh_config::source::Span;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// `uses:` one gate by name (`gates/no-plaintext`), a file (`./gate.yaml`), or a list of them.
#[derive(Debug, Clone, Default)]
pub struct UsesWords(pub Vec<String>);

/// `audit:` a check of the mesh as a whole, without a request of one's own.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditWords {
    /// Its place.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
    /// `lint` finds none of these codes.
    pub no_findings: Vec<Spanned<String>>,
    /// Weights of routes with several destinations sum to this.
    pub weights_sum: Option<u32>,
    /// Most attempts that one request can become, retries of nested calls multiplied.
    pub max_attempts: Option<u64>,
    /// What nobody names is out of reach.
    pub egress: Option<EgressWord>,
}

/// `egress:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EgressWord {
    /// Out of reach.
    Closed,
}

struct UsesVisitor;

impl<'de> Visitor<'de> for UsesVisitor {
    type Value = UsesWords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a gate such as `gates/no-plaintext`, or a list of gates")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<UsesWords, E> {
        Ok(UsesWords(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<UsesWords, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = seq.next_element::<String>()? {
            names.push(name);
        }
        Ok(UsesWords(names))
    }
}

impl<'de> Deserialize<'de> for UsesWords {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(UsesVisitor)
    }
}
