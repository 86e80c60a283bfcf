//! Listener, filter chain and handshake of an arriving connection (semantics: istio-networking 6.4, 6.5).
//!
//! The inspectors see only what [`Connection`] says about the first bytes; the sieve over filter chains is in
//! [`super::chain`].

use crate::cx::{Step, TraceSink};
use crate::decide::chain::{Detected, find_chain, why_not};
use crate::decide::{Accept, HandshakeFailure, handshake};
use crate::ids::{ChainId, ListenerId, Nanos, Str};
use crate::ir::{Listener, ProxyKind, Snapshot, TrafficDirection, TransportProtocol};
use crate::request::{Connection, FirstBytes, Peer, Protocol};
use crate::tls::{Certificate, CertificateSource, DownstreamTls, TlsSession};

/// Decides which filter chain takes a connection, and whether its handshake works.
///
/// Outbound at a sidecar `conn.destination` is the original destination (the connection enters at 15001); inbound it
/// is the pod's own address (it enters at 15006); at a gateway the address it was dialled at. `identity` is the
/// workload certificate of this proxy.
pub fn accept<S: TraceSink>(
    snapshot: &Snapshot,
    direction: TrafficDirection,
    identity: &Certificate,
    conn: &Connection,
    trace: &mut S,
) -> Accept {
    let Some(id) = find_listener(snapshot, direction, conn) else {
        trace.step(|| Step::Listener(None, crate::OriginId::NONE));
        return Accept::NoListener;
    };
    let Some(listener) = snapshot.listeners.get(id.index()) else { return Accept::NoListener };
    trace.step(|| Step::Listener(Some(listener.name.clone()), listener.origin));
    let (detected, waited_ns) = match inspect(listener, conn) {
        Inspection::Done(detected) => (detected, 0),
        Inspection::Starved(_) if listener.listener_filters_timeout_ns == 0 => {
            trace.step(|| Step::Note("an inspector waits for bytes that never come".into()));
            return Accept::Hangs { listener: id };
        }
        Inspection::Starved(so_far) => (so_far, listener.listener_filters_timeout_ns),
    };
    let found = find_chain(&listener.filter_chains, conn.destination, &detected);
    trace_misses(listener, conn, &detected, found, trace);
    if found.is_none() && listener.default_filter_chain.is_none() {
        trace.step(|| Step::Note("no filter chain matches: NR filter_chain_not_found".into()));
        return Accept::NoFilterChain { listener: id };
    }
    let chain = ChainId { listener: id, chain: found.map(|i| i as u32) };
    terminate(snapshot, chain, identity, conn, &detected, waited_ns, trace)
}

/// The listener of a connection: exact address, else wildcard address, else the catch-all the connection entered by.
fn find_listener(snapshot: &Snapshot, direction: TrafficDirection, conn: &Connection) -> Option<ListenerId> {
    let (ip, port) = (conn.destination.ip(), conn.destination.port());
    let usable = |i: usize, test: &dyn Fn(&Listener) -> bool| {
        snapshot.listeners.get(i).is_some_and(|l| l.pipe.is_none() && test(l))
            && !snapshot.index.is_refused(i, &snapshot.listeners)
    };
    let position = |test: &dyn Fn(&Listener) -> bool| {
        (0..snapshot.listeners.len()).find(|i| usable(*i, test)).map(|i| ListenerId(i as u32))
    };
    let on_port = |test: &dyn Fn(&Listener) -> bool| match snapshot.index.listeners_on(port) {
        Some(mut known) => known.find(|i| usable(*i, test)).map(|i| ListenerId(i as u32)),
        None => position(&|l| l.port == port && test(l)),
    };
    let at = |test: &dyn Fn(&Listener) -> bool| {
        on_port(&|l| test(l) && l.ip == Some(ip)).or_else(|| on_port(&|l| test(l) && l.ip.is_none()))
    };
    match (snapshot.kind, direction) {
        (ProxyKind::Gateway, _) => at(&|_| true),
        // 15001 hands over by original destination, whatever the listeners found are bound to and for: a call to port
        // 15006 of any address ends in `virtualInbound`
        (ProxyKind::Sidecar, TrafficDirection::Outbound) => at(&|_| true)
            .or_else(|| position(&|l| l.direction == TrafficDirection::Outbound && l.use_original_dst)),
        // 15006 hands nothing over; only listeners that are really bound (`Sidecar` ingress with capture NONE) precede it
        (ProxyKind::Sidecar, TrafficDirection::Inbound) => {
            let inbound = |l: &Listener| l.direction == TrafficDirection::Inbound;
            at(&|l| inbound(l) && l.bind_to_port && l.port != VIRTUAL_INBOUND_PORT)
                .or_else(|| position(&|l| inbound(l) && l.port == VIRTUAL_INBOUND_PORT))
        }
    }
}

const VIRTUAL_INBOUND_PORT: u16 = 15006;

/// What the inspectors got out of a connection.
enum Inspection<'c> {
    /// They are done.
    Done(Detected<'c>),
    /// One of them needs bytes that do not come; this is what is known without it.
    Starved(Detected<'c>),
}

/// Fewer bytes than a TLS record header keep the TLS inspector waiting (semantics: envoy-routing, later findings).
const TLS_RECORD_HEADER: u32 = 5;

fn inspect<'c>(listener: &Listener, conn: &'c Connection) -> Inspection<'c> {
    let port = conn.destination.port();
    let raw =
        Detected { transport: TransportProtocol::RawBuffer, server_name: None, sniffed: None, offered: &[] };
    let filters = &listener.listener_filters;
    if filters.tls_inspector.as_ref().is_some_and(|i| i.looks_at(port)) {
        match (&conn.tls, conn.bytes) {
            (Some(hello), _) => {
                return Inspection::Done(Detected {
                    transport: TransportProtocol::Tls,
                    server_name: hello.sni.as_deref(),
                    sniffed: None,
                    offered: &hello.alpn,
                });
            }
            (None, FirstBytes::Silent) => return Inspection::Starved(raw),
            (None, FirstBytes::Raw { len, .. }) if len < TLS_RECORD_HEADER => {
                return Inspection::Starved(raw);
            }
            (None, _) => {}
        }
    }
    if filters.http_inspector.as_ref().is_some_and(|i| i.looks_at(port)) && conn.tls.is_none() {
        match conn.bytes {
            FirstBytes::Http(version) => {
                let sniffed = match version {
                    Protocol::Http10 => "http/1.0",
                    Protocol::Http11 => "http/1.1",
                    Protocol::Http2 => "h2c",
                };
                return Inspection::Done(Detected { sniffed: Some(sniffed), ..raw });
            }
            FirstBytes::Silent | FirstBytes::Raw { newline: false, .. } => return Inspection::Starved(raw),
            FirstBytes::Raw { newline: true, .. } => {}
        }
    }
    Inspection::Done(raw)
}

fn trace_misses<S: TraceSink>(
    listener: &Listener,
    conn: &Connection,
    detected: &Detected<'_>,
    found: Option<usize>,
    trace: &mut S,
) {
    if !S::ENABLED {
        return;
    }
    for (i, chain) in listener.filter_chains.iter().enumerate().filter(|(i, _)| Some(*i) != found) {
        let why = why_not(&chain.matcher, conn.destination, detected)
            .unwrap_or_else(|| "a more specific filter chain matches".to_owned());
        trace.step(|| Step::FilterChainMiss(chain_name(&chain.name, Some(i)), why.into()));
    }
}

fn chain_name(name: &Str, position: Option<usize>) -> Str {
    match (name.is_empty(), position) {
        (true, Some(i)) => format!("#{i}").into(),
        (true, None) => "default".into(),
        (false, _) => name.clone(),
    }
}

/// The handshake of a chain that terminates TLS; others take the bytes as they are.
fn terminate<S: TraceSink>(
    snapshot: &Snapshot,
    chain: ChainId,
    identity: &Certificate,
    conn: &Connection,
    detected: &Detected<'_>,
    waited_ns: Nanos,
    trace: &mut S,
) -> Accept {
    let Some(filter_chain) = snapshot.filter_chain(chain) else {
        return Accept::NoFilterChain { listener: chain.listener };
    };
    trace.step(|| {
        Step::FilterChain(
            chain_name(&filter_chain.name, chain.chain.map(|i| i as usize)),
            filter_chain.origin,
        )
    });
    let Some(tls) = &filter_chain.tls else {
        let peer = Peer { certificate: None, sni: detected.server_name.map(Str::from) };
        return Accept::Chain { chain, session: None, peer, waited_ns };
    };
    let result = match &conn.tls {
        Some(hello) => handshake(hello, server_certificate(tls, identity), tls),
        None => Err(HandshakeFailure::NotTls),
    };
    match result {
        Ok(session) => {
            trace.step(|| Step::Tls(describe(&session)));
            let peer = Peer { certificate: session.client_certificate.clone(), sni: session.sni.clone() };
            Accept::Chain { chain, session: Some(session), peer, waited_ns }
        }
        Err(failure) => {
            trace.step(|| Step::Tls(format!("handshake fails: {failure}").into()));
            Accept::HandshakeFailed { chain, failure }
        }
    }
}

fn server_certificate<'a>(tls: &'a DownstreamTls, identity: &'a Certificate) -> Option<&'a Certificate> {
    match &tls.certificate {
        CertificateSource::Workload => Some(identity),
        CertificateSource::Known(certificate) => Some(certificate),
        CertificateSource::Missing(_) => None,
    }
}

fn describe(session: &TlsSession) -> Str {
    let peer = session.client_certificate.as_ref().and_then(|c| c.sans.first().cloned());
    match peer {
        Some(san) => format!("mutual TLS, the client is {san}").into(),
        None => "TLS without a client certificate".into(),
    }
}
