//! A directory of a test's own with files in it, where mesh-sim is run; it goes with the test.

use std::path::{Path, PathBuf};

use crate::program::mesh_sim_in;

/// The directory.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    /// `name` is no other test's. Directories of the files are made.
    pub(crate) fn new(name: &str, files: &[(&str, &str)]) -> Place {
        let place = Place(std::env::temp_dir().join(format!("mesh-sim-{name}-{}", std::process::id())));
        std::fs::create_dir_all(&place.0).expect("a directory");
        for (file, text) in files {
            let path = place.0.join(file);
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).expect("a directory");
            std::fs::write(path, text).expect("written");
        }
        place
    }

    /// Exit code, stdout, stderr.
    pub(crate) fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = mesh_sim_in(&self.0, args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
