//! What is given beside manifests: MeshConfig and key sets in files of their own, additions of the command line.

use std::path::Path;

use mesh_config::diagnostic::{Diagnostic, Stage, codes};
use mesh_config::document::RawObject;
use mesh_config::input::{Expand, InputFile, expand};
use mesh_config::source::{Sources, Span};

use super::{MeshInput, UNREACHABLE};
use crate::conformance::predictor::mesh_config;
use crate::tokens::is_jwks;

/// What places in `mesh.inline` are called.
const INLINE: &str = "<mesh.inline>";

impl MeshInput {
    /// The manifests the words name, relative to `base`, and those that stand in place.
    #[must_use]
    pub fn files(&self, base: &Path) -> (Vec<InputFile>, Vec<Diagnostic>) {
        let how = Expand { base: Some(base), recursive: true, stdin: None };
        let (mut files, problems) = expand(&self.words.manifests, how);
        files.extend(
            self.words
                .inline
                .as_ref()
                .map(|text| InputFile { display_name: INLINE.to_owned(), bytes: text.clone().into_bytes() }),
        );
        files.extend(self.words.given.files.iter().cloned());
        (files, problems)
    }

    /// Applies what the command line changes of objects.
    pub(super) fn override_objects(&self, objects: &mut [RawObject], out: &mut Vec<Diagnostic>) {
        for change in &self.words.given.overrides {
            if let Err(message) = change.apply_to_objects(objects) {
                out.push(Diagnostic::error(codes::NO_SUCH_NAME, Stage::Schema, Span::NONE, message));
            }
        }
    }

    /// Reads the key sets of `mesh.jwks` that stand in files, relative to `base`: values that are neither `unreachable` nor
    /// a document.
    pub fn read_key_sets(&mut self, base: &Path, out: &mut Vec<Diagnostic>) {
        for (url, keys) in &mut self.words.jwks {
            if keys == UNREACHABLE || keys.trim_start().starts_with('{') {
                continue;
            }
            let path = base.join(&keys);
            let problem = match std::fs::read_to_string(&path) {
                Ok(text) if is_jwks(&text) => {
                    *keys = text;
                    continue;
                }
                Ok(_) => format!("{} is no key set: `{{\"keys\": […]}}` is expected", path.display()),
                Err(why) => format!("cannot read {}: {why}", path.display()),
            };
            let message = format!("keys of `{url}`: {problem}");
            out.push(Diagnostic::error(codes::UNREADABLE, Stage::Parse, Span::NONE, message));
        }
    }

    /// Reads a file with the fields of MeshConfig (no manifest); it replaces `words.config`.
    ///
    /// # Errors
    /// A message for people, with the place.
    pub fn read_mesh_config(&mut self, sources: &mut Sources, path: &Path) -> Result<(), String> {
        self.words.config = Some(mesh_config(sources, path)?);
        Ok(())
    }
}
