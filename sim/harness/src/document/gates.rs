//! `uses:` of a policy test: the cases of gates, ours by name and the user's own by path.

use std::path::Path;

use mesh_config::decode::{DecodeCx, closest};
use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::input::InputFile;
use mesh_config::load;
use mesh_config::source::{Sources, Span};

use super::{API_VERSION, cases};
use crate::format::policy::CaseWords;

/// Gates that come with mesh-sim: name and text.
pub const BUILT_IN: [(&str, &str); 6] = [
    ("gates/canary-sums", include_str!("../../../../policies/gates/canary-sums.yaml")),
    ("gates/default-deny", include_str!("../../../../policies/gates/default-deny.yaml")),
    ("gates/egress-closed", include_str!("../../../../policies/gates/egress-closed.yaml")),
    ("gates/no-dangling-subset", include_str!("../../../../policies/gates/no-dangling-subset.yaml")),
    ("gates/no-plaintext", include_str!("../../../../policies/gates/no-plaintext.yaml")),
    ("gates/retry-storm-free", include_str!("../../../../policies/gates/retry-storm-free.yaml")),
];

/// The cases of the gates, their names after the gate's. `at` is the place of `uses:`; paths are relative to `base`.
pub(super) fn cases_of(
    names: &[String],
    at: Span,
    base: &Path,
    sources: &mut Sources,
    out: &mut Vec<Diagnostic>,
) -> Vec<CaseWords> {
    let mut all = Vec::new();
    for name in names {
        let file = match BUILT_IN.iter().find(|(known, _)| known == name) {
            Some((_, text)) => {
                InputFile { display_name: format!("policies/{name}.yaml"), bytes: text.as_bytes().to_vec() }
            }
            None => match own(name, at, base) {
                Ok(file) => file,
                Err(problem) => {
                    out.push(*problem);
                    continue;
                }
            },
        };
        all.extend(of_file(file, name, at, sources, out));
    }
    all
}

/// A gate of the user's own: anything that looks like a path.
fn own(name: &str, at: Span, base: &Path) -> Result<InputFile, Box<Diagnostic>> {
    let path = base.join(name);
    let is_path = name.ends_with(".yaml") || name.ends_with(".yml");
    match std::fs::read(&path) {
        Ok(bytes) if is_path => Ok(InputFile { display_name: path.to_string_lossy().into_owned(), bytes }),
        Err(e) if is_path => {
            let message = format!("the gate `{}` cannot be read: {e}", path.display());
            Err(Box::new(Diagnostic::error(codes::UNREADABLE, Stage::Schema, at, message)))
        }
        _ => {
            let problem = Diagnostic::error(
                codes::NO_SUCH_NAME,
                Stage::Schema,
                at,
                format!("there is no gate `{name}`"),
            );
            let hint = closest(name, BUILT_IN.iter().map(|(known, _)| *known));
            let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
            Err(Box::new(match hint {
                Some(hint) => problem.help(format!("did you mean `{hint}`?")),
                None => problem.help(format!("there are {}, and files (`./own.yaml`)", known.join(", "))),
            }))
        }
    }
}

fn of_file(
    file: InputFile,
    name: &str,
    at: Span,
    sources: &mut Sources,
    out: &mut Vec<Diagnostic>,
) -> Vec<CaseWords> {
    let (objects, problems) = load::read_into(sources, vec![file]);
    out.extend(problems);
    let mut all = Vec::new();
    for object in objects.iter().filter(|o| o.kind == "Gate" && o.api_version == API_VERSION) {
        let Some(spec) = object.spec() else { continue };
        let mut cx = DecodeCx::new(Some(object.reference()), "spec");
        let cases = cases::policy(spec, &mut cx).map(|(_, cases)| cases).unwrap_or_default();
        out.append(&mut cx.diagnostics);
        let short = name.rsplit('/').next().unwrap_or(name);
        let short = short.strip_suffix(".yaml").or(short.strip_suffix(".yml")).unwrap_or(short);
        all.extend(
            cases.into_iter().map(|case| CaseWords { name: format!("{short}: {}", case.name), ..case }),
        );
    }
    if all.is_empty() {
        let message = format!("`{name}` holds no `kind: Gate` with cases");
        out.push(Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, at, message));
    }
    all
}
