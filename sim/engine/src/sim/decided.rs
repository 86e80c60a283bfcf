//! Decisions that repeat: what a connection manager decides about a request is a function of the place where it arrives, of
//! its head and of the choices drawn on the way, and is remembered as a tree over those choices.
//!
//! Draws are never remembered: every request draws anew and is led to the leaf that its numbers mean.

use std::sync::Arc;

use mesh_core::cx::{Cx, Draws, Purpose, TraceSink};
use mesh_core::decide::{self, HttpDecision, HttpOutcome};
use mesh_core::ids::{ClusterId, Nanos};
use mesh_core::ir::{ClusterSpecifier, HostRewrite, RouteAction};
use mesh_core::request::RequestHead;

use super::Sim;
use super::memo::{Classed, HeadClass};
use super::state::HttpSide;
use crate::draws::{At, Chance};

/// What a connection manager decided about a request.
pub(crate) struct Decided {
    pub(crate) decision: HttpDecision,
    /// The head as the filters left it.
    pub(crate) head: Arc<RequestHead>,
    /// The cluster of the route, which is logged even if a filter answers.
    pub(crate) routed: Option<ClusterId>,
    /// `max_stream_duration` of the route, ns; 0 = unlimited but for what a gRPC request asks.
    pub(crate) stream_limit_ns: Option<Nanos>,
    /// The route rewrites the authority to the name of the host that is picked.
    pub(crate) auto_host: bool,
}

/// Position of a remembered decision.
pub(crate) type LeafId = u32;

enum Node {
    Leaf(Arc<Decided>, Option<Classed>),
    /// A choice was drawn; what follows is known for some of its results.
    Choice {
        purpose: Purpose,
        ends: Box<[u64]>,
        next: Box<[Option<u32>]>,
    },
}

/// A choice that a decision drew.
struct Drawn {
    purpose: Purpose,
    ends: Box<[u64]>,
    chosen: usize,
}

/// Nodes of all trees of a run.
const MOST: usize = 1 << 16;

/// The trees of a run.
#[derive(Default)]
pub(crate) struct Decisions {
    nodes: Vec<Node>,
}

impl Decisions {
    /// The decision that the draws lead to from `root`.
    fn find<D: Draws>(&self, root: u32, draws: &mut D) -> Option<(Arc<Decided>, LeafId)> {
        let mut at = root;
        loop {
            match self.nodes.get(at as usize)? {
                Node::Leaf(decided, _) => return Some((Arc::clone(decided), at)),
                Node::Choice { purpose, ends, next } => {
                    at = next.get(draws.choose(*purpose, ends)).copied().flatten()?;
                }
            }
        }
    }

    /// Remembers where the draws led; `None` when there is no room.
    fn grow(&mut self, root: &mut Option<u32>, drawn: Vec<Drawn>, decided: &Arc<Decided>) -> Option<LeafId> {
        if self.nodes.len() + drawn.len() >= MOST {
            return None;
        }
        let mut slot = *root;
        let mut parent: Option<(u32, usize)> = None;
        for Drawn { purpose, ends, chosen } in drawn {
            let at = slot.unwrap_or_else(|| {
                let next = vec![None; ends.len()].into();
                self.link(root, parent, Node::Choice { purpose, ends, next })
            });
            match self.nodes.get(at as usize) {
                // A function draws the same thing after the same choices.
                Some(Node::Choice { purpose: p, next, .. }) if *p == purpose => {
                    slot = next.get(chosen).copied().flatten();
                }
                _ => return None,
            }
            parent = Some((at, chosen));
        }
        match slot {
            Some(_) => None,
            None => Some(self.link(root, parent, Node::Leaf(Arc::clone(decided), None))),
        }
    }

    /// Adds a node below its parent, or as the root.
    fn link(&mut self, root: &mut Option<u32>, parent: Option<(u32, usize)>, node: Node) -> u32 {
        let at = self.nodes.len() as u32;
        self.nodes.push(node);
        match parent {
            None => *root = Some(at),
            Some((parent, chosen)) => {
                if let Some(Node::Choice { next, .. }) = self.nodes.get_mut(parent as usize)
                    && let Some(slot) = next.get_mut(chosen)
                {
                    *slot = Some(at);
                }
            }
        }
        at
    }

    /// The finished head of a decision, if one was made.
    pub(super) fn finished(&self, leaf: LeafId) -> Option<&Classed> {
        match self.nodes.get(leaf as usize)? {
            Node::Leaf(_, finished) => finished.as_ref(),
            Node::Choice { .. } => None,
        }
    }

    /// Remembers the finished head of a decision.
    pub(super) fn finish(&mut self, leaf: LeafId, head: &Arc<RequestHead>, class: HeadClass) {
        if let Some(Node::Leaf(_, finished)) = self.nodes.get_mut(leaf as usize) {
            *finished = Some((Arc::clone(head), class));
        }
    }
}

/// Draws, and keeps what was chosen.
struct Noting<D> {
    draws: D,
    drawn: Vec<Drawn>,
    /// Nothing but choices were drawn.
    finite: bool,
}

impl<D: Draws> Draws for Noting<D> {
    fn draw(&mut self, purpose: Purpose) -> u64 {
        self.finite = false;
        self.draws.draw(purpose)
    }

    fn choose(&mut self, purpose: Purpose, ends: &[u64]) -> usize {
        let chosen = self.draws.choose(purpose, ends);
        self.drawn.push(Drawn { purpose, ends: ends.into(), chosen });
        chosen
    }

    fn enumerates(&self) -> bool {
        self.draws.enumerates()
    }
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// What the connection manager decides about a request; its place in the memory, if it has one.
    pub(super) fn decide(
        &mut self,
        side: &HttpSide,
        head: &Arc<RequestHead>,
        class: HeadClass,
        key: u64,
    ) -> (Arc<Decided>, Option<LeafId>) {
        // An explanation needs the steps, an enumeration every choice.
        let repeats = !S::ENABLED && !self.chance.enumerates() && class != HeadClass::UNIQUE;
        let place = side.place.filter(|_| repeats);
        let mut draws = At { key, chance: &mut self.chance };
        if let Some(root) = place.and_then(|place| self.memo.tree(place, class))
            && let Some((decided, leaf)) = self.memo.decisions.find(root, &mut draws)
        {
            return (decided, Some(leaf));
        }
        let mut draws = Noting { draws, drawn: Vec::new(), finite: true };
        let mut own: RequestHead = head.as_ref().clone();
        let mut cx = Cx {
            now_ns: self.queue.now(),
            draws: &mut draws,
            trace: &mut self.trace,
            tokens: self.plan.tokens.as_ref(),
        };
        let decision =
            decide::decide_http(&side.snapshot, side.chain, &side.connection, &side.peer, &mut own, &mut cx);
        let routed = routed_cluster(side, &decision, &mut draws);
        let head = if own == **head { Arc::clone(head) } else { Arc::new(own) };
        let forward = match decision.route(&side.snapshot).map(|route| &route.action) {
            Some(RouteAction::Forward(forward)) => Some(forward),
            _ => None,
        };
        let stream_limit_ns = forward.and_then(|f| f.max_stream_duration_ns);
        let auto_host = forward.is_some_and(|f| f.host_rewrite == HostRewrite::Auto);
        let decided = Arc::new(Decided { decision, head, routed, stream_limit_ns, auto_host });
        let leaf = place.filter(|_| draws.finite).and_then(|place| {
            let mut root = self.memo.tree(place, class);
            if root.is_none() && !self.memo.has_room(place) {
                return None;
            }
            let leaf = self.memo.decisions.grow(&mut root, draws.drawn, &decided);
            self.memo.plant(place, class, root?);
            leaf
        });
        (decided, leaf)
    }
}

/// The cluster of the chosen route: Envoy resolves it before any filter runs and logs it whoever answers
/// (semantics: envoy-routing 0.1).
fn routed_cluster<D: Draws>(side: &HttpSide, decision: &HttpDecision, draws: &mut D) -> Option<ClusterId> {
    match &decision.outcome {
        HttpOutcome::Forward(plan) => return Some(plan.cluster),
        HttpOutcome::Reply(reply) if reply.details.as_ref() == "cluster_not_found" => return None,
        HttpOutcome::Reply(_) => {}
    }
    let RouteAction::Forward(forward) = &decision.route(&side.snapshot)?.action else { return None };
    let name = match &forward.cluster {
        ClusterSpecifier::Cluster(name) => name,
        ClusterSpecifier::Weighted(entries) => {
            let mut total = 0;
            let ends: Vec<u64> = entries
                .iter()
                .map(|e| {
                    total += u64::from(e.weight);
                    total
                })
                .collect();
            let at = draws.choose(Purpose::WeightedCluster, &ends);
            &entries.get(at)?.name
        }
    };
    side.snapshot.cluster_by_name(name)
}
