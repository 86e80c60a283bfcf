//! Objects as YAML that `kubectl apply` takes.

/// One document, without separator; keys sorted, which is the order people write the top level in.
#[must_use]
pub fn yaml(object: &serde_json::Value) -> String {
    // A JSON value always has a YAML form.
    serde_yaml::to_string(object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_words_that_look_like_others_keep_their_type() {
        let text = yaml(&json!({"kind": "A", "spec": {"ports": ["8080"], "on": "yes", "port": 1}}));
        assert_eq!(text, "kind: A\nspec:\n  'on': 'yes'\n  port: 1\n  ports:\n  - '8080'\n");
    }
}
