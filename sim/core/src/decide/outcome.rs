//! The vocabulary of decisions: what `super::accept`, `super::decide_http` and `super::decide_tcp` answer.
//!
//! Plain data; nothing here decides.

use std::net::{IpAddr, SocketAddr};

use crate::ids::{ChainId, ClusterId, ListenerId, Nanos, OriginId, RouteConfigId, RouteId, Str, Taint};
use crate::ir::{FilterChain, HttpConnectionManager, RouteConfiguration, RouteSpecifier, Snapshot, Terminal};
use crate::request::Peer;
use crate::response::{Flags, LocalReply};
use crate::tls::TlsSession;

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a chain is the usual outcome")]
pub enum Accept {
    /// A filter chain takes it.
    Chain {
        /// The chain.
        chain: ChainId,
        /// The handshake, if the chain terminates TLS.
        session: Option<TlsSession>,
        /// The peer as RBAC sees it.
        peer: Peer,
        /// Time the inspectors waited in vain for bytes before `listener_filters_timeout` let the connection through, ns.
        waited_ns: Nanos,
    },
    /// No chain matches: server log `0 NR filter_chain_not_found`, the connection is reset.
    NoFilterChain {
        /// The listener.
        listener: ListenerId,
    },
    /// Nobody listens (gateways): refused.
    NoListener,
    /// An inspector waits for bytes that never come.
    Hangs {
        /// The listener.
        listener: ListenerId,
    },
    /// TLS fails.
    HandshakeFailed {
        /// The chain that terminates TLS.
        chain: ChainId,
        /// Why.
        failure: HandshakeFailure,
    },
}

/// Why a handshake fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// The server's secret does not exist.
    ServerHasNoCertificate,
    /// The client does not accept the server's certificate.
    ClientRefusesServer {
        /// The server's SANs, as the client logs them.
        sans: Vec<Str>,
        /// What is wrong with it.
        why: Distrust,
    },
    /// The server demands a certificate and the client has none. With TLS 1.3 the client believes the handshake worked.
    ClientCertificateRequired,
    /// The server does not accept the client's certificate. With TLS 1.3 the client believes the handshake worked.
    ServerRefusesClient {
        /// The client's SANs, as the server logs them.
        sans: Vec<Str>,
        /// What is wrong with it.
        why: Distrust,
    },
    /// The bytes are no TLS.
    NotTls,
}

impl std::fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = |why: &Distrust| match why {
            Distrust::Untrusted => "it is signed by nobody trusted",
            Distrust::SanMismatch => "none of its names is accepted",
        };
        match self {
            Self::ServerHasNoCertificate => f.write_str("the server has no certificate"),
            Self::ClientRefusesServer { sans, why } => {
                write!(
                    f,
                    "the client refuses the server's certificate [{}]: {}",
                    sans.join(", "),
                    reason(why)
                )
            }
            Self::ClientCertificateRequired => f.write_str("the server demands a client certificate"),
            Self::ServerRefusesClient { sans, why } => {
                write!(
                    f,
                    "the server refuses the client's certificate [{}]: {}",
                    sans.join(", "),
                    reason(why)
                )
            }
            Self::NotTls => f.write_str("the bytes are no TLS"),
        }
    }
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distrust {
    /// Signed by nobody the verifier trusts.
    Untrusted,
    /// None of its SANs is accepted.
    SanMismatch,
}

/// Where the route configuration of a decision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteConfigRef {
    /// In [`Snapshot::routes`].
    Rds(RouteConfigId),
    /// Inlined in the connection manager of this chain.
    Inline(ChainId),
}

/// Everything decided about an HTTP request before a host is picked.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpDecision {
    /// The route configuration, if it exists.
    pub route_config: Option<RouteConfigRef>,
    /// Position of the virtual host.
    pub virtual_host: Option<u32>,
    /// The route.
    pub route: Option<RouteId>,
    /// Injected delay before `outcome` takes effect, ns (flag DI when > 0).
    pub delay_ns: Nanos,
    /// What happens.
    pub outcome: HttpOutcome,
    /// The router filter decided; replies of the codec and of other filters do not get the route's header mutations.
    pub by_router: bool,
    /// What the RBAC filters noted.
    pub rbac: RbacLog,
    /// The answer is unknown, because of this.
    pub taint: Option<Taint>,
    /// DI and FI so far, or the flag of the local reply.
    pub flags: Flags,
    /// The downstream side, for header values that name it.
    pub downstream: Downstream,
    /// CORS: the response gets headers for this request's origin (semantics: envoy-routing 3.10).
    pub cors_origin_allowed: bool,
}

/// The downstream connection of a request, as far as header values and logs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downstream {
    /// The TCP peer.
    pub source: SocketAddr,
    /// The local address.
    pub destination: SocketAddr,
    /// The trusted client address (`%DOWNSTREAM_REMOTE_ADDRESS%`); other than the peer's when `x-forwarded-for` says so.
    pub remote: IpAddr,
    /// `x-forwarded-proto` is `https`.
    pub https: bool,
    /// Server name of the handshake.
    pub sni: Option<Str>,
    /// First URI SAN of the peer's verified certificate.
    pub uri_san: Option<Str>,
}

/// What the proxy does with an HTTP request.
#[derive(Debug, Clone, PartialEq)]
pub enum HttpOutcome {
    /// Answers itself.
    Reply(LocalReply),
    /// Forwards.
    Forward(ForwardPlan),
}

/// How a request is forwarded.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardPlan {
    /// Where to.
    pub cluster: ClusterId,
    /// The entry of `weighted_clusters` that was drawn.
    pub weighted: Option<u32>,
    /// Global timeout, ns; 0 = off.
    pub timeout_ns: Nanos,
    /// Per-try timeout, ns; 0 = off, also when it would not be shorter than the global one.
    pub per_try_timeout_ns: Nanos,
    /// Hash of the route's hash policy; `None` = the balancer uses a random number.
    pub hash: Option<u64>,
    /// Bit `i`: mirror policy `i` fires.
    pub mirrors: u64,
    /// A cookie made by a cookie hash policy. Its value (and so `hash`) depends on the client's port.
    pub set_cookie: Option<GeneratedCookie>,
}

/// A cookie that a hash policy made up (semantics: envoy-routing 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratedCookie {
    /// Position in the route's `hash_policy`.
    pub policy: u32,
    /// The value, written as 16 hex digits.
    pub value: u64,
}

/// What RBAC filters leave in the dynamic metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RbacLog {
    /// `enforced_effective_policy_id`, `enforced_engine_result`: the last enforcing filter.
    pub enforced: Option<RbacVerdict>,
    /// `istio_dry_run_allow_shadow_…`
    pub shadow_allow: Option<RbacVerdict>,
    /// `istio_dry_run_deny_shadow_…`
    pub shadow_deny: Option<RbacVerdict>,
    /// An AUDIT policy matched (`access_log_hint`).
    pub audit: Option<RbacVerdict>,
}

/// What one set of RBAC rules said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RbacVerdict {
    /// Position of the filter in `http_filters` or `network_filters`.
    pub filter: u32,
    /// The shadow rules, not the enforced ones.
    pub shadow: bool,
    /// Position of the matching policy; `None` = none matched.
    pub policy: Option<u32>,
    /// The engine's result.
    pub allowed: bool,
}

/// What a TCP proxy does with a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpDecision {
    /// What happens.
    pub outcome: TcpOutcome,
    /// What the network RBAC filters noted.
    pub rbac: RbacLog,
    /// The answer is unknown, because of this.
    pub taint: Option<Taint>,
}

/// What becomes of a TCP connection.
#[derive(Debug, Clone, PartialEq)]
pub enum TcpOutcome {
    /// Network RBAC: closed at the client's first bytes (semantics: istio-security 4.10). By then the connection to a
    /// host of `cluster` is under way: no host or a refused connection ends it first.
    Denied {
        /// Where to.
        cluster: ClusterId,
        /// The weighted entry that was drawn.
        weighted: Option<u32>,
        /// Source address hash.
        hash: Option<u64>,
        /// `rbac_access_denied_matched_policy[…]`, the connection termination details.
        details: Str,
        /// The policy, NONE when no ALLOW policy matched.
        origin: OriginId,
    },
    /// Bytes go to this cluster.
    Forward {
        /// Where to.
        cluster: ClusterId,
        /// The weighted entry that was drawn.
        weighted: Option<u32>,
        /// Source address hash.
        hash: Option<u64>,
    },
    /// The cluster does not exist: closed at connect (flag NC), before any RBAC.
    NoCluster(Str),
}

impl Snapshot {
    /// The filter chain behind an id.
    #[must_use]
    pub fn filter_chain(&self, id: ChainId) -> Option<&FilterChain> {
        let listener = self.listeners.get(id.listener.index())?;
        match id.chain {
            Some(i) => listener.filter_chains.get(i as usize),
            None => listener.default_filter_chain.as_ref(),
        }
    }

    /// The connection manager of a chain, if it has one.
    #[must_use]
    pub fn connection_manager(&self, id: ChainId) -> Option<&HttpConnectionManager> {
        match &self.filter_chain(id)?.terminal {
            Terminal::Http(hcm) => Some(hcm),
            Terminal::Tcp(_) => None,
        }
    }

    /// The route configuration behind a reference.
    #[must_use]
    pub fn route_config(&self, at: RouteConfigRef) -> Option<&RouteConfiguration> {
        match at {
            RouteConfigRef::Rds(id) => self.routes.get(id.index()),
            RouteConfigRef::Inline(chain) => match &self.connection_manager(chain)?.route_specifier {
                RouteSpecifier::Inline(config) => Some(config),
                RouteSpecifier::Rds(_) => None,
            },
        }
    }

    /// Where the routes of a chain stand; `None` when it is no HTTP chain or its RDS name does not exist.
    #[must_use]
    pub fn route_config_of(&self, chain: ChainId) -> Option<RouteConfigRef> {
        match &self.connection_manager(chain)?.route_specifier {
            RouteSpecifier::Rds(name) => {
                let known = self.index.chain_route(chain).or_else(|| self.route_config_by_name(name));
                known.map(RouteConfigRef::Rds)
            }
            RouteSpecifier::Inline(_) => Some(RouteConfigRef::Inline(chain)),
        }
    }
}

impl HttpDecision {
    /// The virtual host this decision is about.
    #[must_use]
    pub fn virtual_host<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s crate::ir::VirtualHost> {
        snapshot.route_config(self.route_config?)?.virtual_hosts.get(self.virtual_host? as usize)
    }

    /// The route this decision is about.
    #[must_use]
    pub fn route<'s>(&self, snapshot: &'s Snapshot) -> Option<&'s crate::ir::Route> {
        self.virtual_host(snapshot)?.routes.get(self.route?.route as usize)
    }
}

/// The taint of everything that passes a chain: of the proxy, the listener or the chain itself.
pub(super) fn standing_taint(snapshot: &Snapshot, chain: ChainId) -> Option<Taint> {
    let listener = snapshot.listeners.get(chain.listener.index());
    let on_listener = listener.into_iter().flat_map(|l| &l.taints);
    let on_chain = snapshot.filter_chain(chain).into_iter().flat_map(|c| &c.taints);
    let declared = snapshot.taints.iter().chain(on_listener).chain(on_chain).next();
    // connections here carry no PROXY header, and Envoy would close one that lacks it
    let proxied = || {
        let expecting = listener.filter(|l| l.listener_filters.proxy_protocol)?;
        let what = "a listener that expects a PROXY protocol header".into();
        Some(Taint { what, origin: expecting.origin })
    };
    declared.cloned().or_else(proxied)
}
