//! What pods do: `behaviors:` and `set:` steps in the engine's words.

use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_core::request::Headers;
use mesh_engine::plan::{Behavior, Call, ConnectMode, Law, Reply, ReplyAction, ReplyOrder};

use super::no_such_workload;
use crate::directory::Directory;
use crate::format::behavior::{
    BehaviorWords, CallWords, ConnectWord, LawWords, OnErrorWord, OrderWord, ResetWord, ResponseWords,
};
use crate::format::client::WorkloadRef;

/// Body size of an answer that states none (conformance/dynamic/README).
const DEFAULT_BODY_BYTES: u64 = 3;

/// Everything `behaviors:` says.
#[derive(Debug, Clone, Default)]
pub struct Behaviors {
    /// Of pods.
    pub pods: Vec<Behavior>,
    /// Of the world outside.
    pub internet: Option<Behavior>,
}

/// Gives meaning to `behaviors:`. `later` are pods that a timeline brings.
pub fn behaviors(
    words: &[BehaviorWords],
    directory: &Directory,
    later: &Directory,
    out: &mut Vec<Diagnostic>,
) -> Behaviors {
    let mut all = Behaviors::default();
    for one in words {
        let mut behavior = behavior(one, out);
        if is_internet(&one.workload) {
            // Of the world outside only what becomes of connections is simulated.
            let defaults = Behavior { connect: behavior.connect, ..Behavior::default() };
            if format!("{behavior:?}") != format!("{defaults:?}") {
                let message = "of `internet` only `connect` is simulated".to_owned();
                out.push(Diagnostic::error(codes::CONTRADICTION, Stage::Schema, one.origin, message));
            }
            all.internet = Some(behavior);
            continue;
        }
        behavior.later = later.find(&one.workload).iter().map(|p| p.reference.clone()).collect();
        behavior.pods = directory.find(&one.workload).iter().map(|p| p.id).collect();
        if behavior.pods.is_empty() && behavior.later.is_empty() {
            out.push(no_such_workload(directory, &one.workload, one.origin));
        }
        all.pods.push(behavior);
    }
    all
}

/// `internet` is the world outside, unless it is spelt with a namespace.
#[must_use]
pub fn is_internet(reference: &WorkloadRef) -> bool {
    matches!(reference, WorkloadRef::Name { namespace: None, name, ordinal: None } if name == "internet")
}

fn behavior(words: &BehaviorWords, out: &mut Vec<Diagnostic>) -> Behavior {
    let defaults = Behavior::default();
    Behavior {
        pods: Vec::new(),
        later: Vec::new(),
        service_time: words.service_time.as_ref().map_or(defaults.service_time, law),
        concurrency: words.concurrency,
        queue: words.queue,
        responses: words.responses.as_ref().map(|r| replies(r, out)).unwrap_or_default(),
        order: words.response_order.map_or(ReplyOrder::Weighted, order),
        connect: words.connect.map_or(ConnectMode::Accept, connect),
        calls: words
            .calls
            .iter()
            .map(|step| step.0.iter().filter_map(|c| call(c, words, out)).collect())
            .collect(),
        propagate_headers: words
            .propagate_headers
            .iter()
            .map(|h| h.to_ascii_lowercase().as_str().into())
            .collect(),
    }
}

/// A law of durations.
#[must_use]
pub fn law(words: &LawWords) -> Law {
    match words {
        LawWords::Constant(d) => Law::Constant(d.0),
        LawWords::Exponential(d) => Law::Exponential(d.0),
        LawWords::Uniform(low, high) => Law::Uniform(low.0, high.0),
        LawWords::LogNormal { p50, p99 } => Law::LogNormal { p50_ns: p50.0, p99_ns: p99.0 },
        LawWords::Empirical(values) => Law::Empirical(values.iter().map(|d| d.0).collect()),
    }
}

/// The order of several answers.
#[must_use]
pub fn order(word: OrderWord) -> ReplyOrder {
    match word {
        OrderWord::Cycle => ReplyOrder::Cycle,
        OrderWord::Weighted => ReplyOrder::Weighted,
    }
}

/// What happens to connection attempts.
#[must_use]
pub fn connect(word: ConnectWord) -> ConnectMode {
    match word {
        ConnectWord::Accept => ConnectMode::Accept,
        ConnectWord::Refuse => ConnectMode::Refuse,
        ConnectWord::Drop => ConnectMode::Drop,
    }
}

/// Answers with their weights: what has no percentage shares the rest equally.
pub fn replies(words: &[ResponseWords], out: &mut Vec<Diagnostic>) -> Vec<Reply> {
    let given: f64 = words.iter().filter_map(|w| w.percent).map(|p| p.0).sum();
    if given > 1.0 + 1e-9 {
        let at = words.first().map(|w| w.origin).unwrap_or_default();
        let message = format!("the answers sum to {}%", given * 100.0);
        out.push(Diagnostic::error(codes::CONTRADICTION, Stage::Schema, at, message));
    }
    let open = words.iter().filter(|w| w.percent.is_none()).count();
    let rest = (1.0 - given).max(0.0) / open.max(1) as f64;
    words
        .iter()
        .map(|w| Reply {
            weight: libm::round(w.percent.map_or(rest, |p| p.0) * 1e6) as u64,
            action: action(w, out),
            service_time: w.service_time.as_ref().map(law),
        })
        .collect()
}

fn action(words: &ResponseWords, out: &mut Vec<Diagnostic>) -> ReplyAction {
    let reset = words.reset.filter(|r| *r != ResetWord::No);
    let ends = [reset.is_some(), words.close, words.hang, words.truncate];
    // A cut answer has a status too: the recorder's 200.
    let answers = words.status.is_some_and(|s| !(words.truncate && s == 200)) || words.grpc_status.is_some();
    if ends.iter().filter(|e| **e).count() + usize::from(answers) > 1 {
        let message = "an answer is one of `status`, `reset`, `close`, `hang`, `truncate`";
        out.push(Diagnostic::error(codes::CONTRADICTION, Stage::Schema, words.origin, message));
    }
    match reset {
        Some(ResetWord::Stream) => return ReplyAction::ResetStream(words.refused),
        Some(_) => return ReplyAction::Reset,
        None => {}
    }
    if words.close {
        return ReplyAction::Close;
    }
    if words.hang {
        return ReplyAction::Hang;
    }
    if words.truncate {
        return ReplyAction::Truncate;
    }
    let mut headers = Headers::default();
    for (name, value) in &words.headers.0 {
        headers.append(&name.to_ascii_lowercase(), value);
    }
    let default_bytes = words.body.as_ref().map_or(DEFAULT_BODY_BYTES, |b| b.len() as u64);
    ReplyAction::Answer {
        status: words.status.unwrap_or(200),
        headers,
        body_bytes: words.body_bytes.unwrap_or(default_bytes),
        body: words.body.as_deref().unwrap_or_default().into(),
        grpc_status: words.grpc_status,
    }
}

fn call(words: &CallWords, of: &BehaviorWords, out: &mut Vec<Diagnostic>) -> Option<Call> {
    match words.request.lower() {
        Ok(request) => Some(Call {
            request,
            timeout_ns: words.timeout.map(|d| d.0),
            fail: words.on_error != Some(OnErrorWord::Ignore),
            retries: words.retries,
        }),
        Err(error) => {
            out.push(Diagnostic::error(codes::WRONG_TYPE, Stage::Schema, of.origin, error.to_string()));
            None
        }
    }
}
