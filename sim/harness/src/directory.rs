//! Which pods are meant: workload references against the pods of one world.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use mesh_core::Str;
use mesh_engine::world::PodId;

use crate::format::client::WorkloadRef;

/// What references need to know about a pod.
#[derive(Debug, Clone)]
pub struct PodEntry {
    /// Position in the world.
    pub id: PodId,
    /// `ns/workload#ordinal`
    pub reference: Str,
    /// Namespace.
    pub namespace: String,
    /// Workload.
    pub workload: String,
    /// Which of the workload's pods.
    pub ordinal: u32,
    /// Name of the pod.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Address.
    pub ip: IpAddr,
    /// Containers, the proxy's included.
    pub containers: u32,
    /// A proxy runs beside the application.
    pub sidecar: bool,
    /// The pod is a gateway.
    pub gateway: bool,
}

/// A port of a Service that selects gateway pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPort {
    /// `ns/name` of the workload behind it.
    pub workload: String,
    /// Port of the Service.
    pub port: u16,
    /// Node port.
    pub node_port: Option<u16>,
    /// Port of the pod.
    pub target: u16,
}

/// All pods of a world, by reference.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// In the world's order.
    pub pods: Vec<PodEntry>,
    /// How gateways are reached from outside.
    pub gateway_ports: Vec<GatewayPort>,
}

impl Directory {
    /// The pods a reference means, in order. Empty: there are none.
    #[must_use]
    pub fn find(&self, reference: &WorkloadRef) -> Vec<&PodEntry> {
        let fits = |pod: &&PodEntry| match reference {
            WorkloadRef::Name { namespace, name, ordinal } => {
                let here = pod.namespace == namespace.as_deref().unwrap_or("default");
                let named = pod.workload == *name && ordinal.is_none_or(|n| n == pod.ordinal);
                here && (named || (ordinal.is_none() && pod.name == *name))
            }
            WorkloadRef::Labels { labels, namespace } => {
                pod.namespace == namespace.as_deref().unwrap_or("default")
                    && labels.iter().all(|(k, v)| pod.labels.get(k) == Some(v))
            }
        };
        self.pods.iter().filter(fits).collect()
    }

    /// What `find` would have found with another spelling.
    #[must_use]
    pub fn nearest(&self, reference: &WorkloadRef) -> Option<String> {
        let workloads: BTreeSet<String> =
            self.pods.iter().map(|p| format!("{}/{}", p.namespace, p.workload)).collect();
        let wanted = reference.to_string();
        let wanted = if wanted.contains('/') { wanted } else { format!("default/{wanted}") };
        let distance = |w: &String| strsim::damerau_levenshtein(w, &wanted);
        workloads.iter().min_by_key(|w| (distance(w), (*w).clone())).filter(|w| distance(w) <= 4).cloned()
    }

    /// Where a client outside dials a port of a gateway: the first pod, at the port the Service leads to.
    #[must_use]
    pub fn gateway_address(&self, gateway: &str, port: u16) -> Option<SocketAddr> {
        let pod = self
            .pods
            .iter()
            .find(|p| p.gateway && format!("{}/{}", p.namespace, p.workload) == gateway)
            .or_else(|| self.pods.iter().find(|p| format!("{}/{}", p.namespace, p.workload) == gateway))?;
        let target = self
            .gateway_ports
            .iter()
            .find(|g| g.workload == gateway && (g.port == port || g.node_port == Some(port)))
            .map_or(port, |g| g.target);
        Some(SocketAddr::new(pod.ip, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let pod = |id, namespace: &str, workload: &str, ordinal, gateway: bool| PodEntry {
            id: PodId(id),
            reference: format!("{namespace}/{workload}#{ordinal}").as_str().into(),
            namespace: namespace.into(),
            workload: workload.into(),
            ordinal,
            name: format!("{workload}-{ordinal}"),
            labels: [("app".to_owned(), workload.to_owned())].into(),
            ip: IpAddr::from([10, 244, 0, id as u8]),
            containers: 1,
            sidecar: !gateway,
            gateway,
        };
        let gateway_ports =
            vec![GatewayPort { workload: "gw/in".into(), port: 80, node_port: Some(30080), target: 8080 }];
        let pods = vec![
            pod(0, "default", "web", 0, false),
            pod(1, "default", "web", 1, false),
            pod(2, "gw", "in", 0, true),
        ];
        Directory { pods, gateway_ports }
    }

    #[test]
    fn references_find_workloads_pods_and_labels() {
        let directory = directory();
        let find = |text: &str| -> Vec<u32> {
            let reference = WorkloadRef::parse(text).expect(text);
            directory.find(&reference).iter().map(|p| p.id.0).collect()
        };
        assert_eq!(find("web"), [0, 1]);
        assert_eq!(find("default/web#1"), [1]);
        assert_eq!(find("web-1"), [1]);
        assert!(find("other/web").is_empty());
        let labels = WorkloadRef::Labels {
            labels: [("app".into(), "in".into())].into(),
            namespace: Some("gw".into()),
        };
        assert_eq!(directory.find(&labels).len(), 1);
        let typo = WorkloadRef::parse("default/wbe").expect("reference");
        assert_eq!(directory.nearest(&typo).as_deref(), Some("default/web"));
    }

    #[test]
    fn gateways_are_dialled_at_the_target_port() {
        let at = |port| directory().gateway_address("gw/in", port).map(|a| a.to_string());
        assert_eq!(at(80).as_deref(), Some("10.244.0.2:8080"));
        assert_eq!(at(30080).as_deref(), Some("10.244.0.2:8080"));
        assert_eq!(at(15443).as_deref(), Some("10.244.0.2:15443"));
        assert_eq!(directory().gateway_address("gw/out", 80), None);
    }
}
