//! Identities as policies name them: spellings that no certificate has, accounts nobody uses, and identities asked of
//! callers that need not have one (semantics: istio-security 1.1, 1.4, 4.6).

use super::Findings;
use super::attached::{Attached, some};
use super::nearest;
use crate::decode::Spanned;
use crate::diagnostic::codes;
use crate::lower::Lowering;
use crate::lower::security::authorization::Policy;
use crate::lower::security::peer_authentication::Mode;
use crate::resource::authorization_policy::{Action, Rule, Source};
use crate::source::Span;

/// Checks the identities of one policy.
pub(super) fn check(lowering: &Lowering, attached: &Attached<'_>, policy: &Policy, out: &mut Findings) {
    let known = Known { lowering, attached };
    for rule in &policy.spec.rules {
        for source in rule.from.iter().filter_map(|f| f.source.as_ref()) {
            for (field, values) in
                [("principals", &source.principals), ("notPrincipals", &source.not_principals)]
            {
                values.iter().for_each(|v| known.principal(field, v, out));
            }
            for (field, values) in
                [("namespaces", &source.namespaces), ("notNamespaces", &source.not_namespaces)]
            {
                values.iter().for_each(|v| known.namespace(field, v, out));
            }
            for (field, values) in [
                ("serviceAccounts", &source.service_accounts),
                ("notServiceAccounts", &source.not_service_accounts),
            ] {
                values.iter().for_each(|v| known.account(field, v, &policy.meta.namespace, out));
            }
            for values in [&source.request_principals, &source.not_request_principals] {
                values.iter().for_each(|v| request_principal(v, out));
            }
        }
        for condition in &rule.when {
            for value in condition.values.iter().chain(&condition.not_values) {
                match condition.key.as_str() {
                    "source.principal" => known.principal("source.principal", value, out),
                    "source.namespace" => known.namespace("source.namespace", value, out),
                    "request.auth.principal" => request_principal(value, out),
                    _ => {}
                }
            }
        }
    }
    without_identity(lowering, attached, policy, out);
}

/// What exists.
struct Known<'a> {
    lowering: &'a Lowering,
    attached: &'a Attached<'a>,
}

impl Known<'_> {
    fn principal(&self, field: &str, value: &Spanned<String>, out: &mut Findings) {
        let text = value.value.as_str();
        let own = self.lowering.indexes.trust_domains.own();
        if let Some(rest) = text.strip_prefix("spiffe://") {
            let message = format!("`{field}: {text}` matches nobody: Istio puts `spiffe://` in front of it");
            return out.warn(codes::PRINCIPAL_NEVER_MATCHES, value.span, message, format!("write `{rest}`"));
        }
        if text == "*" {
            return;
        }
        if text.starts_with('*') || text.ends_with('*') {
            return self.partial(field, value, out);
        }
        let parts: Vec<&str> = text.split('/').collect();
        let help = match parts.as_slice() {
            [domain, "ns", namespace, "sa", account] => {
                return self.exact(field, value, domain, namespace, account, out);
            }
            ["ns", namespace, "sa", account] => format!("write `{own}/ns/{namespace}/sa/{account}`"),
            [namespace, account] => {
                format!(
                    "write `{own}/ns/{namespace}/sa/{account}`, or `serviceAccounts: [{namespace}/{account}]`"
                )
            }
            [account] => format!(
                "for a service account of the policy's namespace write `serviceAccounts: [{account}]`"
            ),
            _ => format!("an identity reads `{own}/ns/NAMESPACE/sa/SERVICEACCOUNT`"),
        };
        let message = format!("`{field}: {text}` matches nobody: it is no identity");
        out.warn(codes::PRINCIPAL_NEVER_MATCHES, value.span, message, help);
    }

    /// One star at an end: it must leave room for `td/ns/x/sa/y`.
    fn partial(&self, field: &str, value: &Spanned<String>, out: &mut Findings) {
        let text = value.value.as_str();
        let never = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(rest), _) if rest.contains('*') => Some("only the first of several stars is a wildcard"),
            (None, Some(rest)) if rest.contains('*') => Some("only the first of several stars is a wildcard"),
            // `cluster.local/ns/a/*` is not rewritten for another trust domain: only five parts are.
            (None, Some(rest)) => {
                let domain = rest.split('/').next().unwrap_or_default();
                let whole = rest.contains('/');
                let accepted = &self.lowering.indexes.accepted_domains;
                let five = text.split('/').count() == 5 && domain == "cluster.local";
                let strange = whole && !five && !accepted.iter().any(|d| d == domain);
                let second = rest.split('/').nth(1).is_some_and(|p| !"ns".starts_with(p));
                if strange {
                    Some(
                        "no certificate that this mesh accepts has this trust domain; `cluster.local` stands for the mesh's own only in `cluster.local/ns/x/sa/y`",
                    )
                } else if second {
                    Some("an identity reads TRUSTDOMAIN/ns/NAMESPACE/sa/SERVICEACCOUNT")
                } else {
                    None
                }
            }
            _ => None,
        };
        if let Some(why) = never {
            let message = format!("`{field}: {text}` matches nobody: {why}");
            let own = self.lowering.indexes.trust_domains.own();
            out.warn(
                codes::PRINCIPAL_NEVER_MATCHES,
                value.span,
                message,
                format!("identities of this mesh begin with `{own}/ns/`"),
            );
        }
    }

    fn exact(
        &self,
        field: &str,
        value: &Spanned<String>,
        domain: &str,
        namespace: &str,
        account: &str,
        out: &mut Findings,
    ) {
        let accepted = &self.lowering.indexes.accepted_domains;
        let own = self.lowering.indexes.trust_domains.own();
        if domain != "cluster.local"
            && domain != "*"
            && !domain.contains('*')
            && !accepted.iter().any(|d| d == domain)
        {
            let message = format!(
                "`{field}: {}` matches nobody: servers accept no certificate of trust domain `{domain}`",
                value.value
            );
            return out.warn(
                codes::PRINCIPAL_NEVER_MATCHES,
                value.span,
                message,
                format!("the trust domain of this mesh is `{own}`"),
            );
        }
        if namespace.contains('*') || account.contains('*') {
            let message = format!("`{field}: {}`: a star inside is the character `*`", value.value);
            let help =
                "a star is a wildcard at the beginning or the end only; for a namespace use `namespaces`";
            return out.warn(codes::STAR_IS_LITERAL, value.span, message, help);
        }
        self.used(field, &value.value, value.span, namespace, account, out);
    }

    fn account(&self, field: &str, value: &Spanned<String>, own: &str, out: &mut Findings) {
        let (namespace, account) = value.value.split_once('/').unwrap_or((own, &value.value));
        self.used(field, &value.value, value.span, namespace, account, out);
    }

    /// Whether any pod runs under the account; where the namespace is not in the manifests nothing is known.
    fn used(&self, field: &str, text: &str, span: Span, namespace: &str, account: &str, out: &mut Findings) {
        let pods = &self.attached.pods;
        if pods.is_empty() || !self.namespace_exists(field, text, span, namespace, out) {
            return;
        }
        let accounts =
            || pods.iter().filter(|(_, p)| p.namespace == namespace).map(|(_, p)| p.service_account.as_str());
        if accounts().any(|a| a == account) || accounts().next().is_none() {
            return;
        }
        let message = format!(
            "`{field}: {text}`: no pod of namespace `{namespace}` runs under service account `{account}`"
        );
        match nearest(account, accounts()) {
            Some(meant) => {
                out.warn(codes::NOBODY_HAS_IDENTITY, span, message, format!("did you mean `{meant}`?"))
            }
            None => out.note(codes::NOBODY_HAS_IDENTITY, span, message, ""),
        }
    }

    fn namespace(&self, field: &str, value: &Spanned<String>, out: &mut Findings) {
        if !value.value.contains('*') && !self.attached.pods.is_empty() {
            self.namespace_exists(field, &value.value, value.span, &value.value, out);
        }
    }

    fn namespace_exists(
        &self,
        field: &str,
        text: &str,
        span: Span,
        namespace: &str,
        out: &mut Findings,
    ) -> bool {
        let known = self.attached.namespaces();
        if known.contains(namespace) {
            return true;
        }
        let message = format!("`{field}: {text}`: no manifest has namespace `{namespace}`");
        match nearest(namespace, known.iter().copied()) {
            Some(meant) => {
                out.warn(codes::NO_SUCH_NAMESPACE, span, message, format!("did you mean `{meant}`?"))
            }
            None => out.note(codes::NO_SUCH_NAMESPACE, span, message, ""),
        }
        false
    }
}

/// `iss/sub`, split at the last slash (semantics: istio-security 3.6).
fn request_principal(value: &Spanned<String>, out: &mut Findings) {
    let text = value.value.as_str();
    let never = match text.rsplit_once('/') {
        None if !text.starts_with('*') && !text.ends_with('*') => {
            Some("it names an issuer and an empty subject")
        }
        Some((issuer, _)) if issuer.ends_with(":/") || issuer.ends_with(':') => {
            Some("it is split at its last slash, which stands inside the issuer")
        }
        _ => None,
    };
    if let Some(why) = never {
        let message = format!("`requestPrincipals: {text}` matches no token: {why}");
        out.warn(
            codes::PRINCIPAL_NEVER_MATCHES,
            value.span,
            message,
            "write `ISSUER/SUBJECT`, or `ISSUER/*` for every subject",
        );
    }
}

/// Rules about identities at ports that take plaintext: who comes without one is not kept out.
fn without_identity(lowering: &Lowering, attached: &Attached<'_>, policy: &Policy, out: &mut Findings) {
    let passes = |rule: &&Rule| match policy.spec.action {
        Action::Deny => {
            !rule.from.is_empty() && rule.from.iter().filter_map(|f| f.source.as_ref()).all(asks_identity)
        }
        Action::Allow => rule.from.iter().filter_map(|f| f.source.as_ref()).any(only_excludes),
        Action::Audit | Action::Custom => false,
    };
    let Some(rule) = policy.spec.rules.iter().find(passes) else { return };
    let index = &lowering.indexes.peer_authentication;
    let open: Vec<_> = attached
        .enforced(policy)
        .into_iter()
        .filter(|(id, pod)| {
            let effective = index.effective(&pod.namespace, &pod.labels);
            let ports = attached.targets(*id);
            Attached::has_sidecar(pod)
                && ports
                    .iter()
                    .filter_map(|t| u16::try_from(t.pod_port).ok())
                    .any(|p| effective.port(p).mode != Mode::Strict)
        })
        .collect();
    if open.is_empty() {
        return;
    }
    let names = some(&Attached::names(&open));
    let message = if policy.spec.action == Action::Deny {
        format!(
            "{names} take plaintext, and a caller without sidecar has no identity: this DENY rule does not stop it"
        )
    } else {
        format!(
            "{names} take plaintext: a caller without sidecar has no identity and is none of those excluded, so it is allowed"
        )
    };
    out.warn(
        codes::IDENTITY_NOT_REQUIRED,
        rule.origin,
        message,
        "make the workloads STRICT with a PeerAuthentication, or allow by `principals`",
    );
}

fn asks_identity(source: &Source) -> bool {
    [&source.principals, &source.namespaces, &source.service_accounts, &source.trust_domains]
        .iter()
        .any(|l| !l.is_empty())
}

/// Nothing but negations of identities.
fn only_excludes(source: &Source) -> bool {
    let negative = [
        &source.not_principals,
        &source.not_namespaces,
        &source.not_service_accounts,
        &source.not_trust_domains,
    ];
    let positive = [&source.ip_blocks, &source.remote_ip_blocks, &source.request_principals];
    // `notPrincipals: ["*"]` asks for callers without identity: that is meant.
    let meant = source.not_principals.iter().any(|p| p.value == "*");
    !meant
        && !asks_identity(source)
        && negative.iter().any(|l| !l.is_empty())
        && positive.iter().all(|l| l.is_empty())
}
