//! What this proxy does with a connection or a request: pure functions of the snapshot and what arrives.
//!
//! ```text
//! accept ─► decide_http ─► (upstream picks a host) ─► finalize_request ─► … ─► finalize_response
//!        └► decide_tcp                                 client_hello
//! ```
//!
//! Nothing here knows time beyond the `now` of [`crate::cx::Cx`] or keeps state. The path of a request that is
//! forwarded unchanged allocates nothing.

mod accept;
mod authz;
mod chain;
mod codec;
mod cors;
mod describe;
mod fault;
mod finalize;
mod formatter;
mod hash;
mod http;
mod inline;
mod jwt;
mod jwt_claims;
mod jwt_locations;
mod local_reply;
mod mutate;
mod normalize;
mod outcome;
mod redirect;
mod resolve;
mod rewrite;
mod router;
mod tcp;
mod tls;
mod view;

pub use accept::accept;
pub use authz::{Authorization, Subject as RbacSubject, authorize};
pub use codec::not_http;
pub use finalize::{finalize_request, finalize_response};
pub use formatter::unmodelled_operator;
pub use http::decide_http;
pub use jwt::NOBODYS_KEYS;
pub use local_reply::local_reply_for;
pub use outcome::*;
pub use tcp::decide_tcp;
pub use tls::{client_hello, handshake, missing_client_secret};
pub use view::SYMBOLIC_PEM;
