//! One line of an access log in Istio's default text or JSON format (semantics: envoy-routing 7.5).
//!
//! Prefixes are taken off and kept: `[ns/pod] ` as our own logs have, `[pod/NAME/CONTAINER] ` as `kubectl logs --prefix`
//! writes. Other lines of a proxy's log are none.

use serde_json::Value;

/// What a replay needs of a line; `None` is Envoy's `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    /// The proxy, as the prefix names it.
    pub(super) proxy: Option<String>,
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
    pub(super) code: u16,
    pub(super) flags: Option<String>,
    pub(super) details: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) authority: Option<String>,
    pub(super) upstream_host: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) downstream_local: Option<String>,
    pub(super) downstream_remote: Option<String>,
    pub(super) server_name: Option<String>,
}

/// Fields of a text line after its time.
const FIELDS: usize = 21;

/// Reads a line; `None` when it is no access-log line.
pub(super) fn parse(text: &str) -> Option<Line> {
    let (proxy, rest) = prefix(text.trim());
    let line = if rest.starts_with('{') { json(rest) } else { plain(rest) }?;
    Some(Line { proxy, ..line })
}

/// A bracketed name in front of the line; the time of a text line is none.
fn prefix(text: &str) -> (Option<String>, &str) {
    let Some((inside, rest)) = text.strip_prefix('[').and_then(|t| t.split_once("] ")) else {
        return (None, text);
    };
    if !inside.contains('/') {
        return (None, text);
    }
    let name = inside.strip_prefix("pod/").map_or(inside, |pod| pod.split('/').next().unwrap_or(pod));
    (Some(name.to_owned()), rest)
}

fn known(text: &str) -> Option<String> {
    (!text.is_empty() && text != "-").then(|| text.to_owned())
}

fn plain(text: &str) -> Option<Line> {
    let (_, rest) = text.strip_prefix('[')?.split_once("] ")?;
    let fields = fields(rest);
    if fields.len() != FIELDS {
        return None;
    }
    let at = |i: usize| fields.get(i).and_then(|f| known(f));
    let request = fields.first()?;
    let (method, rest) = request.split_once(' ')?;
    let (path, _) = rest.rsplit_once(' ')?;
    Some(Line {
        proxy: None,
        method: known(method),
        path: known(path),
        code: fields.get(1)?.parse().ok()?,
        flags: at(2),
        details: at(3),
        user_agent: at(11),
        authority: at(13),
        upstream_host: at(14),
        cluster: at(15),
        downstream_local: at(17),
        downstream_remote: at(18),
        server_name: at(19),
    })
}

/// Words, with quoted ones whole.
fn fields(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        let mut word = String::new();
        match first {
            ' ' => continue,
            '"' => {
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => word.extend(chars.next()),
                        c => word.push(c),
                    }
                }
            }
            c => {
                word.push(c);
                while let Some(c) = chars.next_if(|c| *c != ' ') {
                    word.push(c);
                }
            }
        }
        all.push(word);
    }
    all
}

fn json(text: &str) -> Option<Line> {
    let Ok(Value::Object(map)) = serde_json::from_str::<Value>(text) else { return None };
    let at = |key: &str| match map.get(key) {
        Some(Value::String(s)) => known(s),
        Some(Value::Number(n)) => Some(n.to_string()),
        _ => None,
    };
    map.get("response_flags")?;
    Some(Line {
        proxy: None,
        method: at("method"),
        path: at("path"),
        code: at("response_code")?.parse().ok()?,
        flags: at("response_flags"),
        details: at("response_code_details"),
        user_agent: at("user_agent"),
        authority: at("authority"),
        upstream_host: at("upstream_host"),
        cluster: at("upstream_cluster"),
        downstream_local: at("downstream_local_address"),
        downstream_remote: at("downstream_remote_address"),
        server_name: at("requested_server_name"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_and_both_prefixes() {
        let text = r#"[2026-01-01T00:00:00.000Z] "GET /a b?x=1 HTTP/1.1" 200 - via_upstream - "-" 0 2 3 1 "-" "curl/8 \"x\"" "id" "reviews:9080" "10.244.0.9:9080" outbound|9080|v1|reviews.default.svc.cluster.local 10.244.0.1:1 10.96.0.5:9080 10.244.0.1:40000 - default"#;
        let line = parse(text).expect("a line");
        assert_eq!(line.path.as_deref(), Some("/a b?x=1"));
        assert_eq!(line.user_agent.as_deref(), Some("curl/8 \"x\""));
        assert_eq!(line.downstream_local.as_deref(), Some("10.96.0.5:9080"));
        for (prefix, name) in
            [("[default/web-0] ", "default/web-0"), ("[pod/web-5d7f-x2b4q/istio-proxy] ", "web-5d7f-x2b4q")]
        {
            let again = parse(&format!("{prefix}{text}")).expect("a line");
            assert_eq!(again.proxy.as_deref(), Some(name));
            assert_eq!(Line { proxy: None, ..again }, line);
        }
        let json = r#"{"authority":"reviews:9080","bytes_received":0,"method":"GET","path":"/a b?x=1","response_code":200,"response_flags":"-","response_code_details":"via_upstream","user_agent":"curl/8 \"x\"","upstream_host":"10.244.0.9:9080","upstream_cluster":"outbound|9080|v1|reviews.default.svc.cluster.local","downstream_local_address":"10.96.0.5:9080","downstream_remote_address":"10.244.0.1:40000","requested_server_name":null}"#;
        assert_eq!(parse(json), Some(line));
        for other in ["2026-01-01T00:00:00Z info xds ads", "", "{\"level\":\"info\"}", "[x] \"GET / H\" 200"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
