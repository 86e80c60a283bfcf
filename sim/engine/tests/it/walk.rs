//! One request from end to end.

use mesh_engine::plan::{Arrivals, Behavior, Reply, ReplyAction};
use mesh_engine::record::{Fate, LogKind, Side, TryAction};
use mesh_engine::{Enumeration, PodId, enumerate, run};

use crate::fixture::{MS, Shape, get, plan, traffic, world};

#[test]
fn a_request_passes_both_sidecars() {
    let plan = plan(world(&Shape::default()), vec![traffic(get("/a?b", &[]), Arrivals::At(vec![0]))], MS);
    let record = run(&plan);
    let r = &record.requests[0];
    assert_eq!((r.fate, r.status()), (Fate::Ok, Some(200)), "{r:#?}");
    assert_eq!(r.workload.as_deref(), Some("default/web#0"));
    let sides: Vec<_> = r.hops.iter().map(|h| (h.side, h.kind, h.code)).collect();
    assert_eq!(
        sides,
        [(Side::Outbound, LogKind::Http, Some(200)), (Side::Inbound, LogKind::Http, Some(200))]
    );
    assert_eq!(r.hops[0].cluster_name.as_deref(), Some("outbound|80||web.default.svc.cluster.local"));
    assert_eq!(r.hops[1].upstream_host.map(|a| a.to_string()).as_deref(), Some("10.244.0.10:8080"));
    assert_eq!(r.hops[0].details.as_deref(), Some("via_upstream"));
    assert_eq!(r.tries.len(), 1);
    let path = r.tries[0].head.as_ref().map(|h| h.path.as_ref());
    assert_eq!((path, r.tries[0].action), (Some("/a?b"), TryAction::Status(200)));
    // 100 µs connect, 2 x 50 µs of network, 1 ms of service.
    assert_eq!(r.end_ns, 1_200_000);
}

#[test]
fn without_sidecars_kube_proxy_leads_to_the_pod() {
    let mut world = world(&Shape { sidecar: false, ..Shape::default() });
    world.pods[0].proxy = None;
    let record = run(&plan(world, vec![traffic(get("/", &[]), Arrivals::At(vec![0]))], MS));
    assert_eq!(record.requests[0].status(), Some(200));
    assert!(record.requests[0].hops.is_empty());
}

#[test]
fn an_enumeration_sums_to_one_and_names_every_host() {
    let shape = Shape { webs: 3, ..Shape::default() };
    let plan = plan(world(&shape), Vec::new(), MS);
    let request = Enumeration {
        plan,
        traffic: traffic(get("/", &[]), Arrivals::At(vec![0])),
        explain: true,
        limit: 100,
        no_races: true,
    };
    let outcomes = enumerate(&request).expect("few outcomes");
    let total: f64 = outcomes.iter().map(|o| o.probability).sum();
    assert!((total - 1.0).abs() < 1e-12);
    let mut workloads: Vec<_> = outcomes.iter().filter_map(|o| o.record.workload.clone()).collect();
    workloads.sort();
    assert_eq!(workloads, ["default/web#0".into(), "default/web#1".into(), "default/web#2".into()]);
    assert!(outcomes.iter().all(|o| !o.steps.is_empty()));
}

#[test]
fn the_same_plan_gives_the_same_record() {
    let shape = Shape { webs: 3, ..Shape::default() };
    let mut p = plan(
        world(&shape),
        vec![traffic(get("/", &[]), Arrivals::Constant { start_ns: 0, rate: 1000.0, count: Some(200) })],
        1000 * MS,
    );
    p.behaviors = vec![Behavior {
        pods: vec![PodId(2)],
        responses: vec![Reply { action: ReplyAction::Reset, ..Reply::default() }],
        ..Behavior::default()
    }];
    let (a, b) = (run(&p), run(&p));
    assert_eq!(a.requests, b.requests);
    assert_eq!(a.requests.len(), 200);
    assert!(a.requests.iter().any(|r| r.status() == Some(503)));
}
