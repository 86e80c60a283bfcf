//! `cases:` of a policy test: matrices expanded, every case decoded, and the list as a whole checked.
//!
//! What a case names (workloads, subsets) is checked when the mesh is there; here is what the file alone can tell:
//! two cases of one name, a case that expects nothing, cases that expect different things of the same request.

use std::collections::BTreeMap;

use mesh_config::decode::{DecodeCx, from_node};
use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::source::Span;
use mesh_config::yaml::{Node, Value};

use super::expand;
use crate::format::policy::{CaseWords, ExpectWords, PolicySpec, RuleWords, VerdictWord};
use crate::predict::{outbound_parts, same_host};

/// The spec without its cases, and the cases.
pub(super) fn policy(spec: &Node, cx: &mut DecodeCx) -> Option<(PolicySpec, Vec<CaseWords>)> {
    let mut rest = spec.clone();
    if let Value::Mapping(entries) = &mut rest.value {
        entries.retain(|(key, _)| key.text != "cases");
    }
    let decoded = from_node::<PolicySpec>(&rest, cx)?;
    let (mut cases, mut nodes) = (Vec::new(), Vec::new());
    for (index, case) in spec.get("cases").map(Node::sequence).unwrap_or_default().iter().enumerate() {
        let mut case_cx = DecodeCx::new(cx.object.clone(), format!("spec.cases[{index}]"));
        let mut problems = Vec::new();
        let mut first = true;
        for expanded in expand::matrix(case, &mut problems) {
            let before = case_cx.diagnostics.len();
            if let Some(decoded) = from_node::<CaseWords>(&expanded, &mut case_cx) {
                problems.extend(alone(&decoded));
                cases.push(decoded);
                nodes.push(expanded);
            }
            // The combinations of a matrix share their mistakes.
            if !first {
                case_cx.diagnostics.truncate(before);
            }
            first = false;
        }
        problems.dedup();
        cx.diagnostics.append(&mut case_cx.diagnostics);
        cx.diagnostics.append(&mut problems);
    }
    let elsewhere = !decoded.snapshots.is_empty() || !decoded.uses.0.is_empty();
    if nodes.is_empty() && !elsewhere && cx.diagnostics.is_empty() {
        let problem = Diagnostic::error(
            codes::MISSING_FIELD,
            Stage::Schema,
            spec.span,
            "the policy test has no `cases`",
        );
        cx.diagnostics.push(problem.help("a test that asks nothing cannot fail"));
    }
    cx.diagnostics.extend(named_twice(&cases));
    cx.diagnostics.extend(contradicting(&cases, &nodes));
    Some((decoded, cases))
}

fn wrong(at: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::CONTRADICTION, Stage::Schema, at, message)
}

fn named_twice(cases: &[CaseWords]) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&str, Span> = BTreeMap::new();
    let mut problems = Vec::new();
    for case in cases {
        match first.get(case.name.as_str()) {
            None => {
                first.insert(&case.name, case.origin);
            }
            Some(other) => {
                let message = format!("there are two cases named `{}`", case.name);
                problems.push(
                    Diagnostic::error(codes::DUPLICATE_CASE, Stage::Schema, case.origin, message)
                        .label(*other, "the first one")
                        .help("names identify cases in reports: give each its own"),
                );
            }
        }
    }
    problems
}

/// What one case says against itself.
fn alone(case: &CaseWords) -> Vec<Diagnostic> {
    let expect = &case.expect;
    let at = if expect.origin.is_none() { case.origin } else { expect.origin };
    let mut problems = Vec::new();
    if case.name.is_empty() {
        problems.push(
            Diagnostic::error(codes::MISSING_FIELD, Stage::Schema, case.origin, "the case has no `name`")
                .help("the name is what reports show"),
        );
    }
    if case.audit.is_some() {
        if !is_empty(expect) || case.pod.is_some() || case.for_all.is_some() || case.request.is_some() {
            problems.push(wrong(at, "an `audit` says itself what it expects: nothing else goes with it"));
        }
        return problems;
    }
    let asked = [case.pod.is_some(), case.for_all.is_some(), case.from.is_some() || case.request.is_some()];
    match asked.iter().filter(|a| **a).count() {
        0 => problems.push(wrong(
            case.origin,
            "a case needs `from` and `request`, or `pod`, `forAll` or `audit`: it asks nothing",
        )),
        1 if case.from.is_some() != case.request.is_some() => {
            let missing = if case.from.is_some() { "request" } else { "from" };
            problems.push(wrong(case.origin, format!("the case has no `{missing}`")));
        }
        1 => {}
        _ => problems.push(wrong(case.origin, "a case is one of `from` with `request`, `pod`, or `forAll`")),
    }
    if is_empty(expect) {
        problems.push(wrong(at, "the case expects nothing, so it cannot fail"));
    }
    let of_pods = expect.sidecar.is_some() || expect.containers.is_some() || expect.gateway.is_some();
    if of_pods != case.pod.is_some() && !is_empty(expect) {
        let message = if of_pods {
            "`sidecar`, `containers` and `gateway` are told of a `pod:`"
        } else {
            "of a `pod:` only `sidecar`, `containers` and `gateway` can be expected"
        };
        problems.push(wrong(at, message));
    }
    if let Some(draw) = case.draw.as_ref().filter(|_| case.request.is_none()) {
        problems.push(wrong(draw.span, "`draw` chooses where a request goes, and the case has no `request`"));
    }
    problems.extend(impossible(expect));
    problems
}

/// Keys of one expectation that no outcome can satisfy together.
fn impossible(expect: &ExpectWords) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let mut refuse = |span: Span, message: String| problems.push(wrong(span, message));
    if let Some(verdict) = expect.verdict.as_ref().filter(|v| v.value != VerdictWord::Allowed) {
        let reached = [
            ("workload", expect.workload.as_ref().map(|w| w.span)),
            ("upstream", expect.upstream.as_ref().map(|w| w.span)),
        ];
        if let Some((key, span)) = reached.into_iter().find_map(|(k, s)| s.map(|s| (k, s))) {
            let message = format!("`{key}` needs a request that arrives, and the verdict is not `allowed`");
            problems.push(wrong(span, message).label(verdict.span, "no workload is reached"));
            return problems;
        }
    }
    if let Some(status) = expect.status.as_ref().filter(|s| !(100..600).contains(&s.value)) {
        refuse(status.span, format!("`{}` is no HTTP status", status.value));
    }
    if let Some(split) = &expect.split {
        let total: f64 = split.value.values().map(|p| p.0).sum();
        if (total - 1.0).abs() > 1e-9 {
            // Percentages with at most four digits: no noise of the sum is shown.
            let percent = (total * 1e6).round() / 1e4;
            refuse(split.span, format!("the shares of `split` sum to {percent}%, not to 100%"));
        }
        if let Some(subset) = &expect.subset
            && split.value.get(&subset.value).is_none_or(|share| share.0 < 1.0)
        {
            refuse(subset.span, format!("`subset: {}` means 100%, `split` says otherwise", subset.value));
        }
    }
    if let Some((cluster, (_, subset, host))) =
        expect.cluster.as_ref().and_then(|c| Some((c, outbound_parts(&c.value)?)))
    {
        if let Some(want) = expect.subset.as_ref().filter(|w| w.value != subset) {
            let message = format!("cluster `{}` is of another subset than `{}`", cluster.value, want.value);
            refuse(want.span, message);
        }
        if let Some(want) = expect.host.as_ref().filter(|w| !same_host(&w.value, host)) {
            refuse(
                want.span,
                format!("cluster `{}` is of another host than `{}`", cluster.value, want.value),
            );
        }
    }
    problems
}

fn is_empty(expect: &ExpectWords) -> bool {
    let ExpectWords {
        origin: _,
        verdict,
        status,
        connection,
        flags,
        details,
        cluster,
        route,
        virtual_host,
        rule,
        not_rule,
        host,
        subset,
        workload,
        split,
        mtls,
        by,
        upstream,
        response,
        timeout,
        retries,
        body,
        hops,
        client_log,
        server_log,
        sidecar,
        containers,
        gateway,
    } = expect;
    let texts =
        [flags, details, cluster, route, virtual_host, host, subset, by, body, client_log, server_log];
    let given = [
        verdict.is_some(),
        status.is_some(),
        rule.as_ref().is_some_and(|r| !no_rule(&r.value)),
        not_rule.as_ref().is_some_and(|r| !no_rule(&r.value)),
        connection.is_some(),
        workload.is_some(),
        split.is_some(),
        mtls.is_some(),
        upstream.is_some(),
        response.is_some(),
        timeout.is_some(),
        retries.is_some(),
        hops.is_some(),
        sidecar.is_some(),
        containers.is_some(),
        gateway.is_some(),
    ];
    texts.iter().all(|t| t.is_none()) && given.iter().all(|g| !g)
}

/// A rule of which nothing is said.
fn no_rule(words: &RuleWords) -> bool {
    let RuleWords { route, redirect, rewrite, fault, headers, delegate } = words;
    let texts = [rewrite.is_none(), fault.is_none(), headers.is_none(), delegate.is_none()];
    route.is_none() && redirect.is_none() && texts.iter().all(|none| *none)
}

/// Two cases that ask the same and expect different values of one key: one of them must fail.
fn contradicting(cases: &[CaseWords], nodes: &[Node]) -> Vec<Diagnostic> {
    let asked = |node: &Node| {
        let part = |key: &str| node.get(key).map(Node::to_json).unwrap_or_default();
        ["from", "request", "draw", "pod", "forAll", "where"].map(part)
    };
    let mut seen: BTreeMap<[String; 6], Vec<usize>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, (case, node)) in cases.iter().zip(nodes).enumerate() {
        let same = seen.entry(asked(node)).or_default();
        for other in same.iter().filter_map(|i| Some((cases.get(*i)?, nodes.get(*i)?))) {
            let (Some(mine), Some(theirs)) = (node.get("expect"), other.1.get("expect")) else { continue };
            let Some((key, at, before)) = differing(mine, theirs, "") else { continue };
            let message = format!(
                "cases `{}` and `{}` expect different `{key}` of the same request",
                other.0.name, case.name
            );
            problems.push(wrong(at, message).label(before, "expected there"));
        }
        same.push(index);
    }
    problems
}

/// The first key that both have with different values.
fn differing(a: &Node, b: &Node, path: &str) -> Option<(String, Span, Span)> {
    match (&a.value, &b.value) {
        (Value::Mapping(entries), Value::Mapping(_)) => entries.iter().find_map(|(key, value)| {
            let path = if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
            differing(value, b.get(&key.text)?, &path)
        }),
        _ => (a.to_json() != b.to_json()).then(|| (path.to_owned(), a.span, b.span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_config::source::FileId;

    fn problems(cases: &str) -> Vec<String> {
        let text = format!("mesh: {{manifests: [a.yaml]}}\ncases:\n{cases}");
        let (documents, syntax) = mesh_config::yaml::parse_stream(FileId(0), &text);
        assert!(syntax.is_empty(), "{syntax:?}");
        let mut cx = DecodeCx::new(None, "spec");
        policy(&documents[0].node, &mut cx);
        cx.diagnostics.into_iter().map(|d| d.message).collect()
    }

    #[test]
    fn what_cannot_hold_is_refused() {
        let web = "- {name: a, from: x, request: GET http://h/, expect: ";
        for (cases, part) in [
            (format!("{web}{{status: 200}}}}\n{web}{{mtls: true}}}}\n"), "two cases named `a`"),
            (format!("{web}{{}}}}\n"), "expects nothing"),
            (format!("{web}{{verdict: denied, workload: a/b}}}}\n"), "needs a request that arrives"),
            (format!("{web}{{split: {{v1: 90%, v2: 20%}}}}}}\n"), "sum to 110%"),
            (format!("{web}{{split: {{v1: 90%, v2: 10%}}, subset: v1}}}}\n"), "means 100%"),
            (
                format!("{web}{{cluster: outbound|80|v1|h.d.svc.cluster.local, subset: v2}}}}\n"),
                "another subset",
            ),
            (format!("{web}{{status: 2000}}}}\n"), "no HTTP status"),
            (format!("{web}{{sidecar: true}}}}\n"), "told of a `pod:`"),
            ("- {name: a, from: x, expect: {status: 200}}\n".to_owned(), "has no `request`"),
            ("- {name: a, expect: {status: 200}}\n".to_owned(), "asks nothing"),
            ("- {from: x, request: GET http://h/, expect: {status: 200}}\n".to_owned(), "has no `name`"),
            (
                format!("{web}{{status: 200}}}}\n{}", web.replace("name: a", "name: b") + "{status: 403}}\n"),
                "expect different `status`",
            ),
        ] {
            let found = problems(&cases);
            assert!(found.iter().any(|p| p.contains(part)), "{cases}: {found:?}");
        }
    }

    #[test]
    fn what_goes_together_is_taken() {
        let cases = "- {name: a, from: x, request: GET http://h/, expect: {status: 200}}\n\
                     - {name: b, from: x, request: GET http://h/, expect: {status: 200, mtls: true}}\n\
                     - {name: c, from: x, request: GET http://h/b, expect: {status: 403}}\n\
                     - {name: d, from: x, request: GET http://h/c, expect: {split: {v1: 33.3333%, v2: 66.6667%}}}\n\
                     - {name: e, pod: a/b, expect: {sidecar: true}}\n";
        assert_eq!(problems(cases), Vec::<String>::new());
    }
}
