//! Distance: priorities of failover, weights of distribution (istiod: `loadbalancer.go`; semantics: istio-networking 4.6).

use std::collections::{BTreeMap, BTreeSet};

use super::{Group, locality_setting};
use crate::lower::Ctx;
use crate::mesh::locality::Locality;
use crate::mesh::service::{Service, TrafficDistribution};
use crate::resource::load_balancer::{
    Distribute, LoadBalancerSettings, LocalityFailover, LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
};

const NETWORK: &str = "topology.istio.io/network";

/// The locality setting that a cluster obeys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Setting<'a> {
    /// None, or one that is switched off.
    Off,
    /// `localityLbSetting`.
    Locality(&'a LocalityLoadBalancerSetting),
    /// `trafficDistribution` of the service: failover by these labels, outlier detection or not.
    Forced(&'static [&'static str]),
    /// `zoneAwareLbSetting`.
    ZoneAware(&'a ZoneAwareLoadBalancerSetting),
}

impl<'a> Setting<'a> {
    /// DestinationRule before service before mesh; zone-aware before locality.
    pub(super) fn effective(
        lb: Option<&'a LoadBalancerSettings>,
        distribution: TrafficDistribution,
        mesh_zone_aware: Option<&'a ZoneAwareLoadBalancerSetting>,
        mesh: &'a LocalityLoadBalancerSetting,
    ) -> Self {
        let switched = |setting: &'a LocalityLoadBalancerSetting| {
            if setting.enabled == Some(false) { Setting::Off } else { Setting::Locality(setting) }
        };
        if let Some(zone_aware) = lb.and_then(|lb| lb.zone_aware_lb_setting.as_ref()) {
            return Setting::ZoneAware(zone_aware);
        }
        if let Some(setting) = lb.and_then(|lb| lb.locality_lb_setting.as_ref()) {
            return switched(setting);
        }
        match (distribution, mesh_zone_aware) {
            (TrafficDistribution::PreferSameZone, _) => {
                Setting::Forced(&[NETWORK, "topology.kubernetes.io/region", "topology.kubernetes.io/zone"])
            }
            (TrafficDistribution::PreferSameNode, _) => Setting::Forced(&[
                NETWORK,
                "topology.kubernetes.io/region",
                "topology.kubernetes.io/zone",
                "topology.istio.io/subzone",
                "kubernetes.io/hostname",
            ]),
            (TrafficDistribution::Any, Some(zone_aware)) => Setting::ZoneAware(zone_aware),
            (TrafficDistribution::Any, None) => switched(mesh),
        }
    }

    /// `locality_weighted_lb_config` of the cluster.
    #[must_use]
    pub fn weights_localities(&self, outlier_detection: bool) -> bool {
        match self {
            Setting::Off | Setting::ZoneAware(_) => false,
            Setting::Forced(_) => true,
            Setting::Locality(setting) => {
                let failover = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
                !setting.distribute.is_empty() || (outlier_detection && failover)
            }
        }
    }
}

/// Applies the setting of a cluster to its endpoints.
pub(in crate::lower) fn apply<'a>(
    cx: &Ctx<'a>,
    service: &Service,
    lb: Option<&LoadBalancerSettings>,
    outlier_detection: bool,
    mut groups: Vec<Group<'a>>,
) -> Vec<Group<'a>> {
    let here = &cx.proxy.locality;
    let labels = cx.labels();
    match locality_setting(cx, service, lb) {
        Setting::Off => {}
        Setting::Forced(order) => groups = by_labels(labels, order, groups),
        Setting::Locality(setting) if !setting.distribute.is_empty() => {
            distribute(here, &setting.distribute, &mut groups);
        }
        Setting::Locality(setting) if outlier_detection => {
            if setting.failover_priority.is_empty() {
                by_distance(here, &setting.failover, &mut groups);
            } else {
                let order: Vec<&str> = setting.failover_priority.iter().map(String::as_str).collect();
                groups = by_labels(labels, &order, groups);
                if !setting.failover.is_empty() {
                    by_distance(here, &setting.failover, &mut groups);
                }
            }
        }
        Setting::Locality(_) => {}
        Setting::ZoneAware(setting) if setting.enabled != Some(false) => {
            if !setting.failover_priority.is_empty() {
                let order: Vec<&str> = setting.failover_priority.iter().map(String::as_str).collect();
                groups = by_labels(labels, &order, groups);
            }
            by_region(here, &setting.failover, &mut groups);
        }
        Setting::ZoneAware(_) => {}
    }
    groups
}

/// Shares for clients of this locality; localities that no share names lose their endpoints.
fn distribute(here: &Locality, shares: &[Distribute], groups: &mut [Group<'_>]) {
    let Some(share) = shares.iter().find(|share| covers(here, &share.from)) else { return };
    let mut unnamed: BTreeSet<usize> = (0..groups.len()).collect();
    for (to, percent) in &share.to {
        let mut named = Vec::new();
        let mut total: u32 = 0;
        for (at, group) in groups.iter().enumerate() {
            if unnamed.contains(&at) && covers(&group.locality, to) {
                unnamed.remove(&at);
                named.push(at);
                total = total.saturating_add(group.weight);
            }
        }
        for at in named {
            let Some(group) = groups.get_mut(at) else { continue };
            // Go multiplies two uint32 before it divides floats, and rounds up.
            let part = f64::from(group.weight.wrapping_mul(*percent)) / f64::from(total);
            if part > 0.0 {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as istiod does")]
                let weight = part.ceil() as u32;
                group.weight = weight;
            }
        }
    }
    for at in unnamed {
        if let Some(group) = groups.get_mut(at) {
            group.members.clear();
        }
    }
}

/// Whether a rule's `region/zone/subzone` covers a locality; `*` and missing tails do.
fn covers(locality: &Locality, rule: &str) -> bool {
    let rule = Locality::parse(rule);
    let part =
        |rule: &str, own: &str, absent: bool| rule == "*" || (absent && rule.is_empty()) || rule == own;
    part(&rule.region, &locality.region, false)
        && part(&rule.zone, &locality.zone, true)
        && part(&rule.subzone, &locality.subzone, true)
}

/// 0 same subzone … 3 another region, or 4 if the failover setting names a different one.
fn by_distance(here: &Locality, failover: &[LocalityFailover], groups: &mut [Group<'_>]) {
    for group in groups.iter_mut() {
        let there = &group.locality;
        let mut distance = match () {
            () if here.region != there.region => 3,
            () if here.zone != there.zone => 2,
            () if here.subzone != there.subzone => 1,
            () => 0,
        };
        if distance == 3
            && let Some(to) = failover.iter().find(|f| f.from == here.region)
            && there.region != to.to
        {
            distance = 4;
        }
        group.priority = group.priority * 5 + distance;
    }
    renumber(groups);
}

/// 0 the own region, 1 the one to fail over to, 2 any other.
fn by_region(here: &Locality, failover: &[LocalityFailover], groups: &mut [Group<'_>]) {
    for group in groups.iter_mut() {
        let there = &group.locality.region;
        let rank = if *there == here.region {
            0
        } else {
            match failover.iter().find(|f| f.from == here.region) {
                Some(to) if to.to == *there => 1,
                _ => 2,
            }
        };
        group.priority = group.priority * 3 + rank;
    }
    renumber(groups);
}

/// Endpoints of a locality are split by how many labels, in order, they share with the proxy.
fn by_labels<'a>(
    labels: &BTreeMap<String, String>,
    order: &[&str],
    groups: Vec<Group<'a>>,
) -> Vec<Group<'a>> {
    if labels.is_empty() {
        return groups;
    }
    let mut out = Vec::new();
    for group in groups {
        let mut ranks: BTreeMap<u32, Group<'a>> = BTreeMap::new();
        for (known, host) in group.members {
            let rank = label_rank(labels, order, &known.labels);
            let part = ranks.entry(rank).or_insert_with(|| Group {
                locality: group.locality.clone(),
                weight: 0,
                priority: rank,
                members: Vec::new(),
            });
            part.weight = part.weight.wrapping_add(host.weight);
            part.members.push((known, host));
        }
        out.extend(ranks.into_values());
    }
    renumber(&mut out);
    out
}

/// The first label that differs decides; a differing network in the first place only adds to the rank.
fn label_rank(proxy: &BTreeMap<String, String>, order: &[&str], endpoint: &BTreeMap<String, String>) -> u32 {
    let lowest = order.len();
    let mut extra = 0;
    let mut rank = 0;
    // A value given once counts for every mention of its label.
    let given: BTreeMap<&str, &str> = order.iter().filter_map(|entry| split(entry)).collect();
    for (at, entry) in order.iter().enumerate() {
        let label = entry.split('=').next().unwrap_or(entry);
        let wanted =
            given.get(label).copied().or_else(|| proxy.get(label).map(String::as_str)).unwrap_or_default();
        if wanted == endpoint.get(label).map_or("", String::as_str) {
            continue;
        }
        if at == 0 && order.first() == Some(&NETWORK) {
            extra = lowest;
            continue;
        }
        rank = lowest - at;
        break;
    }
    u32::try_from(rank + extra).unwrap_or(u32::MAX)
}

/// `label=value`; more than one `=` gives no value.
fn split(entry: &str) -> Option<(&str, &str)> {
    entry.split_once('=').filter(|(_, value)| !value.contains('='))
}

/// Priorities without gaps.
fn renumber(groups: &mut [Group<'_>]) {
    let ranks: BTreeSet<u32> = groups.iter().map(|g| g.priority).collect();
    let ranks: BTreeMap<u32, u32> = ranks.into_iter().zip(0..).collect();
    for group in groups {
        group.priority = ranks.get(&group.priority).copied().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn group(locality: &str) -> Group<'static> {
        Group { locality: Locality::parse(locality), weight: 1, priority: 0, members: Vec::new() }
    }

    #[test]
    fn distance_is_counted_in_regions_zones_and_subzones() {
        let mut groups = ["r/z/s", "r/z/t", "r/y", "q", "p"].map(group);
        let to_q = LocalityFailover { from: "r".into(), to: "q".into(), ..LocalityFailover::default() };
        by_distance(&Locality::parse("r/z/s"), &[to_q], &mut groups);
        assert_eq!(groups.map(|g| g.priority), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn ranks_have_no_gaps() {
        let mut groups = ["q", "r/z"].map(group);
        by_distance(&Locality::parse("r/z"), &[], &mut groups);
        assert_eq!(groups.map(|g| g.priority), [1, 0]);
    }

    #[test]
    fn the_first_differing_label_ranks() {
        let proxy = labels(&[("a", "1"), ("b", "2")]);
        let rank = |order: &[&str], endpoint: &[(&str, &str)]| label_rank(&proxy, order, &labels(endpoint));
        assert_eq!(rank(&["a", "b"], &[("a", "1"), ("b", "2")]), 0);
        assert_eq!(rank(&["a", "b"], &[("a", "1")]), 1);
        assert_eq!(rank(&["a", "b"], &[("b", "2")]), 2);
        assert_eq!(rank(&["a=9", "b"], &[("a", "9"), ("b", "2")]), 0);
        assert_eq!(rank(&[NETWORK, "a"], &[(NETWORK, "n"), ("a", "1")]), 2);
        assert_eq!(rank(&[NETWORK, "a"], &[(NETWORK, "n")]), 3);
    }

    #[test]
    fn shares_go_to_named_localities_only() {
        let mut groups = ["r/z", "r/y", "q"].map(group);
        groups[0].weight = 3;
        let share = Distribute {
            from: "r/*".into(),
            to: [("r/*".to_owned(), 80), ("p".to_owned(), 20)].into(),
            ..Distribute::default()
        };
        distribute(&Locality::parse("r/z"), &[share], &mut groups);
        assert_eq!(groups.map(|g| g.weight), [60, 20, 1]);
    }
}
