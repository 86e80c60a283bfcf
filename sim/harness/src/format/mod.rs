//! The words of FORMATS sections 1 to 3: what people write in scenarios, policy tests and corpus lines.
//!
//! Plain serde types, read by `mesh_config::decode` from YAML (places, "did you mean", all errors at once) and by
//! `serde_json` from corpus lines. Nothing here knows the mesh; [`crate::world`] and [`crate::plan`] give it meaning.

mod client;
mod http_text;
mod quantity;
pub mod request;
mod shorthand;
mod url;

pub use client::{Client, GatewayClient, PodClient, WorkloadRef};
pub use quantity::{Duration, Percent, Rate};
pub use request::{Request, RequestError, RequestWords};
pub use url::Url;
