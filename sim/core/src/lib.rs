//! The proxy routing core: what would *this* proxy do with *this* connection or request?
//!
//! ```text
//! connection ─► accept (listener, filter chain, TLS) ─► decide_http / decide_tcp (filters, route, cluster)
//!            ─► upstream::pick (host) ─► … the caller moves bytes and time …  ─► upstream::on_result
//! ```
//!
//! * [`ir`] — what istiod would have sent to one proxy, in Envoy's words (a *snapshot*).
//! * [`request`] — connections and requests as a proxy sees them.
//! * [`decide`] — listener, filter chain, filters, route: pure functions of the snapshot and the request.
//! * [`upstream`] — everything between "the route chose cluster C" and "a host answered": balancing, outlier
//!   detection, breakers, retry policy. State is an argument.
//!
//! Deliberately absent: I/O, YAML, serde, clocks, global randomness, logging, async. Time, draws, state and the
//! trace sink come in through [`cx::Cx`]. The crate never names an Istio resource: `mesh-config` lowers those.

pub mod cx;
pub mod decide;
pub mod ids;
pub mod index;
pub mod ir;
pub mod matching;
pub mod re2;
pub mod request;
pub mod response;
pub mod tls;
pub mod upstream;

pub use ids::{OriginId, Str};
