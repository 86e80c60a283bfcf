//! The translation check: what lowering makes of manifests against what istiod sent to the same proxies.
//!
//! `conformance/<mesh>/xds.json.gz` holds every proxy's listeners, routes, clusters and endpoints. Both sides are brought
//! into one shape (protobuf JSON without what decides nothing) and compared key by key: `listeners`, `routes`,
//! `policies`, `matchers` print the IR, `recorded` reads the recording, `clusters` does both, `difference` compares.

mod clusters;
mod difference;
mod listeners;
mod matchers;
mod policies;
mod recorded;
mod routes;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::ir::Snapshot;
use serde_json::Value;

pub use difference::Difference;
pub(crate) use routes::route as route_as_json;

/// Which resources of a proxy to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// LDS.
    Listeners,
    /// RDS.
    Routes,
    /// CDS with EDS.
    Clusters,
}

/// The recording of one mesh: resources by proxy (`ns.pod`).
#[derive(Debug, Clone, Default)]
pub struct Recording {
    proxies: BTreeMap<String, Value>,
}

impl Recording {
    /// Reads the text of `xds.json`.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn parse(text: &str) -> Result<Recording, String> {
        let proxies = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Recording { proxies })
    }

    /// The recorded proxies, `namespace/pod`.
    pub fn proxies(&self) -> impl Iterator<Item = String> + '_ {
        self.proxies.keys().map(|key| key.replacen('.', "/", 1))
    }

    /// Differences between a snapshot and what istiod sent to a proxy (`namespace/pod`).
    #[must_use]
    pub fn differences(&self, proxy: &str, snapshot: &Snapshot, kind: Kind) -> Vec<Difference> {
        let Some(sent) = self.proxies.get(&proxy.replacen('/', ".", 1)) else { return Vec::new() };
        let theirs = |key: &str| sent.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let (ours, theirs): (Vec<Value>, Vec<Value>) = match kind {
            Kind::Listeners => (
                snapshot.listeners.iter().map(listeners::listener).collect(),
                theirs("listeners").iter().map(recorded::listener).collect(),
            ),
            Kind::Routes => (
                snapshot.routes.iter().map(routes::configuration).collect(),
                theirs("routes").iter().map(recorded::route_configuration).collect(),
            ),
            Kind::Clusters => {
                let name = |e: &'_ Value| e.get("clusterName").and_then(Value::as_str).map(str::to_owned);
                let named: Vec<_> = theirs("endpoints").iter().filter_map(|e| Some((name(e)?, e))).collect();
                let endpoints = named.iter().map(|(name, e)| (name.as_str(), *e)).collect();
                (
                    snapshot.clusters.iter().map(clusters::cluster).collect(),
                    theirs("clusters").iter().map(|c| clusters::recorded(c, &endpoints)).collect(),
                )
            }
        };
        let theirs = by_name(theirs.into_iter().map(recorded::tidy).collect());
        let ours = by_name(ours.into_iter().map(recorded::tidy).collect());
        let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        let mut out = Vec::new();
        for name in names {
            match (ours.get(name), theirs.get(name)) {
                (Some(a), Some(b)) => difference::compare(name, a, b, &mut out),
                (a, b) => out.push(Difference { path: name.clone(), ours: a.cloned(), recorded: b.cloned() }),
            }
        }
        out
    }
}

fn by_name(resources: Vec<Value>) -> BTreeMap<String, Value> {
    resources
        .into_iter()
        .map(|resource| {
            let name = resource.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            (name, resource)
        })
        .collect()
}
