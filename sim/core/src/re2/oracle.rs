//! The dialect against RE2 itself: `tests/re2/table.jsonl`, written by `tests/re2/generate.py`.

use serde_json::Value;

use super::{MAX_PROGRAM_SIZE, Program, parse, size};

const TABLE: &str = include_str!("../../tests/re2/table.jsonl");

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect()
}

struct Table {
    subjects: Vec<Vec<u8>>,
    rows: Vec<Value>,
}

fn table() -> Table {
    let mut lines = TABLE.lines().map(|line| serde_json::from_str::<Value>(line).expect("json"));
    let head = lines.next().expect("a first line");
    let subjects = head["subjects"].as_array().expect("subjects").iter();
    let subjects = subjects.map(|s| latin1(s.as_str().expect("text"))).collect();
    Table { subjects, rows: lines.collect() }
}

#[test]
fn patterns_are_accepted_and_match_as_in_re2() {
    let table = table();
    let mut wrong = vec![];
    for row in table.rows.iter().filter(|row| row.get("rw").is_none()) {
        let pattern = latin1(row["p"].as_str().expect("pattern"));
        let ours = Program::compile(&pattern);
        match (&ours, row["ok"].as_bool() == Some(true)) {
            (Ok(_), false) => wrong.push(format!("{} accepted, RE2 refuses", row["p"])),
            (Err(e), true) => wrong.push(format!("{} refused ({e}), RE2 accepts", row["p"])),
            (Err(_), false) => {}
            (Ok(program), true) => {
                let theirs: Vec<u64> =
                    row["full"].as_array().expect("matches").iter().filter_map(Value::as_u64).collect();
                for (i, subject) in table.subjects.iter().enumerate() {
                    let expected = theirs.contains(&(i as u64));
                    if program.full.matches(subject) != expected {
                        let shown = subject.escape_ascii();
                        wrong.push(format!("{} on {shown}: RE2 says {expected}", row["p"]));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn global_replace_is_re2s() {
    let table = table();
    let mut wrong = vec![];
    for row in table.rows.iter().filter(|row| row.get("rw").is_some()) {
        let pattern = latin1(row["p"].as_str().expect("pattern"));
        let program = Program::compile(&pattern).expect("a good pattern");
        let substitution = row["rw"].as_str().expect("substitution");
        for pair in row["out"].as_array().expect("results") {
            let subject = &table.subjects[pair[0].as_u64().expect("index") as usize];
            let subject = std::str::from_utf8(subject).expect("ASCII");
            let ours = program.replace_all(subject, substitution);
            if Some(ours.as_str()) != pair[1].as_str() {
                wrong.push(format!(
                    "{} -> {substitution:?} on {subject:?}: {ours:?}, RE2 {}",
                    row["p"], pair[1]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn program_sizes_are_not_far_below_re2s() {
    for row in table().rows.iter().filter(|row| row.get("size").is_some()) {
        let pattern = latin1(row["p"].as_str().expect("pattern"));
        let Ok(hir) = parse::parse(&pattern) else { continue };
        let (ours, theirs) = (size::program_size(&hir), row["size"].as_u64().expect("size"));
        assert!(ours * 2 + 16 >= theirs, "{}: estimated {ours}, RE2 has {theirs}", row["p"]);
    }
    let large = "(?:[a-z0-9]|[A-Z0-9_-]){1000}".repeat(20);
    let refused = Program::compile(large.as_bytes()).err().unwrap_or_default();
    assert!(refused.contains(&format!("max program size of {MAX_PROGRAM_SIZE}")), "{refused}");
}
