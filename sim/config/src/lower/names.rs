//! Texts that many nodes share: cluster names, header names, paths. Each is kept once and cloned by counting.

use std::sync::{Mutex, PoisonError};

use indexmap::IndexSet;
use mesh_core::Str;
use rustc_hash::FxBuildHasher;

/// Texts met so far.
#[derive(Debug, Default)]
pub struct Names {
    known: Mutex<IndexSet<Str, FxBuildHasher>>,
}

impl Names {
    /// The one copy of a text.
    #[must_use]
    pub fn get(&self, text: &str) -> Str {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(text) {
            return found.clone();
        }
        let new: Str = text.into();
        known.insert(new.clone());
        new
    }
}
