//! `support`: what is simulated and what is not, by kind and field; with manifests, what of it they use.

use mesh_config::diagnostic::Stage;
use mesh_config::load;
use mesh_config::schema::{Class, Field, Kind, Shape, kinds};
use serde::Serialize;

use super::{inputs, output};
use crate::args::{Global, Output, SupportArgs};
use crate::diagnostics;
use crate::exit::Exit;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KindSupport {
    kind: String,
    versions: Vec<String>,
    simulated: bool,
    not_modelled: Vec<String>,
}

/// The command.
pub(crate) fn support(args: &SupportArgs, global: &Global) -> Exit {
    if !args.manifests.filename.is_empty() {
        return used(args, global);
    }
    let list: Vec<KindSupport> = kinds().map(of).collect();
    match global.output.unwrap_or(Output::Table) {
        Output::Json => output::stdout(&output::json(&list)),
        Output::Yaml => output::stdout(&output::yaml(&list)),
        _ => output::stdout(&table(&list)),
    }
}

fn of(kind: &'static Kind) -> KindSupport {
    let mut not_modelled = Vec::new();
    if kind.class == Class::Simulated {
        fields(&kind.fields, "", 0, &mut not_modelled);
    }
    let group = if kind.group.is_empty() { String::new() } else { format!("{}/", kind.group) };
    KindSupport {
        kind: format!("{group}{}", kind.name),
        versions: kind.versions.iter().map(|v| (*v).to_owned()).collect(),
        simulated: kind.class == Class::Simulated,
        not_modelled,
    }
}

fn fields(list: &'static [Field], path: &str, depth: u32, out: &mut Vec<String>) {
    // Schemas may refer to themselves (JSON schema properties); nothing of interest lies deeper.
    if depth > 12 {
        return;
    }
    for field in list {
        let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        if field.class == Class::Known {
            out.push(path);
            continue;
        }
        let schema = field.schema.resolve();
        match &schema.shape {
            Shape::List(inner) | Shape::Map(inner) => {
                fields(inner.fields(), &format!("{path}[]"), depth + 1, out)
            }
            _ => fields(schema.fields(), &path, depth + 1, out),
        }
    }
}

fn table(list: &[KindSupport]) -> String {
    let mut out = String::from("KIND                                                   SIMULATED\n");
    for kind in list {
        let word = if kind.simulated { "yes" } else { "no: listed, unknown where it could matter" };
        out.push_str(&format!("{:<54} {word}\n", kind.kind));
        for field in &kind.not_modelled {
            out.push_str(&format!("    {field}  not modelled\n"));
        }
    }
    out.push_str("\nEverything else of these kinds is simulated or without influence on traffic. Limits: docs/limits.md\n");
    out
}

fn used(args: &SupportArgs, global: &Global) -> Exit {
    let read = inputs::read(&args.manifests, &[]);
    diagnostics::show(&read.sources, &read.diagnostics, global);
    let uses: Vec<_> =
        load::admission(&read.objects).into_iter().filter(|d| d.stage == Stage::Support).collect();
    let mut text = String::new();
    for one in &uses {
        let object = one.object.as_ref().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("{}  {object}  {}\n", read.sources.location(one.span()), one.message));
    }
    if uses.is_empty() {
        text.push_str(&format!("{} objects: everything they use is simulated\n", read.objects.len()));
    }
    let printed = output::stdout(&text);
    if !uses.is_empty() && global.strict { printed.worst(Exit::Failed) } else { printed }
}
