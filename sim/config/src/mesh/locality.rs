//! Where a workload runs, and the labels that say so (semantics: istio-networking 1.3).

use std::collections::BTreeMap;
use std::fmt;

/// Region, zone and subzone; empty parts are unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Subzone.
    pub subzone: String,
}

impl Locality {
    /// `region/zone/subzone`, any tail missing; further parts are ignored (`SplitLocalityLabel`).
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Locality { region: next(), zone: next(), subzone: next() }
    }

    /// Nothing is known.
    pub fn is_empty(&self) -> bool {
        self.region.is_empty() && self.zone.is_empty() && self.subzone.is_empty()
    }

    /// The locality a workload's labels ask for: `topology.istio.io/locality`, else `istio-locality`.
    /// Labels cannot hold `/`, so `.` stands for it unless there is one.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Option<Self> {
        let label = labels.get("topology.istio.io/locality").or_else(|| labels.get("istio-locality"))?;
        if label.is_empty() {
            return None;
        }
        Some(Self::parse(&if label.contains('/') { label.clone() } else { label.replace('.', "/") }))
    }

    /// The locality of a node's labels.
    pub fn of_node(labels: &BTreeMap<String, String>) -> Self {
        let either = |a: &str, b: &str| {
            labels.get(a).filter(|v| !v.is_empty()).or_else(|| labels.get(b)).cloned().unwrap_or_default()
        };
        Locality {
            region: either("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
            zone: either("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
            subzone: labels.get("topology.istio.io/subzone").cloned().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Locality {
    /// `region/zone/subzone` without the unknown tail.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = format!("{}/{}/{}", self.region, self.zone, self.subzone);
        f.write_str(all.trim_end_matches('/'))
    }
}

/// Adds what istiod knows to a workload's own labels (`AugmentLabels`).
pub fn augment_labels(
    labels: &BTreeMap<String, String>,
    locality: &Locality,
    node: Option<&str>,
    network: &str,
) -> BTreeMap<String, String> {
    let mut out = labels.clone();
    let mut set = |key: &str, value: &str| {
        if !value.is_empty() {
            out.insert(key.to_owned(), value.to_owned());
        }
    };
    set("topology.kubernetes.io/region", &locality.region);
    set("topology.kubernetes.io/zone", &locality.zone);
    set("topology.istio.io/subzone", &locality.subzone);
    set("topology.istio.io/cluster", CLUSTER_ID);
    set("kubernetes.io/hostname", node.unwrap_or_default());
    if !network.is_empty() && out.get("topology.istio.io/network").is_none_or(String::is_empty) {
        out.insert("topology.istio.io/network".to_owned(), network.to_owned());
    }
    out
}

/// The only cluster there is; istiod's default name for it.
pub const CLUSTER_ID: &str = "Kubernetes";

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn labels_and_nodes_say_where() {
        let of = |pairs: &[(&str, &str)]| Locality::of_labels(&labels(pairs)).map(|l| l.to_string());
        assert_eq!(of(&[("istio-locality", "r.z.s")]).as_deref(), Some("r/z/s"));
        assert_eq!(of(&[("istio-locality", "r/z.1")]).as_deref(), Some("r/z.1"));
        assert_eq!(of(&[("istio-locality", "a"), ("topology.istio.io/locality", "b")]).as_deref(), Some("b"));
        assert_eq!(of(&[]), None);
        let node = Locality::of_node(&labels(&[
            ("failure-domain.beta.kubernetes.io/region", "old"),
            ("topology.kubernetes.io/zone", "z"),
        ]));
        assert_eq!(node.to_string(), "old/z");
    }

    #[test]
    fn istiods_labels_are_added() {
        let out = augment_labels(&labels(&[("app", "a")]), &Locality::parse("r/z"), Some("n1"), "net");
        assert_eq!(out.get("topology.kubernetes.io/region").map(String::as_str), Some("r"));
        assert_eq!(out.get("kubernetes.io/hostname").map(String::as_str), Some("n1"));
        assert_eq!(out.get("topology.istio.io/network").map(String::as_str), Some("net"));
        assert_eq!(out.get("topology.istio.io/cluster").map(String::as_str), Some("Kubernetes"));
        assert!(!out.contains_key("topology.istio.io/subzone"));
    }
}
