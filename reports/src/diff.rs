//! `mesh-sim diff`: which requests end differently under two configurations.

use serde::{Deserialize, Serialize};

use crate::outcome::Unknown;
use crate::run::RESULT_VERSION;

/// How an outcome changed. A request has one category, the first of these that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// One of the two sides is not predictable.
    Unknown,
    /// A security policy refuses what it did not refuse, or more of it.
    NewlyDenied,
    /// It was served and is not, or less often.
    Lost,
    /// It was not served and is, or more often.
    Gained,
    /// It travelled with mutual TLS and does without.
    NewlyPlaintext,
    /// It goes to another workload, service, subset or port.
    Rerouted,
    /// The same destinations, other shares.
    Reweighted,
    /// The same answer, later.
    Slower,
    /// Something else that clients or servers can see: status, headers, path, timeout, retries, earlier answers.
    Changed,
}

impl Category {
    /// All of them, most alarming first.
    pub const ALL: [Category; 9] = [
        Category::Unknown,
        Category::NewlyDenied,
        Category::Lost,
        Category::Gained,
        Category::NewlyPlaintext,
        Category::Rerouted,
        Category::Reweighted,
        Category::Slower,
        Category::Changed,
    ];

    /// The word of `--allow` and of reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Category::Unknown => "unknown",
            Category::NewlyDenied => "newly-denied",
            Category::Lost => "lost",
            Category::Gained => "gained",
            Category::NewlyPlaintext => "newly-plaintext",
            Category::Rerouted => "rerouted",
            Category::Reweighted => "reweighted",
            Category::Slower => "slower",
            Category::Changed => "changed",
        }
    }

    /// The category of a word; `re-routed` and the like are accepted.
    #[must_use]
    pub fn parse(word: &str) -> Option<Category> {
        let plain = |text: &str| text.replace(['-', '_'], "").to_ascii_lowercase();
        Category::ALL.into_iter().find(|c| plain(c.word()) == plain(word))
    }
}

/// Everything a diff found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffReport {
    /// Always [`RESULT_VERSION`].
    pub api_version: String,
    /// Where the old side comes from.
    pub base: String,
    /// Where the new side comes from.
    pub head: String,
    /// Requests that were asked on both sides.
    pub asked: u64,
    /// Requests that were not asked because the user interrupted it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_asked: u64,
    /// Counts per category, in the order of [`Category::ALL`], without zeros.
    pub counts: Vec<CategoryCount>,
    /// Some requests of each category.
    pub witnesses: Vec<Witness>,
    /// Callers that only one side has; nothing was asked in their name.
    pub callers: OneSided,
    /// What was not told apart: there may be more differences.
    pub limits: Vec<Unknown>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How many requests changed in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CategoryCount {
    /// The way.
    pub category: Category,
    /// How many.
    pub requests: u64,
    /// `--allow` names it.
    pub allowed: bool,
}

/// Callers of one side.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OneSided {
    /// Only in the old configuration.
    pub only_in_base: Vec<String>,
    /// Only in the new configuration.
    pub only_in_head: Vec<String>,
}

/// One request that ends differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// How.
    pub category: Category,
    /// The request and its sender.
    pub request: String,
    /// Its outcomes before.
    pub base: Vec<String>,
    /// Its outcomes after.
    pub head: Vec<String>,
    /// What decides now: `Kind/namespace/name`, or empty.
    pub decided_by: String,
    /// `file:line:column` of that.
    pub decided_at: String,
    /// A command that shows the old decision.
    pub reproduce_base: String,
    /// A command that shows the new decision.
    pub reproduce_head: String,
}

impl DiffReport {
    /// An empty report of the current version.
    #[must_use]
    pub fn new(base: &str, head: &str) -> Self {
        DiffReport {
            api_version: RESULT_VERSION.to_owned(),
            base: base.to_owned(),
            head: head.to_owned(),
            ..DiffReport::default()
        }
    }

    /// Whether something differs that is not allowed.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.counts.iter().any(|c| !c.allowed)
    }
}
