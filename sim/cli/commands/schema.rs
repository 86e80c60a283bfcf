//! `schema`: JSON Schema (draft 7) for editors and other programs.

use mesh_reports::run::result_schema;
use mesh_reports::sweep::sweep_schema;

use super::output;
use crate::args::{SchemaArgs, SchemaKind};
use crate::exit::Exit;

const SCENARIO: &str = include_str!("../../../docs/schema/scenario.schema.json");
const POLICY: &str = include_str!("../../../docs/schema/policy.schema.json");

/// The command.
pub(crate) fn schema(args: &SchemaArgs) -> Exit {
    let text = match args.what {
        SchemaKind::Scenario => SCENARIO.to_owned(),
        SchemaKind::Policy => POLICY.to_owned(),
        SchemaKind::Result => output::json(&result_schema()),
        SchemaKind::Sweep => output::json(&sweep_schema()),
    };
    output::stdout(&text)
}
