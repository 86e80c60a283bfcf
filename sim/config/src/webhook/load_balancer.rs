//! Load balancer settings: hashing, locality, warm-up (semantics: istio-validation 3.3).

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::blocks::duration;
use crate::resource::load_balancer::{
    ConsistentHashLb, Distribute, LoadBalancerSettings, LocalityFailover, LocalityLoadBalancerSetting,
};
use crate::source::Span;

/// Judges a `loadBalancer` block; `outlier` says whether the same policy detects outliers.
pub(super) fn load_balancer(f: &mut Findings<'_>, settings: &LoadBalancerSettings, outlier: bool) {
    let span = settings.origin;
    if let Some(hash) = &settings.consistent_hash {
        consistent_hash(f, hash);
    }
    if let (Some(_), Some(zone)) = (&settings.locality_lb_setting, &settings.zone_aware_lb_setting) {
        f.error(zone.origin, "cannot set both localityLbSetting and zoneAwareLbSetting");
    }
    if let Some(locality) = &settings.locality_lb_setting {
        locality_setting(f, locality, outlier);
    }
    if let Some(zone) = &settings.zone_aware_lb_setting {
        failover(f, &zone.failover);
        if (!zone.failover.is_empty() || !zone.failover_priority.is_empty()) && !outlier {
            f.warn(zone.origin, "outlier detection policy must be provided for failover");
        }
        let topology =
            ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];
        for label in zone.failover_priority.iter().filter(|p| topology.contains(&p.as_str())) {
            f.error(
                zone.origin,
                format!("failoverPriority of zoneAwareLbSetting must not use the topology label `{label}`"),
            );
        }
    }
    duration(f, settings.warmup_duration_secs, span, "warmupDurationSecs");
    if let Some(warmup) = &settings.warmup {
        if warmup.duration.is_none() {
            f.error(warmup.origin, "duration is required");
        }
        duration(f, warmup.duration, warmup.origin, "duration");
        if warmup.minimum_percent.is_some_and(|p| p > 100.0) {
            f.error(warmup.origin, "minimumPercent must not be above 100");
        }
        if warmup.aggression.is_some_and(|a| a <= 0.0) {
            f.error(warmup.origin, "aggression must be greater than 0");
        }
    }
}

fn consistent_hash(f: &mut Findings<'_>, hash: &ConsistentHashLb) {
    if hash.minimum_ring_size != 0 {
        f.warn(hash.origin, "consistent hash MinimumRingSize is deprecated, use ConsistentHashLB's RingHash configuration instead");
        if hash.ring_hash.is_some() || hash.maglev.is_some() {
            f.error(hash.origin, "minimumRingSize cannot be set together with ringHash or maglev");
        }
    }
    if let Some(cookie) = &hash.http_cookie {
        if cookie.name.is_empty() {
            f.error(cookie.origin, "name required for HttpCookie");
        }
        let mut names: Vec<&str> = Vec::new();
        for attribute in &cookie.attributes {
            if attribute.name.is_empty() {
                f.error(attribute.origin, "a cookie attribute needs a name");
            } else if names.contains(&attribute.name.as_str()) {
                f.error(attribute.origin, format!("duplicate cookie attribute `{}`", attribute.name));
            }
            names.push(&attribute.name);
        }
    }
    if let Some(maglev) = &hash.maglev {
        let size = maglev.table_size;
        if size == 0 {
            f.error(maglev.origin, "tableSize must be set for maglev");
        } else if size >= 5_000_011 {
            f.error(maglev.origin, "tableSize must be less than 5000011 for maglev");
        } else if !is_prime(size) {
            f.error(maglev.origin, "tableSize must be a prime number for maglev");
        }
    }
}

/// As Envoy counts: 1 is one.
fn is_prime(n: u64) -> bool {
    n >= 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

fn locality_setting(f: &mut Findings<'_>, setting: &LocalityLoadBalancerSetting, outlier: bool) {
    let span = setting.origin;
    if !setting.distribute.is_empty() && !setting.failover.is_empty() {
        f.error(span, "can not simultaneously specify 'distribute' and 'failover'");
    }
    failover_priority(f, &setting.failover, &setting.failover_priority, span);
    distribute(f, &setting.distribute);
    failover(f, &setting.failover);
    if (!setting.failover.is_empty() || !setting.failover_priority.is_empty()) && !outlier {
        f.warn(span, "outlier detection policy must be provided for failover");
    }
}

fn failover_priority(f: &mut Findings<'_>, failover: &[LocalityFailover], priority: &[String], span: Span) {
    if failover.is_empty() {
        return;
    }
    let topology =
        ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];
    if let Some(label) = priority.iter().find(|p| topology.contains(&p.as_str())) {
        f.error(
            span,
            format!("cannot set topology label `{label}` in failoverPriority together with failover"),
        );
    }
}

fn distribute(f: &mut Findings<'_>, all: &[Distribute]) {
    let from: Vec<&str> = all.iter().map(|d| d.from.as_str()).collect();
    let span = all.first().map_or(Span::NONE, |d| d.origin);
    localities(f, &from, span);
    for d in all {
        let mut total: u64 = 0;
        for (to, weight) in &d.to {
            if !(1..=100).contains(weight) {
                f.error(d.origin, format!("locality weight of `{to}` must be in the range 1..100"));
            }
            total += u64::from(*weight);
        }
        if total != 100 {
            f.error(d.origin, format!("total locality weight {total} != 100"));
        }
        localities(f, &d.to.keys().map(String::as_str).collect::<Vec<_>>(), d.origin);
    }
}

fn failover(f: &mut Findings<'_>, all: &[LocalityFailover]) {
    for rule in all {
        if rule.from == rule.to {
            f.error(rule.origin, "locality lb failover settings must specify different regions");
        }
        for region in [&rule.from, &rule.to] {
            if region.contains('*') {
                f.error(
                    rule.origin,
                    format!("locality lb failover region `{region}` should not contain '*' wildcard"),
                );
            }
            if region.contains('/') {
                f.error(rule.origin, format!("locality lb failover only specify region, not `{region}`"));
            }
        }
    }
}

/// Well-formed, and none overlaps with an earlier one (istio: `validateLocalities`). A wider one after a narrower one is
/// not noticed. istiod walks the keys of `to` in random order; here they are sorted.
fn localities(f: &mut Findings<'_>, all: &[&str], span: Span) {
    let mut seen: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for locality in all {
        let stars = locality.matches('*').count();
        if stars > 1 || (stars == 1 && !locality.ends_with('*')) {
            let message =
                format!("locality `{locality}` wildcard '*' number can not exceed 1 and must be in the end");
            return f.error(span, message);
        }
        let parts: Vec<&str> = locality.splitn(3, '/').collect();
        if parts.contains(&"") {
            let message = format!("locality `{locality}` must not contain empty region/zone/subzone info");
            return f.error(span, message);
        }
        if seen.contains_key("*") || !insert(&mut seen, &parts) {
            return f.error(span, format!("locality `{locality}` overlap with previous specified ones"));
        }
    }
}

/// Remembers a locality; false if an earlier one has it.
fn insert<'a>(seen: &mut BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<&'a str>>>, parts: &[&'a str]) -> bool {
    let (region, zone, sub_zone) = match parts {
        [region] => (region, None, None),
        [region, zone] => (region, Some(zone), None),
        [region, zone, sub_zone, ..] => (region, Some(zone), Some(sub_zone)),
        [] => return true,
    };
    if zone.is_none() && seen.contains_key(region) {
        return false;
    }
    let zones = seen.entry(region).or_default();
    let zone = zone.unwrap_or(&"*");
    if zones.contains_key("*") || (sub_zone.is_none() && zones.contains_key(zone)) {
        return false;
    }
    let sub_zones = zones.entry(zone).or_default();
    !sub_zones.contains("*") && sub_zones.insert(sub_zone.unwrap_or(&"*"))
}
