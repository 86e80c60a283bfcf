//! The command line as scripts see it: exit codes, streams, the same bytes whatever the threads.

use std::process::Output;

use crate::changes::directory;
use crate::program::{mesh_sim, mesh_sim_in};

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_first_command_predicts_the_canary() {
    let output = mesh_sim(&["run", "scenarios/canary.yaml"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = stdout(&output);
    for part in ["safe-group", "90%", "risky-group", "10%", "EXPECT  4 of 4 passed", "canary.yaml:11:7"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn the_same_bytes_whatever_the_threads() {
    let args = |threads: &'static str| {
        [
            "run",
            "scenarios/canary.yaml",
            "--runs",
            "4",
            "--duration",
            "10s",
            "-o",
            "json",
            "--threads",
            threads,
        ]
    };
    let one = mesh_sim(&args("1"));
    let two = mesh_sim(&args("2"));
    let again = mesh_sim(&args("1"));
    assert!(!one.stdout.is_empty());
    assert!(one.stdout == two.stdout, "threads change the bytes");
    assert!(one.stdout == again.stdout, "a second process gives other bytes");
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let cases: [(&[&str], i32); 7] = [
        (&["run"], 2),
        (&["nonsense"], 2),
        (&["run", "does-not-exist.yaml"], 3),
        (&["run", "policies/tgik/s3-5-mtls-on.yaml"], 4),
        (&["lint"], 2),
        (&["lint", "-q", "-f", "scenarios/meshes/fleetman/app.yaml"], 0),
        (&["test", "scenarios/meshes"], 4),
    ];
    for (args, code) in cases {
        let output = mesh_sim(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn broken_input_is_listed_whole_and_leaves_stdout_alone() {
    let dir = std::env::temp_dir().join(format!("mesh-sim-broken-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let file = dir.join("two.yaml");
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n  - rout: []\n---\nfoo: [\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: b}\nspec: {host: b, trafficPolicy: {loadBalancer: {simple: ROUND}}}\n";
    std::fs::write(&file, text).expect("a file");
    let output = mesh_sim(&["lint", "-f", &file.display().to_string()]);
    let _ = std::fs::remove_dir_all(&dir);
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty(), "{}", stdout(&output));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["rout", "did you mean", "two.yaml:7", "two.yaml:10", "ROUND"] {
        assert!(errors.contains(part), "no `{part}` in\n{errors}");
    }
}

#[test]
fn completions_and_the_manual_are_made() {
    for args in [vec!["completions", "bash"], vec!["man"]] {
        let output = mesh_sim(&args);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("mesh-sim"));
    }
}

#[test]
fn reports_are_written_beside_the_table() {
    let dir = std::env::temp_dir().join(format!("mesh-sim-reports-{}", std::process::id()));
    let path = |name: &str| format!("{}", dir.join(name).display());
    let (svg, prom, log) = (path("g.svg"), path("m.prom"), path("access.log"));
    let args = [
        "run".to_owned(),
        "scenarios/fleetman/s1-5-service-graph.yaml".to_owned(),
        "-q".to_owned(),
        format!("--report=svg={svg}"),
        format!("--report=prom={prom}"),
        format!("--report=access-log={log}"),
    ];
    let output = mesh_sim(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |p: &str| std::fs::read_to_string(p).expect("the report");
    assert!(read(&svg).starts_with("<svg"));
    assert!(read(&prom).contains("istio_requests_total{"));
    assert!(read(&log).contains("via_upstream"));
    let _ = std::fs::remove_dir_all(&dir);
}

/// A pod of the ambient mesh is no plain pod, and one whose `image: auto` nobody fills never starts.
#[test]
fn what_a_pod_that_is_not_modelled_sends_and_receives_is_unknown() {
    let app = |name: &str, label: &str, image: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}, ports: [{{name: http, port: 80}}]}}\n\
             ---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}, sidecar.istio.io/inject: 'false'{label}}}}}\n\
             spec: {{containers: [{image}{{name: app, image: x, ports: [{{containerPort: 80}}]}}]}}\n---\n"
        )
    };
    let text = [
        app("ambient", ", istio.io/dataplane-mode: ambient", ""),
        app("stuck", "", "{name: istio-proxy, image: auto}, "),
        app("plain", "", ""),
    ];
    let dir = directory("not-modelled-pods", &[("a.yaml", text.concat())]);
    for (from, to, says) in [
        ("plain", "plain", "200 from default/plain"),
        ("plain", "ambient", "unknown"),
        ("plain", "stuck", "unknown"),
        ("ambient", "plain", "unknown"),
        ("stuck", "plain", "unknown"),
    ] {
        let (from, url) = (format!("default/{from}"), format!("http://{to}/"));
        let output = mesh_sim_in(&dir, &["explain", "-q", "-f", "a.yaml", "--from", &from, &url]);
        let text = stdout(&output);
        assert!(text.contains(says), "{from} {url}: {text}");
        assert!(says != "unknown" || text.contains("a.yaml:"), "no place: {text}");
    }
    let _ = std::fs::remove_dir_all(&dir);
}
