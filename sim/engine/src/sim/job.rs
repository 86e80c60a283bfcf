//! Jobs: requests inside an application, from the queue to the answer.

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::{Draws, Purpose, Step, TraceSink};
use mesh_core::ids::{Nanos, OriginId};
use mesh_core::request::{Headers, Protocol};

use super::answer::{echo, fixed};
use super::client::Calling;
use super::state::{
    Answerer, AppSide, CloseKind, ConnId, Down, ExchangeId, JobId, JobReply, Lineage, PodIx, Waiter,
};
use super::{Event, Sim};
use crate::draws::{At, Chance, mix};
use crate::plan::{Behavior, Law, ReplyAction, ReplyOrder, SendMode};
use crate::record::{Fate, Response, TryAction, Unknown};

/// Which of several answers.
const CHOICE: Purpose = Purpose::Other(2);
/// How long a truncated answer lasts before its connection is reset (conformance/dynamic/README.md).
const TRUNCATED_NS: Nanos = 20_000_000;
/// Applications that may call each other in a row.
const MOST_DEPTH: u16 = 32;
/// Calls of applications that one request may cause.
const MOST_CALLS: u32 = 10_000;

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Which answer this request gets and how long it takes.
    pub(super) fn plan_reply(
        &mut self,
        app: AppSide,
        exchange: ExchangeId,
        line: Lineage,
    ) -> (JobReply, Nanos) {
        let key = line.key;
        let Some((behavior, at)) = self.choose_reply(app.who, key) else {
            return self.timed(app.who, JobReply::Echo, &Law::Constant(1_000_000), exchange, key);
        };
        match behavior.responses.get(at) {
            None => self.timed(app.who, JobReply::Echo, &behavior.service_time, exchange, key),
            Some(reply) => {
                let law = reply.service_time.as_ref().unwrap_or(&behavior.service_time);
                self.timed(app.who, JobReply::Planned(Arc::clone(&behavior), at), law, exchange, key)
            }
        }
    }

    /// The behavior of whoever answers, and which of its answers is due; `None` for the internet.
    pub(super) fn choose_reply(&mut self, who: Answerer, key: u64) -> Option<(Arc<Behavior>, usize)> {
        let Answerer::Pod(pod) = who else { return None };
        let run = self.pods.get_mut(pod as usize)?;
        run.cycle += 1;
        let (behavior, turn) = (Arc::clone(&run.behavior), run.cycle - 1);
        let n = behavior.responses.len();
        let at = match behavior.order {
            _ if n <= 1 => 0,
            ReplyOrder::Cycle => (turn % n as u64) as usize,
            ReplyOrder::Weighted => {
                let mut total = 0;
                let ends: Vec<u64> = behavior
                    .responses
                    .iter()
                    .map(|r| {
                        total += r.weight;
                        total
                    })
                    .collect();
                At { key, chance: &mut self.chance }.choose(CHOICE, &ends)
            }
        };
        Some((behavior, at))
    }

    /// The time an answer takes; an echo may be asked to take longer.
    fn timed(
        &mut self,
        who: Answerer,
        reply: JobReply,
        law: &Law,
        exchange: ExchangeId,
        key: u64,
    ) -> (JobReply, Nanos) {
        let mut service = self.service_time(who, law, key);
        if matches!(reply.action(), ReplyAction::Echo)
            && let Some(x) = self.exchanges.get(exchange)
            && let Some(ms) = x.head.headers.first("x-echo-delay").and_then(|v| v.trim().parse::<u64>().ok())
        {
            service = service.saturating_add(ms.saturating_mul(1_000_000));
        }
        (reply, service)
    }

    /// Starts the job, queues it, or turns it away.
    pub(super) fn queue_job(&mut self, id: JobId) {
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
            if let Some(job) = self.jobs.get_mut(id) {
                job.reply = JobReply::Rejected;
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
        let calls = match who {
            Answerer::Pod(pod) => self.pods.get(pod as usize).map(|p| Arc::clone(&p.calls)),
            Answerer::Internet => None,
        };
        let group = calls.as_ref().and_then(|c| c.get(step as usize));
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
        let served = exchange.and_then(|x| self.exchanges.get(x)).map(|x| (Arc::clone(&x.head), x.class));
        let Answerer::Pod(pod) = who else { return };
        if self.is_too_deep(pod, line) {
            if let Some(job) = self.jobs.get_mut(id) {
                job.failed = true;
                job.out = 0;
            }
            self.finish_job(id);
            return;
        }
        let behavior = self.pods.get(pod as usize).map(|p| Arc::clone(&p.behavior));
        let keep: &[Str] = behavior.as_ref().map_or(&[], |b| &b.propagate_headers);
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
                depth: line.depth + 1,
                key: mix(line.key, u64::from(step) << 16 | i as u64 | 1 << 40),
                ..line
            };
            let head = call.template.head(0).map(|head| match &served {
                Some(from) => self.memo.propagated(head, from, keep),
                None => head,
            });
            self.call(Calling {
                line: nested,
                waiter: Waiter::Job(id),
                pod: Some(pod),
                source: None,
                through: None,
                template: Arc::clone(&call.template),
                head,
                send: SendMode::Whole,
                patience: call.timeout_ns.map(|ns| (ns, Fate::Timeout)),
                fail: call.fail,
                retries: call.retries,
            });
        }
    }

    /// Applications that call each other in circles never answer: beyond any real depth the request is given up as
    /// not predictable.
    fn is_too_deep(&mut self, pod: PodIx, line: Lineage) -> bool {
        let name = self.pods.get(pod as usize).map(|p| p.pod.reference.clone()).unwrap_or_default();
        let Some(root) = self.roots.get_mut(line.root) else { return false };
        if line.depth < MOST_DEPTH && root.calls < MOST_CALLS {
            return false;
        }
        let what = if line.depth >= MOST_DEPTH {
            format!(
                "a chain of more than {MOST_DEPTH} calls (applications that call each other in circles?), at {name}"
            )
        } else {
            format!("more than {MOST_CALLS} calls caused by one request, at {name}")
        };
        root.unknown.get_or_insert_with(|| {
            Box::new(Unknown { proxy: None, what: what.into(), origin: OriginId::NONE })
        });
        true
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
        let own = match job.reply {
            JobReply::Rejected => Some((503, 0)),
            _ if job.failed => Some((500, 3)),
            _ => None,
        };
        let action = if let Some((status, body_bytes)) = own {
            ReplyAction::Answer {
                status,
                headers: Headers::default(),
                body_bytes,
                body: Str::default(),
                grpc_status: None,
            }
        } else {
            job.reply.action().clone()
        };
        let Some(x) = exchange.and_then(|e| self.exchanges.get(e)) else {
            self.end_job(id, TryAction::Gone);
            return;
        };
        let Some(exchange) = exchange else { return };
        let head = Arc::clone(&x.head);
        self.about(line.root);
        self.trace.step(|| Step::Note("the application answers".into()));
        match action {
            ReplyAction::Echo => match echo(&head, self.bare) {
                Some(response) => self.answer(id, exchange, conn, response),
                None => self.break_off(id, conn, CloseKind::Rst, TryAction::Reset),
            },
            ReplyAction::Answer { status, headers, body_bytes, body, grpc_status } => {
                let response =
                    Response { body, ..fixed(&head, status, headers, body_bytes, grpc_status, self.bare) };
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
                let mut response = fixed(&head, 200, Headers::default(), 103, None, self.bare);
                response.truncated = true;
                response.body_bytes = 3;
                if let Some(x) = self.exchanges.get_mut(exchange) {
                    x.response = Some(response);
                    x.answerer = Some(self.jobs.get(id).map_or(Answerer::Internet, |j| j.who));
                }
                self.send_down(conn, Down::Response(exchange));
                self.queue.after(TRUNCATED_NS, Event::BreakOff(conn, CloseKind::Rst));
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
        // Other streams of the connection have nobody to answer any more.
        let others = self.conns.get(conn).map(|c| c.jobs.clone()).unwrap_or_default();
        for other in others {
            self.cut_job(other);
        }
        self.drop_server(conn, kind);
    }

    /// The reset that follows a truncated answer.
    pub(super) fn late_end(&mut self, conn: ConnId, kind: CloseKind) {
        self.drop_server(conn, kind);
    }

    /// The peer left: the application works on, but nobody hears the answer.
    pub(super) fn cut_job(&mut self, id: JobId) {
        let now = self.queue.now();
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.exchange = None;
        let (line, at) = (job.line, job.tried);
        let hanging = matches!(job.reply.action(), ReplyAction::Hang);
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
}

impl JobReply {
    fn action(&self) -> &ReplyAction {
        match self {
            JobReply::Echo | JobReply::Rejected => &ReplyAction::Echo,
            JobReply::Planned(behavior, at) => {
                behavior.responses.get(*at).map_or(&ReplyAction::Echo, |r| &r.action)
            }
        }
    }
}
