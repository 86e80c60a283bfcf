//! Applications: accepting bytes, queueing, serving, calling others, answering.

use mesh_core::Str;
use mesh_core::cx::{Purpose, TraceSink};
use mesh_core::decide::{self, HandshakeFailure};
use mesh_core::ids::{Nanos, OriginId};
use mesh_core::request::Headers;
use mesh_core::tls::{Certificate, CertificateSource, DownstreamTls, TrustAnchor};

use super::state::{
    Answerer, AppSide, CloseKind, ConnId, Down, ExchangeId, HelloError, Job, JobId, Lineage, RawAnswer,
    Server, Up, Worker,
};
use super::{Event, Sim};
use crate::draws::Chance;
use crate::plan::{Law, ReplyAction};
use crate::record::{Response, Try, TryAction};
use crate::world::AppKind;

/// Purposes of an application's draws.
pub(super) const SERVICE: Purpose = Purpose::Other(1);

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Bytes arrive at an application.
    pub(super) fn app_bytes(&mut self, id: ConnId, app: AppSide, up: Up) {
        match up {
            Up::Hello(_) => self.app_hello(id, app),
            Up::Request(exchange) => self.app_request(id, app, exchange),
            Up::Partial => {}
            Up::Raw(text) => self.app_raw(id, app, &text),
            Up::Cancel(exchange) => {
                if let Some(job) = self.job_of(exchange) {
                    self.cut_job(job);
                }
            }
            Up::Close(_) => {
                let jobs = self.conns.get(id).map(|c| c.jobs.clone()).unwrap_or_default();
                for job in jobs {
                    self.cut_job(job);
                }
                self.closed_by_client(id, CloseKind::Fin);
            }
        }
    }

    fn job_of(&self, exchange: ExchangeId) -> Option<JobId> {
        match self.exchanges.get(exchange)?.worker {
            Worker::Job(job) => Some(job),
            _ => None,
        }
    }

    /// What the port speaks, and the certificate it shows.
    fn app_kind(&self, id: ConnId, app: AppSide) -> (AppKind, Option<Certificate>) {
        match app.who {
            Answerer::Pod(pod) => {
                let run = self.pods.get(pod as usize);
                let port = run.and_then(|r| r.pod.ports.iter().find(|p| p.port == app.port));
                port.map_or((AppKind::Http, None), |p| (p.kind, p.certificate.clone()))
            }
            Answerer::Internet => {
                let hello = self.conns.get(id).and_then(|c| c.content.layers.first().cloned());
                match hello {
                    None => (AppKind::Http, None),
                    Some(hello) => {
                        let sans = hello.sni.iter().cloned().collect();
                        let shown =
                            Certificate { issuer: TrustAnchor::Public, sans, subject: Str::default() };
                        (AppKind::Https, Some(shown))
                    }
                }
            }
        }
    }

    fn app_hello(&mut self, id: ConnId, app: AppSide) {
        let Some(conn) = self.conns.get(id) else { return };
        let hello = conn.content.layers.get(app.terminated as usize).cloned();
        let (kind, mut certificate) = self.app_kind(id, app);
        // Test servers make a certificate for whatever name is asked for.
        if let (Some(shown), Some(name)) = (&mut certificate, hello.as_ref().and_then(|h| h.sni.clone())) {
            shown.sans = vec![name];
        }
        if !matches!(kind, AppKind::TlsLine | AppKind::Https) || app.terminated > 0 {
            // The application answers in its own protocol, or not at all.
            self.send_down(id, Down::Hello(app.terminated, Box::new(Err(HelloError::NotTls))));
            return;
        }
        let Some(hello) = hello else { return };
        let alpn = vec!["h2".into(), "http/1.1".into()];
        let server = DownstreamTls {
            certificate: certificate
                .clone()
                .map_or_else(|| CertificateSource::Missing(Str::default()), CertificateSource::Known),
            alpn,
            require_client_certificate: false,
            validation: None,
            origin: OriginId::NONE,
        };
        match decide::handshake(&hello, certificate.as_ref(), &server) {
            Ok(session) => {
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.server = Server::App(AppSide { terminated: app.terminated + 1, ..app });
                }
                self.greet(id, session);
            }
            Err(failure) => {
                let error = match failure {
                    HandshakeFailure::ClientRefusesServer { sans, why } => {
                        HelloError::Distrusted { sans, names: why == decide::Distrust::SanMismatch }
                    }
                    HandshakeFailure::NotTls => HelloError::NotTls,
                    _ => HelloError::Reset,
                };
                self.send_down(id, Down::Hello(app.terminated, Box::new(Err(error))));
            }
        }
    }

    /// A line: answered with `<ns/pod>:<port>:<line>`, unless the behavior resets, closes or hangs. A line has no status.
    fn app_raw(&mut self, id: ConnId, app: AppSide, text: &Str) {
        let Some(conn) = self.conns.get(id) else { return };
        let line = conn.line;
        let (mut kind, _) = self.app_kind(id, app);
        if app.who == Answerer::Internet {
            kind = AppKind::TcpLine;
        }
        if matches!(kind, AppKind::Http | AppKind::Https) && !text.contains('\n') {
            // Not even a request line: the server waits for more.
            return;
        }
        let (who, port, said) = (self.line_name(app.who), app.port, text.trim_end_matches(['\r', '\n']));
        let (text, response) = match kind {
            AppKind::TcpLine | AppKind::TlsLine => (format!("{who}:{port}:{said}"), None),
            AppKind::Http | AppKind::Https => {
                let mut headers = Headers::default();
                headers.append("content-type", "text/plain");
                let response = Response { status: 400, headers, ..Response::default() };
                (format!("{who}:{port}:bad request {said}"), Some(response))
            }
        };
        let answer = Box::new(RawAnswer { text: Some(text.into()), response, who: Some(app.who) });
        self.note_try(line, app, None, true);
        let (action, after) = self.line_reply(kind, app.who, line.key);
        let latency = self.conns.get(id).map_or(0, |c| c.latency_ns);
        match action {
            ReplyAction::Hang => {}
            ReplyAction::Close => self.queue.after(after, Event::BreakOff(id, CloseKind::Fin)),
            ReplyAction::Reset | ReplyAction::ResetStream(_) => {
                self.queue.after(after, Event::BreakOff(id, CloseKind::Rst));
            }
            ReplyAction::Echo | ReplyAction::Answer { .. } | ReplyAction::Truncate => {
                self.queue.after(after + latency, Event::Down(id, Down::Raw(answer)));
            }
        }
    }

    /// What is done about a line, and how long it takes. Lines that are no HTTP request are none of the behavior's.
    fn line_reply(&mut self, kind: AppKind, who: Answerer, key: u64) -> (ReplyAction, Nanos) {
        let (behavior, reply) = match (kind, who) {
            (AppKind::TcpLine | AppKind::TlsLine, _) => match self.choose_reply(who, key) {
                Some((behavior, at)) => {
                    let reply = behavior.responses.get(at).cloned();
                    (Some(behavior), reply)
                }
                None => (None, None),
            },
            (_, Answerer::Pod(pod)) => {
                (self.pods.get(pod as usize).map(|run| std::sync::Arc::clone(&run.behavior)), None)
            }
            (_, Answerer::Internet) => (None, None),
        };
        let own = reply.as_ref().and_then(|r| r.service_time.as_ref());
        let law = own.or(behavior.as_ref().map(|b| &b.service_time));
        let time = self.service_time(who, law.unwrap_or(&Law::Constant(1_000_000)), key);
        (reply.map_or(ReplyAction::Echo, |r| r.action), time)
    }

    pub(super) fn answerer_name(&self, who: Answerer) -> Str {
        match who {
            Answerer::Pod(pod) => {
                self.pods.get(pod as usize).map(|p| p.pod.reference.clone()).unwrap_or_default()
            }
            Answerer::Internet => self.internet_name(),
        }
    }

    /// `ns/pod`, as line servers call themselves.
    fn line_name(&self, who: Answerer) -> Str {
        match who {
            Answerer::Pod(pod) => self
                .pods
                .get(pod as usize)
                .map(|p| Str::from(format!("{}/{}", p.pod.namespace, p.pod.pod_name)))
                .unwrap_or_default(),
            Answerer::Internet => self.internet_name(),
        }
    }

    pub(super) fn internet_name(&self) -> Str {
        if self.world.internet.name.is_empty() { "internet".into() } else { self.world.internet.name.clone() }
    }

    /// An HTTP request is complete at the application.
    fn app_request(&mut self, id: ConnId, app: AppSide, exchange: ExchangeId) {
        let (kind, _) = self.app_kind(id, app);
        let Some(x) = self.exchanges.get(exchange) else { return };
        let (line, complete) = (x.line, x.complete);
        if matches!(kind, AppKind::TlsLine | AppKind::Https) && app.terminated == 0 {
            // A TLS server takes plaintext for a broken record and closes.
            self.drop_server(id, CloseKind::Fin);
            return;
        }
        if kind == AppKind::TcpLine {
            let first = format!("{} {} {}", x.head.method, x.head.path, x.head.protocol.text());
            self.app_raw(id, app, &first.into());
            return;
        }
        if !complete {
            return;
        }
        // Its connection may have been opened for another request.
        if let Answerer::Pod(pod) = app.who {
            self.taint_pod(line.root, pod);
        }
        let tried = self.note_try(line, app, Some(exchange), false);
        if let Some(root) = self.roots.get_mut(line.root) {
            root.open += 1;
        }
        let (reply, service_ns) = self.plan_reply(app, exchange, line);
        let job = self.jobs.insert(Job {
            line,
            who: app.who,
            conn: id,
            exchange: Some(exchange),
            tried,
            reply,
            service_ns,
            arrived_ns: self.queue.now(),
            step: 0,
            out: 0,
            failed: false,
            serving: false,
        });
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.worker = Worker::Job(job);
        }
        if let Some(conn) = self.conns.get_mut(id) {
            conn.jobs.push(job);
        }
        self.queue_job(job);
    }

    /// Writes down what the application received.
    fn note_try(
        &mut self,
        line: Lineage,
        app: AppSide,
        exchange: Option<ExchangeId>,
        is_line: bool,
    ) -> Option<u32> {
        if !self.keep_hops {
            return None;
        }
        let now = self.queue.now();
        let name = self.answerer_name(app.who);
        let head = exchange.and_then(|x| self.exchanges.get(x)).map(|x| std::sync::Arc::clone(&x.head));
        let root = self.roots.get_mut(line.root)?;
        root.tries.push(Try {
            workload: name,
            at_ns: now,
            connection: app.number,
            head,
            action: if is_line { TryAction::Line } else { TryAction::Pending },
            done_ns: None,
            cut_ns: None,
            shadow: line.shadow,
            call: line.call,
        });
        Some(root.tries.len() as u32 - 1)
    }
}
