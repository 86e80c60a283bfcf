//! The mesh as a whole, against recorded meshes (`tests/conformance`) and small ones written here.

mod dns;
mod dynamic;
mod recorded;
mod small;

use super::{Mesh, MeshOptions};
use crate::diagnostic::Diagnostic;
use crate::inventory::Inventory;
use crate::load::read_text;
use crate::source::FileId;

/// A mesh of one text, and all its diagnostics.
fn mesh_of(text: &str, options: &MeshOptions) -> (Mesh, Vec<Diagnostic>) {
    let (objects, mut diagnostics) = read_text(FileId(0), text);
    let (inventory, more) = Inventory::new(&objects, "default");
    diagnostics.extend(more);
    let (mesh, more) = Mesh::new(inventory, options);
    diagnostics.extend(more);
    (mesh, diagnostics)
}
