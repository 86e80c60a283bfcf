//! Applications: accepting bytes, queueing, serving, calling others, answering.

use mesh_core::Str;
use mesh_core::cx::{Draws, Purpose, Step, TraceSink};
use mesh_core::decide::{self, HandshakeFailure};
use mesh_core::ids::{Nanos, OriginId};
use mesh_core::request::{Headers, Protocol, RequestHead};
use mesh_core::tls::{Certificate, CertificateSource, DownstreamTls, TrustAnchor};

use super::client::{Calling, head_of};
use super::state::{
    Answerer, AppSide, CloseKind, ConnId, Down, ExchangeId, HelloError, Job, JobId, Lineage, RawAnswer,
    Server, Up, Waiter, Worker,
};
use super::{Event, Sim};
use crate::draws::{At, Chance, mix};
use crate::plan::{Behavior, Law, Reply, ReplyAction, ReplyOrder, SendMode};
use crate::record::{Fate, Response, Try, TryAction};
use crate::sample::sample;
use crate::world::AppKind;

/// Purposes of an application's draws.
const SERVICE: Purpose = Purpose::Other(1);
const CHOICE: Purpose = Purpose::Other(2);
/// How long a truncated answer lasts before its connection is reset (conformance/dynamic/README.md).
const TRUNCATED_NS: Nanos = 20_000_000;

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

    /// A line: answered at once with `<ns/pod>:<port>:<line>`.
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
        let name = self.answerer_name(app.who);
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
        self.note_try(line, app, name, None, true);
        let after = self.line_service(app.who, line.key);
        let latency = self.conns.get(id).map_or(0, |c| c.latency_ns);
        self.queue.after(after + latency, Event::Down(id, Down::Raw(answer)));
    }

    fn line_service(&mut self, who: Answerer, key: u64) -> Nanos {
        let law = match who {
            Answerer::Pod(pod) => self.pods.get(pod as usize).map(|p| p.behavior.service_time.clone()),
            Answerer::Internet => None,
        };
        let law = law.unwrap_or(Law::Constant(1_000_000));
        sample(&law, self.chance.draw(key, SERVICE))
    }

    fn answerer_name(&self, who: Answerer) -> Str {
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
        let tried = self.note_try(line, app, self.answerer_name(app.who), Some(exchange), false);
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

    /// Which answer this request gets and how long it takes.
    fn plan_reply(&mut self, app: AppSide, exchange: ExchangeId, line: Lineage) -> (Reply, Nanos) {
        let key = line.key;
        let mut law = Law::Constant(1_000_000);
        let mut reply = Reply::default();
        if let Answerer::Pod(pod) = app.who
            && let Some(run) = self.pods.get_mut(pod as usize)
        {
            law = run.behavior.service_time.clone();
            let responses = &run.behavior.responses;
            let n = responses.len();
            let at = match run.behavior.order {
                _ if n <= 1 => 0,
                ReplyOrder::Cycle => (run.cycle % n as u64) as usize,
                ReplyOrder::Weighted => {
                    let mut total = 0;
                    let ends: Vec<u64> = responses
                        .iter()
                        .map(|r| {
                            total += r.weight;
                            total
                        })
                        .collect();
                    At { key, chance: &mut self.chance }.choose(CHOICE, &ends)
                }
            };
            run.cycle += 1;
            if let Some(r) = responses.get(at) {
                reply = r.clone();
            }
        }
        if let Some(own) = &reply.service_time {
            law = own.clone();
        }
        let mut service = sample(&law, self.chance.draw(key, SERVICE));
        if matches!(reply.action, ReplyAction::Echo)
            && let Some(x) = self.exchanges.get(exchange)
            && let Some(ms) = x.head.headers.first("x-echo-delay").and_then(|v| v.trim().parse::<u64>().ok())
        {
            service = service.saturating_add(ms.saturating_mul(1_000_000));
        }
        (reply, service)
    }

    /// Starts the job, queues it, or turns it away.
    fn queue_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let Answerer::Pod(pod) = job.who else {
            self.start_job(id);
            return;
        };
        let Some(run) = self.pods.get_mut(pod as usize) else { return };
        let free = run.behavior.concurrency.is_none_or(|c| run.serving < c);
        if free {
            self.start_job(id);
        } else if run.behavior.queue.is_some_and(|q| run.waiting.len() >= q as usize) {
            run.rejected += 1;
            let action = ReplyAction::Answer {
                status: 503,
                headers: Headers::default(),
                body_bytes: 0,
                body: Str::default(),
                grpc_status: None,
            };
            if let Some(job) = self.jobs.get_mut(id) {
                job.reply = Reply { action, ..Reply::default() };
            }
            self.finish_job(id);
        } else {
            run.waiting.push_back(id);
            run.longest = run.longest.max(run.waiting.len() as u32);
        }
    }

    fn start_job(&mut self, id: JobId) {
        let now = self.queue.now();
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.serving = true;
        let service = job.service_ns;
        if let Answerer::Pod(pod) = job.who
            && let Some(run) = self.pods.get_mut(pod as usize)
        {
            run.serving += 1;
            run.requests += 1;
            run.busy_ns += u128::from(service);
            run.waited_ns += u128::from(now - job.arrived_ns);
        }
        self.queue.after(service, Event::Served(id));
    }

    /// The service time is over: calls, then the answer.
    pub(super) fn served(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let (who, step, line, exchange) = (job.who, job.step, job.line, job.exchange);
        let group = match who {
            Answerer::Pod(pod) => {
                self.pods.get(pod as usize).and_then(|p| p.behavior.calls.get(step as usize).cloned())
            }
            Answerer::Internet => None,
        };
        let (Some(group), false) = (group, job.failed) else {
            self.finish_job(id);
            return;
        };
        job.step += 1;
        job.out = group.len() as u32;
        if group.is_empty() {
            self.queue.after(0, Event::Served(id));
            return;
        }
        let served = exchange.and_then(|x| self.exchanges.get(x)).map(|x| x.head.clone());
        let Answerer::Pod(pod) = who else { return };
        let keep =
            self.pods.get(pod as usize).map(|p| p.behavior.propagate_headers.clone()).unwrap_or_default();
        for (i, call) in group.iter().enumerate() {
            let number = match self.roots.get_mut(line.root) {
                Some(root) => {
                    root.calls += 1;
                    root.calls
                }
                None => 0,
            };
            let nested = Lineage {
                call: number,
                key: mix(line.key, u64::from(step) << 16 | i as u64 | 1 << 40),
                ..line
            };
            let head = head_of(&call.request, 0).map(|head| match &served {
                Some(from) => propagate(head, from, &keep),
                None => head,
            });
            self.call(Calling {
                line: nested,
                waiter: Waiter::Job(id),
                pod: Some(pod),
                source: None,
                request: std::sync::Arc::new(call.request.clone()),
                head,
                send: SendMode::Whole,
                patience: call.timeout_ns.map(|ns| (ns, Fate::Timeout)),
                fail: call.fail,
                retries: call.retries,
            });
        }
    }

    /// A call of the job has ended.
    pub(super) fn job_called(&mut self, id: JobId, failed: bool) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.failed |= failed;
        job.out = job.out.saturating_sub(1);
        if job.out == 0 {
            self.queue.after(0, Event::Served(id));
        }
    }

    /// The answer leaves the application.
    fn finish_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let (conn, exchange, line) = (job.conn, job.exchange, job.line);
        let action = if job.failed {
            ReplyAction::Answer {
                status: 500,
                headers: Headers::default(),
                body_bytes: 3,
                body: Str::default(),
                grpc_status: None,
            }
        } else {
            job.reply.action.clone()
        };
        let Some(x) = exchange.and_then(|e| self.exchanges.get(e)) else {
            self.end_job(id, TryAction::Gone);
            return;
        };
        let Some(exchange) = exchange else { return };
        let head = std::sync::Arc::clone(&x.head);
        self.trace.step(|| Step::Note("the application answers".into()));
        match action {
            ReplyAction::Echo => match echo(&head) {
                Some(response) => self.answer(id, exchange, conn, response),
                None => self.break_off(id, conn, CloseKind::Rst, TryAction::Reset),
            },
            ReplyAction::Answer { status, headers, body_bytes, body, grpc_status } => {
                let response = Response { body, ..fixed(&head, status, headers, body_bytes, grpc_status) };
                self.answer(id, exchange, conn, response);
            }
            ReplyAction::Reset => self.break_off(id, conn, CloseKind::Rst, TryAction::Reset),
            ReplyAction::Close => self.break_off(id, conn, CloseKind::Fin, TryAction::Close),
            ReplyAction::ResetStream(refused) => {
                if head.protocol == Protocol::Http2 {
                    self.send_down(conn, Down::Reset(exchange, refused));
                    self.end_job(id, TryAction::ResetStream);
                } else {
                    self.break_off(id, conn, CloseKind::Rst, TryAction::Reset);
                }
            }
            ReplyAction::Hang => self.set_try(line, id, TryAction::Hang),
            ReplyAction::Truncate => {
                let mut response = fixed(&head, 200, Headers::default(), 103, None);
                response.truncated = true;
                response.body_bytes = 3;
                if let Some(x) = self.exchanges.get_mut(exchange) {
                    x.response = Some(response);
                    x.answerer = Some(self.jobs.get(id).map_or(Answerer::Internet, |j| j.who));
                }
                self.send_down(conn, Down::Response(exchange));
                self.queue.after(TRUNCATED_NS, Event::BreakOff(conn));
                self.end_job(id, TryAction::Truncate);
            }
        }
    }

    fn answer(&mut self, id: JobId, exchange: ExchangeId, conn: ConnId, response: Response) {
        let status = response.status;
        let who = self.jobs.get(id).map_or(Answerer::Internet, |j| j.who);
        if let Some(x) = self.exchanges.get_mut(exchange) {
            x.response = Some(response);
            x.answerer = Some(who);
        }
        self.send_down(conn, Down::Response(exchange));
        self.end_job(id, TryAction::Status(status));
    }

    /// The application ends the connection instead of answering.
    fn break_off(&mut self, id: JobId, conn: ConnId, kind: CloseKind, action: TryAction) {
        self.end_job(id, action);
        self.drop_server(conn, kind);
    }

    /// The reset that follows a truncated answer.
    pub(super) fn late_reset(&mut self, conn: ConnId) {
        self.drop_server(conn, CloseKind::Rst);
    }

    /// The peer left: the application works on, but nobody hears the answer.
    fn cut_job(&mut self, id: JobId) {
        let now = self.queue.now();
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.exchange = None;
        let (line, at) = (job.line, job.tried);
        let hanging = matches!(job.reply.action, ReplyAction::Hang);
        if let Some(at) = at
            && let Some(t) = self.roots.get_mut(line.root).and_then(|r| r.tries.get_mut(at as usize))
        {
            t.cut_ns = Some(now);
            if t.action == TryAction::Pending {
                t.action = TryAction::Gone;
            }
        }
        if hanging {
            self.end_job(id, TryAction::Hang);
        }
    }

    fn end_job(&mut self, id: JobId, action: TryAction) {
        let Some(job) = self.jobs.remove(id) else { return };
        let now = self.queue.now();
        if let Some(conn) = self.conns.get_mut(job.conn) {
            conn.jobs.retain(|j| *j != id);
        }
        if let Some(at) = job.tried
            && let Some(t) = self.roots.get_mut(job.line.root).and_then(|r| r.tries.get_mut(at as usize))
        {
            if t.action == TryAction::Pending {
                t.action = action;
            }
            if !matches!(t.action, TryAction::Gone | TryAction::Hang) {
                t.done_ns = Some(now);
            }
        }
        if let Answerer::Pod(pod) = job.who
            && let Some(run) = self.pods.get_mut(pod as usize)
        {
            if job.serving {
                run.serving = run.serving.saturating_sub(1);
            } else {
                run.waiting.retain(|j| *j != id);
            }
            let next = if run.behavior.concurrency.is_none_or(|c| run.serving < c) {
                run.waiting.pop_front()
            } else {
                None
            };
            if let Some(next) = next {
                self.start_job(next);
            }
        }
        self.close_activity(job.line.root);
    }

    fn set_try(&mut self, line: Lineage, job: JobId, action: TryAction) {
        let at = self.jobs.get(job).and_then(|j| j.tried);
        if let Some(at) = at
            && let Some(t) = self.roots.get_mut(line.root).and_then(|r| r.tries.get_mut(at as usize))
        {
            t.action = action;
        }
    }

    /// Writes down what the application received.
    fn note_try(
        &mut self,
        line: Lineage,
        app: AppSide,
        name: Str,
        exchange: Option<ExchangeId>,
        is_line: bool,
    ) -> Option<u32> {
        if !self.keep_hops {
            return None;
        }
        let now = self.queue.now();
        let head = exchange.and_then(|x| self.exchanges.get(x)).map(|x| std::sync::Arc::clone(&x.head));
        let root = self.roots.get_mut(line.root)?;
        root.tries.push(Try {
            workload: name,
            at_ns: now,
            connection: app.number,
            method: head.as_ref().map(|h| h.method.clone()).unwrap_or_default(),
            path: head.as_ref().map(|h| h.path.clone()).unwrap_or_default(),
            authority: head.as_ref().and_then(|h| h.authority.clone()),
            protocol: head.as_ref().map(|h| h.protocol),
            headers: head.as_ref().map(|h| h.headers.clone()).unwrap_or_default(),
            action: if is_line { TryAction::Line } else { TryAction::Pending },
            done_ns: None,
            cut_ns: None,
            shadow: line.shadow,
            call: line.call,
        });
        Some(root.tries.len() as u32 - 1)
    }

    /// Changes what pods do; open connections end when a pod stops accepting.
    pub(super) fn set_behavior(&mut self, pod: u32, change: impl FnOnce(&mut Behavior), restart: bool) {
        let Some(run) = self.pods.get_mut(pod as usize) else { return };
        let before = run.behavior.connect;
        change(&mut run.behavior);
        if restart {
            run.cycle = 0;
        }
        let after = run.behavior.connect;
        if before != after && after != crate::plan::ConnectMode::Accept {
            let kind =
                if after == crate::plan::ConnectMode::Refuse { CloseKind::Rst } else { CloseKind::Fin };
            self.end_app_conns(pod, kind);
        }
    }

    fn end_app_conns(&mut self, pod: u32, kind: CloseKind) {
        let conns = self.pods.get_mut(pod as usize).map(|r| std::mem::take(&mut r.conns)).unwrap_or_default();
        for conn in conns {
            let jobs = self.conns.get(conn).map(|c| c.jobs.clone()).unwrap_or_default();
            for job in jobs {
                self.cut_job(job);
            }
            self.drop_server(conn, kind);
        }
    }

    /// The pod's process dies.
    pub(super) fn kill_pod(&mut self, pod: u32) {
        if let Some(run) = self.pods.get_mut(pod as usize) {
            run.gone = true;
            let ip = run.pod.ip;
            if self.by_ip.get(&ip) == Some(&pod) {
                self.by_ip.remove(&ip);
            }
        }
        self.end_app_conns(pod, CloseKind::Rst);
        self.end_proxy_conns(pod);
    }

    /// Connections that a dead pod's proxy served are reset.
    fn end_proxy_conns(&mut self, pod: u32) {
        let Some(proxy) = self.pods.get(pod as usize).and_then(|p| p.proxy) else { return };
        for id in self.conns.ids() {
            let served = match self.conns.get(id).map(|c| &c.server) {
                Some(Server::Http(side)) => side.proxy == proxy,
                Some(Server::Tcp(s)) => self.sessions.get(*s).is_some_and(|s| s.proxy == proxy),
                _ => false,
            };
            if served {
                self.drop_server(id, CloseKind::Rst);
            }
        }
    }
}

/// Copies headers of the served request to a call.
fn propagate(
    head: std::sync::Arc<RequestHead>,
    from: &RequestHead,
    keep: &[Str],
) -> std::sync::Arc<RequestHead> {
    let copied: Vec<(Str, Str)> =
        from.headers.0.iter().filter(|(n, _)| keep.contains(n) && !head.headers.has(n)).cloned().collect();
    if copied.is_empty() {
        return head;
    }
    let mut head = head.as_ref().clone();
    head.headers.0.extend(copied);
    std::sync::Arc::new(head)
}

/// The recorder's application; `None` = it resets the connection.
fn echo(head: &RequestHead) -> Option<Response> {
    if head.headers.first("x-echo-reset").is_some_and(|v| v.trim() == "1") {
        return None;
    }
    let status = head.headers.first("x-echo").and_then(|v| v.trim().parse::<u16>().ok()).unwrap_or(200);
    let mut extra = Headers::default();
    for pair in head.headers.all("x-echo-header") {
        if let Some((name, value)) = pair.split_once('=') {
            extra.append(&name.trim().to_ascii_lowercase(), value.trim());
        }
    }
    Some(fixed(head, status, extra, 100, None))
}

/// An answer with this status.
fn fixed(
    head: &RequestHead,
    status: u16,
    extra: Headers,
    body_bytes: u64,
    grpc_status: Option<u32>,
) -> Response {
    let mut headers = Headers::default();
    let grpc = head.is_grpc();
    if !extra.has("content-type") {
        headers.append("content-type", if grpc { "application/grpc" } else { "application/json" });
    }
    headers.0.extend(extra.0);
    let grpc_status = if grpc { grpc_status.or(Some(0)) } else { grpc_status };
    // HTTP/1.1 servers have no trailers to put it in.
    let grpc_in_headers = grpc_status.is_some() && (body_bytes == 0 || head.protocol != Protocol::Http2);
    if let (Some(code), true) = (grpc_status, grpc_in_headers) {
        headers.set("grpc-status", &code.to_string());
    }
    Response {
        status,
        headers,
        grpc_status,
        grpc_in_headers,
        body: Str::default(),
        body_bytes,
        truncated: false,
    }
}
