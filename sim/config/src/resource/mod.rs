//! The resources as a user writes them: one file per kind, plain data, nothing resolved.
//!
//! Every field of the Istio APIs is here, also those the simulator does not model: saying so is the job of `schema` and
//! `lower`. A one-of of the API is a struct of options (the schema rejects two at once), an absent field is `None`, and
//! defaults that mean something stay unresolved until `lower`. Structs that a user can get wrong carry `origin`, the place
//! of their mapping in the YAML, supplied by `decode` through the field name `@origin`.

pub mod authorization_policy;
pub mod config_data;
pub mod connection_pool;
pub mod destination_rule;
pub mod endpoints;
pub mod gateway;
pub mod http_match;
pub mod http_route;
pub mod ingress;
pub mod kubernetes_http_route;
pub mod load_balancer;
pub mod mesh_config;
pub mod meta;
pub mod namespace;
pub mod node;
pub mod peer_authentication;
pub mod pod;
pub mod provider;
pub mod proxy_config;
pub mod request_authentication;
pub mod scalar;
pub mod selector;
pub mod service;
pub mod service_entry;
pub mod sidecar;
pub mod tls;
pub mod virtual_service;
pub mod workload;
pub mod workload_entry;
