//! Changes of the world while traffic flows.

use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::TraceSink;

use super::Sim;
use super::state::{CloseKind, Server};
use crate::draws::Chance;
use crate::plan::{Behavior, Change, ConnectMode, ReplyOrder};

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// The i-th change of the plan is due.
    pub(super) fn change(&mut self, index: u32) {
        let plan = self.plan;
        let Some((_, change)) = plan.changes.get(index as usize) else { return };
        match change {
            Change::World { world, delay_ns, jitter_ns } => {
                self.adopt(Arc::clone(world), *delay_ns, *jitter_ns)
            }
            Change::Behavior { pods, service_time, responses, order, connect } => {
                for name in pods {
                    let restart = responses.is_some() || order.is_some();
                    self.set_behavior(
                        name,
                        |b| {
                            if let Some(law) = service_time {
                                b.service_time = law.clone();
                            }
                            if let Some(replies) = responses {
                                b.responses.clone_from(replies);
                                b.order = ReplyOrder::Weighted;
                            }
                            if let Some(order) = order {
                                b.order = *order;
                            }
                            if let Some(connect) = connect {
                                b.connect = *connect;
                            }
                        },
                        restart,
                    );
                }
            }
            Change::Kill { pods } => {
                for name in pods {
                    if let Some(pod) = self.pod_names.get(name).copied() {
                        self.kill_pod(pod);
                    }
                }
            }
        }
    }

    /// Changes what a pod does, also one that is still to come; open connections end when a pod stops accepting.
    fn set_behavior(&mut self, name: &Str, change: impl FnOnce(&mut Behavior), restart: bool) {
        let Some(pod) = self.pod_names.get(name).copied() else {
            let planned = self.plan_behavior(name);
            change(self.early.entry(name.clone()).or_insert(planned));
            return;
        };
        let Some(run) = self.pods.get_mut(pod as usize) else { return };
        let before = run.behavior.connect;
        change(Arc::make_mut(&mut run.behavior));
        if restart {
            run.cycle = 0;
        }
        let after = run.behavior.connect;
        if before != after && after != ConnectMode::Accept {
            let kind = if after == ConnectMode::Refuse { CloseKind::Rst } else { CloseKind::Fin };
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
        self.pods_changed();
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
