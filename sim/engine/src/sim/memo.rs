//! Remembered steps of requests that repeat: where a connection lands, and the head as it leaves.
//!
//! Both are pure functions of things that stay the same between repetitions of a request. Nothing random is
//! remembered, and nothing at all where an input could be the client's port, which differs every time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::ids::RouteId;
use mesh_core::ir::{
    ClusterSpecifier, Forward, HashPolicy, HeaderMutations, Route, RouteAction, RouteConfiguration,
    RouteSpecifier, Snapshot, Terminal,
};
use mesh_core::request::{Peer, RequestHead};

use super::state::{Content, HttpSide, ProxyIx};
use crate::plan::{Change, Plan};

/// Heads with the same class are equal; [`HeadClass::UNIQUE`] ones are not known to equal any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HeadClass(pub(crate) u32);

impl HeadClass {
    pub(crate) const UNIQUE: HeadClass = HeadClass(0);
}

/// What the finished head of a first attempt depends on, given where the request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FinalKey {
    pub(crate) head: HeadClass,
    pub(crate) virtual_host: Option<u32>,
    pub(crate) route: Option<RouteId>,
    pub(crate) weighted: Option<u32>,
}

/// Finished heads kept per place.
const MOST: usize = 64;

/// A place where requests arrive: equal listener, chain, addresses and peer.
struct Place {
    snapshot: Arc<Snapshot>,
    peer: Peer,
    finals: Vec<(FinalKey, Arc<RequestHead>, HeadClass)>,
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
    by_key: BTreeMap<PlaceKey, u32>,
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
        if let Some(at) = self.by_key.get(&key)
            && let Some(place) = self.places.get(*at as usize)
            && Arc::ptr_eq(&place.snapshot, &side.snapshot)
            && place.peer == side.peer
        {
            return Some(*at);
        }
        let at = self.places.len() as u32;
        let snapshot = Arc::clone(&side.snapshot);
        self.places.push(Place { snapshot, peer: side.peer.clone(), finals: Vec::new() });
        self.by_key.insert(key, at);
        Some(at)
    }

    /// A finished head made before.
    pub(crate) fn finished(
        &self,
        place: Option<u32>,
        key: FinalKey,
    ) -> Option<(Arc<RequestHead>, HeadClass)> {
        if key.head == HeadClass::UNIQUE {
            return None;
        }
        let place = self.places.get(place? as usize)?;
        let found = place.finals.iter().find(|(k, _, _)| *k == key)?;
        Some((Arc::clone(&found.1), found.2))
    }

    /// Remembers a finished head and gives it a class.
    pub(crate) fn finish(&mut self, place: Option<u32>, key: FinalKey, head: &Arc<RequestHead>) -> HeadClass {
        if key.head == HeadClass::UNIQUE {
            return HeadClass::UNIQUE;
        }
        let class = self.head_class();
        let Some(place) = place.and_then(|p| self.places.get_mut(p as usize)) else {
            return HeadClass::UNIQUE;
        };
        if place.finals.len() >= MOST {
            return HeadClass::UNIQUE;
        }
        place.finals.push((key, Arc::clone(head), class));
        class
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
