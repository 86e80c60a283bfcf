//! Cuts a file into documents the way kubectl does: at every line that begins with `---`, whatever is around
//! it (apimachinery `YAMLReader`). A `---` inside a quoted text cuts it in two, here as there.

use super::Chunk;

/// A separator line with something other than a comment behind it: kubectl stops reading there.
#[derive(Debug)]
pub(crate) struct BadSeparator<'t> {
    pub(crate) trailing: &'t str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The documents of a text in order, up to a bad separator.
pub(crate) fn split(text: &str) -> (Vec<Chunk<'_>>, Option<BadSeparator<'_>>) {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut offset = 0;
    // A separator that nothing precedes belongs to the document after it, so directives and `---` survive.
    let mut empty = true;
    for line in text.split_inclusive('\n') {
        let (begin, end) = (offset, offset + line.len());
        offset = end;
        if let Some(after) = line.strip_prefix("---") {
            let trailing = after.trim();
            if !trailing.is_empty() && !trailing.starts_with('#') {
                return (
                    pieces,
                    Some(BadSeparator { trailing, start: begin, end: begin + line.trim_end().len() }),
                );
            }
            if !empty {
                pieces.push(chunk(text, start, begin));
                start = end;
                empty = true;
                continue;
            }
        }
        empty = false;
    }
    if !empty {
        pieces.push(chunk(text, start, text.len()));
    }
    (pieces, None)
}

fn chunk(text: &str, start: usize, end: usize) -> Chunk<'_> {
    Chunk { text: text.get(start..end).unwrap_or(""), start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let (chunks, bad) = split(text);
        let bad = bad.map(|e| format!("!{}", e.trailing));
        chunks.into_iter().map(|c| c.text.to_owned()).chain(bad).collect()
    }

    #[test]
    fn cuts_where_kubectl_cuts() {
        assert_eq!(texts("a: 1\n---\t\nb: 2\n"), ["a: 1\n", "b: 2\n"]);
        assert_eq!(texts("---\n---\n"), ["---\n"]);
        assert_eq!(texts("a: \"x\n---\ny\"\n"), ["a: \"x\n", "y\"\n"]);
        assert_eq!(texts("---a\n"), ["!a"]);
        assert_eq!(texts("a: 1\n--- # c\nb: 1"), ["a: 1\n", "b: 1"]);
        assert_eq!(texts(""), Vec::<String>::new());
    }
}
