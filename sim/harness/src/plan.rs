//! From the words of a scenario to the engine's plan. Contradictions and references to nothing are diagnostics.
//!
//! [`behavior`] gives meaning to what pods do, [`traffic`] to what clients send; the timeline is
//! [`crate::timeline`]'s, because it changes the mesh.

pub mod behavior;
pub mod traffic;

use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::source::Span;
use mesh_engine::plan::NetworkModel;
use mesh_engine::world::PodId;

use crate::directory::Directory;
use crate::format::client::WorkloadRef;
use crate::format::scenario::NetworkWords;

/// The pods a reference means; none is an error with the nearest name.
pub fn pods(
    directory: &Directory,
    reference: &WorkloadRef,
    at: Span,
    out: &mut Vec<Diagnostic>,
) -> Vec<PodId> {
    let found: Vec<PodId> = directory.find(reference).iter().map(|p| p.id).collect();
    if found.is_empty() {
        out.push(no_such_workload(directory, reference, at));
    }
    found
}

/// The diagnostic of a reference to nothing.
#[must_use]
pub fn no_such_workload(directory: &Directory, reference: &WorkloadRef, at: Span) -> Diagnostic {
    let message = format!("there is no workload `{reference}` in this mesh");
    let diagnostic = Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message);
    match directory.nearest(reference) {
        Some(name) => diagnostic.help(format!("did you mean `{name}`?")),
        None => diagnostic,
    }
}

/// The network of a scenario, defaults filled in.
#[must_use]
pub fn network(words: &NetworkWords) -> NetworkModel {
    let defaults = NetworkModel::default();
    let ns = |word: Option<crate::format::quantity::Duration>, default| word.map_or(default, |d| d.0);
    let localities = words
        .localities
        .iter()
        .flat_map(|(from, row)| {
            row.iter().map(move |(to, d)| (from.as_str().into(), to.as_str().into(), d.0))
        })
        .collect();
    NetworkModel {
        latency_ns: ns(words.latency, defaults.latency_ns),
        connect_ns: ns(words.connect, defaults.connect_ns),
        tls_handshake_ns: ns(words.tls_handshake, defaults.tls_handshake_ns),
        proxy_ns: ns(words.per_hop.proxy, defaults.proxy_ns),
        localities,
    }
}
