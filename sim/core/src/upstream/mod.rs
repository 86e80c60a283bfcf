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

mod admission;
mod asking;
mod balance;
mod breaker;
mod detector;
mod distribution;
mod edf;
mod hash_table;
mod host;
mod keyless;
mod loads;
mod merge_window;
mod monitor;
mod open_schedule;
mod outlier;
mod previous_priorities;
mod replacement;
mod retry;
mod scene;
mod shares;
mod slow_start;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod view;

pub use breaker::*;
pub use hash_table::HashTables;
pub use host::*;
pub use outlier::*;
pub use retry::*;
pub use state::*;
