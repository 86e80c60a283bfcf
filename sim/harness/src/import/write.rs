//! The PolicyTest as text: cases grouped by who asks, with the place of the test they come from.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mesh_config::source::Sources;
use mesh_reports::render::manifest;
use serde_json::{Map, Value, json};

use super::sender::{Way, way, words};
use super::{Case, Format, Order};
use crate::format::policy::CaseWords;
use crate::loaded::LoadedMesh;

/// A case as it is written, and how many it stands for.
struct Written {
    value: Value,
    stands_for: usize,
}

/// The document.
pub(super) fn document(
    order: &Order,
    cases: &[Case],
    mesh: &LoadedMesh,
    inline: Option<&str>,
    sources: &Sources,
) -> String {
    let tool = match order.format {
        Format::Icv => "istio-config-validator",
        Format::RouterCheck => "router_check_tool",
    };
    let mut words = Map::from_iter([("manifests".to_owned(), json!(order.spelled))]);
    words.extend(order.config.clone().map(|config| ("config".to_owned(), config)));
    let heading = json!({
        "apiVersion": "mesh-sim.dev/v1alpha1",
        "kind": "PolicyTest",
        "metadata": {"name": order.name},
        "spec": {"mesh": words},
    });
    let mut text = format!("# Made by `mesh-sim import` from tests of {tool}.\n{}", manifest::yaml(&heading));
    if let Some(inline) = inline {
        text.push_str("    # Stand-ins for what the manifests lack.\n    inline: |\n");
        for line in inline.lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
    text.push_str("  cases:\n");
    for case in cases {
        let _ = writeln!(text, "  # {}", sources.file_line(case.at));
        for written in written(case, mesh, order) {
            let block = manifest::yaml(&json!([written.value]));
            for line in block.lines() {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    if cases.is_empty() {
        text.push_str("  []\n");
    }
    text
}

/// Places of tests by the names of the cases that were read back.
pub(super) fn places(
    cases: &[Case],
    read: &[CaseWords],
    mesh: &LoadedMesh,
    order: &Order,
    sources: &Sources,
) -> BTreeMap<String, String> {
    let places = cases.iter().flat_map(|case| {
        let count = written(case, mesh, order).iter().map(|w| w.stands_for).sum();
        std::iter::repeat_n(sources.location(case.at), count)
    });
    read.iter().map(|c| c.name.clone()).zip(places).collect()
}

/// One case per way that its hosts are asked.
fn written(case: &Case, mesh: &LoadedMesh, order: &Order) -> Vec<Written> {
    let mut ways: Vec<(Way, bool, Vec<&str>)> = Vec::new();
    for authority in &case.asked.authorities {
        let (host, ported) = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, true),
            _ => (authority.as_str(), false),
        };
        let mut found = way(mesh, order.from.as_ref(), host, case.asked.secure);
        if ported {
            found.port = None;
        }
        match ways.iter_mut().find(|(w, p, _)| *w == found && *p == ported) {
            Some((_, _, list)) => list.push(authority),
            None => ways.push((found, ported, vec![authority])),
        }
    }
    let several = ways.len() > 1;
    ways.iter().map(|(way, _, authorities)| one(case, way, authorities, several)).collect()
}

fn one(case: &Case, way: &Way, authorities: &[&str], several: bool) -> Written {
    let mut matrix = Map::new();
    let mut axis = |name: &str, values: &[String]| match values {
        [only] => only.clone(),
        _ => {
            matrix.insert(name.to_owned(), json!(values));
            format!("${{{name}}}")
        }
    };
    let authorities: Vec<String> = authorities.iter().map(|a| (*a).to_owned()).collect();
    let authority = axis("authority", &authorities);
    let method = axis("method", &case.asked.methods);
    let path = axis("uri", &case.asked.paths);
    let stands_for = authorities.len() * case.asked.methods.len() * case.asked.paths.len();
    let port = way.port.map(|p| format!(":{p}")).unwrap_or_default();
    let mut request = Map::from_iter([
        ("method".to_owned(), json!(method)),
        ("url".to_owned(), json!(format!("{}://{authority}{port}{path}", way.scheme))),
    ]);
    if way.port.is_some() {
        request.insert("host".to_owned(), json!(authority));
    }
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in &case.headers {
        headers.entry(name).or_default().push(value);
    }
    if way.forwarded {
        headers.entry("x-forwarded-proto").or_default().push("https");
    }
    if !headers.is_empty() {
        let lines = |lines: Vec<&str>| if lines.len() == 1 { json!(lines.concat()) } else { json!(lines) };
        let headers: Map<String, Value> =
            headers.into_iter().map(|(name, values)| (name.to_owned(), lines(values))).collect();
        request.insert("headers".to_owned(), Value::Object(headers));
    }
    // Cases of one test that are asked in different ways are told apart by their hosts.
    let name =
        if several { format!("{} ({})", case.name, authorities.join(", ")) } else { case.name.clone() };
    let mut value = Map::from_iter([("name".to_owned(), json!(name))]);
    if !matrix.is_empty() {
        value.insert("matrix".to_owned(), Value::Object(matrix));
    }
    value.insert("from".to_owned(), words(&way.client));
    value.insert("request".to_owned(), Value::Object(request));
    value.extend(case.draw.map(|draw| ("draw".to_owned(), json!(draw))));
    value.insert("expect".to_owned(), Value::Object(case.expect.clone()));
    Written { value: Value::Object(value), stands_for }
}
