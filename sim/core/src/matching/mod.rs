//! Evaluates matchers of the IR: strings, headers, query parameters, paths, metadata, virtual hosts, templates.
//!
//! One implementation per matcher; every user (routes, RBAC, retries, CORS, certificates) calls it. Nothing here
//! allocates, and nothing here knows connections: what RBAC needs of those is in `crate::decide`.

mod authority;
mod headers;
mod metadata;
mod path;
mod query;
mod route;
mod strings;
mod template;
mod virtual_host;

pub use authority::without_port;
pub use headers::{HeaderSource, header_matches};
pub use metadata::{claim_at, metadata_matches};
pub use path::{path_matches, path_without_query, query_of};
pub use query::{query_matches, query_value};
pub use route::{RouteInput, RouteMiss, route_matches};
pub use strings::string_matches;
pub use template::template_matches;
pub use virtual_host::{DomainRank, domain_rank, find_virtual_host};
