//! The protocol of a port: what its name, `appProtocol` or protocol word says (semantics: istio-networking 1.2).

/// What istiod believes a port speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 in plaintext.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// An HTTP forward proxy.
    HttpProxy,
    /// Opaque bytes.
    Tcp,
    /// TLS that Istio does not terminate.
    Tls,
    /// HTTPS that Istio does not terminate.
    Https,
    /// MongoDB.
    Mongo,
    /// Redis.
    Redis,
    /// MySQL.
    MySql,
    /// UDP: no listener, no cluster.
    Udp,
    /// Not said: detected from the first bytes.
    #[default]
    Auto,
}

/// Ports whose servers speak first, so that sniffing would hang: SMTP, DNS, MySQL, MongoDB.
const SERVER_FIRST_PORTS: [u32; 4] = [25, 53, 3306, 27017];

impl Protocol {
    /// A protocol word, any case (`pkg/config/protocol Parse`). Unknown words are [`Protocol::Auto`].
    pub fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "grpc" => Protocol::Grpc,
            "grpc-web" => Protocol::GrpcWeb,
            "http" => Protocol::Http,
            "http_proxy" => Protocol::HttpProxy,
            "http2" => Protocol::Http2,
            "https" => Protocol::Https,
            "tls" => Protocol::Tls,
            "mongo" => Protocol::Mongo,
            "redis" => Protocol::Redis,
            "mysql" => Protocol::MySql,
            _ => Protocol::Auto,
        }
    }

    /// The protocol of a Kubernetes service port (`pkg/config/kube ConvertProtocol`).
    pub fn of_service_port(port: u32, name: &str, transport: &str, app_protocol: Option<&str>) -> Self {
        if transport == "UDP" {
            return Protocol::Udp;
        }
        match app_protocol {
            Some("kubernetes.io/h2c") => return Protocol::Http2,
            Some("kubernetes.io/ws") => return Protocol::Http,
            Some("kubernetes.io/wss") => return Protocol::Https,
            _ => {}
        }
        let word = app_protocol.unwrap_or(name);
        let starts_with_grpc_web =
            word.as_bytes().get(.."grpc-web".len()).is_some_and(|w| w.eq_ignore_ascii_case(b"grpc-web"));
        if starts_with_grpc_web {
            return Protocol::GrpcWeb;
        }
        match Protocol::parse(word.split('-').next().unwrap_or_default()) {
            Protocol::Auto if SERVER_FIRST_PORTS.contains(&port) => Protocol::Tcp,
            protocol => protocol,
        }
    }

    /// HTTP family: routed by requests.
    pub fn is_http(self) -> bool {
        use Protocol::{Grpc, GrpcWeb, Http, Http2, HttpProxy};
        matches!(self, Http | Http2 | HttpProxy | Grpc | GrpcWeb)
    }

    /// Spoken over HTTP/2 upstream.
    pub fn is_http2(self) -> bool {
        matches!(self, Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb)
    }

    /// TCP family: routed by connections.
    pub fn is_tcp(self) -> bool {
        use Protocol::{Https, Mongo, MySql, Redis, Tcp, Tls};
        matches!(self, Tcp | Https | Tls | Mongo | Redis | MySql)
    }

    /// TLS that the application speaks itself.
    pub fn is_tls(self) -> bool {
        matches!(self, Protocol::Https | Protocol::Tls)
    }

    /// Detected from the first bytes.
    pub fn is_auto(self) -> bool {
        self == Protocol::Auto
    }

    /// HTTP family, or detected.
    pub fn is_http_or_sniffed(self) -> bool {
        self.is_http() || self.is_auto()
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol::{self, *};

    /// The table and the examples of semantics: istio-networking 1.2.
    #[test]
    fn names_decide() {
        for (name, want) in [
            ("http", Http),
            ("http-web", Http),
            ("HTTP2-a", Http2),
            ("grpc", Grpc),
            ("grpc-web", GrpcWeb),
            ("grpc-website", GrpcWeb),
            ("GRPC-WEB-x", GrpcWeb),
            ("http_proxy", HttpProxy),
            ("tcp-x", Tcp),
            ("tls", Tls),
            ("https-admin", Https),
            ("mongo", Mongo),
            ("redis", Redis),
            ("mysql", MySql),
            ("udp-x", Udp),
            ("web-http", Auto),
            ("httpx", Auto),
            ("postgres", Auto),
            ("", Auto),
        ] {
            assert_eq!(Protocol::of_service_port(8080, name, "TCP", None), want, "{name}");
        }
        assert_eq!(Protocol::of_service_port(8080, "http", "UDP", None), Udp);
        for port in [25, 53, 3306, 27017] {
            assert_eq!(Protocol::of_service_port(port, "", "TCP", None), Tcp, "{port}");
        }
        assert_eq!(Protocol::of_service_port(3306, "http", "TCP", None), Http);
    }

    #[test]
    fn app_protocol_replaces_the_name() {
        for (app, want) in [
            ("kubernetes.io/h2c", Http2),
            ("kubernetes.io/ws", Http),
            ("kubernetes.io/wss", Https),
            ("foo", Auto),
            ("tcp", Tcp),
            ("http-x", Http),
        ] {
            assert_eq!(Protocol::of_service_port(80, "http", "TCP", Some(app)), want, "{app}");
        }
    }

    #[test]
    fn words_are_exact() {
        assert_eq!(Protocol::parse("HTTP2"), Http2);
        assert_eq!(Protocol::parse("http-web"), Auto);
        assert_eq!(Protocol::parse(""), Auto);
        assert!(Http.is_http_or_sniffed() && Auto.is_http_or_sniffed() && !Https.is_http());
        assert!(Https.is_tcp() && Https.is_tls() && !Udp.is_tcp());
    }
}
