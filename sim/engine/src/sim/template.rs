//! Requests as clients repeat them: everything that does not change from one to the next is made once.

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::ids::Nanos;
use mesh_core::request::{FirstBytes, RequestHead};
use mesh_core::tls::ClientHello;

use super::memo::HeadClass;
use super::state::Content;
use crate::plan::{Call, ClientRequest, Payload};
use crate::wire::{self, Wire};

/// A request with what is known of it beforehand.
pub(crate) struct Template {
    pub(crate) request: ClientRequest,
    pub(crate) content: Arc<Content>,
    /// The head, `${n}` not filled in; `None` for raw bytes.
    head: Option<Arc<RequestHead>>,
    /// Something in it is `${n}`.
    numbered: bool,
    class: HeadClass,
    /// Its own among the templates of a run.
    pub(crate) number: u32,
}

impl Template {
    /// A template of one client; `class` is fresh.
    pub(crate) fn new(request: &ClientRequest, class: HeadClass) -> Arc<Template> {
        let head = head_of(request);
        let numbered = head.as_deref().is_some_and(is_numbered);
        Arc::new(Template {
            content: Arc::new(content_of(request)),
            request: request.clone(),
            number: class.0,
            class: if numbered { HeadClass::UNIQUE } else { class },
            head,
            numbered,
        })
    }

    /// The head of request `number`.
    pub(crate) fn head(&self, number: u64) -> Option<(Arc<RequestHead>, HeadClass)> {
        let head = self.head.as_ref()?;
        if self.numbered {
            return Some((Arc::new(fill(head, number)), HeadClass::UNIQUE));
        }
        Some((Arc::clone(head), self.class))
    }
}

/// A call an application makes, ready to be made.
pub(crate) struct CallTemplate {
    pub(crate) template: Arc<Template>,
    pub(crate) timeout_ns: Option<Nanos>,
    pub(crate) fail: bool,
    pub(crate) retries: u32,
}

impl CallTemplate {
    pub(crate) fn new(call: &Call, class: HeadClass) -> CallTemplate {
        CallTemplate {
            template: Template::new(&call.request, class),
            timeout_ns: call.timeout_ns,
            fail: call.fail,
            retries: call.retries,
        }
    }
}

/// The layers and bytes of a request.
fn content_of(request: &ClientRequest) -> Content {
    let layers = request
        .tls
        .iter()
        .map(|t| {
            Arc::new(ClientHello {
                sni: t.sni.clone(),
                alpn: t.alpn.clone(),
                certificate: t.certificate.clone(),
                validation: t.validation.clone(),
            })
        })
        .collect();
    let bytes = match &request.payload {
        Payload::Http(http) => FirstBytes::Http(http.protocol),
        Payload::Raw(text) => wire::first_bytes(text),
    };
    Content { layers, bytes }
}

fn head_of(request: &ClientRequest) -> Option<Arc<RequestHead>> {
    let http = match &request.payload {
        Payload::Http(http) => http,
        Payload::Raw(text) => {
            return match wire::read(text) {
                Wire::Request(head) => Some(Arc::new(head)),
                Wire::Preface | Wire::Other => None,
            };
        }
    };
    Some(Arc::new(RequestHead {
        method: http.method.clone(),
        scheme: http.scheme.clone(),
        authority: http.authority.clone(),
        path: http.path.clone(),
        protocol: http.protocol,
        headers: http.headers.clone(),
        body_bytes: http.body_bytes,
    }))
}

const NUMBER: &str = "${n}";

fn is_numbered(head: &RequestHead) -> bool {
    let has = |text: &Str| text.contains(NUMBER);
    has(&head.path) || head.authority.as_ref().is_some_and(has) || head.headers.0.iter().any(|(_, v)| has(v))
}

fn fill(head: &RequestHead, number: u64) -> RequestHead {
    let put = |text: &Str| {
        if text.contains(NUMBER) {
            Str::from(text.replace(NUMBER, &number.to_string()))
        } else {
            text.clone()
        }
    };
    let mut head = head.clone();
    head.authority = head.authority.as_ref().map(put);
    head.path = put(&head.path);
    for (_, value) in &mut head.headers.0 {
        *value = put(value);
    }
    head
}
