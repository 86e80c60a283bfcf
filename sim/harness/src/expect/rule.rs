//! `rule:` and `notRule:`: what the HTTP rule of a VirtualService says that decides about a request.
//!
//! The rule is found by the route the client's proxy chose, so it is the one that counts after hosts, gateways, merging
//! and delegation; only its words are compared here, each as one line of text that is also what reports show. Names of
//! hosts are resolved in the namespace of the rule. Ports, weights and fields of a block count only where the
//! expectation gives them.

use std::collections::BTreeSet;

use mesh_config::lower::hosts::resolve_short_name;
use mesh_config::mesh::registry::CLUSTER_DOMAIN;
use mesh_config::resource::http_route::{
    Delegate, HeaderOperations, Headers, HttpFaultInjection, HttpRedirect, HttpRewrite, HttpRoute,
    HttpRouteDestination, RedirectPortSelection,
};
use mesh_config::resource::meta::Object;
use mesh_config::resource::scalar::Percent;
use mesh_config::resource::virtual_service::VirtualService;
use mesh_config::source::Span;
use mesh_reports::checks::KeyDifference;

use crate::chosen;
use crate::format::policy::{ExpectWords, RuleWords};
use crate::loaded::LoadedMesh;
use crate::predict::Prediction;

/// What is wrong with the rules that decide about some outcomes.
pub(crate) fn differences(
    expect: &ExpectWords,
    predictions: &[Prediction],
    mesh: &LoadedMesh,
) -> Vec<KeyDifference> {
    let mut all = Vec::new();
    for (key, words, wanted) in [("rule", &expect.rule, true), ("notRule", &expect.not_rule, false)] {
        let Some(words) = words else { continue };
        for field in FIELDS {
            let mut got: BTreeSet<String> = BTreeSet::new();
            let mut expected = None;
            for prediction in predictions {
                let rule = Decided::of(prediction, mesh);
                let Some((want, is)) = field(&words.value, rule.as_ref()) else { continue };
                if (want.1 == is) != wanted {
                    got.insert(is);
                }
                expected = Some(want);
            }
            let Some((name, text)) = expected.filter(|_| !got.is_empty()) else { continue };
            all.push(KeyDifference {
                key: format!("{key}.{name}"),
                expected: if wanted { text } else { format!("not {text}") },
                got: got.into_iter().collect::<Vec<_>>().join(" or "),
            });
        }
    }
    all
}

/// The rule that decides.
struct Decided<'m> {
    /// The VirtualService it stands in.
    object: &'m Object<VirtualService>,
    rule: &'m HttpRoute,
    /// The VirtualService and the rules that may have delegated to it.
    roots: Vec<(&'m Object<VirtualService>, &'m HttpRoute)>,
}

impl<'m> Decided<'m> {
    /// `None` when no VirtualService decides.
    fn of(prediction: &Prediction, mesh: &'m LoadedMesh) -> Option<Decided<'m>> {
        let (host, route) = chosen::route(mesh, prediction.record.client_hop()?)?;
        let span = |id| mesh.lowering.origin(id).map(|o| o.span);
        let at = span(route.action_origin).or_else(|| span(route.origin))?;
        let all = || mesh.lowering.mesh.inventory.virtual_services.iter();
        let (object, rule) = all()
            .find_map(|vs| Some((vs.as_ref(), vs.spec.http.iter().find(|rule| within(at, rule.origin))?)))?;
        let bound = mesh.named(host.origin).map(|(object, _)| object);
        let of_host = |vs: &Object<VirtualService>| {
            bound.as_ref().is_none_or(|o| {
                o.kind != "VirtualService" || (o.namespace == vs.meta.namespace && o.name == vs.meta.name)
            })
        };
        let mut roots = Vec::new();
        for vs in all().filter(|vs| of_host(vs)) {
            let leads = |rule: &&HttpRoute| {
                rule.delegate
                    .as_ref()
                    .is_some_and(|d| d.name == object.meta.name && namespace(d, vs) == object.meta.namespace)
            };
            roots.extend(vs.spec.http.iter().filter(leads).map(|rule| (vs.as_ref(), rule)));
        }
        // A delegate without conditions of its own keeps the root's.
        let matched = span(route.origin);
        if let Some(root) = roots.iter().find(|(_, r)| matched.is_some_and(|m| within(m, r.origin))).copied()
        {
            roots = vec![root];
        }
        Some(Decided { object, rule, roots })
    }

    /// What the rule says of a block; when it says nothing, what the rules that delegate to it say.
    fn block<T>(&self, of: impl Fn(&HttpRoute) -> Option<&T>, shown: impl Fn(&T) -> String) -> String {
        if let Some(own) = of(self.rule) {
            return shown(own);
        }
        let inherited: BTreeSet<String> =
            self.roots.iter().map(|(_, root)| of(root).map_or_else(none, &shown)).collect();
        if inherited.is_empty() { none() } else { inherited.into_iter().collect::<Vec<_>>().join(" or ") }
    }
}

fn within(inner: Span, outer: Span) -> bool {
    !outer.is_none() && inner.file == outer.file && inner.start >= outer.start && inner.end <= outer.end
}

fn namespace<'a>(delegate: &'a Delegate, root: &'a Object<VirtualService>) -> &'a str {
    if delegate.namespace.is_empty() { &root.meta.namespace } else { &delegate.namespace }
}

fn none() -> String {
    "none".to_owned()
}

/// Name and text of what is expected, text of what is; `None` when nothing is expected.
type Field = fn(&RuleWords, Option<&Decided<'_>>) -> Option<((&'static str, String), String)>;

const FIELDS: [Field; 6] = [
    |words, rule| {
        let want = words.route.as_ref()?;
        let namespace = rule.map_or("", |r| r.object.meta.namespace.as_str());
        let is = rule.map_or_else(none, |r| destinations(&r.rule.route, want, namespace));
        Some((("route", destinations(want, want, namespace)), is))
    },
    |words, rule| {
        let want = words.redirect.as_ref()?;
        let is = rule.map_or_else(none, |r| r.block(|r| r.redirect.as_ref(), |is| redirect(is, want)));
        Some((("redirect", redirect(want, want)), is))
    },
    |words, rule| {
        let want = words.rewrite.as_ref()?;
        let is = rule.map_or_else(none, |r| r.block(|r| r.rewrite.as_ref(), |is| rewrite(is, want)));
        Some((("rewrite", rewrite(want, want)), is))
    },
    |words, rule| {
        let want = words.fault.as_ref()?;
        let is = rule.map_or_else(none, |r| r.block(|r| r.fault.as_ref(), |is| fault(is, want)));
        Some((("fault", fault(want, want)), is))
    },
    |words, rule| {
        let want = words.headers.as_ref()?;
        let is = rule.map_or_else(none, |r| r.block(|r| r.headers.as_ref(), |is| headers(is, want)));
        Some((("headers", headers(want, want)), is))
    },
    |words, rule| {
        let want = words.delegate.as_ref()?;
        let shown = |delegate: &Delegate, namespace: &str| {
            let at = if want.namespace.is_empty() { String::new() } else { format!("{namespace}/") };
            format!("{at}{}", delegate.name)
        };
        let roots = rule.map(|r| r.roots.as_slice()).unwrap_or_default();
        let named: BTreeSet<String> = roots
            .iter()
            .filter_map(|(vs, r)| r.delegate.as_ref().map(|d| shown(d, namespace(d, vs))))
            .collect();
        let is = if named.is_empty() { none() } else { named.into_iter().collect::<Vec<_>>().join(" or ") };
        Some((("delegate", shown(want, &want.namespace)), is))
    },
];

/// Destinations in a fixed order, with what the expectation looks at.
fn destinations(list: &[HttpRouteDestination], want: &[HttpRouteDestination], home: &str) -> String {
    let any = |looks: fn(&HttpRouteDestination) -> bool| want.iter().any(looks);
    let ports = any(|d| d.destination.as_ref().is_some_and(|d| d.port.is_some()));
    let weights = list.len() > 1 && any(|d| d.weight != 0);
    let operations = any(|d| d.headers.is_some());
    let total: i64 = list.iter().map(|d| i64::from(d.weight)).sum();
    let one = |d: &HttpRouteDestination| {
        let Some(to) = &d.destination else { return none() };
        let mut text = resolve_short_name(&to.host, home, CLUSTER_DOMAIN);
        if let Some(port) = to.port.as_ref().filter(|_| ports) {
            text.push_str(&format!(":{}", port.number));
        }
        if !to.subset.is_empty() {
            text.push_str(&format!(" subset {}", to.subset));
        }
        if weights && total > 0 {
            // At most four digits: no noise of the division is shown.
            let share = (f64::from(d.weight) / total as f64 * 1e6).round() / 1e4;
            text.push_str(&format!(" {share}%"));
        }
        if operations {
            text.push_str(
                &d.headers.as_ref().map_or_else(String::new, |h| format!(" with {}", headers(h, h))),
            );
        }
        text
    };
    let mut all: Vec<String> = list.iter().map(one).collect();
    all.sort();
    if all.is_empty() { none() } else { all.join(", ") }
}

/// `key value` for each of some texts the expectation gives.
fn words(all: &[(&str, bool, String)]) -> String {
    let given: Vec<String> = all
        .iter()
        .filter(|(_, given, _)| *given)
        .map(|(key, _, text)| format!("{key} {}", if text.is_empty() { "none" } else { text.as_str() }))
        .collect();
    if given.is_empty() { "any".to_owned() } else { given.join(", ") }
}

fn redirect(is: &HttpRedirect, want: &HttpRedirect) -> String {
    let port = |r: &HttpRedirect| r.port.map(|p| p.to_string()).unwrap_or_default();
    let derived = |r: &HttpRedirect| match r.derive_port {
        None => String::new(),
        Some(RedirectPortSelection::FromProtocolDefault) => "from the protocol".to_owned(),
        Some(RedirectPortSelection::FromRequestPort) => "from the request".to_owned(),
    };
    let code = |r: &HttpRedirect| if r.redirect_code == 0 { 301 } else { r.redirect_code }.to_string();
    words(&[
        ("uri", !want.uri.is_empty(), is.uri.clone()),
        ("prefixRewrite", !want.prefix_rewrite.is_empty(), is.prefix_rewrite.clone()),
        ("authority", !want.authority.is_empty(), is.authority.clone()),
        ("port", want.port.is_some(), port(is)),
        ("derivePort", want.derive_port.is_some(), derived(is)),
        ("scheme", !want.scheme.is_empty(), is.scheme.clone()),
        ("redirectCode", want.redirect_code != 0, code(is)),
    ])
}

fn rewrite(is: &HttpRewrite, want: &HttpRewrite) -> String {
    let regex = |r: &HttpRewrite| {
        r.uri_regex_rewrite.as_ref().map(|r| format!("{} -> {}", r.match_, r.rewrite)).unwrap_or_default()
    };
    words(&[
        ("uri", !want.uri.is_empty(), is.uri.clone()),
        ("authority", !want.authority.is_empty(), is.authority.clone()),
        ("uriRegexRewrite", want.uri_regex_rewrite.is_some(), regex(is)),
    ])
}

fn fault(is: &HttpFaultInjection, want: &HttpFaultInjection) -> String {
    let share = |p: Option<Percent>| p.map(|p| format!("{}%", p.value)).unwrap_or_default();
    let (delay, abort) = (is.delay.clone().unwrap_or_default(), is.abort.clone().unwrap_or_default());
    let (want_delay, want_abort) = (want.delay.as_ref(), want.abort.as_ref());
    let time = delay.fixed_delay.map(|d| format!("{}ms", d.ns as f64 / 1e6)).unwrap_or_default();
    words(&[
        ("delay", want_delay.is_some(), if is.delay.is_some() { "yes".to_owned() } else { String::new() }),
        ("fixedDelay", want_delay.is_some_and(|d| d.fixed_delay.is_some()), time),
        ("percent", want_delay.is_some_and(|d| d.percent != 0), delay.percent.to_string()),
        ("delayed", want_delay.is_some_and(|d| d.percentage.is_some()), share(delay.percentage)),
        ("abort", want_abort.is_some(), if is.abort.is_some() { "yes".to_owned() } else { String::new() }),
        (
            "httpStatus",
            want_abort.is_some_and(|a| a.http_status.is_some()),
            abort.http_status.map(|s| s.to_string()).unwrap_or_default(),
        ),
        (
            "grpcStatus",
            want_abort.is_some_and(|a| a.grpc_status.is_some()),
            abort.grpc_status.unwrap_or_default(),
        ),
        ("aborted", want_abort.is_some_and(|a| a.percentage.is_some()), share(abort.percentage)),
    ])
}

fn headers(is: &Headers, want: &Headers) -> String {
    let default = HeaderOperations::default();
    let mut all = Vec::new();
    for (side, want, is) in
        [("request", &want.request, &is.request), ("response", &want.response, &is.response)]
    {
        let Some(want) = want else { continue };
        let is = is.as_ref().unwrap_or(&default);
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter()
                .map(|(k, v)| format!("{}: {v}", k.to_ascii_lowercase()))
                .collect::<Vec<_>>()
                .join(" & ")
        };
        let mut removed: Vec<String> = is.remove.iter().map(|name| name.to_ascii_lowercase()).collect();
        removed.sort();
        for (what, given, text) in [
            ("set", !want.set.is_empty(), pairs(&is.set)),
            ("add", !want.add.is_empty(), pairs(&is.add)),
            ("remove", !want.remove.is_empty(), removed.join(" & ")),
        ] {
            if given {
                all.push(format!("{side} {what} {}", if text.is_empty() { "none" } else { text.as_str() }));
            }
        }
    }
    if all.is_empty() { "any".to_owned() } else { all.join(", ") }
}
