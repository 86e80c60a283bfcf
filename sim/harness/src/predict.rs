//! One request, every outcome: the engine's enumeration in the words of the reports.
//!
//! Conformance, policy tests, `explain`, `diff` and `matrix` all ask here; nobody else calls `enumerate`.

use mesh_core::cx::Step;
use mesh_engine::record::RequestRecord;
use mesh_reports::outcome::Outcome;

/// One predicted outcome with what it was made from.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// Probability, in (0, 1].
    pub p: f64,
    /// In the words of the reports.
    pub outcome: Outcome,
    /// As the engine recorded it.
    pub record: RequestRecord,
    /// Why.
    pub steps: Vec<Step>,
}

/// Whether a service host was meant by a short or full name: `reviews`, `reviews.default`, the FQDN.
#[must_use]
pub fn same_host(written: &str, fqdn: &str) -> bool {
    written == fqdn
        || fqdn.strip_prefix(written).is_some_and(|rest| rest.starts_with('.') && fqdn.contains(".svc."))
}

/// (port, subset, host) of an outbound cluster name (semantics: istio-networking 11).
#[must_use]
pub fn outbound_parts(cluster: &str) -> Option<(u16, &str, &str)> {
    let mut parts = cluster.strip_prefix("outbound|")?.splitn(3, '|');
    let port = parts.next()?.parse().ok()?;
    Some((port, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_names_are_taken_apart() {
        let parts = outbound_parts("outbound|9080|v1|reviews.default.svc.cluster.local");
        assert_eq!(parts, Some((9080, "v1", "reviews.default.svc.cluster.local")));
        assert_eq!(outbound_parts("PassthroughCluster"), None);
        assert!(same_host("reviews", "reviews.default.svc.cluster.local"));
        assert!(same_host("reviews.default", "reviews.default.svc.cluster.local"));
        assert!(!same_host("review", "reviews.default.svc.cluster.local"));
        assert!(same_host("api.example.com", "api.example.com"));
        assert!(!same_host("api", "api.example.com"));
    }
}
