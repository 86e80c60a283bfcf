//! The worked examples of semantics: istio-security 5.5, 5.6 and 4.10, from YAML to RBAC.

use std::collections::BTreeMap;

use mesh_core::ir::{AuthorizerAnswer, NetworkFilter, Permission, Principal, RbacRules};

use super::*;
use crate::decode::{DecodeCx, from_node};
use crate::resource::meta::ObjectMeta;
use crate::source::FileId;

fn policy(key: &str, yaml: &str) -> Policy {
    let (documents, problems) = crate::yaml::parse_stream(FileId(0), yaml);
    assert!(problems.is_empty(), "{problems:?}");
    let spec = from_node(&documents[0].node, &mut DecodeCx::default()).expect("the policy decodes");
    let (namespace, name) = key.split_once('/').expect("ns/name");
    let meta = ObjectMeta { name: name.into(), namespace: namespace.into(), ..ObjectMeta::default() };
    Arc::new(Object { meta, spec })
}

fn with_cx<T>(run: impl FnOnce(Cx<'_>) -> T) -> T {
    let origins = OriginTable::default();
    let domains = Bundle::new("cluster.local", &[]);
    run(Cx {
        origins: &origins,
        domains: &domains,
        providers: &[],
        has_service: &|_, _| true,
        authorizer: &|_| None,
    })
}

fn names(rules: Option<&RbacRules>) -> Vec<String> {
    rules.map(|r| r.policies.iter().map(|p| p.name.to_string()).collect()).unwrap_or_default()
}

fn rules_of(yaml: &str, tcp: bool) -> Vec<RbacPolicy> {
    let policy = policy("foo/p", yaml);
    let labels = BTreeMap::new();
    let policies = [policy];
    let attached = attached(&policies, Workload { namespace: "foo", labels: &labels }, "istio-system");
    with_cx(|cx| attached.rbac(cx, tcp)).remove(0).rules.map(|r| r.policies).unwrap_or_default()
}

const MIXED: &str = r#"
action: DENY
rules:
- from: [{source: {namespaces: [bar], notPrincipals: ["cluster.local/ns/bar/sa/ok"]}}]
  to: [{operation: {ports: ["8080"], paths: ["/x/*"]}}]
  when: [{key: "request.headers[x-a]", notValues: ["1"]}]
"#;

#[test]
fn the_example_of_5_6_keeps_its_order() {
    let http = rules_of(MIXED, false);
    let Some(Permission::And(parts)) = http[0].permissions.first() else { panic!("{http:?}") };
    assert!(matches!(&parts[..], [Permission::Or(a), Permission::Or(b)]
        if matches!(a[..], [Permission::UrlPath(_)]) && b[..] == [Permission::DestinationPort(8080)]));
    let Some(Principal::And(ids)) = http[0].principals.first() else { panic!("{http:?}") };
    assert!(
        matches!(&ids[..], [Principal::Not(_), Principal::Or(_), Principal::Not(_)]),
        "principals, namespaces, when: {ids:?}"
    );
}

#[test]
fn tcp_drops_conditions_of_deny_and_rules_of_allow() {
    let tcp = rules_of(MIXED, true);
    let Some(Permission::And(parts)) = tcp[0].permissions.first() else { panic!("{tcp:?}") };
    assert_eq!(parts.len(), 1, "the path is gone, the port stays");
    let allow = rules_of(&MIXED.replace("DENY", "ALLOW"), true);
    assert!(allow.is_empty(), "the rule is gone, the empty rule set denies all");
    let only_http = rules_of("action: DENY\nrules: [{to: [{operation: {paths: [/x]}}]}]\n", true);
    assert_eq!(only_http[0].permissions, [Permission::And(vec![Permission::Any])]);
}

#[test]
fn empty_things_mean_what_they_mean() {
    let never = rules_of("{}", false);
    assert_eq!(never[0].permissions, [Permission::Not(Box::new(Permission::Any))]);
    let all = rules_of("rules: [{}]", false);
    assert_eq!(all[0].permissions, [Permission::And(vec![Permission::Any])]);
    assert_eq!(all[0].principals, [Principal::And(vec![Principal::Any])]);
    let unknown =
        rules_of("action: DENY\nrules: [{when: [{key: destination.user, values: [x]}]}, {}]", false);
    assert_eq!(unknown[0].name.as_ref(), "ns[foo]-policy[p]-rule[1]", "skipped rules leave gaps");
}

#[test]
fn keys_are_in_byte_order_and_dry_runs_are_apart() {
    let mut dry = policy("foo/z", "rules: [{}]").as_ref().clone();
    dry.meta.annotations.insert(DRY_RUN.into(), "true".into());
    let policies = [
        policy("foo/a", "rules: [{},{},{},{},{},{},{},{},{},{},{}]"),
        policy("foo/a-b", "rules: [{}]"),
        Arc::new(dry),
    ];
    let labels = BTreeMap::new();
    let attached = attached(&policies, Workload { namespace: "foo", labels: &labels }, "istio-system");
    let filters = with_cx(|cx| attached.tcp(cx));
    let [NetworkFilter::Rbac(rbac)] = &filters[..] else { panic!("{filters:?}") };
    let enforced = names(rbac.rules.as_ref());
    assert_eq!(enforced[0], "ns[foo]-policy[a-b]-rule[0]");
    assert_eq!(enforced[2], "ns[foo]-policy[a]-rule[10]");
    assert_eq!(names(rbac.shadow_rules.as_ref()), ["ns[foo]-policy[z]-rule[0]"]);
}

#[test]
fn custom_denies_when_the_provider_is_bad() {
    let policies = [policy("foo/c", "action: CUSTOM\nprovider: {name: nowhere}\nrules: [{}]")];
    let labels = BTreeMap::new();
    let attached = attached(&policies, Workload { namespace: "foo", labels: &labels }, "istio-system");
    let filters = with_cx(|cx| attached.http_before_jwt(cx));
    let [HttpFilter::Rbac(rbac)] = &filters[..] else { panic!("{filters:?}") };
    assert_eq!(
        names(rbac.rules.as_ref()),
        ["istio-ext-authz-nowhere-ns[foo]-policy[c]-rule[0]-deny-due-to-bad-CUSTOM-action"]
    );
}

#[test]
fn custom_makes_matching_requests_unknown_when_the_provider_is_good() {
    let provider: ExtensionProvider = {
        let (documents, _) = crate::yaml::parse_stream(
            FileId(1),
            "name: authz\nenvoyExtAuthzHttp: {service: ext.foo.svc.cluster.local, port: 8000}\n",
        );
        from_node(&documents[0].node, &mut DecodeCx::default()).expect("the provider decodes")
    };
    let policies = [policy("foo/c", "action: CUSTOM\nprovider: {name: authz}\nrules: [{}]")];
    let labels = BTreeMap::new();
    let attached = attached(&policies, Workload { namespace: "foo", labels: &labels }, "istio-system");
    with_cx(|cx| {
        let cx = Cx { providers: std::slice::from_ref(&provider), ..cx };
        let filters = attached.http_before_jwt(cx);
        let [HttpFilter::ExtAuthz(asked)] = &filters[..] else { panic!("{filters:?}") };
        assert!(matches!(asked.answer, AuthorizerAnswer::Unknown(_)), "{asked:?}");
        for (word, want) in [
            (Authorizer::Allow, AuthorizerAnswer::Allows),
            (Authorizer::Deny, AuthorizerAnswer::Denies(403)),
            (Authorizer::Error, AuthorizerAnswer::Fails(Some(403))),
        ] {
            let known = attached.http_before_jwt(Cx { authorizer: &|_| Some(word), ..cx });
            assert!(matches!(&known[..], [HttpFilter::ExtAuthz(f)] if f.answer == want), "{known:?}");
        }
        assert_eq!(
            names(asked.when.shadow_rules.as_ref()),
            ["istio-ext-authz-authz-ns[foo]-policy[c]-rule[0]"]
        );
        assert!(attached.tcp(cx).is_empty(), "HTTP providers do not exist on TCP");
        let gone = Cx { has_service: &|_, _| false, ..cx };
        assert!(matches!(attached.http_before_jwt(gone)[..], [HttpFilter::Rbac(_)]));
    });
}
