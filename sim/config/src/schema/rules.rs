//! The validation rules (CEL) of Istio's CRDs, each as a function.
//!
//! A rule that cannot be evaluated refuses the object, as in a cluster. `has(self.x)` is "given and not null".

use super::go_time::parse_duration;
use super::go_url::request_uri_scheme;
use super::openapi::Findings;
use super::path::Path;
use super::{Field, Schema, Shape};
use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::yaml::{Node, Value};

macro_rules! rules {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $message:literal, $check:expr;)*) => {
        /// A validation rule by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Rule {
            $($(#[$doc])* $variant,)*
        }

        impl Rule {
            /// The rule of that name in the schema files.
            pub(super) fn named(name: &str) -> Option<Rule> {
                match name {
                    $($name => Some(Rule::$variant),)*
                    _ => None,
                }
            }

            /// What the rule demands.
            pub fn message(self) -> &'static str {
                match self {
                    $(Rule::$variant => $message,)*
                }
            }

            fn holds(self, node: &Node) -> bool {
                let check: fn(&Node) -> bool = match self {
                    $(Rule::$variant => $check,)*
                };
                check(node)
            }
        }
    };
}

rules! {
    /// `(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1`
    OneTarget = "one-target", "only one of `selector`, `targetRef` and `targetRefs` can be set",
        |n| count(n, &["selector", "targetRef", "targetRefs"]) <= 1;
    /// `(has(self.workloadSelector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1`
    OneWorkloadTarget = "one-workload-target", "only one of `workloadSelector` and `targetRefs` can be set",
        |n| count(n, &["workloadSelector", "targetRefs"]) <= 1;
    /// `has(self.wasm) != has(self.lua)`
    WasmXorLua = "wasm-xor-lua", "exactly one of `wasm` and `lua` must be set",
        |n| count(n, &["wasm", "lua"]) == 1;
    /// `self.all(key, !key.contains("*"))`
    NoStarKeys = "no-star-keys", "wildcard not allowed in label key match",
        |n| keys(n).all(|k| !k.contains('*'));
    /// `self.all(key, key.size() != 0)`
    NoEmptyKeys = "no-empty-keys", "key must not be empty", |n| keys(n).all(|k| !k.is_empty());
    /// `!self.contains("*")`
    NoStar = "no-star", "wildcard not allowed in label value match", |n| !text(n).contains('*');
    /// `!self.contains("*")`
    NoStarSelector = "no-star-selector", "wildcard is not supported in selector", |n| !text(n).contains('*');
    /// `self.size() == 0`
    SameNamespace = "same-namespace", "cross namespace referencing is not supported", |n| text(n).is_empty();
    /// `(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)`
    HostEnv = "host-env-has-no-value", "`value` may only be set when `valueFrom` is INLINE",
        |n| field(n, "valueFrom") != Some("HOST") || !has(n, "value");
    /// `duration(self) >= duration('1ms')`
    Duration = "duration", "must be a valid duration of at least 1ms, such as `1.5s`",
        |n| parse_duration(text(n)).is_some_and(|d| d >= 1_000_000);
    /// `has(self.context) && self.context == "WAYPOINT" ? has(self.waypoint) : !has(self.waypoint)`
    WaypointContext = "waypoint-context", "`waypoint` goes with context WAYPOINT only",
        |n| (field(n, "context") == Some("WAYPOINT")) == has(n, "waypoint");
    /// `0 < self && self <= 65535`
    Port = "port", "port must be between 1 and 65535", |n| number(n).is_some_and(|p| (1..=65535).contains(&p));
    /// `(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1`
    NamesOrCertificates = "credential-names-or-certificates",
        "only one of `credentialNames` and `tlsCertificates` can be set",
        |n| count(n, &["tlsCertificates", "credentialNames"]) <= 1;
    /// `(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1`
    NameOrNames = "credential-name-or-names", "only one of `credentialName` and `credentialNames` can be set",
        |n| count(n, &["credentialName", "credentialNames"]) <= 1;
    /// `(has(self.credentialNames) ? 1 : 0) + (has(self.tlsCertificates) ? 1 : 0) <= 1`: the CRD says it
    /// twice, once meaning `credentialName`.
    NameOrCertificates = "credential-name-or-certificates",
        "only one of `credentialNames` and `tlsCertificates` can be set",
        |n| count(n, &["credentialNames", "tlsCertificates"]) <= 1;
    /// `(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1`
    SelectorOrEndpoints = "selector-or-endpoints", "only one of `workloadSelector` and `endpoints` can be set",
        |n| count(n, &["workloadSelector", "endpoints"]) <= 1;
    /// `!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) &&
    /// !((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))`
    CidrResolution = "cidr-resolution", "CIDR addresses are allowed only for resolutions NONE and STATIC",
        |n| matches!(field(n, "resolution").unwrap_or("NONE"), "STATIC" | "NONE")
            || !items(n, "addresses").iter().any(|a| text(a).contains('/'));
    /// `((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true`
    NoneWithoutEndpoints = "none-without-endpoints", "resolution NONE cannot have endpoints",
        |n| field(n, "resolution").unwrap_or("NONE") != "NONE" || !has(n, "endpoints");
    /// `… == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true`
    RoundRobinEndpoints = "round-robin-endpoints", "resolution DNS_ROUND_ROBIN cannot have multiple endpoints",
        |n| field(n, "resolution") != Some("DNS_ROUND_ROBIN") || items(n, "endpoints").len() <= 1;
    /// `has(self.address) || has(self.network)`
    AddressOrNetwork = "address-or-network", "`address` is required", |n| has(n, "address") || has(n, "network");
    /// `(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true`
    UnixWithoutPorts = "unix-without-ports", "a unix domain socket may not have `ports`",
        |n| !field(n, "address").unwrap_or("").starts_with("unix://") || !has(n, "ports");
    /// `self.startsWith("unix://") ? (self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true`
    UnixAbsolute = "unix-absolute", "a unix domain socket must be an absolute path or an abstract socket",
        |n| text(n).strip_prefix("unix://").is_none_or(|path| path.starts_with(['/', '@']));
    /// `self.startsWith("unix://") ? !self.endsWith("/") : true`
    UnixNoDir = "unix-no-dir", "a unix domain socket may not be a directory",
        |n| !text(n).starts_with("unix://") || !text(n).ends_with('/');
    /// `self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))`
    PortNames = "port-names", "port names are labels of fewer than 63 characters",
        |n| keys(n).all(|k| k.len() < 63 && is_label(k));
    /// `self != "*"`
    NotStar = "not-star", "hostname cannot be `*`", |n| text(n) != "*";
    /// `self.all(l1, self.exists_one(l2, l1.number == l2.number))`
    UniqueNumbers = "unique-numbers", "port number cannot be duplicated", |n| unique_numbers(n.sequence());
    /// `self in ["", "HTTP", "HTTPS"]`
    ProbeScheme = "probe-scheme", "scheme must be HTTP or HTTPS", |n| matches!(text(n), "" | "HTTP" | "HTTPS");
    /// `(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) &&
    /// !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true`
    AccountsAlone = "accounts-alone", "`serviceAccounts` cannot be set with `namespaces` or `principals`",
        |n| count(n, &["serviceAccounts", "notServiceAccounts"]) == 0
            || count(n, &["principals", "notPrincipals", "namespaces", "notNamespaces"]) == 0;
    /// `has(self.portLevelMtls) ? (selector.matchLabels or {}).size() > 0 : true`
    PortMtlsSelector = "port-mtls-selector", "`portLevelMtls` requires a `selector` with labels",
        |n| !has(n, "portLevelMtls")
            || n.path("selector/matchLabels").is_some_and(|labels| keys(labels).next().is_some());
    /// `self.all(key, 0 < int(key) && int(key) <= 65535)`
    PortKeys = "port-keys", "keys are port numbers between 1 and 65535",
        |n| keys(n).all(|k| k.parse::<i64>().is_ok_and(|p| (1..=65535).contains(&p)));
    /// `(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1`
    OneJwks = "one-jwks", "only one of `jwks` and `jwksUri` can be set",
        |n| count(n, &["jwksUri", "jwks_uri", "jwks"]) <= 1;
    /// `url(self).getScheme() in ["http", "https"]`
    HttpUrl = "http-url", "must be a URL that begins with http:// or https://",
        |n| request_uri_scheme(text(n)).is_some_and(|s| s == "http" || s == "https");
    /// `isURL(self) ? (url(self).getScheme() in ["", "http", "https", "oci", "file"]) :
    /// (isURL("http://" + self) && …)`
    ImageUrl = "image-url", "must be a URL with scheme http, https, file or oci",
        |n| match request_uri_scheme(text(n)) {
            Some(scheme) => matches!(scheme.as_str(), "" | "http" | "https" | "oci" | "file"),
            None => request_uri_scheme(&format!("http://{}", text(n))).is_some(),
        };
    /// `((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true`
    UpsertValue = "upsert-value", "`value` must be set when `operation` is UPSERT",
        |n| field(n, "operation") != Some("UPSERT") || field(n, "value").is_some_and(|v| !v.is_empty());
    /// `((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true`
    RemoveValue = "remove-value", "`value` must not be set when `operation` is REMOVE",
        |n| field(n, "operation") != Some("REMOVE") || !has(n, "value");
}

/// Evaluates every rule of the given fields.
pub(super) fn check_fields(node: &Node, fields: &'static [Field], path: &Path<'_>, findings: &mut Findings) {
    for field in fields {
        if let Some(value) = node.get(field.name).filter(|n| !n.is_null()) {
            check(value, &field.schema, &path.field(field.name), findings);
        }
    }
}

fn check(node: &Node, schema: &'static Schema, path: &Path<'_>, findings: &mut Findings) {
    let schema = schema.resolve();
    for rule in schema.rules.iter().filter(|rule| !rule.holds(node)) {
        let message = format!("{path}: {}", rule.message());
        let d = Diagnostic::error(codes::RULE_VIOLATED, Stage::Cel, node.site(), message);
        findings.diagnostics.push(d);
    }
    match (&node.value, &schema.shape) {
        (Value::Sequence(items), Shape::List(inner)) => {
            for (i, item) in items.iter().enumerate() {
                check(item, inner, &path.item(i), findings);
            }
        }
        (Value::Mapping(entries), Shape::Map(inner)) => {
            for (key, value) in entries.iter().filter(|(_, n)| !n.is_null()) {
                check(value, inner, &path.field(&key.text), findings);
            }
        }
        (Value::Mapping(_), Shape::Object(fields)) => check_fields(node, fields, path, findings),
        _ => {}
    }
}

fn has(node: &Node, name: &str) -> bool {
    node.get(name).is_some_and(|n| !n.is_null())
}

fn count(node: &Node, names: &[&str]) -> usize {
    names.iter().filter(|name| has(node, name)).count()
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    node.get(name).and_then(Node::as_str)
}

fn text(node: &Node) -> &str {
    node.as_str().unwrap_or("")
}

fn number(node: &Node) -> Option<i64> {
    node.as_number().and_then(|n| n.as_i64())
}

fn items<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    node.get(name).map(Node::sequence).unwrap_or_default()
}

/// The keys of a map; null values are gone before rules run.
fn keys(node: &Node) -> impl Iterator<Item = &str> {
    node.mapping().iter().filter(|(_, n)| !n.is_null()).map(|(k, _)| k.text.as_str())
}

fn unique_numbers(ports: &[Node]) -> bool {
    let number = |n: &Node| n.get("number").and_then(number);
    ports.iter().enumerate().all(|(i, p)| ports.iter().take(i).all(|q| number(q) != number(p)))
}

/// `^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$`
fn is_label(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    edge(text.as_bytes().first())
        && edge(text.as_bytes().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
