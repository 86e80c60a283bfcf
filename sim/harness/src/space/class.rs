//! One class: its name, its request, and the command that replays it.

use std::net::IpAddr;

use super::clients::{ClientClass, Plane};
use super::combine::Asked;
use super::targets::{Speech, Target};
use super::tokens::{Carrier, shorthand};
use crate::format::client::{Client, GatewayClient};
use crate::format::request::{HeaderWords, Request, RequestWords};
use crate::tokens::mint;

/// Requests that no rule tells apart, with one that stands for them.
#[derive(Debug, Clone)]
pub struct Class {
    /// Stable, sortable, for people: `GET http://reviews.default.svc.cluster.local:9080/x end-user=jason from
    /// default/productpage-v1`.
    pub key: String,
    /// Who sends.
    pub client: ClientClass,
    /// What is sent.
    pub request: Request,
}

pub(super) fn class(client: &ClientClass, target: &Target, host: Option<&str>, asked: &Asked) -> Class {
    let client = with_source(client, asked.source);
    if target.speech == Speech::Tcp {
        let url = target.origin();
        let key = format!("{url} from {}", shown(&client));
        let words = RequestWords { url: Some(url), ..RequestWords::default() };
        return Class { key, client, request: Request { words } };
    }
    let mut query = asked.query.clone();
    let mut headers = asked.headers.clone();
    let mut jwt = None;
    let mut words_of_token = String::new();
    if let Some(token) = &asked.token {
        words_of_token = format!(" jwt={}", shorthand(&token.spec));
        match &token.carrier {
            Carrier::Authorization => jwt = Some(token.spec.clone()),
            Carrier::Header(name, prefix) => {
                headers.push((name.clone(), format!("{prefix}{}", mint(&token.spec))));
            }
            Carrier::Query(name) => query.push((name.clone(), mint(&token.spec))),
            Carrier::Cookie(name) => {
                headers.push(("cookie".to_owned(), format!("{name}={}", mint(&token.spec))))
            }
        }
    }
    let pairs: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let pairs = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    let url = format!("{}{}{pairs}", target.origin(), asked.path);
    let mut key = format!("{} {url}", asked.method);
    if let Some(host) = host {
        key.push_str(&format!(" host={host}"));
    }
    for (name, value) in &asked.headers {
        key.push_str(&format!(" {name}={value}"));
    }
    key.push_str(&words_of_token);
    key.push_str(&format!(" from {}", shown(&client)));
    let words = RequestWords {
        method: Some(asked.method.clone()),
        url: Some(url),
        host_header: host.map(str::to_owned),
        headers: HeaderWords(headers),
        jwt,
        ..RequestWords::default()
    };
    Class { key, client, request: Request { words } }
}

fn with_source(client: &ClientClass, source: Option<IpAddr>) -> ClientClass {
    let mut client = client.clone();
    if let (Client::Gateway(GatewayClient { source_ip, .. }), Some(source)) = (&mut client.client, source) {
        *source_ip = Some(source);
    }
    client
}

fn shown(client: &ClientClass) -> String {
    let source = match &client.client {
        Client::Gateway(GatewayClient { source_ip: Some(ip), .. }) => format!(" at {ip}"),
        _ => String::new(),
    };
    let plane = match (&client.client, client.plane) {
        (Client::Workload(_), Plane::None) => " (no sidecar)",
        _ => "",
    };
    format!("{}{source}{plane}", client.reference())
}

/// The `explain` command that shows what happens to a request; `manifests` are its `-f` options.
#[must_use]
pub fn command(client: &Client, request: &Request, manifests: &str) -> String {
    let mut parts = vec![format!("mesh-sim explain {manifests}")];
    let reference = match client {
        Client::Workload(reference) => reference.to_string(),
        Client::Gateway(gateway) => format!("gateway:{}", gateway.gateway),
        Client::Pod(pod) => pod.reference(),
    };
    parts.push(format!("--from {}", quoted(&reference)));
    if let Client::Gateway(GatewayClient { source_ip: Some(ip), .. }) = client {
        parts.push(format!("--source-ip {ip}"));
    }
    let words = &request.words;
    if let Some(method) = words.method.as_deref().filter(|m| *m != "GET") {
        parts.push(format!("-X {}", quoted(method)));
    }
    let url = request.url().map(|u| format!("{}://{}{}", u.scheme, u.authority, u.target));
    parts.push(quoted(&url.unwrap_or_default()));
    let host = words.host_header.as_ref().map(|h| ("Host".to_owned(), h.clone()));
    for (name, value) in host.iter().chain(&words.headers.0) {
        parts.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
    }
    if let Some(jwt) = &words.jwt {
        parts.push(format!("--jwt {}", quoted(&shorthand(jwt))));
    }
    parts.join(" ")
}

/// For a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+#".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
