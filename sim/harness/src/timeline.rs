//! `timeline:` — the world changes while traffic flows: apply, delete, set, kill, scale.
//!
//! Every version of the mesh is built before the run, from the objects that exist after the step; the engine only
//! learns which world comes when.

use std::path::Path;
use std::sync::Arc;

use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::document::RawObject;
use mesh_config::input::{Expand, expand};
use mesh_config::load::{admission, read_into};
use mesh_config::source::Span;
use mesh_config::yaml::{Key, Node, Number, Value};
use mesh_core::ids::Nanos;
use mesh_engine::plan::Change;

use crate::format::client::WorkloadRef;
use crate::format::scenario::{ScaleWords, SetWords, StepWords, TimelineWords};
use crate::loaded::LoadedMesh;
use crate::plan::behavior::{connect, law, order, replies};
use crate::plan::no_such_workload;

/// The objects after each step in order of time; `None` for a step that leaves them alone. Manifests are relative to
/// `base`; `mesh` gets the files that are applied.
pub(crate) fn stages(
    words: &TimelineWords,
    mesh: &mut LoadedMesh,
    base: &Path,
    out: &mut Vec<Diagnostic>,
) -> Vec<Option<Vec<RawObject>>> {
    let mut objects = mesh.objects.clone();
    let mut all = Vec::new();
    for step in in_order(words) {
        all.push(advance(step, mesh, &mut objects, base, out).then(|| objects.clone()));
    }
    all
}

/// The changes of a scenario in order of time, `stages` being its objects.
pub(crate) fn changes(
    words: &TimelineWords,
    stages: &[Option<Vec<RawObject>>],
    mesh: &LoadedMesh,
    out: &mut Vec<Diagnostic>,
) -> Vec<(Nanos, Change)> {
    let delay_ns = words.propagation.delay.map_or(0, |d| d.0);
    let jitter_ns = words.propagation.jitter.map_or(0, |d| d.0);
    let mut changes = Vec::new();
    for (step, objects) in in_order(words).into_iter().zip(stages) {
        if let Some(objects) = objects {
            let (_, world, problems) = mesh.version(objects);
            out.extend(problems);
            changes.push((step.at.0, Change::World { world: Arc::new(world), delay_ns, jitter_ns }));
        }
        if let Some(set) = &step.set {
            changes.extend(behavior(mesh, set, step, out));
        }
        if let Some(reference) = &step.kill {
            let pods = pods(mesh, reference, step.origin, out);
            changes.push((step.at.0, Change::Kill { pods }));
        }
    }
    changes
}

fn in_order(words: &TimelineWords) -> Vec<&StepWords> {
    let mut steps: Vec<&StepWords> = words.steps.iter().collect();
    steps.sort_by_key(|step| step.at.0);
    steps
}

/// Does what a step does to objects; false when that is nothing.
fn advance(
    step: &StepWords,
    mesh: &mut LoadedMesh,
    objects: &mut Vec<RawObject>,
    base: &Path,
    out: &mut Vec<Diagnostic>,
) -> bool {
    if !step.apply.is_empty() {
        apply(mesh, objects, &step.apply, base, out);
    }
    for name in &step.delete {
        delete(objects, name, step.origin, out);
    }
    if let Some(scale) = &step.scale {
        set_replicas(objects, scale, step.origin, out);
    }
    !step.apply.is_empty() || !step.delete.is_empty() || step.scale.is_some()
}

fn apply(
    mesh: &mut LoadedMesh,
    objects: &mut Vec<RawObject>,
    files: &[String],
    base: &Path,
    out: &mut Vec<Diagnostic>,
) {
    let (inputs, problems) = expand(files, Expand { base: Some(base), recursive: true, stdin: None });
    out.extend(problems);
    let (read, problems) = read_into(&mut mesh.sources, inputs);
    out.extend(problems);
    out.extend(admission(&read));
    for object in read {
        match objects
            .iter_mut()
            .find(|known| identity(known, &mesh.namespace) == identity(&object, &mesh.namespace))
        {
            Some(known) => *known = object,
            None => objects.push(object),
        }
    }
}

/// Group, kind, namespace and name: what makes two documents the same object (semantics: istio-validation 5.4).
fn identity(object: &RawObject, default_namespace: &str) -> (String, String, String, String) {
    let namespace = if object.namespace.is_empty() { default_namespace } else { &object.namespace };
    (object.group().to_owned(), object.kind.clone(), namespace.to_owned(), object.name.clone())
}

fn delete(objects: &mut Vec<RawObject>, reference: &str, at: Span, out: &mut Vec<Diagnostic>) {
    let parts: Vec<&str> = reference.split('/').collect();
    let (kind, namespace, name) = match parts.as_slice() {
        [kind, name] => (*kind, "default", *name),
        [kind, namespace, name] => (*kind, *namespace, *name),
        _ => {
            let message = format!("`{reference}` is not `Kind/namespace/name`");
            out.push(Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message));
            return;
        }
    };
    let before = objects.len();
    objects.retain(|o| {
        let here = if o.namespace.is_empty() { "default" } else { o.namespace.as_str() };
        !(o.kind.eq_ignore_ascii_case(kind) && here == namespace && o.name == name)
    });
    if objects.len() == before {
        let message = format!("there is no `{reference}` to delete");
        out.push(Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message));
    }
}

fn set_replicas(objects: &mut [RawObject], scale: &ScaleWords, at: Span, out: &mut Vec<Diagnostic>) {
    let WorkloadRef::Name { namespace, name, .. } = &scale.workload else {
        let message = "`scale` needs the name of a workload".to_owned();
        out.push(Diagnostic::error(codes::CONTRADICTION, Stage::Schema, at, message));
        return;
    };
    let namespace = namespace.as_deref().unwrap_or("default");
    let kinds = ["Deployment", "StatefulSet", "ReplicaSet"];
    let found = objects.iter_mut().find(|o| {
        let here = if o.namespace.is_empty() { "default" } else { o.namespace.as_str() };
        kinds.contains(&o.kind.as_str()) && here == namespace && o.name == *name
    });
    let Some(entries) = found.and_then(|o| fields(&mut o.node)).and_then(|top| {
        let (_, spec) = top.iter_mut().find(|(key, _)| key.text == "spec")?;
        fields(spec)
    }) else {
        let message = format!("there is no workload `{}` to scale", scale.workload);
        out.push(Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message));
        return;
    };
    let replicas = Node { value: Value::Number(Number::Int(i64::from(scale.replicas))), span: at, via: None };
    match entries.iter_mut().find(|(key, _)| key.text == "replicas") {
        Some((_, node)) => *node = replicas,
        None => entries.push((Key { text: "replicas".to_owned(), span: at }, replicas)),
    }
}

fn fields(node: &mut Node) -> Option<&mut Vec<(Key, Node)>> {
    match &mut node.value {
        Value::Mapping(entries) => Some(entries),
        _ => None,
    }
}

fn behavior(
    mesh: &LoadedMesh,
    set: &SetWords,
    step: &StepWords,
    out: &mut Vec<Diagnostic>,
) -> Option<(Nanos, Change)> {
    let pods = pods(mesh, &set.workload, step.origin, out);
    if pods.is_empty() {
        return None;
    }
    let change = Change::Behavior {
        pods,
        service_time: set.service_time.as_ref().map(law),
        responses: set.responses.as_ref().map(|r| replies(r, out)),
        order: set.response_order.map(order),
        connect: set.connect.map(connect),
    };
    Some((step.at.0, change))
}

fn pods(
    mesh: &LoadedMesh,
    reference: &WorkloadRef,
    at: Span,
    out: &mut Vec<Diagnostic>,
) -> Vec<mesh_core::Str> {
    let now_and_later = mesh.directory.find(reference).into_iter().chain(mesh.later.find(reference));
    let found: Vec<mesh_core::Str> = now_and_later.map(|p| p.reference.clone()).collect();
    if found.is_empty() {
        out.push(no_such_workload(&mesh.directory, reference, at));
    }
    found
}
