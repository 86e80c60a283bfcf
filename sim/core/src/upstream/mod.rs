//! Everything between "the route chose cluster C" and "a host answered or failed" (semantics: envoy-upstream).
//!
//! ```text
//! ClusterState::pick ─► priority (loads, panic) ─► locality ─► policy (rotation, schedule, least request, ring, table)
//! ClusterState::on_event ─► outlier detector ─► ejection ─► merge window ─► published view ─► next picks
//! Breakers::try_* / release_* around connections, pending requests, requests and retries
//! RetryState::decide after every failed attempt
//! ```
//!
//! State is one [`ClusterState`] per (proxy, cluster). It has no time of its own: `now_ns` is an argument, and
//! [`ClusterState::next_timer`] says when [`ClusterState::on_timer`] wants to be called. Connections and bytes are the
//! caller's; a proxy with sockets and the simulator's event queue use the same state.
//!
//! Not here: active health checks (istiod configures none), zone-aware routing (istiod names no local cluster),
//! subset balancing (istiod makes one cluster per subset), the HIGH priority class.

mod breaker;
mod host;
mod outlier;
mod retry;
mod state;

pub use breaker::*;
pub use host::*;
pub use outlier::*;
pub use retry::*;
pub use state::*;
