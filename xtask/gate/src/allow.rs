//! The allow list: failures that somebody answers for until a day. Patterns are osstest's: `@@` any text, `@` any text without
//! `-` and `/`, a line that begins with `!` takes an earlier one away again.

use serde::{Deserialize, Serialize};

/// A failure that stops nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Of which gate; all of them where nothing is said.
    pub branch: Option<String>,
    /// Pattern of the job's name.
    pub job: String,
    /// Pattern of the step's testid.
    pub testid: String,
    /// Takes away what earlier lines allow.
    pub removes: bool,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// From then on it means nothing; seconds since 1970.
    pub expires: i64,
}

/// The allowance that covers a failure at `now`, if there is one. Later lines stand over earlier ones.
pub fn covering<'a>(list: &'a [Allowance], branch: &str, job: &str, testid: &str, now: i64) -> Option<&'a Allowance> {
    let mut found = None;
    for line in list {
        let is_meant = line.branch.as_deref().is_none_or(|meant| meant == branch)
            && now < line.expires
            && matches(&line.job, job)
            && matches(&line.testid, testid);
        if is_meant {
            found = (!line.removes).then_some(line);
        }
    }
    found
}

/// True when `text` is what `pattern` describes.
fn matches(pattern: &str, text: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix("@@") {
        return places(text).any(|at| matches(rest, &text[at..]));
    }
    if let Some(rest) = pattern.strip_prefix('@') {
        let end = text.find(['-', '/']).unwrap_or(text.len());
        return places(&text[..end]).any(|at| matches(rest, &text[at..]));
    }
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some(wanted), Some(found)) if wanted == found => {
            matches(&pattern[wanted.len_utf8()..], &text[found.len_utf8()..])
        }
        _ => false,
    }
}

/// The bytes at which a character begins, and the end.
fn places(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.char_indices().map(|(at, _)| at).chain([text.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(job: &str, testid: &str) -> Allowance {
        let text = str::to_owned;
        Allowance {
            branch: None,
            job: text(job),
            testid: text(testid),
            removes: false,
            owner: text("ann"),
            reason: text("known"),
            expires: 100,
        }
    }

    #[test]
    fn patterns() {
        for (pattern, good, bad) in [
            ("boot", &["boot"][..], &["boots", "", "xboot"][..]),
            ("@@", &["", "a-b/c"], &[]),
            ("test-@-xl", &["test-amd64-xl", "test--xl"], &["test-amd64-i386-xl", "test-a/b-xl"]),
            ("test-@@-xl", &["test-amd64-i386-xl"], &["test-xl"]),
            ("@@é", &["né", "é"], &["e"]),
        ] {
            good.iter().for_each(|text| assert!(matches(pattern, text), "{pattern} {text}"));
            bad.iter().for_each(|text| assert!(!matches(pattern, text), "{pattern} {text}"));
        }
    }

    #[test]
    fn later_lines_stand_over_earlier_ones_and_none_outlives_its_day() {
        let covers = |list: &[Allowance], branch, now| covering(list, branch, "boot", "xl-info", now).is_some();
        let all = line("@@", "@@");
        assert!(covers(std::slice::from_ref(&all), "b", 99));
        assert!(!covers(std::slice::from_ref(&all), "b", 100), "its day is over");
        let not = Allowance { removes: true, ..line("boot", "@@") };
        assert!(!covers(&[all.clone(), not.clone()], "b", 0));
        assert!(covers(&[not, all.clone()], "b", 0));
        let elsewhere = Allowance { branch: Some("c".to_owned()), ..all };
        assert!(!covers(std::slice::from_ref(&elsewhere), "b", 0));
    }
}
