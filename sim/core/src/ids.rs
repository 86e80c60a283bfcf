//! Names and dense ids shared by the whole core.

use std::sync::Arc;

/// Interned-by-convention text: cheap to clone, compared by value.
pub type Str = Arc<str>;

/// Nanoseconds, of simulated time or of a duration.
pub type Nanos = u64;

/// The row of the configuration's origin table (`file:line` of some YAML) that caused an IR node.
/// [`OriginId::NONE`] marks what no document asked for (istiod's defaults, built-in clusters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OriginId(pub u32);

impl OriginId {
    /// No document: a default of istiod or Envoy.
    pub const NONE: OriginId = OriginId(0);

    /// Whether a document stands behind this node.
    #[must_use]
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

macro_rules! dense_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);
        impl $name {
            /// The position as an index.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

dense_id! {
    /// Position in [`crate::ir::Snapshot::listeners`].
    ListenerId;
    /// Position in [`crate::ir::Snapshot::routes`].
    RouteConfigId;
    /// Position in [`crate::ir::Snapshot::clusters`].
    ClusterId;
    /// Position of a host in its cluster's host list.
    HostId;
}

/// A filter chain of one listener: `Some(i)` is `filter_chains[i]`, `None` the default filter chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId {
    /// The listener.
    pub listener: ListenerId,
    /// The chain, or the default one.
    pub chain: Option<u32>,
}

/// A route of one virtual host of one route configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    /// Position in [`crate::ir::RouteConfiguration::virtual_hosts`].
    pub virtual_host: u32,
    /// Position in [`crate::ir::VirtualHost::routes`].
    pub route: u32,
}

/// Something met in the YAML that the simulator does not model. A decision that passes a taint is `unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// What is not modelled, in the user's words (`EnvoyFilter`, `spec.http[0].corsPolicy.…`).
    pub what: Str,
    /// Where it stands.
    pub origin: OriginId,
}
