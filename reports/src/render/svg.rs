//! The service graph as SVG, and as an interactive page around it (no network, readable without JavaScript).

use std::fmt::Write as _;

use super::graph_text::edge_lines;
use super::layout::{Layout, layered};
use super::style::{count, millis, percent};
use crate::graph::{Edge, Health, Node, NodeKind, ServiceGraph};

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
    // Shapes lie above lines, and labels above both.
    let curves: Vec<Curve<'_>> =
        graph.edges.iter().filter_map(|edge| Curve::of(graph, &layout, edge)).collect();
    curves.iter().for_each(|curve| curve.line(&mut out));
    for (node, &(x, y)) in graph.nodes.iter().zip(&layout.centre) {
        node_shape(graph, node, x, y, &mut out);
    }
    curves.iter().for_each(|curve| curve.label(&mut out));
    out.push_str("</svg>\n");
    out
}

/// An edge on its way from shape to shape.
struct Curve<'a> {
    edge: &'a Edge,
    from: (i32, i32),
    to: (i32, i32),
}

impl<'a> Curve<'a> {
    fn of(graph: &ServiceGraph, layout: &Layout, edge: &'a Edge) -> Option<Curve<'a>> {
        let &(x1, y1) = layout.centre.get(graph.position(&edge.from)?)?;
        let &(x2, y2) = layout.centre.get(graph.position(&edge.to)?)?;
        let (sx, ex) = if x2 >= x1 { (x1 + 46, x2 - 50) } else { (x1 - 46, x2 + 50) };
        Some(Curve { edge, from: (sx, y1), to: (ex, y2) })
    }

    fn middle(&self) -> i32 {
        (self.from.0 + self.to.0) / 2
    }

    fn group(&self) -> String {
        let (from, to) = (escape(&self.edge.from), escape(&self.edge.to));
        format!("<g class=\"edge\" data-from=\"{from}\" data-to=\"{to}\">")
    }

    fn line(&self, out: &mut String) {
        let ((sx, y1), (ex, y2), middle) = (self.from, self.to, self.middle());
        let colour = Health::of(self.edge.requests, self.edge.error_share).colour();
        let dashes = if self.edge.requests == 0 { " stroke-dasharray=\"5 4\"" } else { "" };
        let _ = writeln!(
            out,
            "{}<path d=\"M{sx} {y1}C{middle} {y1} {middle} {y2} {ex} {y2}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes} marker-end=\"url(#tip)\"/></g>",
            self.group()
        );
    }

    /// Beside the line at two thirds of its way, where lines from one node have parted; white around the letters.
    fn label(&self, out: &mut String) {
        let [first, second] = edge_lines(self.edge).try_into().unwrap_or_default();
        if first.is_empty() {
            return;
        }
        let ((sx, y1), (ex, y2)) = (self.from, self.to);
        // The Bezier curve of `line` at t = 2/3.
        let (x, y) = ((sx + 18 * self.middle() + 8 * ex) / 27, (7 * y1 + 20 * y2) / 27);
        let _ = writeln!(
            out,
            "{}<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\" fill=\"#333\" font-size=\"10\" stroke=\"#fff\" stroke-width=\"4\" stroke-linejoin=\"round\" paint-order=\"stroke\"><tspan x=\"{x}\">{}</tspan><tspan x=\"{x}\" dy=\"12\">{}</tspan></text></g>",
            self.group(),
            y - 18,
            escape(&first),
            escape(&second)
        );
    }
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
pub const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#111;background:#fff}main{max-width:90rem;margin:auto}.picture{overflow:auto;border:1px solid #ccc}table{border-collapse:collapse;margin:.5rem 0}th,td{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}td{font-variant-numeric:tabular-nums}.dim{opacity:.15}@media print{#find{display:none}}";

const SCRIPT: &str = "const q=document.getElementById('find'),N=[...document.querySelectorAll('.node')],E=[...document.querySelectorAll('.edge')];function show(s){const hit=n=>!s||n.dataset.name.includes(s);const near=new Set(N.filter(hit).map(n=>n.dataset.name));E.forEach(e=>{const on=!s||near.has(e.dataset.from)||near.has(e.dataset.to);e.classList.toggle('dim',!on)});N.forEach(n=>n.classList.toggle('dim',!!s&&!hit(n)))}q.addEventListener('input',()=>show(q.value.trim()));N.forEach(n=>n.addEventListener('click',()=>{q.value=q.value===n.dataset.name?'':n.dataset.name;show(q.value)}));";
