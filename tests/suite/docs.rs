//! The pages of `docs/`: every document in them is a file, every command is run, in a directory like a reader's.
//!
//! `yaml` blocks that begin with `apiVersion: mesh-sim.dev` become `policies/NAME.yaml` or `scenarios/NAME.yaml`, those
//! that begin with `# PATH` that file; the
//! lines of `sh` blocks are commands that must end with 0. Other blocks (`text`) are only read; `console` blocks show what
//! is printed, and `matrix` runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{at_a_desk, mesh_sim, root};

/// (language, text) of the fenced blocks.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => all.extend(open.take()),
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    all
}

/// `k8s/` holds Bookinfo, as a reader has manifests.
fn place() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("mesh-sim-docs-{}", std::process::id()));
    for part in ["k8s", "policies", "scenarios"] {
        std::fs::create_dir_all(dir.join(part)).expect("a directory");
    }
    let manifests = [
        "app.yaml",
        "gateway.yaml",
        "destination-rule-all.yaml",
        "virtual-service-all-v1.yaml",
        "default-strict.yaml",
    ];
    for file in manifests {
        let from = root().join("scenarios/meshes/bookinfo").join(file);
        std::fs::copy(&from, dir.join("k8s").join(file)).expect("copied");
    }
    dir
}

/// A document is saved where the pages say: its manifests are relative to the directory above.
fn save(dir: &Path, text: &str) {
    let name = text.split("name: ").nth(1).and_then(|t| t.split([',', '}', '\n']).next()).expect("a name");
    let below = if text.contains("kind: Scenario") { "scenarios" } else { "policies" };
    let meshes = format!("{}/", root().join("scenarios/meshes").display());
    let text = text.replace("[k8s/]", "[../k8s/]").replace("../scenarios/meshes/", &meshes);
    std::fs::write(dir.join(below).join(format!("{name}.yaml")), text).expect("written");
}

fn run(dir: &Path, page: &str, line: &str) {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_mesh-sim"));
    let path = format!(
        "{}:{}",
        binary.parent().expect("a directory").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = at_a_desk(Command::new("sh"))
        .args(["-c", line])
        .current_dir(dir)
        .env("PATH", path)
        .output()
        .expect("a shell");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{page}: {line}\n{out}{err}");
}

#[test]
fn every_example_works() {
    let dir = place();
    let mut pages: Vec<PathBuf> = std::fs::read_dir(root().join("docs"))
        .expect("docs")
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    let read = |p: &PathBuf| blocks(&std::fs::read_to_string(p).expect("a page"));
    let mut documents = 0;
    for (_, text) in pages.iter().flat_map(read).filter(|(l, t)| l == "yaml" && t.contains("mesh-sim.dev")) {
        save(&dir, &text);
        documents += 1;
    }
    for (_, text) in pages.iter().flat_map(read).filter(|(l, t)| l == "yaml" && t.starts_with("# ")) {
        let path = dir.join(text.lines().next().unwrap_or_default().trim_start_matches("# "));
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, &text).expect("written");
    }
    // Tests that keep snapshots fail until they are written.
    run(&dir, "snapshots", "mesh-sim snapshot policies/");
    let mut commands = 0;
    for page in &pages {
        for (language, text) in read(page) {
            assert!(
                ["yaml", "sh", "text", "console"].contains(&language.as_str()),
                "{}: `{language}`",
                page.display()
            );
            for line in text.lines().filter(|_| language == "sh") {
                run(&dir, &page.display().to_string(), line);
                commands += 1;
            }
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    assert!(documents >= 4 && commands >= 15, "{documents} documents, {commands} commands");
}

#[test]
fn examples_of_pipelines_are_yaml_and_name_what_exists() {
    let help = mesh_sim(&["test", "--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for file in
        ["github-actions.yml", "gitlab-ci.yml", "pre-commit-config.yaml", "../../.pre-commit-hooks.yaml"]
    {
        let text = std::fs::read_to_string(root().join("docs/examples").join(file)).expect("an example");
        let (documents, problems) = mesh_config::yaml::parse_stream(mesh_config::source::FileId(0), &text);
        assert!(problems.is_empty() && documents.len() == 1, "{file}: {problems:?}");
        for line in text.lines().filter(|l| l.contains("mesh-sim test")) {
            for option in line.split_whitespace().filter(|w| w.starts_with("--")) {
                assert!(help.contains(option), "{file}: `{option}` is no option of test");
            }
        }
    }
    let hooks = std::fs::read_to_string(root().join(".pre-commit-hooks.yaml")).expect("hooks");
    let used = std::fs::read_to_string(root().join("docs/examples/pre-commit-config.yaml")).expect("example");
    for id in used.lines().filter_map(|l| l.trim().strip_prefix("- id: ")) {
        assert!(hooks.contains(&format!("- id: {id}\n")), "there is no hook `{id}`");
    }
    let wheel = std::fs::read_to_string(root().join("pyproject.toml")).expect("pyproject.toml");
    assert!(wheel.contains("bindings = \"bin\""));
}
