//! Ctrl-C in the middle: exit code 130, and every report is whole and says what it lacks.
//!
//! The middle is a manifest that is a pipe: once mesh-sim has opened it, everything before is done and nothing after it
//! is begun. No clocks are needed.

#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::program::{command, root};

/// `open` fails until somebody reads the pipe.
const O_NONBLOCK: i32 = 0o4000;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("mesh-sim-interrupt-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let made = Command::new("mkfifo").arg(dir.join("pipe.yaml")).status().expect("mkfifo");
        assert!(made.success());
        Place(dir)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("written");
    }

    fn json(&self, file: &str) -> Value {
        let text = std::fs::read_to_string(self.0.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}\n{text}"))
    }

    /// Interrupts the command when it has opened the pipe, then gives it `content` there. Exit code and stdout.
    fn interrupted(&self, args: &[&str], content: &str) -> (Option<i32>, String) {
        let mut child = command()
            .args(args)
            .current_dir(&self.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut pipe = opened(&self.0.join("pipe.yaml"), &mut child);
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
        let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.starts_with("interrupted: writing")), "the interrupt is not noticed");
        // Who does not wait for the pipe any more does not read it either.
        let _ = pipe.write_all(content.as_bytes());
        drop(pipe);
        let mut out = String::new();
        child.stdout.take().expect("stdout").read_to_string(&mut out).expect("text");
        lines.for_each(drop);
        (child.wait().expect("it ends").code(), out)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The writing end of a pipe that the child reads.
fn opened(path: &Path, child: &mut Child) -> File {
    loop {
        if let Ok(file) = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path) {
            return file;
        }
        if let Some(status) = child.try_wait().expect("a child") {
            let mut err = String::new();
            let _ = child.stderr.take().map(|mut e| e.read_to_string(&mut err));
            panic!("it ended before it opened the pipe: {status}\n{err}");
        }
        std::thread::yield_now();
    }
}

fn bookinfo() -> String {
    std::fs::read_to_string(root().join("scenarios/meshes/bookinfo/app.yaml")).expect("bookinfo")
}

fn document(kind: &str, name: &str, manifest: &str, rest: &str) -> String {
    format!(
        "apiVersion: mesh-sim.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  mesh: {{manifests: [{manifest}]}}\n{rest}"
    )
}

const CASE: &str = "  cases: [{name: c, from: default/productpage-v1, request: GET http://reviews:9080/, expect: {status: 200}}]\n";
const TRAFFIC: &str = "  duration: 1s\n  traffic: [{name: t, from: default/productpage-v1, request: GET http://reviews:9080/, rate: 10/s}]\n  expect: [{never: {flags: UO}}]\n";

#[test]
fn tests_that_were_judged_are_reported() {
    let place = Place::new("test");
    place.write("app.yaml", &bookinfo());
    for (file, manifest) in [("a.yaml", "app.yaml"), ("b.yaml", "pipe.yaml"), ("c.yaml", "app.yaml")] {
        place.write(file, &document("PolicyTest", file, manifest, CASE));
    }
    let reports = [
        "--report",
        "junit=r.xml",
        "--report",
        "sarif=r.sarif",
        "--report",
        "tap=r.tap",
        "--report",
        "html=r.html",
    ];
    let args =
        [&["test", "a.yaml", "b.yaml", "c.yaml", "--threads", "1", "-o", "json", "--coverage"], &reports[..]]
            .concat();
    let (code, out) = place.interrupted(&args, &bookinfo());
    let report: Value = serde_json::from_str(&out).expect("json");
    assert_eq!(code, Some(130), "{out}");
    assert_eq!(
        (&report["stopped"], &report["notRun"]),
        (&"interrupted".into(), &serde_json::json!(["c.yaml"])),
        "{out}"
    );
    assert_eq!(report["files"].as_array().map(Vec::len), Some(2), "the file at hand is finished: {out}");
    assert_eq!(place.json("r.sarif")["version"], "2.1.0");
    let read = |file: &str| std::fs::read_to_string(place.0.join(file)).expect(file);
    assert!(read("r.tap").contains("Bail out! 1 files were not judged"), "{}", read("r.tap"));
    assert!(
        read("r.xml").trim_end().ends_with("</testsuites>") && read("r.html").trim_end().ends_with("</html>")
    );
}

#[test]
fn scenarios_that_were_run_are_reported() {
    let place = Place::new("run");
    place.write("app.yaml", &bookinfo());
    for (file, manifest) in [("a.yaml", "app.yaml"), ("b.yaml", "pipe.yaml"), ("c.yaml", "app.yaml")] {
        place.write(file, &document("Scenario", file, manifest, TRAFFIC));
    }
    let reports = ["--report", "json=r.json", "--report", "junit=r.xml", "--report", "access-log=r.log"];
    let args = [&["run", "a.yaml", "b.yaml", "c.yaml", "-o", "tap"], &reports[..]].concat();
    let (code, out) = place.interrupted(&args, "");
    assert_eq!(code, Some(130), "{out}");
    let report = place.json("r.json");
    assert_eq!(
        (&report["stopped"], &report["notRun"]),
        (&"interrupted".into(), &serde_json::json!(["b.yaml", "c.yaml"]))
    );
    assert_eq!(report["runs"].as_array().map(Vec::len), Some(1));
    assert!(out.contains("ok 1") && out.contains("Bail out! 2 files"), "{out}");
    let log = std::fs::read_to_string(place.0.join("r.log")).expect("the log of the run that ended");
    assert!(log.lines().count() > 5, "{log}");
}

#[test]
fn diff_and_matrix_say_how_much_they_did_not_ask() {
    let place = Place::new("diff");
    place.write("app.yaml", &bookinfo());
    let (code, out) =
        place.interrupted(&["diff", "app.yaml", "pipe.yaml", "--report", "json=r.json"], &bookinfo());
    assert_eq!(code, Some(130), "{out}");
    let report = place.json("r.json");
    let limits = report["limits"].to_string();
    assert!(
        report["asked"] == 0 && limits.contains("interrupted: not all requests were found"),
        "{report:#}"
    );
    assert!(out.contains("interrupted: not all requests were found"), "{out}");
    let (code, out) =
        place.interrupted(&["matrix", "-f", "pipe.yaml", "--report", "json=m.json"], &bookinfo());
    assert_eq!(code, Some(130), "{out}");
    let left = place.json("m.json")["skipped"].to_string();
    assert!(left.contains("questions were not asked"), "{left}");
}

#[test]
fn cases_that_were_judged_are_counted() {
    let place = Place::new("conformance");
    std::os::unix::fs::symlink(root().join("tests/conformance/bookinfo-canary"), place.0.join("a"))
        .expect("a mesh");
    std::fs::create_dir_all(place.0.join("b")).expect("a directory");
    std::fs::rename(place.0.join("pipe.yaml"), place.0.join("b/pipe.yaml")).expect("moved");
    std::os::unix::fs::symlink(place.0.join("b/pipe.yaml"), place.0.join("pipe.yaml")).expect("a link");
    std::fs::copy(place.0.join("a/cases.jsonl"), place.0.join("b/cases.jsonl")).expect("cases");
    let first = std::fs::read_to_string(place.0.join("a/cases.jsonl")).expect("cases");
    let first: Value = serde_json::from_str(first.lines().next().expect("a case")).expect("json");
    let id = first["id"].as_str().expect("an id");
    let args = ["conformance", ".", "--judge", "requests", "--case", id, "-o", "json"];
    let (code, out) = place.interrupted(&args, "");
    let report: Value = serde_json::from_str(&out).expect("json");
    assert_eq!((code, &report["interrupted"]), (Some(130), &Value::Bool(true)), "{out}");
    let judged = report["totals"]["a"]["agree"].as_u64();
    assert!(judged.is_some_and(|n| n > 0) && report["totals"]["b"].is_null(), "{report:#}");
}
