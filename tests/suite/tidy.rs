//! The rules of the house that are not the compiler's: arrows between rooms, bans, sizes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::root;

fn files_below(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                files_below(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn sources(rooms: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for room in rooms {
        files_below(&root().join(room), "rs", &mut found);
    }
    assert!(!found.is_empty(), "no sources below {rooms:?}");
    found
}

/// Own crates and outside crates a manifest names under `[dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(manifest)).expect("a manifest");
    let section = text.split("\n[dependencies]\n").nth(1).expect("a [dependencies] section");
    section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// DESIGN section 2: arrows are dependencies; there are no others.
#[test]
fn arrows_between_rooms() {
    let arrows: [(&str, &[&str]); 6] = [
        ("sim/core/Cargo.toml", &[]),
        ("sim/config/Cargo.toml", &["mesh-core"]),
        ("sim/engine/Cargo.toml", &["mesh-core"]),
        ("reports/Cargo.toml", &[]),
        ("sim/harness/Cargo.toml", &["mesh-core", "mesh-config", "mesh-engine", "mesh-reports"]),
        ("Cargo.toml", &["mesh-core", "mesh-config", "mesh-engine", "mesh-harness", "mesh-reports"]),
    ];
    for (manifest, allowed) in arrows {
        let own: BTreeSet<String> =
            dependencies(manifest).into_iter().filter(|name| name.starts_with("mesh-")).collect();
        let allowed: BTreeSet<String> = allowed.iter().map(|&name| name.to_owned()).collect();
        assert!(own.is_subset(&allowed), "{manifest} may not depend on {:?}", own.difference(&allowed));
    }
}

/// The core is what a production proxy would link: no serde, no YAML, no async, no randomness of its own.
#[test]
fn the_core_stays_small() {
    let allowed = ["ipnet", "libm", "regex-automata", "regex-syntax", "thiserror", "xxhash-rust"];
    for name in dependencies("sim/core/Cargo.toml") {
        assert!(allowed.contains(&name.as_str()), "mesh-core may not depend on {name}");
    }
}

/// A crate's clippy.toml replaces the root's: the bans must be restated.
#[test]
fn determinism_bans_are_restated() {
    let bans = [
        "HashMap",
        "HashSet",
        "Instant",
        "SystemTime",
        "f64::ln",
        "f64::exp",
        "f64::powf",
        "env::var",
        "thread::current",
    ];
    for room in ["sim/core", "sim/config", "sim/engine"] {
        let text = fs::read_to_string(root().join(room).join("clippy.toml")).expect("a clippy.toml");
        for ban in bans {
            assert!(text.contains(ban), "{room}/clippy.toml does not ban {ban}");
        }
    }
}

/// No hiding places for unfinished work.
#[test]
fn nothing_is_left_undone() {
    let words = [
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("#[al", "low("),
        concat!("#![al", "low("),
    ];
    for file in sources(&["sim", "reports", "tests/suite", "benches"]) {
        let text = fs::read_to_string(&file).expect("readable source");
        for word in words {
            assert!(!text.contains(word), "{} contains {word}", file.display());
        }
    }
}

/// Files stay readable: under 800 lines, and every one says what it is for.
#[test]
fn files_are_small_and_introduce_themselves() {
    for file in sources(&["sim", "reports", "tests/suite", "benches"]) {
        let text = fs::read_to_string(&file).expect("readable source");
        let lines = text.lines().count();
        assert!(lines <= 800, "{} has {lines} lines", file.display());
        assert!(text.trim_start().starts_with("//!"), "{} does not open with //!", file.display());
    }
}

/// No rooms for things without a name.
#[test]
fn no_junk_drawers() {
    for file in sources(&["sim", "reports"]) {
        let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
        for junk in ["util", "utils", "helper", "helpers", "common", "manager", "misc"] {
            assert_ne!(stem, junk, "{}", file.display());
        }
    }
}

/// The map names every room and nothing that is gone.
#[test]
fn the_map_is_true() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for room in [
        "sim/core",
        "sim/config",
        "sim/engine",
        "sim/harness",
        "sim/cli",
        "reports",
        "scenarios",
        "policies",
        "tests",
        "benches",
    ] {
        assert!(map.contains(&format!("`{room}")), "ARCHITECTURE.md does not mention {room}");
    }
    for word in map.split('`').skip(1).step_by(2) {
        let looks_like_path = word.contains('/')
            && !word.contains([' ', '*', ':', '{', '<', '|', '$'])
            && !word.starts_with("http");
        if looks_like_path
            && ["sim/", "reports/", "tests/", "benches/", "docs/", "scenarios/", "policies/"]
                .iter()
                .any(|p| word.starts_with(p))
        {
            assert!(
                word.ends_with('/') || root().join(word).exists(),
                "ARCHITECTURE.md names {word}, which does not exist"
            );
        }
    }
}

/// Every row of the walk-throughs is shown by a file.
#[test]
fn every_walkthrough_row_has_a_file() {
    let mut found = Vec::new();
    files_below(&root().join("scenarios"), "yaml", &mut found);
    files_below(&root().join("policies"), "yaml", &mut found);
    let text: String = found.iter().filter_map(|f| fs::read_to_string(f).ok()).collect();
    let rows = [("S1", 1..=6), ("S2", 1..=7), ("S3", 1..=5), ("S4", 1..=13), ("S5", 1..=3)];
    for (system, numbers) in rows {
        for n in numbers {
            if (system, n) == ("S4", 12) {
                continue; // the proxy binary is a later issue
            }
            assert!(
                text.contains(&format!("{{row: {system}.{n}}}")),
                "no scenario or policy shows {system}.{n}"
            );
        }
    }
}
