//! Policies that look right and are not: what lint says of them, at which line, and that the prediction does just that.

use mesh_config::diagnostic::{Code, codes};
use mesh_config::input::InputFile;
use mesh_config::source::{Sources, Span};

use super::*;
use crate::format::client::{Client, PodClient, WorkloadRef};
use crate::format::request::Request;
use crate::plan::behavior::Behaviors;
use crate::plan::traffic::{client_request, sender};
use crate::predict::predict;

/// `web`: HTTP on 8080 behind service port 80, a database port; `cl` and `ot` are callers.
const APP: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: a}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}, {name: tcp-db, containerPort: 5432}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: a}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp-db, port: 5432}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cl, namespace: a}
spec:
  selector: {matchLabels: {app: cl}}
  template:
    metadata: {labels: {app: cl}}
    spec: {serviceAccountName: cl, containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ot, namespace: b}
spec:
  selector: {matchLabels: {app: ot}}
  template:
    metadata: {labels: {app: ot}}
    spec: {serviceAccountName: ot, containers: [{name: c, image: i}]}
---
";

const HTTP: &str = "GET http://web.a/x";
const DB: &str = "tcp://web.a:5432";

struct Case {
    /// `KIND NAME` and the spec in flow style; several separated by `---`.
    policy: &'static str,
    /// What lint says, and the text at its place; `None`: nothing of the security checks.
    says: Option<(Code, &'static str)>,
    /// Part of message or help.
    words: &'static str,
    /// (from, request, answer)
    does: &'static [(&'static str, &'static str, &'static str)],
}

fn text_of(policy: &str) -> String {
    let one = |text: &str| {
        let mut words = text.trim().splitn(3, ' ');
        let (kind, name, spec) = (words.next(), words.next(), words.next());
        let name = name.expect("a name");
        let (namespace, name) = name.split_once('/').unwrap_or(("a", name));
        format!(
            "apiVersion: security.istio.io/v1\nkind: {}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {}\n",
            kind.expect("a kind"),
            spec.unwrap_or("{}")
        )
    };
    format!("{APP}{}", policy.split("---").map(one).collect::<Vec<_>>().join("---\n"))
}

fn read(text: &str) -> (Sources, Vec<RawObject>, Vec<Diagnostic>) {
    let mut sources = Sources::default();
    let file = InputFile { display_name: "m.yaml".into(), bytes: text.as_bytes().to_vec() };
    let (objects, problems) = load::read_into(&mut sources, vec![file]);
    (sources, objects, problems)
}

fn stranger() -> PodClient {
    PodClient { namespace: "b".into(), sidecar: Some(false), ..PodClient::default() }
}

/// `200`, `403`, `reset`, `closed`, `ok` …
fn answer(text: &str, from: &str, request: &str) -> String {
    let (sources, objects, problems) = read(text);
    let from = match from {
        "plain" => Client::Pod(stranger()),
        name => Client::Workload(WorkloadRef::parse(name).expect("a workload")),
    };
    let mut input = MeshInput::default();
    input.note_client(&Client::Pod(stranger()));
    let mesh = LoadedMesh::of_objects(sources, objects, &input, problems);
    let sender = sender(&from, Span::NONE, &mesh.directory, &mesh.clients).expect("a sender");
    let mut request = Request::parse(request).expect("a request");
    if request.url().is_ok_and(|url| url.scheme == "tcp") {
        request.words.body = Some("hello".to_owned());
    }
    let lowered = client_request(&request, &sender, &mesh.directory).expect("a request");
    let outcomes = predict(&mesh, &sender, &lowered, &Behaviors::default(), false).expect("outcomes");
    let outcome = &outcomes.first().expect("an outcome").outcome;
    outcome.status.map_or_else(|| outcome.connection.text().to_owned(), |s| s.to_string())
}

fn judge(case: &Case) {
    let text = text_of(case.policy);
    let (sources, objects, problems) = read(&text);
    let (_, found) = lint(sources, objects, problems, &MeshInput::default());
    let ours: Vec<_> = found.iter().filter(|d| ("MS0321".."MS0360").contains(&d.code.0)).collect();
    match case.says {
        None => assert!(ours.is_empty(), "{}\n{ours:#?}", case.policy),
        Some((code, place)) => {
            let Some(d) = ours.iter().find(|d| d.code == code) else {
                panic!("{} is not said of\n{}\n{ours:#?}", code.0, case.policy)
            };
            let at = text.get(d.span().start as usize..d.span().end as usize).unwrap_or_default();
            assert!(at.contains(place), "{}: `{place}` is not at `{at}`", case.policy);
            let said = format!("{} {}", d.message, d.help.as_deref().unwrap_or_default());
            assert!(said.contains(case.words), "{}: `{}` is not in `{said}`", case.policy, case.words);
        }
    }
    for (from, request, wanted) in case.does {
        assert_eq!(answer(&text, from, request), *wanted, "{from} {request}\n{}", case.policy);
    }
}

const STRICT: &str = "PeerAuthentication strict {mtls: {mode: STRICT}}";

#[test]
fn identities_that_nobody_has() {
    let never = codes::PRINCIPAL_NEVER_MATCHES;
    for (value, place, words) in [
        ("spiffe://cluster.local/ns/a/sa/cl", "spiffe", "write `cluster.local/ns/a/sa/cl`"),
        ("ns/a/sa/cl", "ns/a/sa/cl", "write `cluster.local/ns/a/sa/cl`"),
        ("a/cl", "a/cl", "serviceAccounts: [a/cl]"),
        ("cl", "cl", "serviceAccounts: [cl]"),
        ("other.td/ns/a/sa/cl", "other.td", "no certificate of trust domain `other.td`"),
        ("cluster.local/a/*", "cluster.local/a", "NAMESPACE/sa"),
    ] {
        let policy = format!(
            "AuthorizationPolicy p {{rules: [{{from: [{{source: {{principals: [\"{value}\"]}}}}]}}]}}"
        );
        judge(&Case {
            policy: policy.leak(),
            says: Some((never, place)),
            words,
            does: &[("a/cl", HTTP, "403")],
        });
    }
    for value in ["*", "cluster.local/ns/a/*", "*/ns/a/sa/cl", "cluster.local/ns/a/sa/cl", "cluster*"] {
        let policy = format!(
            "AuthorizationPolicy p {{rules: [{{from: [{{source: {{principals: [\"{value}\"]}}}}]}}]}}"
        );
        judge(&Case { policy: policy.leak(), says: None, words: "", does: &[("a/cl", HTTP, "200")] });
    }
}

#[test]
fn names_that_nothing_has() {
    let cases = [
        Case {
            policy: "AuthorizationPolicy p {rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/cll]}}]}]}",
            says: Some((codes::NOBODY_HAS_IDENTITY, "cll")),
            words: "did you mean `cl`?",
            does: &[("a/cl", HTTP, "403")],
        },
        Case {
            policy: "AuthorizationPolicy p {rules: [{from: [{source: {serviceAccounts: [b/to]}}]}]}",
            says: Some((codes::NOBODY_HAS_IDENTITY, "b/to")),
            words: "no pod of namespace `b`",
            does: &[("b/ot", HTTP, "403")],
        },
        Case {
            policy: "AuthorizationPolicy p {rules: [{from: [{source: {namespaces: [production]}}]}]}",
            says: Some((codes::NO_SUCH_NAMESPACE, "production")),
            words: "no manifest has namespace",
            does: &[("b/ot", HTTP, "403")],
        },
        Case {
            policy: "AuthorizationPolicy p {selector: {matchLabels: {app: wep}}, action: DENY, rules: [{}]}",
            says: Some((codes::POLICY_FOR_NOBODY, "wep")),
            words: "did you mean `app: web`?",
            does: &[("a/cl", HTTP, "200")],
        },
        Case {
            policy: "AuthorizationPolicy b/p {selector: {matchLabels: {app: web}}, action: DENY, rules: [{}]}",
            says: Some((codes::POLICY_FOR_NOBODY, "app: web")),
            words: "is in namespace `a`",
            does: &[("a/cl", HTTP, "200")],
        },
    ];
    cases.iter().for_each(judge);
}

#[test]
fn values_that_no_request_has() {
    let cases = [
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {paths: [x], ports: ['8080']}}]}]}",
            says: Some((codes::PATH_NEVER_MATCHES, "x")),
            words: "write `/x`",
            does: &[("a/cl", HTTP, "200")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {paths: ['/*/x'], ports: ['8080']}}]}]}",
            says: Some((codes::STAR_IS_LITERAL, "/*/x")),
            words: "{*}",
            does: &[("a/cl", "GET http://web.a/a/x", "200"), ("a/cl", "GET http://web.a/*/x", "403")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {methods: [get], ports: ['8080']}}]}]}",
            says: Some((codes::METHOD_NEVER_MATCHES, "get")),
            words: "write `GET`",
            does: &[("a/cl", HTTP, "200")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {hosts: ['http://web.a'], ports: ['8080']}}]}]}",
            says: Some((codes::HOST_NEVER_MATCHES, "http://web.a")),
            words: "Host header",
            does: &[("a/cl", HTTP, "200")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {ports: ['80']}}]}]}",
            says: Some((codes::NOT_A_POD_PORT, "80")),
            words: "write `8080`",
            does: &[("a/cl", HTTP, "200")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {ports: ['8080']}}]}]}",
            says: None,
            words: "",
            does: &[("a/cl", HTTP, "403"), ("a/cl", DB, "ok")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {paths: [/admin], ports: ['8080']}}]}]}",
            says: Some((codes::OTHER_SPELLINGS, "/admin")),
            words: "are not denied",
            does: &[
                ("a/cl", "GET http://web.a/admin", "403"),
                ("a/cl", "GET http://web.a/admin/", "200"),
                ("a/cl", "GET http://web.a//admin", "200"),
            ],
        },
    ];
    cases.iter().for_each(judge);
}

#[test]
fn http_attributes_on_tcp_ports() {
    let cases = [
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}",
            says: Some((codes::HTTP_ON_TCP, "/admin")),
            words: "every connection is denied",
            does: &[("a/cl", HTTP, "200"), ("a/cl", DB, "closed")],
        },
        Case {
            policy: "AuthorizationPolicy p {rules: [{to: [{operation: {methods: [GET]}}]}]}",
            says: Some((codes::HTTP_ON_TCP, "GET")),
            words: "denies every connection",
            does: &[("a/cl", HTTP, "200"), ("a/cl", DB, "closed")],
        },
        Case {
            policy: "AuthorizationPolicy p {rules: [{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {ports: ['5432']}}]}]}",
            says: None,
            words: "",
            does: &[("a/cl", HTTP, "200"), ("a/cl", DB, "ok")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{from: [{source: {ipBlocks: [1.2.3.4]}}], to: [{operation: {paths: [/x*]}}]}]}",
            says: Some((codes::HTTP_ON_TCP, "/x")),
            words: "the rest of the rule decides",
            does: &[("a/cl", HTTP, "200"), ("a/cl", DB, "ok")],
        },
    ];
    cases.iter().for_each(judge);
}

#[test]
fn rules_that_are_not_what_they_seem() {
    let cases = [
        Case {
            policy: "AuthorizationPolicy p {selector: {matchLabels: {app: web}}}",
            says: Some((codes::ALLOWS_NOTHING, "AuthorizationPolicy")),
            words: "rules: [{}]",
            does: &[("a/cl", HTTP, "403"), ("a/cl", DB, "closed")],
        },
        Case {
            policy: "AuthorizationPolicy open {rules: [{to: [{operation: {notPaths: [/internal*]}}]}]}---\
                     AuthorizationPolicy token {rules: [{from: [{source: {principals: [cluster.local/ns/b/sa/ot]}}]}]}",
            says: Some((codes::ALTERNATIVES, "notPaths")),
            words: "`a/token`",
            does: &[
                ("a/cl", HTTP, "200"),
                ("a/cl", "GET http://web.a/internal", "403"),
                ("b/ot", "GET http://web.a/internal", "200"),
            ],
        },
        Case {
            policy: "AuthorizationPolicy p {rules: [{from: [{source: {notPrincipals: [cluster.local/ns/b/sa/ot]}}]}]}",
            says: Some((codes::IDENTITY_NOT_REQUIRED, "notPrincipals")),
            words: "it is allowed",
            does: &[("b/ot", HTTP, "403"), ("plain", HTTP, "200")],
        },
        Case {
            policy: "AuthorizationPolicy p {action: DENY, rules: [{from: [{source: {namespaces: [b]}}]}]}",
            says: Some((codes::IDENTITY_NOT_REQUIRED, "namespaces")),
            words: "does not stop it",
            does: &[("b/ot", HTTP, "403"), ("plain", HTTP, "200")],
        },
        Case {
            policy: "RequestAuthentication r {jwtRules: [{issuer: 'https://idp', jwks: '{\"keys\":[]}'}]}",
            says: Some((codes::TOKEN_NOT_REQUIRED, "RequestAuthentication")),
            words: "notRequestPrincipals",
            does: &[("a/cl", HTTP, "200")],
        },
        Case {
            policy: "RequestAuthentication r {jwtRules: [{issuer: 'https://idp', jwks: '{\"keys\":[]}'}]}---\
                     AuthorizationPolicy p {action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}], to: [{operation: {ports: ['8080']}}]}]}",
            says: None,
            words: "",
            does: &[("a/cl", HTTP, "403"), ("a/cl", DB, "ok")],
        },
        Case {
            policy: "AuthorizationPolicy p {targetRefs: [{kind: Service, group: '', name: web}], action: DENY, rules: [{}]}",
            says: Some((codes::ENFORCED_NOWHERE, "Service")),
            words: "waypoints",
            does: &[("a/cl", HTTP, "200")],
        },
        Case {
            policy: "AuthorizationPolicy p {rules: [{from: [{source: {requestPrincipals: ['https://idp*']}}]}]}",
            says: Some((codes::PRINCIPAL_NEVER_MATCHES, "https://idp*")),
            words: "last slash",
            does: &[],
        },
    ];
    cases.iter().for_each(judge);
    // With STRICT nobody comes without an identity: nothing is said.
    let strict = format!(
        "{STRICT}---AuthorizationPolicy p {{action: DENY, rules: [{{from: [{{source: {{namespaces: [b]}}}}]}}]}}"
    );
    judge(&Case {
        policy: strict.leak(),
        says: None,
        words: "",
        does: &[("b/ot", HTTP, "403"), ("plain", HTTP, "reset")],
    });
}

#[test]
fn peer_authentications_that_do_nothing() {
    let cases = [
        Case {
            policy: "PeerAuthentication istio-system/p {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}",
            says: Some((codes::DEAD_PEER_AUTHENTICATION, "app: web")),
            words: "applies to nothing",
            does: &[("plain", HTTP, "200")],
        },
        Case {
            policy: "PeerAuthentication first {mtls: {mode: PERMISSIVE}}---PeerAuthentication second {mtls: {mode: STRICT}}",
            says: Some((codes::DEAD_PEER_AUTHENTICATION, "second")),
            words: "`a/first`",
            does: &[("plain", HTTP, "200")],
        },
        Case {
            policy: "PeerAuthentication one {selector: {matchLabels: {app: web}}}---\
                     PeerAuthentication two {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}",
            says: Some((codes::DEAD_PEER_AUTHENTICATION, "app: web")),
            words: "`a/one`",
            does: &[("plain", HTTP, "200")],
        },
        Case {
            policy: "PeerAuthentication p {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {80: {mode: DISABLE}}}",
            says: Some((codes::NOT_A_POD_PORT, "DISABLE")),
            words: "write `8080`",
            does: &[("plain", HTTP, "reset")],
        },
        Case {
            policy: "PeerAuthentication p {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}",
            says: None,
            words: "",
            does: &[("plain", HTTP, "200"), ("plain", DB, "reset")],
        },
    ];
    cases.iter().for_each(judge);
}

#[test]
fn what_a_cluster_refuses_is_told_with_what_was_meant() {
    for (spec, words) in [
        ("{rules: [null]}", "a `-` with nothing behind it"),
        ("{rules: [{from: [{}]}]}", "`from.source` must not be nil"),
        ("{rules: [{from: [{source: {}}]}]}", ""),
        ("{action: DENY}", "has no effect"),
    ] {
        let text = text_of(&format!("AuthorizationPolicy p {spec}"));
        let (sources, objects, problems) = read(&text);
        let (_, found) = lint(sources, objects, problems, &MeshInput::default());
        let error = found.iter().find(|d| d.severity == Severity::Error);
        let error = error.unwrap_or_else(|| panic!("{spec} is accepted: {found:#?}"));
        let said = format!("{} {}", error.message, error.help.as_deref().unwrap_or_default());
        assert!(said.contains(words), "{spec}: {said}");
    }
}

#[test]
fn servers_that_istiod_leaves_out() {
    let gateway = |name: &str, port: u16, protocol: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: a}}\nspec:\n  \
             selector: {{istio: ingressgateway}}\n  servers: [{{port: {{number: {port}, name: p, protocol: {protocol}}}, hosts: ['*']}}]\n---\n"
        )
    };
    let text = gateway("one", 80, "HTTP") + &gateway("two", 80, "TCP");
    let (sources, objects, problems) = read(&text);
    let (_, found) = lint(sources, objects, problems, &MeshInput::default());
    let dropped: Vec<_> = found.iter().filter(|d| d.code == codes::SERVER_DROPPED).collect();
    assert_eq!(dropped.len(), 1, "{found:#?}");
    assert_eq!(dropped[0].object.as_ref().map(ToString::to_string).as_deref(), Some("Gateway/a/two"));
}
