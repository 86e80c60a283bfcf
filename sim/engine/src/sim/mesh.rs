//! The mesh while it runs: pods, proxies and clusters with stable indices across versions of the world.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use mesh_core::Str;
use mesh_core::cx::TraceSink;
use mesh_core::ids::{ClusterId, HostId, Nanos};
use mesh_core::ir::{Cluster, Snapshot};
use mesh_core::tls::Certificate;
use mesh_core::upstream::{ClusterState, Host, OutlierEvent, OutlierEventKind};

use super::state::{ClusterIx, ConnId, JobId, PodIx, PoolIx, ProxyIx};
use super::template::CallTemplate;
use super::{Event, Sim};
use crate::draws::{At, Chance, mix, name_key};
use crate::plan::{Behavior, Call, Plan};
use crate::stats::{Ejection, EjectionKind};
use crate::world::{Configuration, Pod, ProxyId, World};

/// A pod of the run.
pub(crate) struct PodRun {
    pub(crate) pod: Pod,
    /// Killed, or its grace period is over.
    pub(crate) gone: bool,
    /// When it left the world; until its grace period is over it serves those who still come.
    pub(crate) left: Option<Nanos>,
    pub(crate) proxy: Option<ProxyIx>,
    pub(crate) behavior: Arc<Behavior>,
    /// Its calls, group by group.
    pub(crate) calls: Arc<Vec<Vec<CallTemplate>>>,
    /// Connections its application accepted so far.
    pub(crate) accepted: u32,
    /// Open connections of its application.
    pub(crate) conns: BTreeSet<ConnId>,
    /// Requests since the behavior was set (for cycles).
    pub(crate) cycle: u64,
    pub(crate) serving: u32,
    pub(crate) waiting: VecDeque<JobId>,
    pub(crate) requests: u64,
    pub(crate) rejected: u64,
    pub(crate) busy_ns: u128,
    pub(crate) waited_ns: u128,
    pub(crate) longest: u32,
}

/// A proxy of the run.
pub(crate) struct ProxyRun {
    pub(crate) name: Str,
    pub(crate) key: u64,
    pub(crate) pod: PodIx,
    pub(crate) configuration: Configuration,
    pub(crate) identity: Certificate,
    /// Run index per cluster of the current snapshot, as far as one was used.
    by_id: Vec<Option<ClusterIx>>,
    by_name: BTreeMap<Str, ClusterIx>,
    /// Earlier versions with the time they came: clusters first used later replay them.
    history: Vec<(Nanos, Configuration)>,
}

impl ProxyRun {
    pub(crate) fn snapshot(&self) -> &Arc<Snapshot> {
        self.configuration.snapshot()
    }

    fn note(&mut self, id: ClusterId, cluster: ClusterIx) {
        if self.by_id.len() <= id.index() {
            self.by_id.resize(id.index() + 1, None);
        }
        if let Some(slot) = self.by_id.get_mut(id.index()) {
            *slot = Some(cluster);
        }
    }
}

/// A cluster as one proxy sees it.
pub(crate) struct ClusterRun {
    pub(crate) proxy: ProxyIx,
    pub(crate) name: Str,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) id: ClusterId,
    pub(crate) state: ClusterState,
    /// Pools per host.
    pub(crate) pools: Vec<Vec<PoolIx>>,
    /// The pending timer event, if any.
    pub(crate) timer: Option<Nanos>,
    pub(crate) key: u64,
    /// Detections that the maximum ejection percentage kept from ejecting.
    pub(crate) blocked: u64,
    /// The proxy's configuration no longer has it.
    pub(crate) removed: bool,
}

impl ClusterRun {
    /// Its configuration and its state.
    pub(crate) fn parts(&mut self) -> (&Cluster, &mut ClusterState) {
        (cluster_of(&self.snapshot, self.id), &mut self.state)
    }

    /// Its configuration, by a snapshot that the caller holds.
    pub(crate) fn config(&self) -> (Arc<Snapshot>, ClusterId) {
        (Arc::clone(&self.snapshot), self.id)
    }
}

/// The cluster behind an id, for callers that hold the snapshot.
pub(crate) fn cluster_of(snapshot: &Snapshot, id: ClusterId) -> &Cluster {
    // Ids come from the same snapshot.
    &snapshot.clusters[id.index()]
}

/// The last behavior that names a pod, by pod.
pub(super) fn planned(plan: &Plan) -> BTreeMap<Str, usize> {
    let mut all = BTreeMap::new();
    for (i, behavior) in plan.behaviors.iter().enumerate() {
        let now = behavior.pods.iter().filter_map(|&id| Some(&plan.world.pod(id)?.reference));
        all.extend(now.chain(&behavior.later).map(|name| (name.clone(), i)));
    }
    all
}

impl<C: Chance, S: TraceSink> Sim<'_, C, S> {
    /// Takes over a version of the world: pods at once, proxies' configuration after their propagation delay.
    pub(super) fn adopt(&mut self, world: Arc<World>, delay_ns: Nanos, jitter_ns: Nanos) {
        let first = self.pods.is_empty();
        let mut present = vec![false; self.pods.len()];
        for pod in &world.pods {
            match self.pod_names.get(&pod.reference).copied() {
                Some(ix) => {
                    if let Some(seen) = present.get_mut(ix as usize) {
                        *seen = true;
                    }
                    self.refresh_pod(ix, pod);
                }
                None => self.add_pod(pod),
            }
        }
        for (ix, seen) in present.into_iter().enumerate() {
            if !seen {
                self.leave(ix as PodIx);
            }
        }
        self.by_ip = self
            .pods
            .iter()
            .enumerate()
            .filter(|(_, p)| !p.gone)
            .map(|(i, p)| (p.pod.ip, i as PodIx))
            .collect();
        for (i, proxy) in world.proxies.iter().enumerate() {
            let Some(pod) = world.pod(proxy.pod).and_then(|p| self.pod_names.get(&p.reference).copied())
            else {
                continue;
            };
            match self.proxy_names.get(&proxy.name).copied() {
                Some(ix) => {
                    let known = self.proxies.get(ix as usize).map(|p| &p.configuration);
                    if known.is_some_and(|k| k.is(&proxy.configuration)) {
                        continue;
                    }
                    let draw = mix(mix(self.seed_key, name_key(&proxy.name)), self.queue.now());
                    let jitter = if jitter_ns == 0 { 0 } else { draw % (jitter_ns + 1) };
                    let wait = delay_ns.saturating_add(jitter);
                    self.queue.after(wait, Event::Configure(ix, proxy.configuration.clone()));
                }
                None => self.add_proxy(i, pod, &world),
            }
        }
        self.world = world;
        self.dns_answers.clear();
        self.pods_changed();
        self.wake_users();
        if !first {
            self.tally.grow(self.pods.len());
        }
    }

    fn add_pod(&mut self, pod: &Pod) {
        let ix = self.pods.len() as PodIx;
        let known = self.early.remove(&pod.reference);
        let behavior = known.unwrap_or_else(|| self.plan_behavior(&pod.reference));
        let group = |calls: &Vec<Call>| -> Vec<CallTemplate> {
            calls.iter().map(|c| CallTemplate::new(c, self.memo.head_class())).collect()
        };
        let calls = behavior.calls.iter().map(group).collect();
        self.pod_names.insert(pod.reference.clone(), ix);
        self.pods.push(PodRun {
            pod: pod.clone(),
            gone: false,
            left: None,
            proxy: None,
            behavior: Arc::new(behavior),
            calls: Arc::new(calls),
            accepted: 0,
            conns: BTreeSet::new(),
            cycle: 0,
            serving: 0,
            waiting: VecDeque::new(),
            requests: 0,
            rejected: 0,
            busy_ns: 0,
            waited_ns: 0,
            longest: 0,
        });
    }

    fn refresh_pod(&mut self, ix: PodIx, pod: &Pod) {
        if let Some(run) = self.pods.get_mut(ix as usize) {
            run.pod = pod.clone();
            run.gone = false;
            run.left = None;
        }
    }

    /// A pod that is no longer in the world: its endpoint is gone, itself it goes on for its grace period (Kubernetes:
    /// the endpoint leaves when the pod is told to end; `kill` is for what does not wait).
    fn leave(&mut self, ix: PodIx) {
        let now = self.queue.now();
        let Some(run) = self.pods.get_mut(ix as usize).filter(|run| !run.gone && run.left.is_none()) else {
            return;
        };
        run.left = Some(now);
        let grace_ns = run.pod.grace_ns;
        self.background += 1;
        self.queue.after(grace_ns, Event::Ended(ix, now));
    }

    /// The grace period of a pod that left at `since` is over, unless it came back.
    pub(super) fn ended(&mut self, ix: PodIx, since: Nanos) {
        if self.pods.get(ix as usize).is_some_and(|run| run.left == Some(since)) {
            self.kill_pod(ix);
        }
    }

    fn add_proxy(&mut self, position: usize, pod: PodIx, world: &World) {
        let Some(proxy) = world.proxies.get(position) else { return };
        let ix = self.proxies.len() as ProxyIx;
        self.proxy_names.insert(proxy.name.clone(), ix);
        let now = self.queue.now();
        self.proxies.push(ProxyRun {
            name: proxy.name.clone(),
            key: name_key(&proxy.name),
            pod,
            configuration: proxy.configuration.clone(),
            identity: proxy.identity.clone(),
            by_id: Vec::new(),
            by_name: BTreeMap::new(),
            history: vec![(now, proxy.configuration.clone())],
        });
        if let Some(run) = self.pods.get_mut(pod as usize)
            && run.pod.proxy.is_some_and(|p| p.0 as usize == position)
        {
            run.proxy = Some(ix);
        }
    }

    /// What the plan says of a pod.
    pub(super) fn plan_behavior(&self, reference: &Str) -> Behavior {
        let index = self.planned.get(reference).copied();
        index.and_then(|i| self.plan.behaviors.get(i)).cloned().unwrap_or_default()
    }

    /// A proxy switches to a new snapshot: endpoint changes keep hosts, anything else resets a cluster.
    pub(super) fn configure(&mut self, ix: ProxyIx, configuration: Configuration) {
        let now = self.queue.now();
        let Some(proxy) = self.proxies.get_mut(ix as usize) else { return };
        proxy.configuration = configuration.clone();
        proxy.history.push((now, configuration.clone()));
        proxy.by_id.clear();
        let known: Vec<(Str, ClusterIx)> = proxy.by_name.iter().map(|(n, i)| (n.clone(), *i)).collect();
        for (name, cluster) in known {
            let snapshot = configuration.snapshot();
            let Some(id) = snapshot.cluster_by_name(&name) else {
                self.remove_cluster(cluster);
                continue;
            };
            if let Some(proxy) = self.proxies.get_mut(ix as usize) {
                proxy.note(id, cluster);
            }
            self.update_cluster(ix, cluster, snapshot, id, now);
        }
    }

    fn update_cluster(
        &mut self,
        proxy: ProxyIx,
        ix: ClusterIx,
        snapshot: &Arc<Snapshot>,
        id: ClusterId,
        now: Nanos,
    ) {
        let namespace = self.namespace_of(proxy);
        let world = Arc::clone(&self.world);
        let resolve = move |name: &str| world.dns.resolve(&namespace, name).unwrap_or_default();
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        let (before, old) = run.config();
        let mut draws = At { key: run.key, chance: &mut self.chance };
        let (previous, next) = (cluster_of(&before, old), cluster_of(snapshot, id));
        if std::mem::take(&mut run.removed) {
            run.state.replace(next, now, &resolve, &mut draws);
        } else if previous != next {
            run.state.update(previous, next, now, &resolve, &mut draws);
        }
        run.snapshot = Arc::clone(snapshot);
        run.id = id;
        let left: Vec<HostId> = (0..run.pools.len() as u32)
            .map(HostId)
            .filter(|h| run.state.host(*h).is_some_and(|host| host.removed))
            .collect();
        for host in left {
            self.doom_pools(ix, host);
            self.drain_host(ix, host);
        }
        self.arm_cluster(ix);
    }

    /// The proxy's new configuration lacks the cluster: what runs and waits there goes on, nothing new comes.
    fn remove_cluster(&mut self, ix: ClusterIx) {
        let Some(run) = self.clusters.get_mut(ix as usize).filter(|run| !run.removed) else { return };
        run.removed = true;
        for host in (0..run.pools.len() as u32).map(HostId) {
            self.doom_pools(ix, host);
            self.drain_host(ix, host);
        }
    }

    pub(super) fn namespace_of(&self, proxy: ProxyIx) -> Str {
        let pod = self.proxies.get(proxy as usize).and_then(|p| self.pods.get(p.pod as usize));
        pod.map_or_else(|| Str::from("default"), |p| p.pod.namespace.clone())
    }

    /// The run's cluster for an id of the snapshot this proxy has, if it was used before.
    pub(super) fn known_cluster(
        &self,
        proxy: ProxyIx,
        snapshot: &Arc<Snapshot>,
        id: ClusterId,
    ) -> Option<ClusterIx> {
        let run = self.proxies.get(proxy as usize)?;
        if Arc::ptr_eq(run.snapshot(), snapshot) {
            run.by_id.get(id.index()).copied().flatten()
        } else {
            None
        }
    }

    /// The run's cluster for an id of a snapshot this proxy has or had.
    pub(super) fn cluster_ix(
        &mut self,
        proxy: ProxyIx,
        snapshot: &Arc<Snapshot>,
        id: ClusterId,
    ) -> Option<ClusterIx> {
        if let Some(known) = self.known_cluster(proxy, snapshot, id) {
            return Some(known);
        }
        let run = self.proxies.get(proxy as usize)?;
        let current = Arc::ptr_eq(run.snapshot(), snapshot);
        let name = snapshot.clusters.get(id.index())?.name.clone();
        let ix = match run.by_name.get(&name) {
            Some(ix) => *ix,
            None => self.create_cluster(proxy, name, snapshot, id),
        };
        if current && let Some(run) = self.proxies.get_mut(proxy as usize) {
            run.note(id, ix);
        }
        Some(ix)
    }

    /// Creates the state of a cluster as if it had existed since its configuration came: later versions are replayed.
    fn create_cluster(
        &mut self,
        proxy: ProxyIx,
        name: Str,
        snapshot: &Arc<Snapshot>,
        id: ClusterId,
    ) -> ClusterIx {
        let ix = self.clusters.len() as ClusterIx;
        let namespace = self.namespace_of(proxy);
        let world = Arc::clone(&self.world);
        let resolve = move |host: &str| world.dns.resolve(&namespace, host).unwrap_or_default();
        let proxy_key = self.proxies.get(proxy as usize).map_or(0, |p| p.key);
        let key = mix(mix(self.seed_key, proxy_key), name_key(&name));
        let mut draws = At { key, chance: &mut self.chance };
        let history = self.proxies.get(proxy as usize).map(|p| p.history.clone()).unwrap_or_default();
        let mut state: Option<(ClusterState, Arc<Snapshot>, ClusterId)> = None;
        for (since, version) in history.iter().map(|(since, c)| (since, c.snapshot())) {
            let Some(found) = version.cluster_by_name(&name) else { continue };
            let next = cluster_of(version, found);
            match &mut state {
                None => {
                    let mut fresh = ClusterState::new(next, *since, &resolve, &mut draws);
                    fresh.jitter_ticks(self.plan.ticks_late_ns);
                    state = Some((fresh, Arc::clone(version), found));
                }
                Some((state, before, old)) => {
                    let previous = cluster_of(before, *old);
                    if previous != next {
                        state.update(previous, next, *since, &resolve, &mut draws);
                    }
                    (*before, *old) = (Arc::clone(version), found);
                }
            }
        }
        let (mut state, snapshot, id) = state.unwrap_or_else(|| {
            let fresh = ClusterState::new(cluster_of(snapshot, id), self.queue.now(), &resolve, &mut draws);
            (fresh, Arc::clone(snapshot), id)
        });
        state.share_tables(&self.world.hash_tables);
        let run = ClusterRun {
            proxy,
            name: name.clone(),
            snapshot,
            id,
            state,
            pools: Vec::new(),
            timer: None,
            key,
            blocked: 0,
            removed: false,
        };
        self.clusters.push(run);
        self.tally.add_cluster();
        if let Some(p) = self.proxies.get_mut(proxy as usize) {
            p.by_name.insert(name, ix);
        }
        self.arm_cluster(ix);
        ix
    }

    /// Schedules the cluster's next timer unless one at or before that time is pending.
    pub(super) fn arm_cluster(&mut self, ix: ClusterIx) {
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        if let Some(next) = run.state.next_timer()
            && run.timer.is_none_or(|t| next < t)
        {
            let next = next.max(self.queue.now());
            run.timer = Some(next);
            self.background += 1;
            self.queue.at(next, Event::ClusterTimer(ix));
        }
    }

    /// A detector tick or a held-back publication is due.
    pub(super) fn cluster_timer(&mut self, ix: ClusterIx) {
        let now = self.queue.now();
        let Some(run) = self.clusters.get_mut(ix as usize) else { return };
        if run.timer.is_some_and(|t| t > now) {
            return;
        }
        run.timer = None;
        let mut draws = At { key: mix(run.key, now), chance: &mut self.chance };
        let mut events = Vec::new();
        let (cluster, state) = run.parts();
        state.on_timer(cluster, now, &mut draws, &mut |e| events.push(e));
        self.note_outliers(ix, &events);
        self.arm_cluster(ix);
    }

    /// Records detector events and drains the pools of ejected hosts (semantics: envoy-upstream 7.6).
    pub(super) fn note_outliers(&mut self, ix: ClusterIx, events: &[OutlierEvent]) {
        for event in events {
            let Some(run) = self.clusters.get_mut(ix as usize) else { return };
            run.blocked += u64::from(matches!(event.kind, OutlierEventKind::Overflow(_)));
            let Some(run) = self.clusters.get(ix as usize) else { return };
            let Some(host) = run.state.host(event.host) else { continue };
            let name = self.name_of_host(host);
            let kind = match event.kind {
                OutlierEventKind::Eject { by, num_ejections, .. } => Some(EjectionKind::Eject {
                    cause: by.text().into(),
                    enforced: true,
                    count: num_ejections,
                }),
                OutlierEventKind::NotEnforced(by) => {
                    Some(EjectionKind::Eject { cause: by.text().into(), enforced: false, count: 0 })
                }
                OutlierEventKind::Uneject => Some(EjectionKind::Return),
                OutlierEventKind::Overflow(_) => None,
            };
            let proxy_name = self.proxies.get(run.proxy as usize).map(|p| p.name.clone()).unwrap_or_default();
            if let Some(kind) = kind {
                self.tally.ejections.push(Ejection {
                    at_ns: event.at_ns,
                    visible_ns: event.visible_at_ns,
                    proxy: ProxyId(run.proxy),
                    proxy_name,
                    cluster: run.name.clone(),
                    host: name,
                    kind,
                });
            }
            if matches!(event.kind, OutlierEventKind::Eject { .. }) {
                self.drain_host(ix, event.host);
            }
        }
    }

    /// The workload behind a host, also where only its address says so (ServiceEntry); without one, the address.
    fn name_of_host(&self, host: &Host) -> Str {
        if !host.workload.is_empty() {
            return host.workload.clone();
        }
        let pod = host.address.socket().and_then(|a| self.pods.get(self.pod_at(a.ip())? as usize));
        pod.map_or_else(|| Str::from(host.address.text()), |p| p.pod.reference.clone())
    }

    /// The pod that has this address now.
    pub(super) fn pod_at(&self, ip: IpAddr) -> Option<PodIx> {
        self.by_ip.get(&ip).copied()
    }
}
