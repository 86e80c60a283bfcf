//! From bytes to a decision: 1,000 Services with a Deployment, a VirtualService of ten routes and a DestinationRule of
//! three subsets each.
//!
//! `cargo bench -p mesh-harness --bench load`. `read` scans and parses, `admit` is the cluster's admission, `model` makes
//! the mesh, `first sidecar` and `next sidecar` lower (the second shares what the first built), `decision` is everything
//! from the text to the predicted outcomes of one request.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mesh_config::inventory::Inventory;
use mesh_config::load::{admission, read_text};
use mesh_config::lower::Lowering;
use mesh_config::mesh::proxy::ProxyId;
use mesh_config::mesh::{Mesh, MeshOptions};
use mesh_config::source::Sources;
use mesh_harness::format::client::Client;
use mesh_harness::format::request;
use mesh_harness::loaded::{LoadedMesh, MeshInput};
use mesh_harness::plan::behavior::Behaviors;
use mesh_harness::plan::traffic::{client_request, sender};
use mesh_harness::predict::predict;

const SERVICES: usize = 1_000;
const NAMESPACES: usize = 20;
const ROUTES: usize = 10;
const SUBSETS: [&str; 3] = ["v1", "v2", "v3"];

/// The mesh as a team would keep it: plain block YAML.
fn manifests() -> String {
    let mut text = String::new();
    for i in 0..SERVICES {
        service(&mut text, i).expect("writing to a string");
    }
    text
}

fn service(text: &mut String, i: usize) -> std::fmt::Result {
    let ns = format!("n{}", i % NAMESPACES);
    write!(
        text,
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: s{i}\n  namespace: {ns}\nspec:\n  selector:\n    app: s{i}\n  ports:\n  - name: http\n    port: 8080\n"
    )?;
    write!(
        text,
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d{i}\n  namespace: {ns}\nspec:\n  replicas: 1\n  selector:\n    matchLabels:\n      app: s{i}\n  template:\n    metadata:\n      labels:\n        app: s{i}\n        version: v1\n    spec:\n      containers:\n      - name: app\n        image: app\n        ports:\n        - containerPort: 8080\n"
    )?;
    write!(
        text,
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: s{i}\n  namespace: {ns}\nspec:\n  host: s{i}\n  subsets:\n"
    )?;
    for subset in SUBSETS {
        write!(text, "  - name: {subset}\n    labels:\n      version: {subset}\n")?;
    }
    write!(
        text,
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: s{i}\n  namespace: {ns}\nspec:\n  hosts:\n  - s{i}\n  http:\n"
    )?;
    for r in 1..ROUTES {
        write!(
            text,
            "  - match:\n    - uri:\n        prefix: /p{r}\n      headers:\n        x-user:\n          exact: u{r}\n    route:\n    - destination:\n        host: s{i}\n        subset: v1\n      weight: 90\n    - destination:\n        host: s{i}\n        subset: v2\n      weight: 10\n"
        )?;
    }
    write!(text, "  - route:\n    - destination:\n        host: s{i}\n        subset: v1\n")
}

fn model(text: &str) -> Mesh {
    let file = Sources::default().add("mesh.yaml".to_owned(), String::new());
    let (objects, _) = read_text(file, text);
    let (inventory, _) = Inventory::new(&objects, "default");
    Mesh::new(inventory, &MeshOptions::default()).0
}

/// Everything, from the text to the answer.
fn decision(text: &str) -> usize {
    let mut sources = Sources::default();
    let file = sources.add("mesh.yaml".to_owned(), text.to_owned());
    let (objects, mut diagnostics) = read_text(file, text);
    diagnostics.extend(admission(&objects));
    let mesh = LoadedMesh::of_objects(sources, objects, &MeshInput::default(), diagnostics);
    assert!(!mesh.has_errors(), "{:?}", mesh.diagnostics.first());
    let client: Client = serde_json::from_str(r#""n0/d0""#).expect("a client");
    let words = serde_json::json!("GET http://s1.n1:8080/p3");
    let request = request::from_json(&words).expect("a request");
    let sender = sender(&client, mesh_config::source::Span::NONE, &mesh.directory, &[]).expect("a pod");
    let lowered = client_request(&request, &sender, &mesh.directory).expect("a request of the pod");
    let outcomes = predict(&mesh, &sender, &lowered, &Behaviors::default(), false).expect("outcomes");
    assert!(outcomes.iter().all(|o| o.outcome.status == Some(200)), "{outcomes:?}");
    outcomes.len()
}

fn load(c: &mut Criterion) {
    let text = manifests();
    let file = Sources::default().add("mesh.yaml".to_owned(), String::new());
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    group.bench_function("read", |b| b.iter(|| black_box(read_text(file, &text)).0.len()));
    let (objects, _) = read_text(file, &text);
    group.bench_function("admit", |b| b.iter(|| black_box(admission(&objects)).len()));
    group.bench_function("model", |b| {
        b.iter(|| Mesh::new(Inventory::new(&objects, "default").0, &MeshOptions::default()));
    });
    let mesh = Arc::new(model(&text));
    group.bench_function("file", |b| b.iter(|| Lowering::new(Arc::clone(&mesh)).mesh.pods.len()));
    let first = |b: &mut criterion::Bencher<'_>| {
        let fresh = || Lowering::new(Arc::clone(&mesh));
        b.iter_batched(fresh, |l| (l.snapshot(ProxyId(0)), l), BatchSize::PerIteration);
    };
    group.bench_function("first sidecar", first);
    group.bench_function("next sidecar", |b| {
        let fresh = || {
            let lowering = Lowering::new(Arc::clone(&mesh));
            let _ = lowering.snapshot(ProxyId(0));
            lowering
        };
        b.iter_batched(fresh, |l| (l.snapshot(ProxyId(1)), l), BatchSize::PerIteration);
    });
    group.bench_function("decision", |b| b.iter(|| black_box(decision(&text))));
    group.finish();
    if let Some(path) = std::env::var_os("MESH_SIM_BENCH_WRITE") {
        std::fs::write(Path::new(&path), &text).expect("the mesh, for measuring memory");
    }
}

criterion_group!(benches, load);
criterion_main!(benches);
