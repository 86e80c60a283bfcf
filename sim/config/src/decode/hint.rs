//! "Did you mean": the closest of a list of names.

/// The candidate nearest to `word`, if it is near enough to be a misspelling.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_ascii_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let other = candidate.to_ascii_lowercase();
        let distance = if lower == other { 0 } else { strsim::damerau_levenshtein(&lower, &other) };
        let limit = 1 + candidate.len() / 4;
        let prefix = lower.len() >= 3 && (other.starts_with(&lower) || lower.starts_with(&other));
        if (distance <= limit || prefix) && best.is_none_or(|(d, _)| distance < d) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn misspellings_find_their_field() {
        let fields = ["weight", "destination", "headers"];
        assert_eq!(closest("weigth", fields), Some("weight"));
        assert_eq!(closest("Destination", fields), Some("destination"));
        assert_eq!(closest("header", fields), Some("headers"));
        assert_eq!(closest("timeout", fields), None);
    }
}
