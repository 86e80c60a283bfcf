//! The service graph: who talks to whom, how much, how well.
//!
//! Built on petgraph; node and edge order is by name, so every format is byte-stable.

use petgraph::graphmap::DiGraphMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a node stands for, with Kiali's shapes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum NodeKind {
    /// A workload.
    #[default]
    Workload,
    /// A gateway.
    Gateway,
    /// A client outside the mesh (traffic source).
    Source,
    /// A ServiceEntry host or another address outside.
    External,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// `ns/workload`, or the host of an external service.
    pub name: String,
    /// What it is.
    pub kind: NodeKind,
    /// Namespace; empty for external nodes.
    pub namespace: String,
    /// `version` label.
    pub version: String,
    /// Short badges: `VS`, `CB`, `FI`, `MI`, `MS` (missing sidecar), `GW`, `SE`, `RO` (traffic source).
    pub badges: Vec<String>,
}

/// An edge.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Client node.
    pub from: String,
    /// Server node.
    pub to: String,
    /// Service host through which the client went; empty for addresses.
    pub host: String,
    /// Requests.
    pub requests: u64,
    /// Requests per second.
    pub rps: f64,
    /// Share of the client's requests to `host`.
    pub share: f64,
    /// Share of errors (5xx, connection failures).
    pub error_share: f64,
    /// Median latency, ms.
    pub p50_ms: f64,
    /// 95th percentile, ms.
    pub p95_ms: f64,
    /// Share of requests over mutual TLS.
    pub mtls_share: f64,
    /// Flags met on the edge (`UO`, `UF` …).
    pub flags: Vec<String>,
}

/// Nodes and edges, sorted by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceGraph {
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Edges.
    pub edges: Vec<Edge>,
}

/// Health of an edge or node by Kiali's default thresholds: 5xx from 0.1 % degraded, from 10 % failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// No traffic.
    Idle,
    /// Fine.
    Healthy,
    /// Some errors.
    Degraded,
    /// Many errors.
    Failure,
}

impl Health {
    /// Judges an error share.
    #[must_use]
    pub fn of(requests: u64, error_share: f64) -> Health {
        if requests == 0 {
            Health::Idle
        } else if error_share >= 0.10 {
            Health::Failure
        } else if error_share >= 0.001 {
            Health::Degraded
        } else {
            Health::Healthy
        }
    }

    /// The word shown beside the colour.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Health::Idle => "idle",
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Failure => "failing",
        }
    }

    /// Kiali's fill colour.
    #[must_use]
    pub fn colour(self) -> &'static str {
        match self {
            Health::Idle => "#8b8d8f",
            Health::Healthy => "#3e8635",
            Health::Degraded => "#f0ab00",
            Health::Failure => "#c9190b",
        }
    }
}

impl ServiceGraph {
    /// Sorts nodes and edges by name.
    pub fn sort(&mut self) {
        self.nodes.sort_by(|a, b| a.name.cmp(&b.name));
        self.edges.sort_by(|a, b| (&a.from, &a.to, &a.host).cmp(&(&b.from, &b.to, &b.host)));
    }

    /// The graph over node positions; edges carry their position in [`ServiceGraph::edges`].
    /// Edges that name a missing node are left out.
    #[must_use]
    pub fn petgraph(&self) -> DiGraphMap<usize, usize> {
        let mut graph = DiGraphMap::new();
        for i in 0..self.nodes.len() {
            graph.add_node(i);
        }
        for (e, edge) in self.edges.iter().enumerate() {
            if let (Some(from), Some(to)) = (self.position(&edge.from), self.position(&edge.to)) {
                graph.add_edge(from, to, e);
            }
        }
        graph
    }

    /// Position of a node.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.name == name)
    }

    /// Health of a node: of everything it serves, or of everything it sends if it serves nothing.
    #[must_use]
    pub fn health(&self, name: &str) -> Health {
        match self.judged(|edge| edge.to == name) {
            Health::Idle => self.judged(|edge| edge.from == name),
            health => health,
        }
    }

    fn judged(&self, of: impl Fn(&Edge) -> bool) -> Health {
        let (requests, errors) = self
            .edges
            .iter()
            .filter(|edge| of(edge))
            .fold((0_u64, 0.0), |(n, bad), e| (n + e.requests, bad + e.error_share * e.requests as f64));
        Health::of(requests, if requests == 0 { 0.0 } else { errors / requests as f64 })
    }

    /// Groups of nodes that call each other in a circle (petgraph's strongly connected components), each sorted by name.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<&str>> {
        let graph = self.petgraph();
        let mut cycles: Vec<Vec<&str>> = petgraph::algo::tarjan_scc(&graph)
            .into_iter()
            .filter(|c| c.len() > 1 || c.first().is_some_and(|&n| graph.contains_edge(n, n)))
            .map(|c| {
                let mut names: Vec<&str> =
                    c.into_iter().filter_map(|i| self.nodes.get(i)).map(|n| n.name.as_str()).collect();
                names.sort_unstable();
                names
            })
            .collect();
        cycles.sort();
        cycles
    }
}
