//! Selectors: which pods, which namespaces, which targets a resource is about.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::source::Span;

/// `workloadSelector` of the networking API (Sidecar, ServiceEntry): `{labels: {…}}`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSelector {
    /// All must be on the pod; none selects every pod of the namespace.
    pub labels: BTreeMap<String, String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// `selector` of the security API and `workloadSelector` of a DestinationRule: `{matchLabels: {…}}`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MatchLabels {
    /// All must be on the pod; none selects every pod of the namespace.
    pub match_labels: BTreeMap<String, String>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// `targetRef` of a policy: a Gateway API gateway, a Service or a ServiceEntry.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTargetReference {
    /// API group; empty is the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; must be that of the policy.
    pub namespace: String,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// Kubernetes' label selector: labels and expressions, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Exact labels.
    pub match_labels: BTreeMap<String, String>,
    /// Expressions.
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// Place in the YAML.
    #[serde(rename = "@origin", default)]
    pub origin: Span,
}

/// One expression of a label selector.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    pub operator: String,
    /// Values for `In` and `NotIn`.
    pub values: Vec<String>,
}

impl LabelSelector {
    /// Whether `labels` satisfy every part (apimachinery `LabelSelectorAsSelector`: an empty selector matches all).
    /// `None` when an operator is unknown, which Kubernetes refuses.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> Option<bool> {
        let mut all = is_subset(&self.match_labels, labels);
        for rule in &self.match_expressions {
            let found = labels.get(&rule.key);
            all &= match rule.operator.as_str() {
                "In" => found.is_some_and(|value| rule.values.contains(value)),
                "NotIn" => found.is_none_or(|value| !rule.values.contains(value)),
                "Exists" => found.is_some(),
                "DoesNotExist" => found.is_none(),
                _ => return None,
            };
        }
        Some(all)
    }
}

/// Whether every label of `part` is in `whole` with the same value; the empty set is part of everything.
pub fn is_subset(part: &BTreeMap<String, String>, whole: &BTreeMap<String, String>) -> bool {
    part.iter().all(|(key, value)| whole.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_follow_kubernetes() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let one = |operator: &str, key: &str, values: &[&str]| {
            let rule = LabelSelectorRequirement {
                key: key.into(),
                operator: operator.into(),
                values: values.iter().map(|v| (*v).to_owned()).collect(),
            };
            LabelSelector { match_expressions: vec![rule], ..LabelSelector::default() }.matches(&labels)
        };
        assert_eq!(one("In", "app", &["web", "api"]), Some(true));
        assert_eq!(one("In", "tier", &["web"]), Some(false));
        assert_eq!(one("NotIn", "app", &["api"]), Some(true));
        assert_eq!(one("NotIn", "tier", &["api"]), Some(true));
        assert_eq!(one("Exists", "app", &[]), Some(true));
        assert_eq!(one("DoesNotExist", "app", &[]), Some(false));
        assert_eq!(one("Near", "app", &[]), None);
        assert_eq!(LabelSelector::default().matches(&labels), Some(true));
    }
}
