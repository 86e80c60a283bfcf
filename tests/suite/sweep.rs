//! `sweep` by its command line: grids, parts, refusals, and that parts join to the bytes of the whole.

use std::path::PathBuf;
use std::process::Output;

use crate::program::mesh_sim;

const SCENARIO: &str = "scenarios/asked/pool-max-requests.yaml";
const LIMIT: &str = "DestinationRule/web:spec.trafficPolicy.connectionPool.http.http2MaxRequests";

fn sweep(more: &[&str]) -> Output {
    let mut args = vec!["sweep"];
    args.extend(more);
    mesh_sim(&args)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn gates_that_fail_somewhere_are_named_with_their_seeds() {
    let limits = format!("{LIMIT}=1,3,6");
    let output = sweep(&[SCENARIO, "--param", &limits, "--seeds", "2", "-q"]);
    assert_eq!(output.status.code(), Some(1));
    let out = text(&output.stdout);
    assert!(out.contains("2 of 3 points fail:"), "{out}");
    assert!(out.contains("http2MaxRequests=1 under seed 1, 2"), "{out}");
    assert!(out.contains(&format!("--set {LIMIT}=6 --seed 1")), "{out}");
    assert!(!out.contains("http2MaxRequests=3 under"), "{out}");
    assert!(out.lines().all(|line| line.starts_with("    ") || line.chars().count() <= 110), "{out}");
}

#[test]
fn the_point_that_a_cluster_refuses_is_told_and_the_others_run() {
    let limits = format!("{LIMIT}=3,-1");
    let output = sweep(&[SCENARIO, "--param", &limits, "-q"]);
    assert_eq!(output.status.code(), Some(3));
    let out = text(&output.stdout);
    assert!(out.contains("http2MaxRequests must be non-negative"), "{out}");
    assert!(out.contains("50.00%"), "{out}");
}

#[test]
fn parts_join_to_the_bytes_of_the_whole() {
    let dir = std::env::temp_dir().join(format!("mesh-sim-sweep-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let grid =
        ["scenarios/canary.yaml", "--duration", "2s", "--param", "spec.traffic[0].rate=10/s..40/s:10/s"];
    let swept = |more: &[&str]| {
        let all: Vec<&str> =
            grid.iter().chain(["--seeds", "3..4", "-q", "-o", "json"].iter()).chain(more).copied().collect();
        let output = sweep(&all);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        output.stdout
    };
    let part = |i: u32| -> PathBuf {
        let path = dir.join(format!("{i}.json"));
        std::fs::write(&path, swept(&["--shard", &format!("{i}/3")])).expect("written");
        path
    };
    let parts: Vec<String> = [2, 0, 1].map(part).iter().map(|p| p.display().to_string()).collect();
    let merge: Vec<&str> = ["merge"].into_iter().chain(parts.iter().map(String::as_str)).collect();
    let joined = sweep(&[merge.as_slice(), &["-o", "json"]].concat());
    let whole = swept(&["--threads", "1"]);
    assert_eq!(text(&joined.stdout), text(&whole));
    assert_eq!(text(&swept(&["--threads", "2"])), text(&whole));

    let gap = sweep(&merge[..3]);
    assert_eq!(gap.status.code(), Some(3));
    assert!(text(&gap.stderr).contains("tasks are missing"), "{}", text(&gap.stderr));
    let other = dir.join("other.json");
    std::fs::write(&other, swept(&["--shard", "1/3", "--runs", "2"])).expect("written");
    let mixed = sweep(&["merge", merge[1], merge[2], &other.display().to_string()]);
    assert!(text(&mixed.stderr).contains("their inputs"), "{}", text(&mixed.stderr));
    std::fs::remove_dir_all(&dir).ok();
}

#[test]
fn wrong_command_lines_say_what_is_right() {
    for (args, said) in [
        (vec![SCENARIO, "--param", "x"], "`PATH=VALUES` is expected"),
        (vec![SCENARIO, "--param", "spec.seed=1..2"], "a range is `FROM..TO:STEP`"),
        (vec![SCENARIO, "--seeds", "0"], "write how many (`20`) or which (`1..200`)"),
        (vec![SCENARIO, "--shard", "3/3"], "write I/N with I below N"),
        (vec![SCENARIO, "-o", "junit"], "sweep has no output `junit`"),
    ] {
        let output = sweep(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    // What is no place is known for every point at once, and said of each.
    let output = sweep(&[SCENARIO, "--param", "DestinationRule/nobody:spec.host=a,b", "-q"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("no DestinationRule `nobody` in namespace `default`"));
}

#[test]
fn run_takes_manifests_and_fields_of_objects() {
    let set = format!("{LIMIT}=6");
    let output = mesh_sim(&["run", SCENARIO, "-q", "--set", &set]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("6×200"), "{}", text(&output.stdout));
    // The last one of a name wins, as when it is applied; this one has no limit for requests.
    let output = mesh_sim(&["run", SCENARIO, "-q", "-f", "scenarios/meshes/web/pool-pending-0.yaml"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("6×200"), "{}", text(&output.stdout));
    let output = mesh_sim(&["run", SCENARIO, "-q", "-f", "nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("nowhere.yaml"), "{}", text(&output.stderr));
}
