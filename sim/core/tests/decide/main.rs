//! The tables of semantics/envoy-routing and istio-security that were observed on a real Envoy 1.40, as data; the
//! index against the linear scan; and the promise that deciding allocates nothing.

#![expect(clippy::tests_outside_test_module, reason = "this whole binary is tests")]

mod allocations;
mod codec;
mod filters;
mod fixture;
mod heads;
mod hosts;
mod index;
mod matchers;
mod redirects;
mod routing;
