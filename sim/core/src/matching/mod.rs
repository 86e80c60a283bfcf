//! Evaluates matchers of the IR: strings, headers, query parameters, paths, metadata, RBAC rules.
//!
//! One implementation per matcher; every user (routes, RBAC, retries, CORS, certificates) calls it. Nothing here
//! allocates.

mod strings;

pub use strings::string_matches;
