//! From bytes to objects: the reading half of loading a mesh.
//!
//! Broken documents become diagnostics and the rest is still read. What the objects mean comes later
//! (`schema` for admission, `resource` for types).

mod text;

use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::document::{self, RawObject};
use crate::input::InputFile;
use crate::source::{FileId, Sources, Span};
use crate::yaml;

/// Everything that was read.
#[derive(Debug, Default)]
pub struct ReadResult {
    /// The file table all spans point into.
    pub sources: Sources,
    /// Objects in the order of files and documents.
    pub objects: Vec<RawObject>,
    /// Problems in the same order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads all files into objects.
pub fn read(inputs: Vec<InputFile>) -> ReadResult {
    let mut result = ReadResult::default();
    let (objects, diagnostics) = read_into(&mut result.sources, inputs);
    (result.objects, result.diagnostics) = (objects, diagnostics);
    result
}

/// Reads more files beside those of a file table, whose spans stay valid.
pub fn read_into(sources: &mut Sources, inputs: Vec<InputFile>) -> (Vec<RawObject>, Vec<Diagnostic>) {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for input in inputs {
        let (text, problem) = text::decode(&input.bytes);
        let file = sources.add(input.display_name, text);
        if let Some(message) = problem {
            let at = Span::new(file, 0, 0);
            problems.push(Diagnostic::error(codes::NOT_TEXT, Stage::Parse, at, message));
            continue;
        }
        let text = sources.text(file).to_owned();
        let (objects, diagnostics) = read_text(file, &text);
        all.extend(objects);
        problems.extend(diagnostics);
    }
    (all, problems)
}

/// The text of a file's bytes; what is not text becomes a character the YAML reader refuses.
pub fn text_of_bytes(bytes: &[u8]) -> String {
    text::decode(bytes).0
}

/// Reads one file's text. Texts that begin with `{` are JSON streams, as for kubectl.
pub fn read_text(file: FileId, text: &str) -> (Vec<RawObject>, Vec<Diagnostic>) {
    let (documents, mut diagnostics) = match text::json_stream(text) {
        Some(ranges) => yaml::parse_pieces(file, text, &ranges),
        None => yaml::parse_stream(file, text),
    };
    for diagnostic in &mut diagnostics {
        explain_template(diagnostic, text);
    }
    let mut objects = Vec::new();
    for document in documents {
        let (more, problems) = document::objects(document);
        objects.extend(more);
        diagnostics.extend(problems);
    }
    (objects, diagnostics)
}

/// A syntax error in a text full of `{{ … }}` has one likely reason.
fn explain_template(diagnostic: &mut Diagnostic, text: &str) {
    if diagnostic.code != codes::YAML_SYNTAX || !text.contains("{{") {
        return;
    }
    diagnostic.code = codes::TEMPLATE;
    diagnostic.help =
        Some("this looks like a template; render it first: helm template … | mesh-sim -f -".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> ReadResult {
        read(vec![InputFile { display_name: "a.yaml".to_owned(), bytes: text.as_bytes().to_vec() }])
    }

    #[test]
    fn broken_documents_do_not_hide_the_others() {
        let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
        let result = read_one(&format!("{good}---\na: ]\n---\njust text\n---\n{good}"));
        assert_eq!(result.objects.len(), 2);
        let places: Vec<_> = result.diagnostics.iter().map(|d| result.sources.file_line(d.span())).collect();
        assert_eq!(places, ["a.yaml:5", "a.yaml:7"]);
    }

    #[test]
    fn lists_and_json_streams_are_taken_apart() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"status":{"phase":"Running"}}"#;
        let result = read_one(&format!("{pod}\n{pod}"));
        assert_eq!((result.objects.len(), result.diagnostics.len()), (2, 0));
        let list = format!(
            "apiVersion: v1\nkind: List\nitems:\n- {pod}\n- {{apiVersion: v1, kind: PodList, items: [{pod}]}}\n"
        );
        let result = read_one(&list);
        assert_eq!((result.objects.len(), result.diagnostics.len()), (2, 0));
        assert!(result.objects[0].node.get("status").is_none());
    }

    #[test]
    fn templates_and_binaries_are_named() {
        let result = read_one("metadata: {{ include \"x\" . }}\n");
        assert_eq!(result.diagnostics[0].code, codes::TEMPLATE);
        let result = read(vec![InputFile { display_name: "a".into(), bytes: vec![0x7f, 0x45, 0, 0] }]);
        assert_eq!(result.diagnostics[0].code, codes::NOT_TEXT);
    }
}
