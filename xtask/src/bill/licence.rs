//! SPDX licence expressions: which are right, and what older ways of writing them mean.

use std::collections::BTreeSet;

/// Why it is no expression of licences in SPDX's list; `LicenseRef-NAME` stands for one that is not in it.
pub fn fault(expression: &str) -> Option<String> {
    use spdx::error::Reason::{UnknownException, UnknownLicense, UnknownTerm};
    // The parser takes them small, the standard does not.
    if expression.split_whitespace().any(|word| ["and", "or", "with"].contains(&word)) {
        return Some("AND, OR and WITH are written in capitals".to_owned());
    }
    let error = spdx::Expression::parse(expression).err()?;
    let word = expression.get(error.span.clone()).map(str::trim).unwrap_or_default();
    Some(match error.reason {
        UnknownTerm | UnknownLicense | UnknownException if !word.is_empty() => {
            format!("`{word}` is not in SPDX's list")
        }
        reason => reason.to_string(),
    })
}

/// The expression as it stands, or as SPDX writes it today: `MIT/Apache-2.0` is `MIT OR Apache-2.0`. `None` where it is neither.
pub fn checked(expression: &str) -> Option<String> {
    if fault(expression).is_none() {
        return Some(expression.to_owned());
    }
    let today = spdx::Expression::canonicalize(expression).ok().flatten()?;
    fault(&today).is_none().then_some(today)
}

/// The licences of an expression that stand in no list.
pub fn unlisted(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| c.is_whitespace() || "()".contains(c));
    words.filter(|word| word.starts_with("LicenseRef-")).map(str::to_owned).collect()
}

/// The version of SPDX's list that we know.
pub fn list_version() -> &'static str {
    spdx::license_version()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_ways_of_writing_are_understood_and_inventions_are_not() {
        for good in ["MIT", "GPL-2.0-only WITH Linux-syscall-note AND (MIT OR ISC)", "LicenseRef-x"] {
            assert_eq!(checked(good).as_deref(), Some(good));
        }
        assert_eq!(checked("MIT/Apache-2.0").as_deref(), Some("MIT OR Apache-2.0"));
        for bad in ["GPL 2", "MITT", "MIT OR", ""] {
            assert_eq!(checked(bad), None, "{bad}");
        }
        assert_eq!(fault("MIT OR GPL-2").as_deref(), Some("`GPL-2` is not in SPDX's list"));
        assert!(fault("MIT or ISC").unwrap().contains("in capitals"), "{:?}", fault("MIT or ISC"));
        assert_eq!(unlisted("(LicenseRef-a OR MIT) AND LicenseRef-b").len(), 2);
    }
}
