//! Tests of Envoy's router_check_tool (`tests:`): a request and what the route table makes of it.
//!
//! The tool asks one RouteConfiguration and no more; the case asks the whole mesh, so that a request which the route
//! table would send on is also seen to arrive.

use std::collections::BTreeMap;

use mesh_config::decode::{DecodeCx, from_node};
use mesh_config::diagnostic::Diagnostic;
use mesh_config::source::Span;
use mesh_config::yaml::Node;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Asked, Case, left_out, list};

/// One of `tests:`; field names of the proto, which its JSON form also allows in camel case.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Test {
    #[serde(rename = "@origin", default)]
    origin: Span,
    #[serde(alias = "testName")]
    test_name: String,
    input: Input,
    validate: Validate,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Input {
    authority: String,
    path: String,
    method: Option<String>,
    #[serde(alias = "randomValue")]
    random_value: Option<Number>,
    ssl: bool,
    internal: bool,
    runtime: String,
    #[serde(alias = "additionalRequestHeaders")]
    additional_request_headers: Vec<Header>,
    #[serde(alias = "additionalResponseHeaders")]
    additional_response_headers: Vec<Header>,
}

/// A 64-bit number, which proto's JSON also writes as text.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
struct Number(u64);

impl TryFrom<Value> for Number {
    type Error = String;

    fn try_from(value: Value) -> Result<Number, String> {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.parse().map(Number).map_err(|_| format!("`{text}` is no number"))
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Header {
    key: String,
    value: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Validate {
    #[serde(alias = "clusterName")]
    cluster_name: Option<String>,
    #[serde(alias = "virtualClusterName")]
    virtual_cluster_name: Option<String>,
    #[serde(alias = "virtualHostName")]
    virtual_host_name: Option<String>,
    #[serde(alias = "hostRewrite")]
    host_rewrite: Option<String>,
    #[serde(alias = "pathRewrite")]
    path_rewrite: Option<String>,
    #[serde(alias = "pathRedirect")]
    path_redirect: Option<String>,
    #[serde(alias = "codeRedirect")]
    code_redirect: Option<u32>,
    #[serde(alias = "requestHeaderFields")]
    request_header_fields: Vec<Header>,
    #[serde(alias = "responseHeaderFields")]
    response_header_fields: Vec<Header>,
    #[serde(alias = "requestHeaderMatches")]
    request_header_matches: Vec<Matcher>,
    #[serde(alias = "responseHeaderMatches")]
    response_header_matches: Vec<Matcher>,
}

/// `envoy.config.route.v3.HeaderMatcher`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Matcher {
    name: String,
    #[serde(alias = "exactMatch")]
    exact_match: Option<String>,
    #[serde(alias = "prefixMatch")]
    prefix_match: Option<String>,
    #[serde(alias = "suffixMatch")]
    suffix_match: Option<String>,
    #[serde(alias = "containsMatch")]
    contains_match: Option<String>,
    #[serde(alias = "presentMatch")]
    present_match: Option<bool>,
    #[serde(alias = "safeRegexMatch")]
    safe_regex_match: Option<Regex>,
    #[serde(alias = "stringMatch")]
    string_match: Option<StringMatcher>,
    #[serde(alias = "rangeMatch")]
    range_match: Option<Value>,
    #[serde(alias = "invertMatch")]
    invert_match: bool,
    #[serde(alias = "treatMissingHeaderAsEmpty")]
    treat_missing_header_as_empty: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct StringMatcher {
    exact: Option<String>,
    prefix: Option<String>,
    suffix: Option<String>,
    contains: Option<String>,
    #[serde(alias = "safeRegex")]
    safe_regex: Option<Regex>,
    #[serde(alias = "ignoreCase")]
    ignore_case: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Regex {
    regex: String,
    #[serde(rename = "google_re2", alias = "googleRe2")]
    _google_re2: Option<serde::de::IgnoredAny>,
}

/// The tests of one document.
pub(super) fn cases(document: &Node, cases: &mut Vec<Case>, out: &mut Vec<Diagnostic>) {
    for (index, node) in list(document, "tests", out).iter().enumerate() {
        let mut cx = DecodeCx::new(None, format!("tests[{index}]"));
        let test: Option<Test> = from_node(node, &mut cx);
        let wrong = cx.has_errors();
        out.append(&mut cx.diagnostics);
        let Some(test) = test else { continue };
        let name =
            if test.test_name.is_empty() { format!("test {}", index + 1) } else { test.test_name.clone() };
        match case(&test, name.clone()) {
            Ok(case) if !wrong => cases.push(case),
            Ok(_) => {}
            Err(why) => out.push(left_out(test.origin, format!("`{name}` is left out: {why}"))),
        }
    }
}

fn case(test: &Test, name: String) -> Result<Case, String> {
    let input = &test.input;
    if input.authority.is_empty() || input.path.is_empty() {
        return Err("its input needs `authority` and `path`".to_owned());
    }
    if let Some(text) = [&input.authority, &input.path].into_iter().find(|t| t.contains("${")) {
        return Err(format!("`{text}` would be taken for a placeholder"));
    }
    if input.internal {
        return Err(
            "`internal` is decided by Envoy from the address of the caller, not by a header of it".to_owned()
        );
    }
    if !input.additional_response_headers.is_empty() {
        return Err("`additional_response_headers` are the application's: say them in `behaviors`".to_owned());
    }
    if !input.runtime.is_empty() {
        return Err("`runtime` is read by no route that istiod makes of a VirtualService".to_owned());
    }
    Ok(Case {
        name,
        at: test.origin,
        asked: Asked {
            authorities: vec![input.authority.clone()],
            methods: vec![input.method.clone().unwrap_or_else(|| "GET".to_owned())],
            paths: vec![input.path.clone()],
            secure: input.ssl,
        },
        headers: input.additional_request_headers.iter().map(|h| (h.key.clone(), h.value.clone())).collect(),
        draw: input.random_value.map(|n| n.0),
        expect: expect(&test.validate)?,
    })
}

/// The expectations of a message.
#[derive(Default)]
struct Message {
    fields: Map<String, Value>,
    headers: BTreeMap<String, Value>,
    matches: BTreeMap<String, Value>,
}

impl Message {
    fn into_value(mut self) -> Option<Value> {
        let map = |entries: BTreeMap<String, Value>| Value::Object(entries.into_iter().collect());
        if !self.headers.is_empty() {
            self.fields.insert("headers".to_owned(), map(self.headers));
        }
        if !self.matches.is_empty() {
            self.fields.insert("headerMatches".to_owned(), map(self.matches));
        }
        (!self.fields.is_empty()).then_some(Value::Object(self.fields))
    }

    /// A header whose value is given; pseudo-headers are fields of the request.
    fn header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let field = match name.to_ascii_lowercase().as_str() {
            ":path" => "path",
            ":authority" | "host" => "authority",
            ":method" => "method",
            name if name.starts_with(':') => return Err(format!("header `{name}` cannot be looked at")),
            name => return put(&mut self.headers, name, json!(value)),
        };
        match self.fields.insert(field.to_owned(), json!(value)) {
            Some(other) if other != value => Err(format!("it expects `{field}` to be two things")),
            _ => Ok(()),
        }
    }
}

fn put(headers: &mut BTreeMap<String, Value>, name: &str, value: Value) -> Result<(), String> {
    match headers.insert(name.to_owned(), value.clone()) {
        Some(other) if other != value => Err(format!("it looks at header `{name}` twice")),
        _ => Ok(()),
    }
}

fn expect(validate: &Validate) -> Result<Map<String, Value>, String> {
    let mut all = Map::new();
    let (mut upstream, mut response) = (Message::default(), Message::default());
    // An empty text is the tool's word for: the route does not forward.
    let none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    if let Some(cluster) = &validate.cluster_name {
        all.insert("cluster".to_owned(), json!(none(cluster)));
    }
    if let Some(host) = &validate.virtual_host_name {
        match host.is_empty() {
            // The tool knows virtual hosts of forwarding routes only.
            true => drop(all.insert("cluster".to_owned(), json!("none"))),
            false => drop(all.insert("virtualHost".to_owned(), json!(host))),
        }
    }
    if validate.virtual_cluster_name.as_ref().is_some_and(|name| !name.is_empty()) {
        return Err("istiod makes no virtual clusters, so none can have a name".to_owned());
    }
    for (field, text) in [(":path", &validate.path_rewrite), (":authority", &validate.host_rewrite)] {
        match text.as_deref() {
            None => {}
            Some("") => drop(all.insert("cluster".to_owned(), json!("none"))),
            Some(text) => upstream.header(field, text)?,
        }
    }
    if let Some(location) = &validate.path_redirect {
        response.header("location", location)?;
    }
    match validate.code_redirect {
        None => {}
        Some(0) => {
            return Err("`code_redirect: 0` (no answer of the proxy's own) has no counterpart".to_owned());
        }
        Some(code) => drop(all.insert("status".to_owned(), json!(code))),
    }
    let fields = [
        (&mut upstream, &validate.request_header_fields, &validate.request_header_matches),
        (&mut response, &validate.response_header_fields, &validate.response_header_matches),
    ];
    for (message, fields, matches) in fields {
        for header in fields {
            message.header(&header.key, &header.value)?;
        }
        for matcher in matches {
            matched(matcher, message)?;
        }
    }
    all.extend(upstream.into_value().map(|u| ("upstream".to_owned(), u)));
    all.extend(response.into_value().map(|r| ("response".to_owned(), r)));
    if all.is_empty() {
        let why = match validate.virtual_cluster_name {
            Some(_) => "it only expects no virtual cluster, and istiod makes none",
            None => "it expects nothing, so it cannot fail",
        };
        return Err(why.to_owned());
    }
    Ok(all)
}

fn matched(matcher: &Matcher, message: &mut Message) -> Result<(), String> {
    let name = matcher.name.to_ascii_lowercase();
    if matcher.range_match.is_some() {
        return Err(format!("`range_match` of header `{name}` has no counterpart"));
    }
    if matcher.treat_missing_header_as_empty {
        return Err(format!("`treat_missing_header_as_empty` of header `{name}` has no counterpart"));
    }
    let string = matcher.string_match.clone().unwrap_or_default();
    if string.ignore_case {
        return Err(format!("`ignore_case` of header `{name}` has no counterpart"));
    }
    let regex = |r: &Option<Regex>| r.as_ref().map(|r| r.regex.clone());
    let words = [
        ("exact", matcher.exact_match.clone().or(string.exact)),
        ("prefix", matcher.prefix_match.clone().or(string.prefix)),
        ("suffix", matcher.suffix_match.clone().or(string.suffix)),
        ("contains", matcher.contains_match.clone().or(string.contains)),
        ("regex", regex(&matcher.safe_regex_match).or(regex(&string.safe_regex))),
    ];
    let mut out: Map<String, Value> =
        words.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text?)))).collect();
    if let Some(present) = matcher.present_match {
        out.insert("present".to_owned(), json!(present));
    }
    // Envoy: a matcher without condition looks whether the header is there.
    if out.is_empty() {
        out.insert("present".to_owned(), json!(true));
    }
    let exact = out.get("exact").and_then(Value::as_str).filter(|_| out.len() == 1 && !matcher.invert_match);
    if let Some(exact) = exact.filter(|text| name.starts_with(':') || !text.is_empty()) {
        return message.header(&name, exact);
    }
    if name.starts_with(':') {
        return Err(format!("of header `{name}` only an exact value can be expected"));
    }
    if matcher.invert_match {
        out.insert("not".to_owned(), json!(true));
    }
    put(&mut message.matches, &name, Value::Object(out))
}
