//! Which pods a label selector selects, without looking at every pod.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pod::Pod;
use super::service::PodId;

/// Pods by namespace and label.
#[derive(Debug, Clone, Default)]
pub struct PodIndex {
    by_label: BTreeMap<String, BTreeMap<String, BTreeMap<String, Vec<PodId>>>>,
    by_ip: BTreeMap<IpAddr, PodId>,
    by_key: BTreeMap<String, PodId>,
}

impl PodIndex {
    /// Indexes `pods`; pods that tests add are found by name and address only.
    pub fn new(pods: &[Pod]) -> Self {
        let mut index = PodIndex::default();
        for (id, pod) in (0..).map(PodId).zip(pods) {
            index.by_ip.entry(pod.ip).or_insert(id);
            index.by_key.entry(pod.key()).or_insert(id);
            if pod.is_client() {
                continue;
            }
            let labels = index.by_label.entry(pod.namespace.clone()).or_default();
            for (key, value) in &pod.labels {
                labels.entry(key.clone()).or_default().entry(value.clone()).or_default().push(id);
            }
        }
        index
    }

    /// Pods of `namespace` with all of these labels, in order; none for an empty selector.
    pub fn select(&self, pods: &[Pod], namespace: &str, selector: &BTreeMap<String, String>) -> Vec<PodId> {
        let Some(labels) = self.by_label.get(namespace) else { return Vec::new() };
        let of = |(key, value): (&String, &String)| {
            labels.get(key).and_then(|values| values.get(value)).map_or(&[][..], Vec::as_slice)
        };
        let Some(fewest) = selector.iter().map(of).min_by_key(|found| found.len()) else { return Vec::new() };
        let fits = |id: &PodId| {
            pods.get(id.0 as usize)
                .is_some_and(|pod| crate::resource::selector::is_subset(selector, &pod.labels))
        };
        fewest.iter().copied().filter(fits).collect()
    }

    /// The pod with this address.
    pub fn by_ip(&self, ip: IpAddr) -> Option<PodId> {
        self.by_ip.get(&ip).copied()
    }

    /// The pod with this `namespace/name`.
    pub fn by_key(&self, key: &str) -> Option<PodId> {
        self.by_key.get(key).copied()
    }
}
