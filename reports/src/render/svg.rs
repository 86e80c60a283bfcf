//! The service graph as SVG, and as an interactive page around it (no network, readable without JavaScript).

use std::fmt::Write as _;

use super::graph_text::edge_label;
use super::layout::{Layout, layered};
use super::style::{count, millis, percent};
use crate::graph::{Health, Node, NodeKind, ServiceGraph};

/// Escapes text for XML and HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The picture alone.
#[must_use]
pub fn svg(graph: &ServiceGraph) -> String {
    let layout = layered(graph);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" font-family=\"sans-serif\" font-size=\"12\">",
        w = layout.width,
        h = layout.height
    );
    out.push_str("<title>Predicted service graph</title>\n");
    let _ = writeln!(
        out,
        "<desc>{} nodes, {} edges; callers on the left.</desc>",
        graph.nodes.len(),
        graph.edges.len()
    );
    out.push_str("<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n");
    for edge in &graph.edges {
        edge_path(graph, &layout, edge, &mut out);
    }
    for (node, &(x, y)) in graph.nodes.iter().zip(&layout.centre) {
        node_shape(graph, node, x, y, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn edge_path(graph: &ServiceGraph, layout: &Layout, edge: &crate::graph::Edge, out: &mut String) {
    let (Some(from), Some(to)) = (graph.position(&edge.from), graph.position(&edge.to)) else { return };
    let (Some(&(x1, y1)), Some(&(x2, y2))) = (layout.centre.get(from), layout.centre.get(to)) else { return };
    let health = Health::of(edge.requests, edge.error_share);
    let (sx, ex) = if x2 >= x1 { (x1 + 46, x2 - 50) } else { (x1 - 46, x2 + 50) };
    let middle = (sx + ex) / 2;
    let _ = writeln!(
        out,
        "<g class=\"edge\" data-from=\"{}\" data-to=\"{}\"><path d=\"M{sx} {y1}C{middle} {y1} {middle} {y2} {ex} {y2}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"{} marker-end=\"url(#tip)\"/>",
        escape(&edge.from),
        escape(&edge.to),
        health.colour(),
        if edge.requests == 0 { " stroke-dasharray=\"5 4\"" } else { "" }
    );
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" fill=\"#333\" font-size=\"10\">{}</text></g>",
        (y1 + y2) / 2 - 6,
        escape(&edge_label(edge))
    );
}

fn node_shape(graph: &ServiceGraph, node: &Node, x: i32, y: i32, out: &mut String) {
    let health = graph.health(&node.name);
    let fill = health.colour();
    let shape = match node.kind {
        NodeKind::Workload => format!("<ellipse cx=\"{x}\" cy=\"{y}\" rx=\"44\" ry=\"22\" fill=\"{fill}\"/>"),
        NodeKind::Gateway => format!(
            "<polygon points=\"{},{} {},{} {},{} {},{}\" fill=\"{fill}\"/>",
            x - 44,
            y,
            x,
            y - 24,
            x + 44,
            y,
            x,
            y + 24
        ),
        NodeKind::Source => format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"24\" fill=\"{fill}\"/>"),
        NodeKind::External => format!(
            "<polygon points=\"{},{} {},{} {},{} {},{}\" fill=\"{fill}\"/>",
            x - 30,
            y - 20,
            x + 30,
            y - 20,
            x + 44,
            y + 20,
            x - 44,
            y + 20
        ),
    };
    let badges = if node.badges.is_empty() {
        String::new()
    } else {
        format!(
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#fff\" font-size=\"10\">{}</text>",
            y + 4,
            escape(&node.badges.join(" "))
        )
    };
    let _ = writeln!(
        out,
        "<g class=\"node\" data-name=\"{name}\">{shape}{badges}<text x=\"{x}\" y=\"{ty}\" text-anchor=\"middle\" fill=\"#111\">{name}</text><text x=\"{x}\" y=\"{hy}\" text-anchor=\"middle\" fill=\"#555\" font-size=\"10\">{word}</text></g>",
        name = escape(&node.name),
        ty = y + 37,
        hy = y + 50,
        word = health.word()
    );
}

/// A page with the picture, a find box, highlighting of a node's edges, and the same data as tables.
#[must_use]
pub fn page(graph: &ServiceGraph, title: &str) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{t}</title>\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<style>{STYLE}</style></head>\n<body><main><h1>{t}</h1>\n<p>Predicted by mesh-sim. Colours: healthy, degraded from 0.1&nbsp;% errors, failing from 10&nbsp;%.</p>\n<p><label>Find <input id=\"find\" type=\"search\" autocomplete=\"off\"></label></p>\n<div class=\"picture\">\n",
        t = escape(title)
    );
    out.push_str(&svg(graph));
    out.push_str("</div>\n<h2>Edges</h2>\n<table><thead><tr><th>from</th><th>to</th><th>host</th><th>requests</th><th>rps</th><th>share</th><th>errors</th><th>p50</th><th>p95</th><th>mTLS</th></tr></thead><tbody>\n");
    for e in &graph.edges {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&e.from),
            escape(&e.to),
            escape(&e.host),
            count(e.requests),
            e.rps,
            percent(e.share),
            percent(e.error_share),
            millis(e.p50_ms),
            millis(e.p95_ms),
            percent(e.mtls_share)
        );
    }
    let _ = writeln!(out, "</tbody></table>\n</main><script>{SCRIPT}</script></body></html>");
    out
}

/// Style of every HTML page.
pub const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#111;background:#fff}main{max-width:75rem;margin:auto}.picture{overflow:auto;border:1px solid #ccc}table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}td{font-variant-numeric:tabular-nums}.dim{opacity:.15}@media print{#find{display:none}}";

const SCRIPT: &str = "const q=document.getElementById('find'),N=[...document.querySelectorAll('.node')],E=[...document.querySelectorAll('.edge')];function show(s){const hit=n=>!s||n.dataset.name.includes(s);const near=new Set(N.filter(hit).map(n=>n.dataset.name));E.forEach(e=>{const on=!s||near.has(e.dataset.from)||near.has(e.dataset.to);e.classList.toggle('dim',!on)});N.forEach(n=>n.classList.toggle('dim',!!s&&!hit(n)))}q.addEventListener('input',()=>show(q.value.trim()));N.forEach(n=>n.addEventListener('click',()=>{q.value=q.value===n.dataset.name?'':n.dataset.name;show(q.value)}));";
