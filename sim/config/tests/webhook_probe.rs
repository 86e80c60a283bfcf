//! Probe.
#[test]
fn probe() {
    let text = std::fs::read_to_string("../../tests/conformance/admission/cases.jsonl").unwrap();
    let (mut ok, mut bad) = (0, 0);
    for line in text.lines() {
        let c: serde_json::Value = serde_json::from_str(line).unwrap();
        let stages: Vec<&str> = c["rejected_by"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
        if !(stages.is_empty() || stages[0] == "webhook") { continue; }
        let mut sources = mesh_config::source::Sources::new();
        let yaml = c["yaml"].as_str().unwrap();
        let file = sources.add("x", yaml);
        let (objects, _d) = mesh_config::load::read_text(file, yaml);
        let mut found = vec![];
        for o in &objects { found.extend(mesh_config::webhook::validate(o)); }
        let errs: Vec<_> = found.iter().filter(|d| d.severity == mesh_config::diagnostic::Severity::Error).map(|d| d.message.clone()).collect();
        let warns: Vec<_> = found.iter().filter(|d| d.severity == mesh_config::diagnostic::Severity::Warning).map(|d| d.message.clone()).collect();
        let want = !stages.is_empty();
        let ww = c["warnings"].as_array().unwrap().len();
        if want != !errs.is_empty() { bad += 1; println!("ERR {} want {} got {:?} | {} | {}", c["id"], c["errors"], errs, c["mutation"], ""); }
        else if !want && ww != warns.len() { bad += 1; println!("WARN {} want {} got {:?} | {}", c["id"], c["warnings"], warns, c["mutation"]); }
        else { ok += 1; }
    }
    println!("ok {ok} bad {bad}");
}
