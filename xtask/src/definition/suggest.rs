//! "did you mean": the known word that is nearest to a wrong one.

/// The nearest of `known`, if one is near enough to be meant.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = word.chars().count().max(3) / 3;
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit || is_same_but_for_form(word, candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `must_exist`, `MustExist` and `must-exist`; `license` and `licence`; `need` and `needs`.
fn is_same_but_for_form(word: &str, candidate: &str) -> bool {
    let plain = |text: &str| {
        let text: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        text.to_ascii_lowercase()
    };
    plain(word).trim_end_matches('s') == plain(candidate).trim_end_matches('s')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["summary", "licence", "needs", "must-exist", "runtime-needs"];
        assert_eq!(did_you_mean("sumary", keys), Some("summary"));
        assert_eq!(did_you_mean("license", keys), Some("licence"));
        assert_eq!(did_you_mean("need", keys), Some("needs"));
        assert_eq!(did_you_mean("must_exist", keys), Some("must-exist"));
        assert_eq!(did_you_mean("colour", keys), None);
        assert_eq!(did_you_mean("", keys), None);
    }
}
