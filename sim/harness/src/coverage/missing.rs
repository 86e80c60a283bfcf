//! `--missing`: a request for every part that no test passes through, found among the request classes of the mesh.

use serde_json::{Map, Value, json};

use super::exercised::Exercised;
use super::targets::Target;
use crate::expect::verdict;
use crate::expect::verdict_text;
use crate::format::client::Client;
use crate::loaded::LoadedMesh;
use crate::plan::behavior::Behaviors;
use crate::predict::Prediction;
use crate::space::{Class, Scope, Space, explained_with, populated, shorthand};

/// What became of the search for one part.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// A case that passes through it, as YAML.
    Case(String),
    /// No class does.
    Nothing(String),
}

/// One answer per target, in their order.
pub(super) fn missing(mesh: LoadedMesh, behaviors: &Behaviors, targets: &[&Target]) -> Vec<Found> {
    let mesh = populated(&mesh);
    let space = Space::of(&[&mesh], &Scope::default());
    let mut found: Vec<Option<Found>> = targets.iter().map(|_| None).collect();
    for class in &space.classes {
        if found.iter().all(Option::is_some) {
            break;
        }
        let Ok(predictions) = explained_with(&mesh, class, behaviors) else { continue };
        let mut exercised = Exercised::new(&mesh);
        exercised.add(&predictions);
        for (target, slot) in targets.iter().zip(&mut found).filter(|(_, slot)| slot.is_none()) {
            if exercised.covers(target) {
                *slot = Some(Found::Case(case(target, class, &predictions)));
            }
        }
    }
    let asked = space.classes.len();
    let nothing = match space.limits.first() {
        Some(limit) => {
            let place = limit.place.as_ref().map(|p| format!(" at {p}")).unwrap_or_default();
            format!(
                "none of {asked} request classes passes through it; not told apart: {}{place}",
                limit.what
            )
        }
        None => format!("none of all {asked} request classes of the mesh passes through it"),
    };
    found.into_iter().map(|f| f.unwrap_or_else(|| Found::Nothing(nothing.clone()))).collect()
}

/// A case to paste; it expects what is predicted today.
fn case(target: &Target, class: &Class, predictions: &[Prediction]) -> String {
    let text = |value: &str| Value::from(value).to_string();
    let name = format!("{} {}", target.object, target.path);
    format!(
        "- name: {}\n  from: {}\n  request: {}\n  expect: {}\n",
        text(&name),
        from(&class.client.client),
        request(class),
        expectation(predictions)
    )
}

fn from(client: &Client) -> Value {
    match client {
        Client::Workload(reference) => Value::from(reference.to_string()),
        Client::Gateway(gateway) => {
            let mut words = json!({"gateway": gateway.gateway});
            if let (Value::Object(map), Some(ip)) = (&mut words, gateway.source_ip) {
                map.insert("sourceIP".to_owned(), Value::from(ip.to_string()));
            }
            words
        }
        Client::Pod(pod) => {
            let mut words = Map::new();
            words.insert("namespace".to_owned(), pod.namespace.clone().into());
            if pod.service_account != "default" {
                words.insert("serviceAccount".to_owned(), pod.service_account.clone().into());
            }
            if !pod.labels.is_empty() {
                words.insert("labels".to_owned(), json!(pod.labels));
            }
            if let Some(sidecar) = pod.sidecar {
                words.insert("sidecar".to_owned(), sidecar.into());
            }
            if let Some(ip) = pod.ip {
                words.insert("ip".to_owned(), ip.to_string().into());
            }
            json!({"pod": words})
        }
    }
}

fn request(class: &Class) -> Value {
    let words = &class.request.words;
    let url = words.url.clone().unwrap_or_default();
    let method = words.method.clone().unwrap_or_else(|| "GET".to_owned());
    if words.headers.0.is_empty() && words.host_header.is_none() && words.jwt.is_none() {
        let plain = !url.starts_with("http") || words.method.is_none();
        return Value::from(if plain { url } else { format!("{method} {url}") });
    }
    let mut map = Map::new();
    map.insert("method".to_owned(), method.into());
    map.insert("url".to_owned(), url.into());
    if let Some(host) = &words.host_header {
        map.insert("hostHeader".to_owned(), host.clone().into());
    }
    if !words.headers.0.is_empty() {
        let mut headers = Map::new();
        for (name, value) in &words.headers.0 {
            headers.insert(name.clone(), value.clone().into());
        }
        map.insert("headers".to_owned(), Value::Object(headers));
    }
    if let Some(jwt) = &words.jwt {
        map.insert("jwt".to_owned(), serde_json::from_str(&shorthand(jwt)).unwrap_or_default());
    }
    Value::Object(map)
}

fn expectation(predictions: &[Prediction]) -> Value {
    let mut verdicts: Vec<&str> = predictions.iter().map(|p| verdict_text(verdict(p))).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    let statuses: Vec<Option<u16>> = predictions.iter().map(|p| p.outcome.status).collect();
    let first = statuses.first().copied().flatten();
    let mut map = Map::new();
    match verdicts.as_slice() {
        [one] => {
            map.insert("verdict".to_owned(), Value::from(*one));
        }
        // Chance decides: what is certain is the connection, if anything.
        _ => {
            let word = predictions.first().map(|p| p.outcome.connection.text()).unwrap_or_default();
            map.insert("connection".to_owned(), word.into());
        }
    }
    if let Some(status) = first.filter(|_| statuses.iter().all(|s| *s == first) && verdicts != ["unknown"]) {
        map.insert("status".to_owned(), status.into());
    }
    Value::Object(map)
}
