//! One HTTP request through the connection manager and its filters, up to the choice of the cluster.
//!
//! Order (semantics: envoy-routing 0.1): codec checks, path normalization, route (cached), filters, router.

use crate::cx::{Claim, Cx, Draws, Step, TraceSink};
use crate::decide::authz::{Subject, any_match, authorizer_words, denial_details, run_rbac};
use crate::decide::outcome::standing_taint;
use crate::decide::resolve::{Resolved, Target, resolve};
use crate::decide::view::{HeadView, Hop};
use crate::decide::{
    Downstream, HttpDecision, HttpOutcome, RbacLog, RouteConfigRef, codec, cors, fault, inline, jwt,
    normalize, router,
};
use crate::ids::{ChainId, Nanos, OriginId, RouteId, Str, Taint};
use crate::ir::{AuthorizerAnswer, ExtAuthz, HttpFilter, Rbac, RouteAction, Snapshot};
use crate::matching::path_without_query;
use crate::request::{Connection, Peer, RequestHead};
use crate::response::{Flags, LocalReply, ResponseFlag};

/// Everything the connection manager and its filters do, up to (and including) the choice of the cluster.
///
/// `head` may be changed: joined header lines, path normalization, headers that the JWT filter adds or removes. Every random choice is
/// drawn through `cx`. On a chain that does not end in the connection manager the answer is that of a missing route.
pub fn decide_http<D: Draws, S: TraceSink>(
    snapshot: &Snapshot,
    chain: ChainId,
    conn: &Connection,
    peer: &Peer,
    head: &mut RequestHead,
    cx: &mut Cx<'_, D, S>,
) -> HttpDecision {
    let uri = |san: &&Str| san.contains("://");
    let downstream = Downstream {
        source: conn.source,
        destination: conn.destination,
        remote: conn.source.ip(),
        https: false,
        sni: peer.sni.clone(),
        uri_san: peer.certificate.as_ref().and_then(|c| c.sans.iter().find(uri)).cloned(),
    };
    let mut run = Run { snapshot, chain, payload: None, downstream, notes: Notes::default() };
    let Some(hcm) = snapshot.connection_manager(chain) else {
        return run
            .reply(LocalReply::new(404, "route_not_found", "", Some(ResponseFlag::NR), OriginId::NONE), cx);
    };
    let tls = snapshot.filter_chain(chain).is_some_and(|c| c.tls.is_some());
    let hop = Hop { hcm, conn, peer, tls };
    inline::join(&mut head.headers);
    run.downstream.remote = hop.remote_address(&head.headers);
    run.downstream.https = hop.scheme(head) == "https";
    run.note_taint(standing_taint(snapshot, chain).as_ref(), cx);
    let refused = codec::refuse(&hop, head)
        .or_else(|| normalize::normalize_path(hcm.path_normalization, head).err())
        .or_else(|| codec::refuse_upgrade(&hop, head));
    if let Some(reply) = refused {
        return run.reply(reply, cx);
    }
    let mut resolved = run.resolve(&hop, head, cx);
    for (position, filter) in hcm.http_filters.iter().enumerate() {
        match run.filter(position, filter, &hop, head, &mut resolved, cx) {
            Verdict::Continue => {}
            Verdict::Reply(reply) => return run.reply(reply, cx),
        }
    }
    run.route(&hop, head, &resolved, cx)
}

/// The URI that denials name: before rewriting, cut at 256 bytes of path. Envoy: source/common/http/utility.cc,
/// `buildOriginalUri` [run 1.40].
fn original_uri(hop: &Hop<'_>, head: &RequestHead) -> String {
    const ORIGINAL_PATH: &str = "x-envoy-original-path";
    let original = head.headers.first(ORIGINAL_PATH).filter(|_| !hop.strips(ORIGINAL_PATH));
    let path: String = original.unwrap_or(&head.path).chars().take(256).collect();
    format!("{}://{}{path}", hop.scheme(head), head.authority.as_deref().unwrap_or(""))
}

/// What a filter says.
enum Verdict {
    /// Next filter.
    Continue,
    /// The request ends here.
    Reply(LocalReply),
}

/// What was noted on the way to an outcome.
#[derive(Default)]
struct Notes {
    route_config: Option<RouteConfigRef>,
    virtual_host: Option<u32>,
    route: Option<RouteId>,
    delay_ns: Nanos,
    rbac: RbacLog,
    taint: Option<Taint>,
    flags: Flags,
    cors_origin_allowed: bool,
}

/// A request on its way.
struct Run<'s> {
    snapshot: &'s Snapshot,
    chain: ChainId,
    payload: Option<Claim>,
    downstream: Downstream,
    notes: Notes,
}

impl<'s> Run<'s> {
    fn note_taint<D: Draws, S: TraceSink>(&mut self, taint: Option<&Taint>, cx: &mut Cx<'_, D, S>) {
        if let Some(taint) = taint {
            cx.trace.step(|| Step::Taint(taint.what.clone(), taint.origin));
            self.notes.taint.get_or_insert_with(|| taint.clone());
        }
    }

    fn resolve<D: Draws, S: TraceSink>(
        &mut self,
        hop: &Hop<'_>,
        head: &RequestHead,
        cx: &mut Cx<'_, D, S>,
    ) -> Resolved<'s> {
        let view = HeadView::new(*hop, head);
        let resolved = resolve(self.snapshot, self.chain, &view, self.payload.as_ref(), cx.trace);
        self.notes.route_config = resolved.at;
        self.notes.virtual_host = resolved.virtual_host.map(|(v, _)| v);
        self.notes.route = resolved
            .virtual_host
            .zip(resolved.route)
            .map(|((v, _), route)| RouteId { virtual_host: v, route });
        resolved
    }

    fn filter<D: Draws, S: TraceSink>(
        &mut self,
        position: usize,
        filter: &'s HttpFilter,
        hop: &Hop<'_>,
        head: &mut RequestHead,
        resolved: &mut Resolved<'s>,
        cx: &mut Cx<'_, D, S>,
    ) -> Verdict {
        let route = match resolved.target {
            Target::Route(route) => Some(route),
            _ => None,
        };
        match filter {
            HttpFilter::Rbac(rbac) => self.authorize(position, rbac, hop, head, cx),
            HttpFilter::JwtAuthn(jwt) => {
                let uri = original_uri(hop, head);
                let result = jwt::authenticate(jwt, &uri, head, cx.tokens);
                self.note_taint(result.taint.as_ref(), cx);
                cx.trace.step(|| {
                    let words = match (&result.reply, &result.payload) {
                        (Some(reply), _) => format!("rejects: {}", reply.body),
                        (None, Some(_)) => "passes: the token is valid".to_owned(),
                        (None, None) => "passes without a token".to_owned(),
                    };
                    Step::Filter("jwt_authn".into(), words.into(), result.origin)
                });
                if let Some(reply) = result.reply {
                    return Verdict::Reply(reply);
                }
                self.payload = result.payload;
                if jwt.clear_route_cache && self.payload.is_some() {
                    *resolved = self.resolve(hop, head, cx);
                }
                Verdict::Continue
            }
            HttpFilter::Fault => match route.and_then(|route| route.fault.as_deref()) {
                Some(fault) => self.inject(fault::inject(fault, cx.draws, cx.trace)),
                None => Verdict::Continue,
            },
            // Envoy: a redirect or direct response is no route entry, whatever its policy says (run 1.40).
            HttpFilter::Cors => match route
                .filter(|r| matches!(r.action, RouteAction::Forward(_)))
                .and_then(|route| route.cors.as_deref())
            {
                Some(policy) => {
                    let result = cors::check(policy, head);
                    self.notes.cors_origin_allowed = result.origin_allowed;
                    result.reply.map_or(Verdict::Continue, Verdict::Reply)
                }
                None => Verdict::Continue,
            },
            HttpFilter::IstioAlpn => Verdict::Continue,
            HttpFilter::ExtAuthz(filter) => self.ask_authorizer(filter, hop, head, cx),
            HttpFilter::Unmodelled { taint, when } => {
                let acts = when.as_ref().is_none_or(|rules| self.subject(hop, head, |s| any_match(rules, s)));
                self.note_taint(acts.then_some(taint), cx);
                Verdict::Continue
            }
        }
    }

    fn inject(&mut self, (delay_ns, reply): (Nanos, Option<LocalReply>)) -> Verdict {
        if delay_ns > 0 {
            self.notes.delay_ns = delay_ns;
            self.notes.flags.insert(ResponseFlag::DI);
        }
        reply.map_or(Verdict::Continue, Verdict::Reply)
    }

    fn subject<R>(&self, hop: &Hop<'_>, head: &RequestHead, ask: impl FnOnce(&Subject<'_>) -> R) -> R {
        let view = HeadView::new(*hop, head);
        ask(&Subject {
            conn: hop.conn,
            peer: hop.peer,
            remote: self.downstream.remote,
            headers: &view,
            path_only: Some(path_without_query(&head.path)),
            payload: self.payload.as_ref(),
        })
    }

    fn authorize<D: Draws, S: TraceSink>(
        &mut self,
        position: usize,
        rbac: &'s Rbac,
        hop: &Hop<'_>,
        head: &RequestHead,
        cx: &mut Cx<'_, D, S>,
    ) -> Verdict {
        let mut log = self.notes.rbac;
        let result = self.subject(hop, head, |s| run_rbac(rbac, position, s, &mut log, cx.trace));
        self.notes.rbac = log;
        self.note_taint(result.taint, cx);
        let Some(policy) = result.denied else { return Verdict::Continue };
        let origin = policy.map_or(OriginId::NONE, |policy| policy.origin);
        let body = "RBAC: access denied";
        Verdict::Reply(LocalReply::new(403, &denial_details(policy), body, None, origin))
    }

    fn ask_authorizer<D: Draws, S: TraceSink>(
        &mut self,
        filter: &'s ExtAuthz,
        hop: &Hop<'_>,
        head: &RequestHead,
        cx: &mut Cx<'_, D, S>,
    ) -> Verdict {
        if !self.subject(hop, head, |s| any_match(&filter.when, s)) {
            return Verdict::Continue;
        }
        let words = authorizer_words(&filter.answer);
        cx.trace.step(|| Step::Filter("ext_authz".into(), words.into(), filter.origin));
        let reply = |status: u16, details: &str| {
            Verdict::Reply(LocalReply::new(status, details, "", Some(ResponseFlag::UAEX), filter.origin))
        };
        match &filter.answer {
            AuthorizerAnswer::Allows | AuthorizerAnswer::Fails(None) => Verdict::Continue,
            AuthorizerAnswer::Denies(status) => reply(*status, "ext_authz_denied"),
            AuthorizerAnswer::Fails(Some(status)) => reply(*status, "ext_authz_error"),
            AuthorizerAnswer::Unknown(taint) => {
                self.note_taint(Some(taint), cx);
                Verdict::Continue
            }
        }
    }

    /// The router filter.
    fn route<D: Draws, S: TraceSink>(
        mut self,
        hop: &Hop<'_>,
        head: &RequestHead,
        resolved: &Resolved<'s>,
        cx: &mut Cx<'_, D, S>,
    ) -> HttpDecision {
        if let Target::Route(route) = resolved.target {
            self.note_taint(route.taints.first(), cx);
        }
        match router::run(self.snapshot, hop, head, resolved, cx) {
            Ok(plan) => {
                let cluster = self.snapshot.clusters.get(plan.cluster.index());
                self.note_taint(cluster.and_then(|c| c.taints.first()), cx);
                self.finish(HttpOutcome::Forward(plan), true)
            }
            Err(reply) => self.answer(reply, true, cx),
        }
    }

    /// A reply of the codec, the connection manager or a filter.
    fn reply<D: Draws, S: TraceSink>(self, reply: LocalReply, cx: &mut Cx<'_, D, S>) -> HttpDecision {
        self.answer(reply, false, cx)
    }

    fn answer<D: Draws, S: TraceSink>(
        mut self,
        reply: LocalReply,
        by_router: bool,
        cx: &mut Cx<'_, D, S>,
    ) -> HttpDecision {
        cx.trace.step(|| Step::Reply(reply.clone()));
        if let Some(flag) = reply.flag {
            self.notes.flags.insert(flag);
        }
        self.finish(HttpOutcome::Reply(reply), by_router)
    }

    fn finish(self, outcome: HttpOutcome, by_router: bool) -> HttpDecision {
        let notes = self.notes;
        HttpDecision {
            route_config: notes.route_config,
            virtual_host: notes.virtual_host,
            route: notes.route,
            delay_ns: notes.delay_ns,
            outcome,
            by_router,
            rbac: notes.rbac,
            taint: notes.taint,
            flags: notes.flags,
            downstream: self.downstream,
            cors_origin_allowed: notes.cors_origin_allowed,
        }
    }
}
