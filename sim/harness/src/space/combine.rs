//! From conditions to requests: values that tell the conditions apart, combined where rules look at them together.
//!
//! Path and method come first. A header, parameter, token or address is varied only below a path and method for which
//! some rule that looks at it may still apply; everywhere else its value cannot matter.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use mesh_core::ir::{
    HeaderCondition, HeaderMatcher, MetadataMatcher, PathMatch, PathRewrite, StringMatch, StringPattern,
};
use mesh_core::matching::{header_matches, query_matches};
use mesh_core::request::Headers;

use super::predicates::{Hashed, Known, Predicates, Rewrite, Rule, Test, inside};
use super::texts::{Alphabet, Automata, Pattern, of_path, of_string, of_template};
use super::tokens::{Token, readable, tokens};
use crate::plan::traffic::OUTSIDE;

/// The methods that proxies take (semantics: envoy-routing 9.4).
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
/// A path that no rule names.
const STRANGE_PATH: &str = "/mesh-sim-elsewhere";

/// What is asked of one place, without its host.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) query: Vec<(String, String)>,
    pub(super) token: Option<Token>,
    pub(super) source: Option<IpAddr>,
}

/// Restrictions of a case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Only<'a> {
    pub(super) methods: &'a [String],
    pub(super) paths: &'a [String],
    /// Most requests.
    pub(super) limit: usize,
    /// The client's address can be chosen.
    pub(super) outside: bool,
}

/// One part of a request that can take several values; the first is the plain one.
#[derive(Debug, Clone)]
enum Part {
    Header(String, Vec<Option<String>>),
    Query(String, Vec<Option<String>>),
    Token(Vec<Option<Token>>),
    Source(Vec<Option<IpAddr>>),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Header(_, values) | Part::Query(_, values) => values.len(),
            Part::Token(values) => values.len(),
            Part::Source(values) => values.len(),
        }
    }

    /// Whether it is a header, and which one or which parameter.
    fn name(&self) -> Option<(bool, &str)> {
        match self {
            Part::Header(name, _) => Some((true, name)),
            Part::Query(name, _) => Some((false, name)),
            Part::Token(_) | Part::Source(_) => None,
        }
    }

    /// Equal headers with equal values.
    fn same(&self, other: &Part) -> bool {
        match (self, other) {
            (Part::Header(a, x), Part::Header(b, y)) => a == b && x == y,
            _ => false,
        }
    }

    fn apply(&self, index: usize, asked: &mut Asked) {
        match self {
            Part::Header(name, values) => {
                if let Some(Some(value)) = values.get(index) {
                    asked.headers.push((name.clone(), value.clone()));
                }
            }
            Part::Query(name, values) => {
                if let Some(Some(value)) = values.get(index) {
                    asked.query.push((name.clone(), value.clone()));
                }
            }
            Part::Token(values) => asked.token = values.get(index).cloned().flatten(),
            Part::Source(values) => asked.source = values.get(index).copied().flatten(),
        }
    }
}

/// The requests that the conditions tell apart, and what stayed together nevertheless.
pub(super) fn requests(
    predicates: &Predicates,
    only: Only<'_>,
    known: &mut Automata,
) -> (Vec<Asked>, Vec<String>) {
    let mut gaps = Vec::new();
    let paths = if only.paths.is_empty() { paths(predicates, &mut gaps, known) } else { only.paths.to_vec() };
    let methods = if only.methods.is_empty() { methods(&predicates.rules) } else { only.methods.to_vec() };
    let mut all: Vec<Asked> = Vec::new();
    for path in &paths {
        let images = images(&predicates.rewrites, path);
        for method in &methods {
            let relevant: Vec<&Rule> = predicates
                .rules
                .iter()
                .filter(|r| {
                    let paths = if r.behind { &images } else { std::slice::from_ref(path) };
                    r.when.settled(&Known { paths, method }) != Some(false)
                })
                .collect();
            let parts = parts(&relevant, predicates, method, only.outside, (&mut gaps, known));
            let room = only.limit.saturating_sub(all.len());
            combinations(path, method, &parts, room, &mut all, &mut gaps);
        }
    }
    gaps.sort();
    gaps.dedup();
    (all, gaps)
}

/// The full product, or when it is too large every part varied on its own.
fn combinations(
    path: &str,
    method: &str,
    parts: &[Part],
    room: usize,
    out: &mut Vec<Asked>,
    gaps: &mut Vec<String>,
) {
    let plain = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        token: None,
        source: None,
    };
    let total = parts.iter().fold(1usize, |n, p| n.saturating_mul(p.len().max(1)));
    let with = |choice: &dyn Fn(usize) -> usize| {
        let mut asked = plain.clone();
        for (i, part) in parts.iter().enumerate() {
            part.apply(choice(i), &mut asked);
        }
        asked
    };
    if total <= room {
        for n in 0..total {
            // `n` in mixed radix.
            let digits: Vec<usize> = parts
                .iter()
                .scan(n, |rest, part| {
                    let digit = *rest % part.len().max(1);
                    *rest /= part.len().max(1);
                    Some(digit)
                })
                .collect();
            out.push(with(&|i| digits.get(i).copied().unwrap_or(0)));
        }
        return;
    }
    gaps.push(format!("{total} combinations of headers, parameters and tokens: each is varied on its own"));
    let alone = parts.iter().enumerate().flat_map(|(i, part)| (1..part.len()).map(move |value| (i, value)));
    let plain = std::iter::once((0, 0));
    for (i, value) in plain.chain(alone).take(room) {
        out.push(with(&|at| if at == i { value } else { 0 }));
    }
}

fn tests<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> Vec<&'a Test> {
    let mut all = Vec::new();
    for rule in rules {
        rule.when.tests(&mut all);
    }
    all
}

/// The path as sent, and what each rewrite on the way makes of it.
fn images(rewrites: &[Rewrite], path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    // Twice: a gateway may rewrite before a sidecar does.
    for _ in 0..2 {
        for image in all.clone().iter().flat_map(|p| rewrites.iter().filter_map(|r| r.image(p))) {
            if !all.contains(&image) {
                all.push(image);
            }
        }
    }
    all
}

/// One path per set of conditions that can hold together.
fn paths(predicates: &Predicates, gaps: &mut Vec<String>, known: &mut Automata) -> Vec<String> {
    let tests = tests(&predicates.rules);
    let mut patterns: Vec<Pattern> = Vec::new();
    let mut words: BTreeSet<String> = BTreeSet::new();
    for test in &tests {
        let (pattern, word) = match test {
            Test::Path(condition, case) => (of_path(condition, *case), path_word(condition)),
            Test::UrlPath(text) => (of_string(text), string_word(text)),
            Test::Template(text) => (of_template(text), Some(text.replace("{**}", "x").replace("{*}", "x"))),
            _ => continue,
        };
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
        words.extend(word.filter(|w| w.starts_with('/')));
    }
    // For people: what is written, what lies below it, what merely begins like it.
    let mut candidates = vec!["/".to_owned()];
    candidates.extend(words.iter().cloned());
    candidates.extend(words.iter().map(|w| format!("{}/x", w.trim_end_matches('/'))));
    candidates.extend(words.iter().map(|w| format!("{w}x")));
    candidates.push(STRANGE_PATH.to_owned());
    let made = known.telling_apart(&patterns, &["/"], Alphabet::Path);
    let mut complete = made.complete;
    candidates.extend(made.texts.into_iter().map(|t| format!("/{t}")));
    for rewrite in &predicates.rewrites {
        let (Some(from), PathRewrite::Prefix(to)) = (rewrite.replaced(), &rewrite.how) else { continue };
        let made = known.telling_apart(&patterns, &[from, to], Alphabet::Path);
        complete &= made.complete;
        candidates.extend(made.texts.into_iter().map(|t| format!("{from}{t}")));
    }
    if !complete {
        gaps.push("path conditions whose overlaps are too many to tell apart".to_owned());
    }
    let class = |path: &String| -> Vec<Vec<bool>> {
        let mut seen = vec![vec![]];
        let images = predicates.rewrites.iter().map(|r| r.image(path));
        for image in std::iter::once(Some(path.clone())).chain(images) {
            let verdicts = image.map(|i| tests.iter().filter_map(|t| t.path(&i)).collect());
            seen.push(verdicts.unwrap_or_default());
        }
        seen
    };
    let mut seen = BTreeSet::new();
    let mut chosen: Vec<String> =
        candidates.into_iter().filter(|p| p.starts_with('/') && seen.insert(class(p))).collect();
    chosen.sort();
    chosen
}

fn path_word(condition: &PathMatch) -> Option<String> {
    match condition {
        PathMatch::Prefix(text) | PathMatch::Path(text) | PathMatch::PathSeparatedPrefix(text) => {
            Some(text.to_string())
        }
        PathMatch::Regex(_) => None,
    }
}

fn string_word(text: &StringMatch) -> Option<String> {
    match &text.pattern {
        StringPattern::Exact(word) | StringPattern::Prefix(word) => Some(word.to_string()),
        StringPattern::Suffix(word) if word.starts_with('/') => Some(word.to_string()),
        StringPattern::Suffix(word) | StringPattern::Contains(word) => Some(format!("/{word}")),
        StringPattern::Regex(_) => None,
    }
}

/// One method per set of conditions.
fn methods(rules: &[Rule]) -> Vec<String> {
    let matchers: Vec<&HeaderMatcher> = headers_named(&tests(rules), ":method");
    let written = matchers.iter().filter_map(|m| match &m.condition {
        HeaderCondition::Value(text) => string_word_of(text),
        _ => None,
    });
    let candidates: Vec<String> = METHODS.iter().map(|m| (*m).to_owned()).chain(written).collect();
    let mut seen = BTreeSet::new();
    let mut all: Vec<String> =
        candidates.into_iter().filter(|m| seen.insert(classify(&matchers, ":method", Some(m)))).collect();
    // Preflights are a method of their own where CORS is configured.
    if rules.iter().any(|r| !r.cors.is_empty()) && !all.iter().any(|m| m == "OPTIONS") {
        all.push("OPTIONS".to_owned());
    }
    all
}

fn string_word_of(text: &StringMatch) -> Option<String> {
    match &text.pattern {
        StringPattern::Exact(word)
        | StringPattern::Prefix(word)
        | StringPattern::Suffix(word)
        | StringPattern::Contains(word) => Some(word.to_string()),
        StringPattern::Regex(_) => None,
    }
}

fn headers_named<'a>(tests: &[&'a Test], name: &str) -> Vec<&'a HeaderMatcher> {
    let mut found = Vec::new();
    for test in tests {
        if let Test::Header(matcher) = test
            && matcher.name.as_ref() == name
            && !found.contains(&matcher)
        {
            found.push(matcher);
        }
    }
    found
}

/// Which of the matchers take a value; `None` = the header is absent.
pub(super) fn classify(matchers: &[&HeaderMatcher], name: &str, value: Option<&str>) -> Vec<bool> {
    let mut lines = Headers::default();
    if let Some(value) = value {
        lines.append(name, value);
    }
    matchers.iter().map(|m| header_matches(m, &lines)).collect()
}

/// The matchers of the `Host` header.
pub(super) fn authority_matchers(predicates: &Predicates) -> Vec<HeaderMatcher> {
    let all = tests(&predicates.rules);
    headers_named(&all, ":authority").into_iter().cloned().collect()
}

/// One text per set of header conditions.
pub(super) fn header_texts(
    matchers: &[&HeaderMatcher],
    gaps: &mut Vec<String>,
    known: &mut Automata,
) -> Vec<String> {
    let mut strings: Vec<&StringMatch> = Vec::new();
    let mut numbers = Vec::new();
    for matcher in matchers {
        match &matcher.condition {
            HeaderCondition::Value(text) => strings.push(text),
            HeaderCondition::Range(from, to) => {
                numbers.extend([from.to_string(), to.to_string(), (to - 1).to_string()]);
            }
            HeaderCondition::Present(_) => {}
        }
    }
    let patterns: Vec<Pattern> = strings.iter().map(|m| of_string(m)).collect();
    let made = known.telling_apart(&patterns, &[""], Alphabet::Value);
    if !made.complete {
        let name = matchers.first().map_or("", |m| m.name.as_ref());
        gaps.push(format!("values of header `{name}` are not all told apart"));
    }
    readable(&strings, made.texts).into_iter().chain(numbers).collect()
}

/// Everything that the relevant rules look at besides path and method.
fn parts(
    rules: &[&Rule],
    predicates: &Predicates,
    method: &str,
    outside: bool,
    (gaps, known): (&mut Vec<String>, &mut Automata),
) -> Vec<Part> {
    let tests = tests(rules.iter().copied());
    let mut parts = Vec::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for test in &tests {
        let Test::Header(matcher) = test else { continue };
        match matcher.name.as_ref() {
            // Method and host are chosen elsewhere; the scheme is the place's.
            ":method" | ":authority" | ":scheme" => {}
            name if name.starts_with(':') || name == "host" => {
                gaps.push(format!("conditions on the header `{name}` are not told apart"));
            }
            name => {
                names.insert(name);
            }
        }
    }
    for name in &names {
        let matchers = headers_named(&tests, name);
        let mut seen = BTreeSet::new();
        let texts = header_texts(&matchers, gaps, known).into_iter().map(Some);
        let values: Vec<Option<String>> = std::iter::once(None)
            .chain(texts)
            .filter(|v| seen.insert(classify(&matchers, name, v.as_deref())))
            .collect();
        parts.push(Part::Header((*name).to_owned(), values));
    }
    parts.extend(queries(&tests, gaps, known));
    for hashed in rules.iter().flat_map(|r| &r.hashed) {
        let with = |value: &str| vec![None, Some(value.to_owned())];
        let part = match hashed {
            Hashed::Header(name, value) => Part::Header(name.clone(), with(value)),
            Hashed::Query(name) => Part::Query(name.clone(), with("x")),
        };
        match parts.iter().find(|p| p.name() == part.name()) {
            None => parts.push(part),
            // Values that conditions tell apart are there, and one is as good as another.
            Some(_) if part.name() != Some((true, "cookie")) => {}
            Some(known) if known.same(&part) => {}
            Some(_) => {
                gaps.push("cookies that choose a host are not told apart from those in conditions".to_owned())
            }
        }
    }
    parts.extend(origins(rules, method, known));
    let claims: Vec<&MetadataMatcher> = tests
        .iter()
        .filter_map(|t| match t {
            Test::Claim(matcher) => Some(matcher),
            _ => None,
        })
        .collect();
    if !predicates.providers.is_empty() {
        let (all, more) = tokens(&predicates.providers, &claims, known);
        gaps.extend(more);
        parts.push(Part::Token(std::iter::once(None).chain(all.into_iter().map(Some)).collect()));
    }
    parts.extend(addresses(&tests, outside));
    parts
}

fn queries(tests: &[&Test], gaps: &mut Vec<String>, known: &mut Automata) -> Vec<Part> {
    let mut by_name: BTreeMap<&str, Vec<&mesh_core::ir::QueryMatcher>> = BTreeMap::new();
    for test in tests {
        if let Test::Query(matcher) = test {
            by_name.entry(&matcher.name).or_default().push(matcher);
        }
    }
    let part = |(name, matchers): (&str, Vec<&mesh_core::ir::QueryMatcher>)| {
        let strings: Vec<&StringMatch> = matchers.iter().filter_map(|m| m.value.as_ref()).collect();
        let patterns: Vec<Pattern> = strings.iter().map(|m| of_string(m)).collect();
        let made = known.telling_apart(&patterns, &[""], Alphabet::Value);
        if !made.complete {
            gaps.push(format!("values of parameter `{name}` are not all told apart"));
        }
        // What would end the parameter, or be read as something else, is no value.
        let plain = |text: &String| !text.contains(['&', '#', '?', ' ', '%', '+']);
        let mut seen = BTreeSet::new();
        let class = |value: &Option<String>| -> Vec<bool> {
            let path = value.as_ref().map_or("/".to_owned(), |v| format!("/?{name}={v}"));
            matchers.iter().map(|m| query_matches(m, &path)).collect()
        };
        let texts = readable(&strings, made.texts).into_iter().filter(plain).map(Some);
        let values = std::iter::once(None).chain(texts).filter(|v| seen.insert(class(v))).collect();
        Part::Query(name.to_owned(), values)
    };
    by_name.into_iter().map(part).collect()
}

/// `Origin` where CORS is configured, and what makes a preflight.
fn origins(rules: &[&Rule], method: &str, known: &mut Automata) -> Vec<Part> {
    let matchers: Vec<&StringMatch> = rules.iter().flat_map(|r| &r.cors).collect();
    if matchers.is_empty() {
        return Vec::new();
    }
    let made = known.telling_apart(
        &matchers.iter().map(|m| of_string(m)).collect::<Vec<_>>(),
        &[""],
        Alphabet::Value,
    );
    let values = std::iter::once(None).chain(readable(&matchers, made.texts).into_iter().map(Some)).collect();
    let mut parts = vec![Part::Header("origin".to_owned(), values)];
    if method == "OPTIONS" {
        let asked = vec![None, Some("GET".to_owned())];
        parts.push(Part::Header("access-control-request-method".to_owned(), asked));
    }
    parts
}

/// Addresses of a client outside; for clients inside, what `X-Forwarded-For` claims.
fn addresses(tests: &[&Test], outside: bool) -> Option<Part> {
    let mut remote: Vec<IpNet> = Vec::new();
    for test in tests {
        match test {
            Test::Remote(block) => remote.push(*block),
            // A caller inside has the address that it has; `clients` makes those that rules name.
            Test::Direct(block) if outside => remote.push(*block),
            _ => {}
        }
    }
    if remote.is_empty() {
        return None;
    }
    let class = |ip: &IpAddr| remote.iter().map(|b| inside(b, *ip)).collect::<Vec<bool>>();
    let mut seen = BTreeSet::from([class(&OUTSIDE)]);
    let candidates = remote.iter().filter_map(|b| b.hosts().next());
    let chosen: Vec<IpAddr> = candidates.filter(|ip| seen.insert(class(ip))).collect();
    if outside {
        return Some(Part::Source(std::iter::once(None).chain(chosen.into_iter().map(Some)).collect()));
    }
    let texts = std::iter::once(OUTSIDE).chain(chosen).map(|ip| Some(ip.to_string()));
    Some(Part::Header("x-forwarded-for".to_owned(), std::iter::once(None).chain(texts).collect()))
}
