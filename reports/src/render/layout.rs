//! A deterministic layered layout: longest-path ranks, barycentre sweeps, name order as the tie-break.
//!
//! The crates that draw graphs either differ from run to run or need seconds for 200 nodes (research/ecosystem 1e).

use crate::graph::ServiceGraph;

/// Where every node stands, in pixels; index = position in [`ServiceGraph::nodes`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// Centre of each node.
    pub centre: Vec<(i32, i32)>,
    /// Width of the picture.
    pub width: i32,
    /// Height of the picture.
    pub height: i32,
}

const COLUMN: i32 = 290;
const ROW: i32 = 90;
const MARGIN: i32 = 70;
const SWEEPS: usize = 6;

/// Lays the graph out from left (callers) to right (callees).
#[must_use]
pub fn layered(graph: &ServiceGraph) -> Layout {
    let edges = forward_edges(graph);
    let rank = ranks(graph.nodes.len(), &edges);
    let depth = rank.iter().copied().max().map_or(0, |m| m + 1);
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depth];
    for (node, &r) in rank.iter().enumerate() {
        if let Some(layer) = layers.get_mut(r) {
            layer.push(node);
        }
    }
    let mut order = vec![0_usize; graph.nodes.len()];
    number(&layers, &mut order);
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for step in 0..depth {
            let at = if down { step } else { depth - 1 - step };
            if let Some(layer) = layers.get_mut(at) {
                arrange(layer, &edges, &order, down);
            }
            number(&layers, &mut order);
        }
    }
    // Half a name on both sides, at about seven pixels a letter.
    let longest = graph.nodes.iter().map(|n| n.name.chars().count() as i32).max().unwrap_or(0);
    place(&layers, graph.nodes.len(), (longest * 7 / 2 + 10).max(MARGIN + 40))
}

/// Edges between positions without self-loops, cycles cut at edges that lead back to a node being visited.
fn forward_edges(graph: &ServiceGraph) -> Vec<(usize, usize)> {
    let n = graph.nodes.len();
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); n];
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (graph.position(&edge.from), graph.position(&edge.to))
            && from != to
            && !next[from].contains(&to)
        {
            next[from].push(to);
        }
    }
    let mut state = vec![0_u8; n];
    let mut kept = Vec::new();
    for root in 0..n {
        let mut stack = vec![(root, 0_usize)];
        if state[root] != 0 {
            continue;
        }
        state[root] = 1;
        while let Some((node, i)) = stack.pop() {
            let Some(&to) = next[node].get(i) else {
                state[node] = 2;
                continue;
            };
            stack.push((node, i + 1));
            if state[to] != 1 {
                kept.push((node, to));
            }
            if state[to] == 0 {
                state[to] = 1;
                stack.push((to, 0));
            }
        }
    }
    kept
}

fn ranks(n: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut rank = vec![0_usize; n];
    for _ in 0..n {
        let mut changed = false;
        for &(from, to) in edges {
            if rank[to] < rank[from] + 1 {
                rank[to] = rank[from] + 1;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    rank
}

fn number(layers: &[Vec<usize>], order: &mut [usize]) {
    for layer in layers {
        for (i, &node) in layer.iter().enumerate() {
            order[node] = i;
        }
    }
}

/// Sorts a layer by the mean position (times 1000, integer) of its neighbours; nodes without neighbours keep theirs.
fn arrange(layer: &mut [usize], edges: &[(usize, usize)], order: &[usize], down: bool) {
    let key = |node: usize| -> usize {
        let near: Vec<usize> = edges
            .iter()
            .filter_map(|&(from, to)| match down {
                true if to == node => Some(order[from]),
                false if from == node => Some(order[to]),
                _ => None,
            })
            .collect();
        if near.is_empty() { order[node] * 1000 } else { near.iter().sum::<usize>() * 1000 / near.len() }
    };
    let mut keyed: Vec<(usize, usize)> = layer.iter().map(|&node| (key(node), node)).collect();
    keyed.sort_unstable();
    for (slot, (_, node)) in layer.iter_mut().zip(keyed) {
        *slot = node;
    }
}

fn place(layers: &[Vec<usize>], n: usize, side: i32) -> Layout {
    let tallest = layers.iter().map(Vec::len).max().unwrap_or(0) as i32;
    let mut centre = vec![(0, 0); n];
    for (column, layer) in layers.iter().enumerate() {
        let offset = (tallest - layer.len() as i32) * ROW / 2;
        for (row, &node) in layer.iter().enumerate() {
            centre[node] = (side + column as i32 * COLUMN, MARGIN + offset + row as i32 * ROW);
        }
    }
    Layout {
        centre,
        width: 2 * side + (layers.len() as i32 - 1).max(0) * COLUMN,
        height: 2 * MARGIN + (tallest - 1).max(0) * ROW,
    }
}
