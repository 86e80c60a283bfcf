//! From bytes to objects: the reading half of loading a mesh.
//!
//! Broken documents become diagnostics and the rest is still read. What the objects mean comes later
//! (`schema` for admission, `resource` for types).

mod text;

use rayon::prelude::*;

use crate::diagnostic::{Diagnostic, Stage, codes};
use crate::document::{self, RawObject};
use crate::input::InputFile;
use crate::schema;
use crate::source::{FileId, Sources, Span};
use crate::webhook;
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
        let decoded = text::decode(&input.bytes);
        let file = sources.add(input.display_name, decoded.text);
        if let Some(message) = decoded.problem {
            let at = Span::new(file, 0, 0);
            problems.push(Diagnostic::error(codes::NOT_TEXT, Stage::Parse, at, message));
            continue;
        }
        let text = sources.text(file).to_owned();
        let (objects, diagnostics) = if decoded.whole {
            read_pieces(file, &text, Some(std::iter::once(0..text.len()).collect()))
        } else {
            read_text(file, &text)
        };
        all.extend(objects);
        problems.extend(diagnostics);
    }
    (all, problems)
}

/// The text of a file's bytes; what is not text becomes a character the YAML reader refuses.
pub fn text_of_bytes(bytes: &[u8]) -> String {
    text::decode(bytes).text
}

/// Reads one file's text. Texts that begin with `{` are JSON streams, as for kubectl.
pub fn read_text(file: FileId, text: &str) -> (Vec<RawObject>, Vec<Diagnostic>) {
    read_pieces(file, text, text::json_stream(text))
}

/// Reads a document from each piece, or from what lies between `---` lines.
fn read_pieces(
    file: FileId,
    text: &str,
    pieces: Option<Vec<std::ops::Range<usize>>>,
) -> (Vec<RawObject>, Vec<Diagnostic>) {
    let (documents, mut diagnostics) = match pieces {
        Some(ranges) => yaml::parse_pieces(file, text, &ranges),
        None => yaml::parse_stream(file, text),
    };
    for diagnostic in &mut diagnostics {
        explain_template(diagnostic, text);
    }
    let mut objects: Vec<RawObject> = Vec::new();
    for document in documents {
        let (more, problems) = document::objects(document);
        objects.extend(more);
        diagnostics.extend(problems);
    }
    name_objects(&mut diagnostics, &objects);
    (objects, diagnostics)
}

/// What admission says of objects that were read, and where they use what is not modelled; in the order of
/// objects, each problem once.
pub fn admission(objects: &[RawObject]) -> Vec<Diagnostic> {
    if objects.len() < WORTH_THREADS {
        return objects.iter().flat_map(admission_of).collect();
    }
    objects.par_iter().flat_map_iter(admission_of).collect()
}

/// Fewer objects are judged before threads have started.
const WORTH_THREADS: usize = 200;

fn admission_of(object: &RawObject) -> Vec<Diagnostic> {
    let mut out: Vec<Diagnostic> = Vec::new();
    let support = schema::unmodelled(object).into_iter().map(|u| u.diagnostic(object));
    for d in schema::admit(object, Some(webhook::validate)).into_iter().chain(support) {
        if !out.iter().any(|o| o.span() == d.span() && o.message == d.message) {
            out.push(d);
        }
    }
    out
}

/// Problems of the text are given the object they lie in.
fn name_objects(diagnostics: &mut [Diagnostic], objects: &[RawObject]) {
    for d in diagnostics.iter_mut().filter(|d| d.object.is_none()) {
        let at = d.span();
        let around = |o: &&RawObject| o.span.start <= at.start && at.end <= o.span.end;
        d.object = objects.iter().find(around).map(RawObject::reference);
    }
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
    fn problems_name_their_object_and_the_place() {
        let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: b}\n\
                    spec:\n  hosts: [x]\n  hosts: [w]\n  http: [{timeuot: 5s, timeout: 5, route: [{destination: {host: x}}]}]\n";
        let result = read_one(text);
        let said: Vec<_> = result.diagnostics.iter().cloned().chain(admission(&result.objects)).collect();
        let lines: Vec<_> = said
            .iter()
            .map(|d| {
                let object = d.object.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{} {} {object}: {}", result.sources.location(d.span()), d.stage.word(), d.message)
            })
            .collect();
        assert_eq!(
            lines,
            [
                "a.yaml:6:3 strict VirtualService/b/a: key `hosts` is already set in this mapping",
                "a.yaml:7:11 strict VirtualService/b/a: unknown field `timeuot` in spec.http[0]",
                "a.yaml:7:33 schema VirtualService/b/a: spec.http[0].timeout: expected a string, found the number `5`",
            ]
        );
    }

    #[test]
    fn what_is_not_modelled_is_told_where_it_is_used() {
        let text = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  \
                    host: x\n  trafficPolicy:\n    retryBudget: {percent: 20, budgetInterval: 10s}\n---\n\
                    apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: e}\nspec: {}\n---\n\
                    apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: n}\n";
        let result = read_one(text);
        let said = admission(&result.objects);
        let lines: Vec<_> =
            said.iter().map(|d| format!("{} {}", result.sources.file_line(d.span()), d.code.0)).collect();
        assert_eq!(lines, ["a.yaml:7 MS0401", "a.yaml:11 MS0401", "a.yaml:15 MS0401"]);
    }

    #[test]
    fn templates_and_binaries_are_named() {
        let result = read_one("metadata: {{ include \"x\" . }}\n");
        assert_eq!(result.diagnostics[0].code, codes::TEMPLATE);
        let result = read(vec![InputFile { display_name: "a".into(), bytes: vec![0x7f, 0x45, 0, 0xff] }]);
        assert_eq!(result.diagnostics[0].code, codes::NOT_TEXT);
        let bytes = "\u{feff}kind: A\n---\nkind: B\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let result = read(vec![InputFile { display_name: "a".into(), bytes }]);
        let codes: Vec<_> = result.diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, [codes::IGNORED_CONTENT, codes::NOT_KUBERNETES]);
    }
}
