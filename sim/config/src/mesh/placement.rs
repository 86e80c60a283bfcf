//! On which node a pod runs, as far as the manifests decide it, and the locality that follows.

use std::collections::BTreeMap;

use super::locality::Locality;
use crate::inventory::Inventory;
use crate::resource::pod::PodSpec;
use crate::resource::selector::is_subset;

/// The nodes of the manifests.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    by_name: BTreeMap<String, BTreeMap<String, String>>,
}

/// What is known about a pod's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this node.
    Node(String),
    /// On one of several nodes, all of them in the same locality (which may be unknown).
    Somewhere(Locality),
    /// On one of several nodes in different localities: the scheduler would choose.
    Undecided,
    /// No node fits: the pod would stay pending.
    Nowhere,
}

impl Nodes {
    /// All Node documents.
    pub fn new(inventory: &Inventory) -> Self {
        let with_name = |name: &str, labels: &BTreeMap<String, String>| {
            let mut labels = labels.clone();
            labels.entry("kubernetes.io/hostname".to_owned()).or_insert_with(|| name.to_owned());
            labels
        };
        let nodes = inventory.nodes.iter().map(|n| &n.meta);
        Nodes { by_name: nodes.map(|m| (m.name.clone(), with_name(&m.name, &m.labels))).collect() }
    }

    /// Whether the node is declared.
    pub fn knows(&self, node: &str) -> bool {
        self.by_name.contains_key(node)
    }

    /// Whether any node is declared.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Names of the nodes a pod may run on.
    pub fn candidates(&self, spec: &PodSpec) -> Vec<&str> {
        let fits = |labels: &BTreeMap<String, String>| is_subset(&spec.node_selector, labels);
        self.by_name.iter().filter(|(_, labels)| fits(labels)).map(|(name, _)| name.as_str()).collect()
    }

    /// Where a pod runs.
    pub fn place(&self, spec: &PodSpec) -> Place {
        if !spec.node_name.is_empty() {
            return Place::Node(spec.node_name.clone());
        }
        if self.is_empty() {
            return Place::Somewhere(Locality::default());
        }
        let candidates = self.candidates(spec);
        let mut localities: Vec<Locality> = candidates.iter().map(|n| self.locality(n)).collect();
        localities.dedup();
        match (candidates.as_slice(), localities.as_slice()) {
            ([], _) => Place::Nowhere,
            ([one], _) => Place::Node((*one).to_owned()),
            (_, [locality]) => Place::Somewhere(locality.clone()),
            _ => Place::Undecided,
        }
    }

    /// The locality of a node; unknown for nodes nobody declares, as for istiod.
    pub fn locality(&self, node: &str) -> Locality {
        self.by_name.get(node).map(Locality::of_node).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(list: &[(&str, &str, &str)]) -> Nodes {
        let labels = |disk: &str, zone: &str| {
            BTreeMap::from([
                ("disk".to_owned(), disk.to_owned()),
                ("topology.kubernetes.io/zone".to_owned(), zone.to_owned()),
            ])
        };
        Nodes { by_name: list.iter().map(|(n, d, z)| ((*n).to_owned(), labels(d, z))).collect() }
    }

    #[test]
    fn only_what_the_manifests_decide_is_known() {
        let three = nodes(&[("a", "ssd", "z1"), ("b", "ssd", "z1"), ("c", "hdd", "z2")]);
        let with = |disk: &str, node: &str| PodSpec {
            node_selector: BTreeMap::from([("disk".to_owned(), disk.to_owned())]),
            node_name: node.to_owned(),
            ..PodSpec::default()
        };
        assert_eq!(three.place(&with("hdd", "")), Place::Node("c".into()));
        assert_eq!(three.place(&with("ssd", "")), Place::Somewhere(three.locality("a")));
        assert_eq!(three.place(&with("tape", "")), Place::Nowhere);
        assert_eq!(three.place(&with("tape", "x")), Place::Node("x".into()));
        assert_eq!(three.place(&PodSpec::default()), Place::Undecided);
        assert_eq!(Nodes::default().place(&with("ssd", "")), Place::Somewhere(Locality::default()));
        assert!(three.locality("x").is_empty());
    }
}
