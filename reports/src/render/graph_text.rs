//! The service graph as DOT, Mermaid, D3 JSON and plain JSON.

use std::fmt::Write as _;

use serde_json::json;

use super::style::{millis, percent};
use crate::graph::{Edge, Health, NodeKind, ServiceGraph};

/// Rate, share, errors and p95 of an edge in one line.
#[must_use]
pub fn edge_label(edge: &Edge) -> String {
    edge_lines(edge).join(" · ")
}

/// The same in two lines: how much, and how well. None of an edge without requests.
#[must_use]
pub fn edge_lines(edge: &Edge) -> Vec<String> {
    if edge.requests == 0 {
        return Vec::new();
    }
    let mut much = format!("{:.1} rps · {}", edge.rps, percent(edge.share));
    if edge.error_share > 0.0 {
        let _ = write!(much, " · {} err", percent(edge.error_share));
    }
    let mut well = format!("p95 {}", millis(edge.p95_ms));
    if edge.mtls_share > 0.0 && edge.mtls_share < 1.0 {
        let _ = write!(well, " · {} mTLS", percent(edge.mtls_share));
    } else if edge.mtls_share >= 1.0 {
        well.push_str(" · mTLS");
    }
    vec![much, well]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Graphviz DOT.
#[must_use]
pub fn dot(graph: &ServiceGraph) -> String {
    let mut out = String::from(
        "digraph mesh {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", style=filled, fontcolor=white];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
    );
    for node in &graph.nodes {
        let health = graph.health(&node.name);
        let shape = match node.kind {
            NodeKind::Workload => "ellipse",
            NodeKind::Gateway => "house",
            NodeKind::Source => "circle",
            NodeKind::External => "trapezium",
        };
        let badges =
            if node.badges.is_empty() { String::new() } else { format!("\\n{}", node.badges.join(" ")) };
        let label = quoted(&node.name).trim_end_matches('"').to_owned() + &badges + "\"";
        let _ = writeln!(
            out,
            "  {} [label={label}, shape={shape}, fillcolor=\"{}\"];",
            quoted(&node.name),
            health.colour()
        );
    }
    for edge in &graph.edges {
        let health = Health::of(edge.requests, edge.error_share);
        let _ = writeln!(
            out,
            "  {} -> {} [label={}, color=\"{}\"];",
            quoted(&edge.from),
            quoted(&edge.to),
            quoted(&edge_label(edge)),
            health.colour()
        );
    }
    out.push_str("}\n");
    out
}

/// Mermaid flowchart.
#[must_use]
pub fn mermaid(graph: &ServiceGraph) -> String {
    let text = |s: &str| s.replace('"', "#quot;");
    let mut out = String::from("flowchart LR\n");
    for (i, node) in graph.nodes.iter().enumerate() {
        let (open, close) = match node.kind {
            NodeKind::Workload => ("([", "])"),
            NodeKind::Gateway => ("{{", "}}"),
            NodeKind::Source => ("((", "))"),
            NodeKind::External => ("[/", "\\]"),
        };
        let _ = writeln!(out, "  n{i}{open}\"{}\"{close}", text(&node.name));
    }
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (graph.position(&edge.from), graph.position(&edge.to)) {
            let label = edge_label(edge);
            if label.is_empty() {
                let _ = writeln!(out, "  n{from} --> n{to}");
            } else {
                let _ = writeln!(out, "  n{from} -->|\"{}\"| n{to}", text(&label));
            }
        }
    }
    out
}

/// Plain JSON: nodes with health, edges with rates.
#[must_use]
pub fn json(graph: &ServiceGraph) -> String {
    let nodes: Vec<_> = graph
        .nodes
        .iter()
        .map(|n| {
            let mut value = json!(n);
            value["health"] = json!(graph.health(&n.name).word());
            value
        })
        .collect();
    pretty(
        &json!({"apiVersion": crate::run::RESULT_VERSION, "nodes": nodes, "edges": graph.edges, "cycles": graph.cycles()}),
    )
}

/// D3's force layout input, as the servicegraph endpoint `/d3graph` gave it: `nodes` with `name`, `links` by position.
#[must_use]
pub fn d3(graph: &ServiceGraph) -> String {
    let nodes: Vec<_> = graph
        .nodes
        .iter()
        .map(|n| json!({"name": n.name, "kind": n.kind, "health": graph.health(&n.name).word()}))
        .collect();
    let links: Vec<_> = graph
        .edges
        .iter()
        .filter_map(|e| {
            Some(json!({
                "source": graph.position(&e.from)?,
                "target": graph.position(&e.to)?,
                "labels": {"reqs/sec": format!("{:.3}", e.rps), "errors": percent(e.error_share)},
            }))
        })
        .collect();
    pretty(&json!({"nodes": nodes, "links": links}))
}

fn pretty(value: &serde_json::Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
