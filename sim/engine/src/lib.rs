//! The discrete-event engine: the one place where a request is walked end to end.
//!
//! `run` simulates load over time, `follow` keeps the trace of one of its requests; `enumerate` walks one request on an idle mesh through every random choice with
//! its exact probability (`explain`, policy tests, conformance). Both use the same machinery: applications connect,
//! iptables and kube-proxy lead the connection, proxies decide with `mesh-core`, pools and breakers hold requests
//! back, TLS is negotiated, applications answer, and one record per request is written.
//!
//! * [`world`] — one version of the mesh: pods, proxies with their snapshots, DNS, Service addresses.
//! * [`plan`] — who sends what when, how applications behave, what changes.
//! * [`record`], [`stats`] — one request's record; a run's aggregates.
//! * `sim` — the event loop and its actors.
//!
//! Deliberately absent: Istio resources, YAML, clocks, threads inside a run. Depends on `mesh-core` only.

mod draws;
mod enumerate;
mod follow;
pub mod plan;
pub mod record;
mod run;
mod sample;
mod sim;
pub mod stats;
mod wire;
pub mod world;

pub use enumerate::{Enumeration, NotEnumerable, Outcome, enumerate};
pub use follow::{Followed, follow};
pub use plan::{Behavior, Change, ClientRequest, NetworkModel, Plan, Traffic};
pub use record::{Hop, RequestRecord};
pub use run::{replicate, run};
pub use stats::RunRecord;
pub use world::{Pod, PodId, Proxy, ProxyId, World};
