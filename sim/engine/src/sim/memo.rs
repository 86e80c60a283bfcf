//! Remembered steps of requests that repeat: where a connection lands, and the head as it leaves. What is decided in
//! between: `decided.rs`.
//!
//! Both are pure functions of things that stay the same between repetitions of a request. Nothing random is
//! remembered, and nothing at all where an input could be the client's port, which differs every time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::ir::{
    ClusterSpecifier, Forward, HashPolicy, HeaderMutations, Route, RouteAction, RouteConfiguration,
    RouteSpecifier, Snapshot, Terminal,
};
use mesh_core::request::{FirstBytes, Peer, RequestHead};
use mesh_core::tls::ClientHello;

use super::answer::propagate;
use super::decided::{Decisions, LeafId};
use super::state::{Content, HttpSide, ProxyIx};
use crate::plan::{Change, Plan};

/// Heads with the same class are equal; [`HeadClass::UNIQUE`] ones are not known to equal any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HeadClass(pub(crate) u32);

impl HeadClass {
    pub(crate) const UNIQUE: HeadClass = HeadClass(0);
}

/// Finished heads, and classes of heads that arrive, kept per place.
const MOST: usize = 64;

/// Heads of calls with propagated headers kept per run.
const MOST_PROPAGATED: usize = 1 << 14;

/// A head with its class.
pub(crate) type Classed = (Arc<RequestHead>, HeadClass);

/// A place where requests arrive: equal listener, chain, addresses, bytes and peer.
struct Place {
    snapshot: Arc<Snapshot>,
    peer: Peer,
    tls: Option<ClientHello>,
    bytes: FirstBytes,
    /// Heads as they leave.
    finals: Vec<Classed>,
    /// Decisions about heads of a class.
    trees: Vec<(HeadClass, u32)>,
}

impl Place {
    fn is_of(&self, side: &HttpSide) -> bool {
        Arc::ptr_eq(&self.snapshot, &side.snapshot)
            && self.peer == side.peer
            && self.tls == side.connection.tls
            && self.bytes == side.connection.bytes
    }
}

/// A connection of a client that found its chain before.
struct Landing {
    content: Arc<Content>,
    destination: SocketAddr,
    source: IpAddr,
    side: Arc<HttpSide>,
}

type PlaceKey = (ProxyIx, u32, Option<u32>, IpAddr, SocketAddr, Option<Str>);

/// All that is remembered.
pub(crate) struct Memo {
    next_class: u32,
    places: Vec<Place>,
    by_key: BTreeMap<PlaceKey, Vec<u32>>,
    pub(super) decisions: Decisions,
    propagated: BTreeMap<(HeadClass, HeadClass), Classed>,
    landings: Vec<Vec<Landing>>,
    /// Snapshots in which nothing depends on the client's port.
    portless: Vec<(Arc<Snapshot>, bool)>,
}

impl Memo {
    pub(crate) fn new() -> Memo {
        Memo {
            next_class: 1,
            places: Vec::new(),
            by_key: BTreeMap::new(),
            decisions: Decisions::default(),
            propagated: BTreeMap::new(),
            landings: Vec::new(),
            portless: Vec::new(),
        }
    }

    /// A class for a head that will be shared.
    pub(crate) fn head_class(&mut self) -> HeadClass {
        self.next_class += 1;
        HeadClass(self.next_class)
    }

    /// Whether nothing in the snapshot looks at the client's port or at other things that differ between equal requests.
    pub(crate) fn is_portless(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        if let Some((_, known)) = self.portless.iter().find(|(s, _)| Arc::ptr_eq(s, snapshot)) {
            return *known;
        }
        let portless = portless(snapshot);
        self.portless.push((Arc::clone(snapshot), portless));
        portless
    }

    /// The place of an accepted connection.
    pub(crate) fn place(&mut self, side: &HttpSide) -> Option<u32> {
        if !self.is_portless(&side.snapshot) {
            return None;
        }
        let c = &side.connection;
        let principal = side.peer.principal().map(Str::from);
        let key =
            (side.proxy, side.chain.listener.0, side.chain.chain, c.source.ip(), c.destination, principal);
        let known = self.by_key.entry(key).or_default();
        let place = known.iter().find(|at| self.places.get(**at as usize).is_some_and(|p| p.is_of(side)));
        if let Some(at) = place {
            return Some(*at);
        }
        let at = self.places.len() as u32;
        self.places.push(Place {
            snapshot: Arc::clone(&side.snapshot),
            peer: side.peer.clone(),
            tls: side.connection.tls.clone(),
            bytes: side.connection.bytes,
            finals: Vec::new(),
            trees: Vec::new(),
        });
        known.push(at);
        Some(at)
    }

    /// Where the decisions about heads of a class begin.
    pub(super) fn tree(&self, place: u32, class: HeadClass) -> Option<u32> {
        let trees = &self.places.get(place as usize)?.trees;
        trees.iter().find(|(c, _)| *c == class).map(|(_, root)| *root)
    }

    /// Remembers where the decisions about heads of a class begin.
    pub(super) fn plant(&mut self, place: u32, class: HeadClass, root: u32) {
        if let Some(place) = self.places.get_mut(place as usize)
            && !place.trees.iter().any(|(c, _)| *c == class)
        {
            place.trees.push((class, root));
        }
    }

    /// Whether decisions about another class of heads are worth remembering there.
    pub(super) fn has_room(&self, place: u32) -> bool {
        self.places.get(place as usize).is_some_and(|p| p.trees.len() < MOST)
    }

    /// Remembers the finished head of a remembered decision and gives it a class. Decisions that differ in what is done
    /// besides (a delay, a mirror) share their heads.
    pub(super) fn finish(&mut self, place: Option<u32>, leaf: Option<LeafId>, head: RequestHead) -> Classed {
        let found =
            place.zip(leaf).and_then(|(place, leaf)| Some((self.places.get_mut(place as usize)?, leaf)));
        let Some((place, leaf)) = found else { return (Arc::new(head), HeadClass::UNIQUE) };
        let (head, class) = match place.finals.iter().find(|(made, _)| **made == head) {
            Some((made, class)) => (Arc::clone(made), *class),
            None if place.finals.len() >= MOST => return (Arc::new(head), HeadClass::UNIQUE),
            None => {
                self.next_class += 1;
                let made = (Arc::new(head), HeadClass(self.next_class));
                place.finals.push((Arc::clone(&made.0), made.1));
                made
            }
        };
        self.decisions.finish(leaf, &head, class);
        (head, class)
    }

    /// The head of a call with what is propagated from the served request: the same for equal heads, as a template (and
    /// so its class) belongs to one pod.
    pub(super) fn propagated(&mut self, call: Classed, served: &Classed, keep: &[Str]) -> Classed {
        if keep.is_empty() {
            return call;
        }
        let key = (call.1, served.1);
        if let Some(known) = self.propagated.get(&key) {
            return known.clone();
        }
        let repeats = call.1 != HeadClass::UNIQUE && served.1 != HeadClass::UNIQUE;
        let (head, class) = match propagate(&call.0, &served.0, keep) {
            None => call,
            Some(head) if repeats => (Arc::new(head), self.head_class()),
            Some(head) => return (Arc::new(head), HeadClass::UNIQUE),
        };
        if repeats && self.propagated.len() < MOST_PROPAGATED {
            self.propagated.insert(key, (Arc::clone(&head), class));
        }
        (head, class)
    }

    /// The connection manager an equal connection found before.
    pub(crate) fn landing(
        &self,
        proxy: ProxyIx,
        snapshot: &Arc<Snapshot>,
        content: &Arc<Content>,
        destination: SocketAddr,
        source: IpAddr,
    ) -> Option<Arc<HttpSide>> {
        let known = self.landings.get(proxy as usize)?.iter().find(|l| {
            Arc::ptr_eq(&l.content, content)
                && l.destination == destination
                && l.source == source
                && Arc::ptr_eq(&l.side.snapshot, snapshot)
        })?;
        Some(Arc::clone(&known.side))
    }

    /// Remembers where a connection landed.
    pub(crate) fn land(&mut self, content: &Arc<Content>, side: &Arc<HttpSide>) {
        let at = side.proxy as usize;
        if self.landings.len() <= at {
            self.landings.resize_with(at + 1, Vec::new);
        }
        let Some(landings) = self.landings.get_mut(at) else { return };
        landings.retain(|l| Arc::ptr_eq(&l.side.snapshot, &side.snapshot));
        if landings.len() < MOST {
            landings.push(Landing {
                content: Arc::clone(content),
                destination: side.connection.destination,
                source: side.connection.source.ip(),
                side: Arc::clone(side),
            });
        }
    }
}

/// All route configurations, inlined ones included.
fn configurations(snapshot: &Snapshot) -> impl Iterator<Item = &RouteConfiguration> {
    let chains =
        snapshot.listeners.iter().flat_map(|l| l.filter_chains.iter().chain(&l.default_filter_chain));
    let inline = chains.filter_map(|chain| match &chain.terminal {
        Terminal::Http(hcm) => match &hcm.route_specifier {
            RouteSpecifier::Inline(config) => Some(config.as_ref()),
            RouteSpecifier::Rds(_) => None,
        },
        Terminal::Tcp(_) => None,
    });
    snapshot.routes.iter().chain(inline)
}

fn portless(snapshot: &Snapshot) -> bool {
    configurations(snapshot).all(|config| {
        is_constant(&config.headers)
            && config
                .virtual_hosts
                .iter()
                .all(|v| is_constant(&v.headers) && v.routes.iter().all(is_portless_route))
    })
}

fn is_portless_route(route: &Route) -> bool {
    let forward: Option<&Forward> = match &route.action {
        RouteAction::Forward(forward) => Some(forward),
        _ => None,
    };
    let cookie = |p: &HashPolicy| matches!(p, HashPolicy::Cookie { ttl_ns: Some(_), .. });
    is_constant(&route.headers)
        && forward.is_none_or(|f| {
            !f.hash_policy.iter().any(cookie)
                && match &f.cluster {
                    ClusterSpecifier::Cluster(_) => true,
                    ClusterSpecifier::Weighted(w) => w.iter().all(|w| is_constant(&w.headers)),
                }
        })
}

/// No `%…%` operator in any value.
fn is_constant(headers: &HeaderMutations) -> bool {
    headers.request_add.iter().chain(&headers.response_add).all(|h| !h.value.contains('%'))
}

/// Whether some proxy sets a response header that another proxy acts on.
pub(crate) fn answers_matter(plan: &Plan) -> bool {
    let later = plan.changes.iter().filter_map(|(_, change)| match change {
        Change::World { world, .. } => Some(world),
        _ => None,
    });
    std::iter::once(&plan.world).chain(later).any(|world| world.sets_acted_on_headers)
}
