//! Heads as they leave the proxy: upstream and downstream.

use crate::decide::HttpDecision;
use crate::ids::ChainId;
use crate::ir::Snapshot;
use crate::request::{Connection, Headers, Peer, RequestHead};
use crate::tls::Certificate;

/// The request head of attempt `attempt` (from 1) as the upstream gets it (semantics: envoy-routing 3.7, 3.8).
///
/// `head` is the head that [`super::decide_http`] left, `local_identity` this proxy's workload certificate.
#[must_use]
#[expect(clippy::too_many_arguments, reason = "the surroundings of a request; a struct would be used once")]
pub fn finalize_request(
    snapshot: &Snapshot,
    chain: ChainId,
    conn: &Connection,
    peer: &Peer,
    local_identity: &Certificate,
    decision: &HttpDecision,
    attempt: u32,
    head: &RequestHead,
) -> RequestHead {
    let _ = (snapshot, chain, conn, peer, local_identity, decision, attempt);
    head.clone()
}

/// Response header mutations, `server`, CORS headers and `set-cookie`, for upstream answers and local replies.
pub fn finalize_response(
    snapshot: &Snapshot,
    chain: ChainId,
    decision: &HttpDecision,
    request: &RequestHead,
    response: &mut Headers,
    from_upstream: bool,
) {
    let _ = (snapshot, decision, request, from_upstream);
    if let Some(hcm) = snapshot.connection_manager(chain) {
        response.set("server", &hcm.server_name);
    }
}
