//! RBAC, HTTP and network (semantics: istio-security 4.2, 4.11, 5).

use std::net::IpAddr;

use crate::cx::{Claim, Step, TraceSink};
use crate::decide::{RbacLog, RbacVerdict};
use crate::ids::{Str, Taint};
use crate::ir::{
    AuthorizerAnswer, Permission, Principal, Rbac, RbacAction, RbacPolicy, RbacRules, StringMatch,
};
use crate::matching::{HeaderSource, header_matches, metadata_matches, string_matches, template_matches};
use crate::request::{Connection, Peer};

/// What RBAC rules look at.
pub struct Subject<'a> {
    /// The connection.
    pub conn: &'a Connection,
    /// Its peer.
    pub peer: &'a Peer,
    /// The trusted client address.
    pub remote: IpAddr,
    /// Headers; empty at the network level.
    pub headers: &'a dyn HeaderSource,
    /// Path without query; absent at the network level.
    pub path_only: Option<&'a str>,
    /// Payload of the verified token.
    pub payload: Option<&'a Claim>,
}

/// What a list of RBAC filters says of a subject.
pub struct Authorization<'s> {
    /// No filter denies.
    pub allowed: bool,
    /// What the filters noted; their positions are those in the list.
    pub log: RbacLog,
    /// A matching policy has conditions that are not modelled.
    pub taint: Option<&'s Taint>,
}

/// Asks the RBAC filters of a chain in order, without the rest of the chain; the first denial ends it.
pub fn authorize<'s, S: TraceSink>(
    filters: impl Iterator<Item = &'s Rbac>,
    subject: &Subject<'_>,
    trace: &mut S,
) -> Authorization<'s> {
    let mut out = Authorization { allowed: true, log: RbacLog::default(), taint: None };
    for (position, rbac) in filters.enumerate() {
        let result = run_rbac(rbac, position, subject, &mut out.log, trace);
        out.taint = out.taint.or(result.taint);
        if result.denied.is_some() {
            out.allowed = false;
            break;
        }
    }
    out
}

/// What one filter did.
pub(super) struct RbacResult<'s> {
    /// Denied by the enforced rules: the policy that matched, or `None` when no ALLOW policy did.
    pub(super) denied: Option<Option<&'s RbacPolicy>>,
    /// A matching policy has conditions that are not modelled.
    pub(super) taint: Option<&'s Taint>,
}

/// Runs one filter, `position` in its list, and notes its verdicts.
pub(super) fn run_rbac<'s, S: TraceSink>(
    rbac: &'s Rbac,
    position: usize,
    subject: &Subject<'_>,
    log: &mut RbacLog,
    trace: &mut S,
) -> RbacResult<'s> {
    let filter = position as u32;
    if let Some(shadow) = &rbac.shadow_rules {
        let matched = first_match(shadow, subject);
        let verdict =
            RbacVerdict { filter, shadow: true, policy: matched, allowed: allows(shadow.action, matched) };
        match shadow.action {
            RbacAction::Allow => log.shadow_allow = Some(verdict),
            RbacAction::Deny => log.shadow_deny = Some(verdict),
            RbacAction::Log => {}
        }
        trace_verdict(shadow, verdict, trace);
    }
    let Some(rules) = &rbac.rules else { return RbacResult { denied: None, taint: None } };
    let matched = first_match(rules, subject);
    let policy = matched.and_then(|i| rules.policies.get(i as usize));
    let verdict =
        RbacVerdict { filter, shadow: false, policy: matched, allowed: allows(rules.action, matched) };
    match rules.action {
        RbacAction::Log => log.audit = matched.map(|_| verdict),
        RbacAction::Allow | RbacAction::Deny => log.enforced = Some(verdict),
    }
    trace_verdict(rules, verdict, trace);
    RbacResult {
        denied: (!verdict.allowed).then_some(policy),
        taint: policy.and_then(|policy| policy.taints.first()),
    }
}

/// Whether any rule of a set matches (CUSTOM: whether the provider would be asked).
pub(super) fn any_match(rbac: &Rbac, subject: &Subject<'_>) -> bool {
    let sets = rbac.shadow_rules.iter().chain(&rbac.rules);
    sets.into_iter().any(|rules| first_match(rules, subject).is_some())
}

/// What an authorizer does, for the trace.
pub(super) fn authorizer_words(answer: &AuthorizerAnswer) -> &'static str {
    match answer {
        AuthorizerAnswer::Allows => "passes: the authorizer allows",
        AuthorizerAnswer::Denies(_) => "denies: the authorizer refuses",
        AuthorizerAnswer::Fails(None) => "passes: the authorizer cannot be asked and failOpen is set",
        AuthorizerAnswer::Fails(Some(_)) => "denies: the authorizer cannot be asked",
        AuthorizerAnswer::Unknown(_) => "the authorizer's answer is not known",
    }
}

/// `rbac_access_denied_matched_policy[…]`
pub(super) fn denial_details(policy: Option<&RbacPolicy>) -> String {
    let name = policy.map_or("none", |policy| policy.name.as_ref());
    format!("rbac_access_denied_matched_policy[{name}]")
}

fn allows(action: RbacAction, matched: Option<u32>) -> bool {
    match action {
        RbacAction::Allow => matched.is_some(),
        RbacAction::Deny => matched.is_none(),
        RbacAction::Log => true,
    }
}

/// The first matching policy in Envoy's order, byte order of the names.
fn first_match(rules: &RbacRules, subject: &Subject<'_>) -> Option<u32> {
    let found = rules.policies.iter().position(|policy| {
        policy.permissions.iter().any(|p| permits(p, subject))
            && policy.principals.iter().any(|p| identifies(p, subject))
    });
    found.map(|i| i as u32)
}

fn trace_verdict<S: TraceSink>(rules: &RbacRules, verdict: RbacVerdict, trace: &mut S) {
    trace.step(|| {
        let policy = verdict.policy.and_then(|i| rules.policies.get(i as usize));
        let action = match rules.action {
            RbacAction::Allow => "ALLOW",
            RbacAction::Deny => "DENY",
            RbacAction::Log => "AUDIT",
        };
        let filter =
            if verdict.shadow { format!("rbac {action} (dry run)") } else { format!("rbac {action}") };
        let words: Str = match (policy, verdict.allowed) {
            (Some(policy), true) => format!("passes: {} matches", policy.name).into(),
            (Some(policy), false) => format!("denies: {} matches", policy.name).into(),
            (None, true) => "passes: no policy matches".into(),
            (None, false) => "denies: no policy matches".into(),
        };
        let origin = policy.map_or(crate::OriginId::NONE, |policy| policy.origin);
        Step::Filter(filter.into(), words, origin)
    });
}

fn permits(permission: &Permission, s: &Subject<'_>) -> bool {
    match permission {
        Permission::Any => true,
        Permission::And(all) => all.iter().all(|p| permits(p, s)),
        Permission::Or(any) => any.iter().any(|p| permits(p, s)),
        Permission::Not(one) => !permits(one, s),
        Permission::Header(matcher) => header_matches(matcher, s.headers),
        Permission::UrlPath(text) => s.path_only.is_some_and(|path| string_matches(text, path)),
        Permission::UriTemplate(template) => s.path_only.is_some_and(|path| template_matches(template, path)),
        Permission::DestinationPort(port) => s.conn.destination.port() == *port,
        Permission::DestinationIp(net) => net.contains(&s.conn.destination.ip()),
        Permission::RequestedServerName(text) => string_matches(text, s.peer.sni.as_deref().unwrap_or("")),
        Permission::Metadata(matcher) => metadata_matches(matcher, s.payload),
    }
}

fn identifies(principal: &Principal, s: &Subject<'_>) -> bool {
    match principal {
        Principal::Any => true,
        Principal::And(all) => all.iter().all(|p| identifies(p, s)),
        Principal::Or(any) => any.iter().any(|p| identifies(p, s)),
        Principal::Not(one) => !identifies(one, s),
        Principal::Authenticated(text) => authenticated(text, s.peer),
        Principal::DirectRemoteIp(net) => net.contains(&s.conn.source.ip()),
        Principal::RemoteIp(net) => net.contains(&s.remote),
        Principal::Header(matcher) => header_matches(matcher, s.headers),
        Principal::Metadata(matcher) => metadata_matches(matcher, s.payload),
    }
}

/// Any URI SAN, else any DNS SAN, else the subject. Envoy: source/extensions/filters/common/rbac/matchers.cc,
/// `AuthenticatedMatcher::matches`.
fn authenticated(text: &StringMatch, peer: &Peer) -> bool {
    let Some(certificate) = &peer.certificate else { return false };
    certificate.sans.iter().any(|san| string_matches(text, san)) || string_matches(text, &certificate.subject)
}
