//! One condition of a rule (a field of `source` or `operation`, or a `when` entry) as RBAC permissions or principals
//! (semantics: istio-security 4.5-4.7, 5.3-5.5).

use std::net::IpAddr;

use ipnet::IpNet;
use mesh_core::ir::{MetadataMatcher, Permission, Principal, ValueMatch};

use super::{jwt, text};

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute<'a> {
    SourceIp,
    RemoteIp,
    SourceNamespace,
    SourceTrustDomain,
    SourceServiceAccount,
    SourcePrincipal,
    RequestPrincipal,
    RequestAudiences,
    RequestPresenter,
    /// What follows `request.headers`.
    RequestHeader(&'a str),
    /// What follows `request.auth.claims`.
    RequestClaim(&'a str),
    DestinationIp,
    DestinationPort,
    ConnectionSni,
    /// What follows `experimental.`.
    EnvoyFilter(&'a str),
    Host,
    Method,
    Path,
}

impl<'a> Attribute<'a> {
    /// The attribute of a `when` key; `None` is a key Istio does not know.
    pub(super) fn of_key(key: &'a str) -> Option<Attribute<'a>> {
        Some(match key {
            "source.ip" => Attribute::SourceIp,
            "remote.ip" => Attribute::RemoteIp,
            "source.namespace" => Attribute::SourceNamespace,
            "source.trustDomain" => Attribute::SourceTrustDomain,
            "source.serviceAccount" => Attribute::SourceServiceAccount,
            "source.principal" => Attribute::SourcePrincipal,
            "request.auth.principal" => Attribute::RequestPrincipal,
            "request.auth.audiences" => Attribute::RequestAudiences,
            "request.auth.presenter" => Attribute::RequestPresenter,
            "destination.ip" => Attribute::DestinationIp,
            "destination.port" => Attribute::DestinationPort,
            "connection.sni" => Attribute::ConnectionSni,
            _ => {
                if let Some(rest) = key.strip_prefix("request.headers") {
                    Attribute::RequestHeader(rest)
                } else if let Some(rest) = key.strip_prefix("request.auth.claims") {
                    Attribute::RequestClaim(rest)
                } else if key.starts_with("experimental.envoy.filters.") {
                    Attribute::EnvoyFilter(key.strip_prefix("experimental.")?)
                } else {
                    return None;
                }
            }
        })
    }

    /// Whether the condition is about what is accessed, not about who accesses.
    pub(super) fn is_permission(self) -> bool {
        matches!(
            self,
            Attribute::DestinationIp
                | Attribute::DestinationPort
                | Attribute::ConnectionSni
                | Attribute::EnvoyFilter(_)
                | Attribute::Host
                | Attribute::Method
                | Attribute::Path
        )
    }
}

/// Why a value gives no matcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// The attribute exists on HTTP connections only.
    HttpOnly,
    /// Istio cannot read it.
    Malformed(String),
    /// Istio reads it, the simulator cannot match it.
    Unmatchable(String),
}

/// One condition.
#[derive(Debug, Clone)]
pub(super) struct Condition<'a> {
    pub(super) attribute: Attribute<'a>,
    pub(super) values: Vec<String>,
    pub(super) not_values: Vec<String>,
}

/// How a rule is generated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// For a TCP chain: HTTP attributes do not exist.
    pub(super) tcp: bool,
    /// ALLOW: a value that gives no matcher drops the whole rule. The other actions drop the value only.
    pub(super) allow: bool,
    /// Namespace of the policy.
    pub(super) namespace: &'a str,
}

impl Target<'_> {
    /// ALLOW fails closed by dropping the rule; the others fail closed by dropping the condition (5.5).
    fn tolerate<T>(self, result: Result<T, Problem>) -> Result<Option<T>, Problem> {
        match result {
            Ok(matcher) => Ok(Some(matcher)),
            Err(problem @ Problem::Unmatchable(_)) => Err(problem),
            Err(problem) if self.allow => Err(problem),
            Err(_) => Ok(None),
        }
    }

    fn http_only(self) -> Result<(), Problem> {
        if self.tcp { Err(Problem::HttpOnly) } else { Ok(()) }
    }

    /// The permissions of a condition, to be ANDed.
    pub(super) fn permissions(self, condition: &Condition<'_>) -> Result<Vec<Permission>, Problem> {
        let any_of = |values: &[String]| self.permission_of(condition.attribute, values);
        let mut out = Vec::new();
        out.extend(any_of(&condition.values)?);
        out.extend(any_of(&condition.not_values)?.map(|p| Permission::Not(Box::new(p))));
        Ok(out)
    }

    /// The principals of a condition, to be ANDed.
    pub(super) fn principals(self, condition: &Condition<'_>) -> Result<Vec<Principal>, Problem> {
        let any_of = |values: &[String]| self.principal_of(condition.attribute, values);
        let mut out = Vec::new();
        out.extend(any_of(&condition.values)?);
        out.extend(any_of(&condition.not_values)?.map(|p| Principal::Not(Box::new(p))));
        Ok(out)
    }

    fn permission_of(
        self,
        attribute: Attribute<'_>,
        values: &[String],
    ) -> Result<Option<Permission>, Problem> {
        if values.is_empty() {
            return Ok(None);
        }
        if let Attribute::EnvoyFilter(key) = attribute {
            return self.tolerate(filter_metadata(key, values));
        }
        let mut any = Vec::new();
        for value in values {
            any.extend(self.tolerate(self.permission(attribute, value))?);
        }
        Ok((!any.is_empty()).then_some(Permission::Or(any)))
    }

    fn permission(self, attribute: Attribute<'_>, value: &str) -> Result<Permission, Problem> {
        Ok(match attribute {
            Attribute::DestinationIp => Permission::DestinationIp(network(value)?),
            Attribute::DestinationPort => Permission::DestinationPort(port(value)?),
            Attribute::ConnectionSni => Permission::RequestedServerName(text::text(value)?),
            Attribute::Host => {
                self.http_only()?;
                Permission::Header(text::header(":authority", value, true))
            }
            Attribute::Method => {
                self.http_only()?;
                Permission::Header(text::header(":method", value, false))
            }
            Attribute::Path => {
                self.http_only()?;
                path(value)?
            }
            _ => return Err(Problem::Malformed("not an attribute of the operation".into())),
        })
    }

    fn principal_of(self, attribute: Attribute<'_>, values: &[String]) -> Result<Option<Principal>, Problem> {
        if values.is_empty() {
            return Ok(None);
        }
        if let Some(aggregated) = self.token_condition(attribute, values) {
            return self.tolerate(aggregated);
        }
        let mut any = Vec::new();
        for value in values {
            any.extend(self.tolerate(self.principal(attribute, value))?);
        }
        Ok((!any.is_empty()).then_some(Principal::Or(any)))
    }

    fn principal(self, attribute: Attribute<'_>, value: &str) -> Result<Principal, Problem> {
        Ok(match attribute {
            Attribute::SourceIp => Principal::DirectRemoteIp(network(value)?),
            Attribute::RemoteIp => Principal::RemoteIp(network(value)?),
            Attribute::SourceNamespace => Principal::Authenticated(text::namespace(value)?),
            Attribute::SourceTrustDomain => Principal::Authenticated(text::trust_domain(value)?),
            Attribute::SourceServiceAccount => {
                Principal::Authenticated(text::service_account(self.namespace, value)?)
            }
            Attribute::SourcePrincipal => Principal::Authenticated(text::principal(value)?),
            Attribute::RequestHeader(brackets) => {
                self.http_only()?;
                Principal::Header(text::header(jwt::bracketed(brackets)?, value, false))
            }
            _ => return Err(Problem::Malformed("not an attribute of the source".into())),
        })
    }

    /// Token conditions take all values at once; `None` for other attributes.
    fn token_condition(
        self,
        attribute: Attribute<'_>,
        values: &[String],
    ) -> Option<Result<Principal, Problem>> {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let build = match attribute {
            Attribute::RequestPrincipal => request_principals(&values),
            Attribute::RequestAudiences => jwt::claim(&["aud"], &values),
            Attribute::RequestPresenter => jwt::claim(&["azp"], &values),
            Attribute::RequestClaim(brackets) => {
                jwt::claim_path(brackets).and_then(|path| jwt::claim(&path, &values))
            }
            _ => return None,
        };
        Some(self.http_only().and(build))
    }
}

fn request_principals(values: &[&str]) -> Result<Principal, Problem> {
    let mut any: Vec<Principal> =
        values.iter().map(|value| jwt::request_principal(value)).collect::<Result<_, _>>()?;
    Ok(match any.pop() {
        Some(only) if any.is_empty() => only,
        last => {
            any.extend(last);
            Principal::Or(any)
        }
    })
}

fn path(value: &str) -> Result<Permission, Problem> {
    if value.contains("{*}") || value.contains("{**}") {
        return Ok(Permission::UriTemplate(value.replace("{*}", "*").replace("{**}", "**").into()));
    }
    Ok(Permission::UrlPath(text::text(value)?))
}

/// `envoy.filters.F[key]` against dynamic metadata.
fn filter_metadata(key: &str, values: &[String]) -> Result<Permission, Problem> {
    let Some((filter, name)) = key.strip_suffix(']').unwrap_or(key).split_once('[') else {
        return Err(Problem::Malformed(format!("`{key}` is not of the form `filter[key]`")));
    };
    let mut any = Vec::new();
    for value in values {
        let listed = value.starts_with('[') && value.ends_with(']');
        let inner = if listed { value.trim_matches(['[', ']']) } else { value };
        let matcher = ValueMatch::String(text::text(inner)?);
        any.push(if listed { ValueMatch::ListOneOf(Box::new(matcher)) } else { matcher });
    }
    Ok(Permission::Metadata(MetadataMatcher {
        filter: filter.into(),
        path: vec![name.into()],
        value: jwt::any_of(any),
        invert: false,
    }))
}

/// An address or a network; host bits stay as written and do not count in comparisons.
fn network(value: &str) -> Result<IpNet, Problem> {
    let bad = || Problem::Malformed(format!("`{value}` is not an IP address or CIDR"));
    if value.contains('/') {
        return value.parse().map_err(|_| bad());
    }
    let ip: IpAddr = value.parse().map_err(|_| bad())?;
    Ok(IpNet::from(ip))
}

fn port(value: &str) -> Result<u16, Problem> {
    // Go's ParseUint takes digits only, Rust's would take a leading plus.
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    match value.parse::<u16>() {
        Ok(port) if digits => Ok(port),
        _ => Err(Problem::Malformed(format!("`{value}` is not a port"))),
    }
}
