//! Calls: an application (or a traffic source) resolves a name, connects, sends a request and waits.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::{Step, TraceSink};
use mesh_core::ids::Nanos;
use mesh_core::request::RequestHead;

use super::memo::HeadClass;
use super::net::{Dialing, Place, Road};
use super::state::{
    Again, Answerer, Call, CallId, Caller, ClientEnd, CloseKind, ConnId, ConnectError, Down, Exchange,
    ExchangeId, JobId, Lineage, Owner, PodIx, RareEnd, RootId, Up, Waiter, Worker,
};
use super::template::Template;
use super::words;
use super::{Event, Sim};
use crate::draws::{Chance, mix};
use crate::plan::{Dial, Payload, SendMode};
use crate::record::{Fate, Response};
use crate::wire::{self, Wire};

/// A call about to be made.
pub(crate) struct Calling {
    pub(crate) line: Lineage,
    pub(crate) waiter: Waiter,
    pub(crate) pod: Option<PodIx>,
    pub(crate) source: Option<IpAddr>,
    /// The machine dialled in place of the one that the request names.
    pub(crate) through: Option<IpAddr>,
    pub(crate) template: Arc<Template>,
    pub(crate) head: Option<(Arc<RequestHead>, HeadClass)>,
    pub(crate) send: SendMode,
    pub(crate) patience: Option<(Nanos, Fate)>,
    pub(crate) fail: bool,
    /// Repetitions by the application.
    pub(crate) retries: u32,
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Makes a call.
    pub(super) fn call(&mut self, calling: Calling) {
        let Calling { line, waiter, pod, source, through, template, head, send, patience, fail, retries } =
            calling;
        if let Some(root) = self.roots.get_mut(line.root) {
            root.open += 1;
        }
        let id = self.calls.insert(Call {
            line,
            waiter,
            template: Arc::clone(&template),
            head,
            send,
            conn: None,
            exchange: None,
            partial: None,
            tls: None,
            fail,
            again: (retries > 0).then_some(Again { pod, patience, left: retries }),
        });
        if let Some((after, fate)) = patience {
            self.note_timer(after);
            self.timer(after, Event::Impatient(id, fate));
        }
        let from = pod.and_then(|p| self.pods.get(p as usize));
        let ip = source.or_else(|| from.map(|p| p.pod.ip)).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        // An ephemeral port, stable per call (hashes over the source address must be reproducible).
        let port = 32_768 + (line.key % 28_000) as u16;
        let place = pod.map_or(Place::Outside, Place::App);
        let Some((destination, road)) = self.road(&template, pod, through, line.root) else {
            self.call_connect_failed(id, ConnectError::Refused);
            return;
        };
        let content = Arc::clone(&template.content);
        let source = SocketAddr::new(ip, port);
        let dialing = Dialing { place, source, destination, content, owner: Owner::Call(id), line };
        let conn = self.open(dialing, road);
        if let Some(call) = self.calls.get_mut(id) {
            call.conn = Some(conn);
        }
    }

    /// Where a client's connection leads; `None` when the name does not exist. Remembered until something changes.
    fn road(
        &mut self,
        template: &Template,
        pod: Option<PodIx>,
        through: Option<IpAddr>,
        root: RootId,
    ) -> Option<(SocketAddr, Road)> {
        let number = template.number as usize;
        if let Some(known) = self.roads.get(number).and_then(|of| of.get(&(pod, through)))
            && !S::ENABLED
        {
            return Some(*known);
        }
        self.about(root);
        let destination = match &template.request.dial {
            Dial::Address(to) => SocketAddr::new(through.unwrap_or(to.ip()), to.port()),
            Dial::Name(name, port) => {
                let from = pod.and_then(|p| self.pods.get(p as usize));
                let namespace = from.map_or_else(|| Str::from("default"), |p| p.pod.namespace.clone());
                let found = self.resolve(&namespace, name);
                self.trace.step(|| match &found {
                    Some(a) => Step::Note(format!("DNS: {name} is {a:?}").into()),
                    None => Step::Note(format!("DNS: {name} does not exist").into()),
                });
                SocketAddr::new(found.and_then(|a| a.first().copied())?, *port)
            }
        };
        let road = self.survey(pod.map_or(Place::Outside, Place::App), destination);
        if self.roads.len() <= number {
            self.roads.resize(number + 1, BTreeMap::new());
        }
        if let Some(of) = self.roads.get_mut(number) {
            of.insert((pod, through), (destination, road));
        }
        Some((destination, road))
    }

    /// DNS as a pod of this namespace sees it; answers are remembered for one version of the world.
    fn resolve(&mut self, namespace: &Str, name: &Str) -> Option<Arc<[IpAddr]>> {
        if let Some(known) = self.dns_answers.get(name).and_then(|by| by.get(namespace)) {
            return known.clone();
        }
        let found: Option<Arc<[IpAddr]>> = self.world.dns.resolve(namespace, name).map(Arc::from);
        self.dns_answers.entry(name.clone()).or_default().insert(namespace.clone(), found.clone());
        found
    }

    /// TCP is up: TLS, or the payload at once.
    pub(super) fn call_connected(&mut self, id: CallId, conn: ConnId) {
        let Some(call) = self.calls.get(id) else {
            self.hang_up(conn, CloseKind::Fin);
            return;
        };
        if call.template.request.tls.is_some() {
            self.send_up(conn, Up::Hello(0));
        } else {
            self.send_payload(id, conn);
        }
    }

    fn send_payload(&mut self, id: CallId, conn: ConnId) {
        let Some(call) = self.calls.get(id) else { return };
        let up = match (&call.template.request.payload, call.send) {
            (_, SendMode::HalfHeaders) => Up::Partial,
            (Payload::Raw(text), _) if call.head.is_none() => match wire::read(text) {
                Wire::Preface => Up::Partial,
                _ => Up::Raw(text.clone()),
            },
            (_, send) => {
                let Some((head, class)) = call.head.clone() else { return };
                let line = call.line;
                let exchange = self.exchanges.insert(Exchange {
                    line,
                    caller: Caller::Call,
                    head,
                    class,
                    complete: send == SendMode::Whole,
                    worker: Worker::Nobody,
                    response: None,
                    answerer: None,
                });
                if let Some(call) = self.calls.get_mut(id) {
                    call.exchange = Some(exchange);
                }
                Up::Request(exchange)
            }
        };
        self.send_up(conn, up);
    }

    /// The connection did not come about.
    pub(super) fn call_connect_failed(&mut self, id: CallId, error: ConnectError) {
        if let Some(call) = self.calls.get_mut(id) {
            call.conn = None;
        }
        let fate = match error {
            ConnectError::Refused | ConnectError::Unreachable => Fate::Refused,
            ConnectError::Dropped => Fate::Timeout,
        };
        self.end_call(id, Ending::bare(fate));
    }

    /// The client's patience ends.
    pub(super) fn call_impatient(&mut self, id: CallId, fate: Fate) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let partial = call.partial.take();
        let mut ending = Ending::bare(fate);
        if let Some((response, who)) = partial.map(|p| *p) {
            ending.response = Some(response);
            ending.workload = who;
        }
        self.end_call(id, ending);
    }

    /// Something arrives at the client.
    pub(super) fn call_bytes(&mut self, id: CallId, conn: ConnId, down: Down) {
        match down {
            Down::Hello(_, result) => self.call_greeted(id, conn, *result),
            Down::Response(exchange) => self.call_response(id, exchange),
            Down::Raw(answer) => {
                let mut ending = Ending::bare(Fate::Ok);
                ending.answer = answer.text;
                ending.response = answer.response;
                ending.workload = answer.who;
                self.end_call(id, ending);
            }
            Down::Reset(..) => self.end_call(id, Ending::bare(Fate::Reset)),
            Down::Close(kind) => {
                self.forget(conn);
                self.call_closed(id, kind);
            }
        }
    }

    fn call_greeted(
        &mut self,
        id: CallId,
        conn: ConnId,
        result: Result<mesh_core::tls::TlsSession, super::state::HelloError>,
    ) {
        let Some(call) = self.calls.get_mut(id) else { return };
        match result {
            Ok(session) => {
                call.tls = Some(Box::new(Ok(session)));
                self.send_payload(id, conn);
            }
            Err(error) => {
                call.tls = Some(Box::new(Err(words::hello_error(&error))));
                self.end_call(id, Ending::bare(Fate::Reset));
            }
        }
    }

    fn call_response(&mut self, id: CallId, exchange: ExchangeId) {
        let Some(x) = self.exchanges.get_mut(exchange) else { return };
        let Some(response) = x.response.take() else { return };
        let who = x.answerer;
        if response.truncated {
            if let Some(call) = self.calls.get_mut(id) {
                call.partial = Some(Box::new((response, who)));
            }
            return;
        }
        let mut ending = Ending::bare(Fate::Ok);
        ending.response = Some(response);
        ending.workload = who;
        self.end_call(id, ending);
    }

    fn call_closed(&mut self, id: CallId, kind: CloseKind) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.conn = None;
        // After a handshake every abnormal end looks like a reset (conformance/README.md).
        let secure = call.template.request.tls.is_some();
        let mut ending =
            Ending::bare(if kind == CloseKind::Fin && !secure { Fate::Closed } else { Fate::Reset });
        if kind == CloseKind::Either {
            ending.fate_also = Some(Fate::Closed);
        }
        if let Some((response, who)) = call.partial.take().map(|p| *p) {
            ending.response = Some(response);
            ending.workload = who;
        }
        self.end_call(id, ending);
    }

    /// The call is over: hang up and tell whoever waits.
    fn end_call(&mut self, id: CallId, ending: Ending) {
        let Some(call) = self.calls.remove(id) else { return };
        if let Some(exchange) = call.exchange {
            self.exchanges.discard(exchange);
        }
        if let Some(conn) = call.conn {
            self.hang_up(conn, CloseKind::Fin);
        }
        match call.waiter {
            Waiter::Traffic => {
                let rare = match call.tls.map(|tls| *tls) {
                    None if ending.answer.is_none() => None,
                    None => Some(RareEnd { answer: ending.answer, ..RareEnd::default() }),
                    Some(Err(why)) => {
                        Some(RareEnd { answer: ending.answer, tls: Some(Err(why)), tls_alpn: None })
                    }
                    Some(Ok(s)) => {
                        let sans = s.server_certificate.map(|c| c.sans).unwrap_or_default();
                        Some(RareEnd { answer: ending.answer, tls: Some(Ok(sans)), tls_alpn: s.alpn })
                    }
                };
                let end = ClientEnd {
                    at_ns: self.queue.now(),
                    fate: ending.fate,
                    fate_also: ending.fate_also,
                    response: ending.response,
                    workload: ending.workload,
                    rare: rare.map(Box::new),
                };
                self.root_answered(call.line.root, end);
            }
            Waiter::Job(job) => {
                let good =
                    ending.response.as_ref().is_some_and(|r| r.status < 500) || ending.answer.is_some();
                match call.again.filter(|_| !good) {
                    Some(again) => self.call_again(&call, job, again),
                    None => self.job_called(job, call.fail && !good),
                }
            }
        }
        self.close_activity(call.line.root);
    }
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// The application repeats a failed call, as a call of its own.
    fn call_again(&mut self, failed: &Call, job: JobId, again: Again) {
        let number = match self.roots.get_mut(failed.line.root) {
            Some(root) => {
                root.calls += 1;
                root.calls
            }
            None => 0,
        };
        let key = mix(failed.line.key, u64::from(again.left) | 1 << 41);
        self.call(Calling {
            line: Lineage { call: number, key, ..failed.line },
            waiter: Waiter::Job(job),
            pod: again.pod,
            source: None,
            through: None,
            template: Arc::clone(&failed.template),
            head: failed.head.clone(),
            send: failed.send,
            patience: again.patience,
            fail: failed.fail,
            retries: again.left - 1,
        });
    }
}

/// How a call ended.
struct Ending {
    fate: Fate,
    fate_also: Option<Fate>,
    response: Option<Response>,
    answer: Option<Str>,
    workload: Option<Answerer>,
}

impl Ending {
    fn bare(fate: Fate) -> Self {
        Ending { fate, fate_also: None, response: None, answer: None, workload: None }
    }
}
