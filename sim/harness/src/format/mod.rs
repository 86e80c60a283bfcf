//! The words of FORMATS sections 1 to 3: what people write in scenarios, policy tests and corpus lines.
//!
//! Plain serde types, read by `mesh_config::decode` from YAML (places, "did you mean", all errors at once) and by
//! `serde_json` from corpus lines. Nothing here knows the mesh; [`crate::world`] and [`crate::plan`] give it meaning.

pub mod behavior;
pub mod client;
pub mod gate;
pub mod gates;
mod http_text;
pub mod mesh;
pub mod policy;
pub mod quantity;
pub mod request;
pub mod scenario;
mod shorthand;
pub(crate) mod url;

pub use url::Url;
