//! What is sent (`request:`): the words of FORMATS section 1 and what they mean.

use std::fmt;

use mesh_core::request::{Headers, Protocol};
use mesh_core::tls::{Certificate, TrustAnchor, Validation};
use mesh_engine::plan::{ClientRequest, ClientTls, Dial, HttpRequest, Payload};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::http_text::typed_request;
use super::shorthand::Strict;
use super::url::Url;
use crate::tokens::{JwtSpec, mint};

/// What a TCP client says that was told nothing else: most protocols begin with the client.
const DEFAULT_LINE: &str = "ping\n";

/// A request as written: `GET http://…`, or a mapping.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The words.
    pub words: RequestWords,
}

/// The mapping form.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestWords {
    /// Method; `GET` by default, `POST` for gRPC.
    pub method: Option<String>,
    /// The whole URL.
    pub url: Option<String>,
    /// Scheme, without `url`.
    pub scheme: Option<String>,
    /// With `url` the Host header, without it the host that is dialled.
    pub host: Option<String>,
    /// Port, without `url`.
    pub port: Option<u16>,
    /// Path with query, without `url`.
    pub path: Option<String>,
    /// The Host header; exact.
    pub host_header: Option<String>,
    /// Headers; a list is several lines. `Host` is the Host header.
    pub headers: HeaderWords,
    /// `http`, `http2`, `grpc`, `tcp`, `tls`, `https`.
    pub protocol: Option<String>,
    /// Server name of the client's own TLS; default the host of the URL.
    pub sni: Option<String>,
    /// ALPN list of the client's own TLS.
    pub alpn: Option<Vec<String>>,
    /// A client certificate is shown.
    pub client_cert: Option<bool>,
    /// Body, or the line a TCP client sends (the line `ping` by default; empty = it waits for the server to speak).
    pub body: Option<String>,
    /// Size of the body.
    pub body_bytes: Option<u64>,
    /// A token in `authorization`.
    pub jwt: Option<JwtSpec>,
}

/// Header lines in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderWords(pub Vec<(String, String)>);

/// Why words are no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The URL is none.
    #[error("{0}")]
    Url(String),
    /// Neither `url` nor `host`.
    #[error("a request needs `url` or `host`")]
    NoTarget,
    /// An unknown protocol.
    #[error("unknown protocol `{0}`: http, http2, grpc, https, tcp or tls")]
    Protocol(String),
}

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http(Protocol),
    Grpc,
    Raw,
}

impl Request {
    /// `GET http://reviews:9080/`, or a bare URL.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn parse(text: &str) -> Result<Request, RequestError> {
        let (method, url) = match text.trim().split_once(' ') {
            Some((method, url)) => (Some(method.to_owned()), url.trim()),
            None => (None, text.trim()),
        };
        Url::parse(url).map_err(RequestError::Url)?;
        let words = RequestWords { method, url: Some(url.to_owned()), ..RequestWords::default() };
        Ok(Request { words })
    }

    /// The host that is dialled, as written.
    ///
    /// # Errors
    /// When the words name none.
    pub fn url(&self) -> Result<Url, RequestError> {
        let words = &self.words;
        if let Some(url) = &words.url {
            return Url::parse(url).map_err(RequestError::Url);
        }
        let host = words.host.as_ref().ok_or(RequestError::NoTarget)?;
        let scheme = words.scheme.as_deref().or(match words.protocol.as_deref() {
            Some(scheme @ ("https" | "tls" | "tcp")) => Some(scheme),
            _ => None,
        });
        let port = words.port.map(|p| format!(":{p}")).unwrap_or_default();
        let path = words.path.as_deref().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        Url::parse(&format!("{}://{host}{port}{slash}{path}", scheme.unwrap_or("http")))
            .map_err(RequestError::Url)
    }

    /// What the engine's client sends.
    ///
    /// # Errors
    /// When the words are no request.
    pub fn lower(&self) -> Result<ClientRequest, RequestError> {
        let words = &self.words;
        let url = self.url()?;
        let (speech, tls) = speech(words.protocol.as_deref(), &url.scheme)?;
        let dial = match url.host.parse() {
            Ok(ip) => Dial::Address(std::net::SocketAddr::new(ip, url.port)),
            Err(_) => Dial::Name(url.host.as_str().into(), url.port),
        };
        let payload = match speech {
            Speech::Raw => self.raw(),
            _ => Payload::Http(self.http(&url, speech, tls)),
        };
        let tls = tls.then(|| self.tls(&url, speech));
        Ok(ClientRequest { dial, tls, payload })
    }

    fn raw(&self) -> Payload {
        let text = self.words.body.as_deref().unwrap_or(DEFAULT_LINE);
        let Some(typed) = typed_request(text) else { return Payload::Raw(text.into()) };
        let mut headers = Headers::default();
        for (name, value) in &typed.headers {
            headers.append(name, value);
        }
        Payload::Http(HttpRequest {
            method: typed.method.as_str().into(),
            scheme: "http".into(),
            authority: typed.authority.as_deref().map(Into::into),
            path: typed.target.as_str().into(),
            protocol: if typed.http10 { Protocol::Http10 } else { Protocol::Http11 },
            headers,
            body_bytes: 0,
        })
    }

    fn http(&self, url: &Url, speech: Speech, tls: bool) -> HttpRequest {
        let words = &self.words;
        let mut headers = Headers::default();
        let mut hosts: Vec<&str> = Vec::new();
        for (name, value) in &words.headers.0 {
            // The codecs of all parties drop the blanks around a value (RFC 9110 5.5).
            let value = value.trim_matches([' ', '\t']);
            match name.to_ascii_lowercase() {
                name if name == "host" => hosts.push(value),
                name => headers.append(&name, value),
            }
        }
        // Envoy joins several Host lines as it joins lines of any other header it knows.
        let host = (!hosts.is_empty()).then(|| hosts.join(","));
        if let Some(jwt) = &words.jwt
            && !headers.has("authorization")
        {
            headers.append("authorization", &format!("Bearer {}", mint(jwt)));
        }
        if speech == Speech::Grpc {
            for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
                if !headers.has(name) {
                    headers.append(name, value);
                }
            }
        }
        let host_word = words.url.as_ref().and(words.host.clone());
        let authority =
            words.host_header.clone().or(host_word).or(host).unwrap_or_else(|| url.authority.clone());
        let method = words.method.as_deref().unwrap_or(if speech == Speech::Grpc { "POST" } else { "GET" });
        let body = words.body.as_ref().map_or(0, |b| b.len() as u64);
        HttpRequest {
            method: method.into(),
            scheme: if tls { "https" } else { "http" }.into(),
            authority: Some(authority.as_str().into()),
            path: url.target.as_str().into(),
            protocol: match speech {
                Speech::Http(version) => version,
                Speech::Grpc | Speech::Raw => Protocol::Http2,
            },
            headers,
            body_bytes: words.body_bytes.unwrap_or(body),
        }
    }

    fn tls(&self, url: &Url, speech: Speech) -> ClientTls {
        let words = &self.words;
        let by_host = url.host.parse::<std::net::IpAddr>().is_err().then(|| url.host.clone());
        let sni = words.sni.clone().or(by_host).filter(|s| !s.is_empty());
        let default_alpn: &[&str] = match speech {
            Speech::Http(Protocol::Http2) | Speech::Grpc => &["h2"],
            Speech::Http(_) => &["http/1.1"],
            Speech::Raw => &[],
        };
        let alpn = match &words.alpn {
            Some(list) => list.iter().map(|p| p.as_str().into()).collect(),
            None => default_alpn.iter().map(|p| (*p).into()).collect(),
        };
        let certificate = (words.client_cert == Some(true)).then(|| Certificate {
            issuer: TrustAnchor::Named("client-ca".into()),
            sans: vec!["client.example.com".into()],
            subject: "CN=client.example.com".into(),
        });
        ClientTls {
            sni: sni.as_deref().map(Into::into),
            alpn,
            certificate,
            validation: Validation { trust: TrustAnchor::Unchecked, match_sans: Vec::new() },
        }
    }
}

/// (what is spoken, whether inside the client's own TLS)
fn speech(protocol: Option<&str>, scheme: &str) -> Result<(Speech, bool), RequestError> {
    let secure = matches!(scheme, "https" | "tls");
    Ok(match protocol {
        None => match scheme {
            "tcp" => (Speech::Raw, false),
            "tls" => (Speech::Raw, true),
            "grpc" => (Speech::Grpc, false),
            _ => (Speech::Http(Protocol::Http11), secure),
        },
        Some("http" | "http1" | "http/1.1") => (Speech::Http(Protocol::Http11), secure),
        Some("http10" | "http/1.0") => (Speech::Http(Protocol::Http10), secure),
        Some("https") => (Speech::Http(Protocol::Http11), true),
        Some("http2" | "h2" | "h2c") => (Speech::Http(Protocol::Http2), secure),
        Some("grpc") => (Speech::Grpc, secure),
        Some("tcp") => (Speech::Raw, false),
        Some("tls") => (Speech::Raw, true),
        Some(other) => return Err(RequestError::Protocol(other.to_owned())),
    })
}

struct RequestVisitor;

impl<'de> Visitor<'de> for RequestVisitor {
    type Value = Request;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request: `GET http://host:port/path`, or a mapping with `url`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Request, E> {
        Request::parse(text).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Request, A::Error> {
        let request = Request { words: RequestWords::deserialize(Strict(map))? };
        // `${…}` is filled in later; only then can the words be judged.
        let template = |text: &Option<String>| text.as_ref().is_some_and(|t| t.contains("${"));
        let words = &request.words;
        if !template(&words.url) && !template(&words.host) && (words.url.is_some() || words.host.is_some()) {
            request.lower().map_err(de::Error::custom)?;
        }
        Ok(request)
    }
}

impl<'de> Deserialize<'de> for Request {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(RequestVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = HeaderWords;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers: a mapping of names to text or lists of text")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderWords, A::Error> {
        let mut lines = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Lines>()? {
            lines.extend(value.0.into_iter().map(|v| (name.clone(), v)));
        }
        Ok(HeaderWords(lines))
    }
}

impl<'de> Deserialize<'de> for HeaderWords {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(HeaderVisitor)
    }
}

/// One line or several.
struct Lines(Vec<String>);

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list of text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Lines, E> {
        Ok(Lines(vec![text.to_owned()]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Lines, A::Error> {
        let mut lines = Vec::new();
        while let Some(line) = seq.next_element()? {
            lines.push(line);
        }
        Ok(Lines(lines))
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(LinesVisitor)
    }
}

/// Reads a request out of a corpus line.
///
/// # Errors
/// serde's message, with the unknown key or the bad value.
pub fn from_json(value: &Value) -> Result<Request, serde_json::Error> {
    match value {
        // Keys of other judges' corpora that change nothing about what is sent.
        Value::Object(map) => Request::deserialize(&Value::Object(
            map.iter()
                .filter(|(k, _)| k.as_str() != "jwtDecoded")
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Map<_, _>>(),
        )),
        other => Request::deserialize(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lower(value: Value) -> ClientRequest {
        from_json(&value).expect("words").lower().expect("request")
    }

    fn http(value: Value) -> HttpRequest {
        match lower(value).payload {
            Payload::Http(request) => request,
            Payload::Raw(text) => panic!("raw {text}"),
        }
    }

    #[test]
    fn shorthand_and_mapping_mean_the_same() {
        let short = http(json!("GET http://reviews:9080/reviews/0"));
        let long = http(json!({"method": "GET", "host": "reviews", "port": 9080, "path": "/reviews/0"}));
        assert_eq!(short, long);
        assert_eq!((short.authority.as_deref(), short.path.as_ref()), (Some("reviews:9080"), "/reviews/0"));
    }

    #[test]
    fn the_host_header_may_differ_from_the_dialled_host() {
        for words in [
            json!({"url": "http://10.96.0.1/", "headers": {"Host": "b.example"}}),
            json!({"url": "http://10.96.0.1/", "host": "b.example"}),
            json!({"url": "http://10.96.0.1/", "hostHeader": "b.example"}),
        ] {
            let request = lower(words);
            assert!(matches!(request.dial, Dial::Address(a) if a.port() == 80));
            let Payload::Http(http) = request.payload else { panic!("http") };
            assert_eq!(http.authority.as_deref(), Some("b.example"));
            assert!(!http.headers.has("host"));
        }
    }

    #[test]
    fn protocols() {
        assert_eq!(http(json!({"url": "http://a/", "protocol": "http2"})).protocol, Protocol::Http2);
        let grpc = http(json!({"url": "http://a/p.S/M", "protocol": "grpc"}));
        assert_eq!((grpc.method.as_ref(), grpc.headers.first("te")), ("POST", Some("trailers")));
        let tls = lower(json!({"url": "https://a.example:443/", "protocol": "https"})).tls.expect("tls");
        assert_eq!((tls.sni.as_deref(), tls.alpn), (Some("a.example"), vec!["http/1.1".into()]));
        let line = lower(json!({"url": "tls://a:7000", "protocol": "tls", "sni": "b", "body": "hi"}));
        assert!(matches!(line.payload, Payload::Raw(t) if t.as_ref() == "hi"));
        assert_eq!(line.tls.expect("tls").alpn, Vec::<mesh_core::Str>::new());
        let silent = lower(json!({"url": "tcp://a:1", "body": ""})).payload;
        let spoken = lower(json!({"url": "tcp://a:1"})).payload;
        assert!(
            matches!((silent, spoken), (Payload::Raw(a), Payload::Raw(b)) if a.is_empty() && &*b == "ping\n")
        );
        let typed = json!({"url": "tcp://a:1", "protocol": "tcp", "body": "GET /x HTTP/1.1\r\n\r\n"});
        assert_eq!(http(typed).authority, None);
    }

    #[test]
    fn several_lines_and_tokens() {
        let request =
            http(json!({"url": "http://a/", "headers": {"X-A": ["1", "2"]}, "jwt": {"sub": "alice"}}));
        assert_eq!(request.headers.all("x-a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(request.headers.first("authorization").is_some_and(|v| v.starts_with("Bearer eyJ")));
    }

    #[test]
    fn blanks_around_values_are_dropped_and_host_lines_joined() {
        let request = http(json!({"url": "http://a/", "headers": {"Host": ["b", "c"], "x-a": " v "}}));
        assert_eq!((request.authority.as_deref(), request.headers.first("x-a")), (Some("b,c"), Some("v")));
    }

    #[test]
    fn unknown_keys_are_errors() {
        let error = from_json(&json!({"url": "http://a/", "heders": {}})).expect_err("a typo");
        assert!(error.to_string().contains("unknown field `heders`"), "{error}");
        assert!(from_json(&json!({"url": "http://a/", "protocol": "spdy"})).is_err());
    }
}
