//! Where each page is. Names of branches, jobs and steps are anything; names of files are not.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::FlightNo;

/// Longer names are cut, with a digest of the whole.
const LONGEST: usize = 100;

/// A name as one part of a path and of a link: letters, digits, `-`, `_`, and dots that are not in front.
pub(super) fn slug(name: &str) -> String {
    let mut slug = String::new();
    for (place, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => slug.push(byte as char),
            b'.' if place > 0 => slug.push('.'),
            other => slug += &format!("={other:02x}"),
        }
    }
    if slug.is_empty() || slug.len() > LONGEST {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        slug.truncate(LONGEST - 17);
        slug += &format!("={:016x}", hasher.finish());
    }
    slug
}

/// A branch's directory.
pub(super) fn branch(name: &str) -> String {
    format!("branch/{}", slug(name))
}

/// The newest flights of a branch.
pub(super) fn branch_page(name: &str) -> String {
    format!("{}/index.html", branch(name))
}

/// A page of its older flights.
pub(super) fn grid(name: &str, page: usize) -> String {
    format!("{}/flights-{page}.html", branch(name))
}

/// The newest runs of a job, or a page of the older ones.
pub(super) fn job(name: &str, job: &str, page: Option<usize>) -> String {
    let page = page.map(|page| format!("={page}")).unwrap_or_default();
    format!("{}/job/{}{page}.html", branch(name), slug(job))
}

/// A flight.
pub(super) fn flight(name: &str, flight: FlightNo) -> String {
    format!("{}/flight/{flight}.html", branch(name))
}

/// The log of a step.
pub(super) fn log(name: &str, flight: FlightNo, job: &str, step: usize) -> String {
    format!("{}/flight/{flight}/{}={step}.html", branch(name), slug(job))
}

/// A bisection.
pub(super) fn bisection(name: &str, number: usize) -> String {
    format!("{}/bisection/{number}.html", branch(name))
}

/// From one page to the site's top.
pub(super) fn to_top(page: &str) -> String {
    "../".repeat(page.matches('/').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_anything_is_one_part_of_a_path_and_stays_its_own() {
        let names = [
            "a",
            "A",
            "a b",
            "a=20b",
            "../x",
            "..",
            ".",
            "",
            "<script>",
            "x/y",
            "é",
            "\u{0}",
            &"n".repeat(999),
            &"n".repeat(998),
        ];
        let slugs: std::collections::BTreeSet<String> = names.iter().map(|name| slug(name)).collect();
        assert_eq!(slugs.len(), names.len(), "{slugs:?}");
        for slug in slugs {
            assert!(slug.len() <= LONGEST && !slug.starts_with('.') && !slug.is_empty(), "{slug}");
            assert!(slug.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte)), "{slug}");
        }
    }
}
