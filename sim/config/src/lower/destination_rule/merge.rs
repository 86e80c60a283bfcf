//! Several rules for one host in one namespace (istiod: `mergeDestinationRule`; semantics: istio-networking 4.2).

use std::sync::Arc;

use super::{Consolidated, Rules};

/// Adds a rule: merged into those it agrees with, on its own otherwise. The outcome for the last rule compared decides.
pub(super) fn add(rules: &mut Rules, incoming: Arc<Consolidated>) {
    let stored = rules.entry(&incoming.rule.host.value);
    let mut separate = true;
    for existing in stored.iter_mut() {
        separate = !takes_in(existing, &incoming);
        if existing_merges(existing, &incoming) {
            merge(Arc::make_mut(existing), &incoming);
        }
    }
    if separate {
        stored.push(incoming);
    }
}

/// Whether `exportTo` allows merging at all: equal, or wider than a given one.
fn exports_agree(existing: &Consolidated, incoming: &Consolidated) -> bool {
    incoming.export_to == existing.export_to
        || (!existing.export_to.is_empty() && incoming.export_to.is_superset(&existing.export_to))
}

/// Both without selector, with equal selectors, or a general rule into a selective one.
fn existing_merges(existing: &Consolidated, incoming: &Consolidated) -> bool {
    let (old, new) = (&existing.rule.workload_selector, &incoming.rule.workload_selector);
    let selectors_differ =
        matches!((old, new), (Some(old), Some(new)) if old.match_labels != new.match_labels);
    exports_agree(existing, incoming) && !selectors_differ
}

/// Whether the incoming rule need not be kept on its own after this comparison.
fn takes_in(existing: &Consolidated, incoming: &Consolidated) -> bool {
    if !existing_merges(existing, incoming) {
        return false;
    }
    let same_kind = existing.rule.workload_selector.is_some() == incoming.rule.workload_selector.is_some();
    same_kind || incoming.export_to == existing.export_to
}

/// Subsets add up, an existing name stays; the first traffic policy stays as a whole.
fn merge(existing: &mut Consolidated, incoming: &Consolidated) {
    for subset in &incoming.rule.subsets {
        if existing.subset(&subset.name).is_none() {
            existing.rule.subsets.push(subset.clone());
        }
    }
    if existing.rule.traffic_policy.is_none() {
        existing.rule.traffic_policy.clone_from(&incoming.rule.traffic_policy);
    }
}
