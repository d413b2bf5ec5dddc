//! Order of Debian versions, as Debian Policy 5.6.12 defines it. Pure.

use std::cmp::Ordering;

/// Which of two versions is newer.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one_epoch, one_upstream, one_revision) = split(one);
    let (other_epoch, other_upstream, other_revision) = split(other);
    one_epoch
        .cmp(&other_epoch)
        .then_with(|| compare_part(one_upstream, other_upstream))
        .then_with(|| compare_part(one_revision, other_revision))
}

/// Epoch, upstream version, Debian revision.
pub(super) fn split(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = match version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
        None => (0, version),
    };
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Alternately runs of non-digits, in which `~` comes before the end and letters before the rest, and of digits as numbers.
fn compare_part(mut one: &str, mut other: &str) -> Ordering {
    loop {
        let (one_word, one_rest) = split_at(one, |c| !c.is_ascii_digit());
        let (other_word, other_rest) = split_at(other, |c| !c.is_ascii_digit());
        let words = compare_words(one_word, other_word);
        let (one_number, one_rest) = split_at(one_rest, |c| c.is_ascii_digit());
        let (other_number, other_rest) = split_at(other_rest, |c| c.is_ascii_digit());
        let (one_digits, other_digits) = (one_number.trim_start_matches('0'), other_number.trim_start_matches('0'));
        let numbers = one_digits.len().cmp(&other_digits.len()).then_with(|| one_digits.cmp(other_digits));
        match words.then(numbers) {
            Ordering::Equal if one_rest.is_empty() && other_rest.is_empty() => return Ordering::Equal,
            Ordering::Equal => (one, other) = (one_rest, other_rest),
            unequal => return unequal,
        }
    }
}

fn split_at(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

fn compare_words(one: &str, other: &str) -> Ordering {
    let weight = |c: Option<char>| match c {
        Some('~') => (0, '~'),
        None => (1, ' '),
        Some(c) if c.is_ascii_alphabetic() => (2, c),
        Some(c) => (3, c),
    };
    let (mut one, mut other) = (one.chars(), other.chars());
    loop {
        let (a, b) = (one.next(), other.next());
        match weight(a).cmp(&weight(b)) {
            Ordering::Equal if a.is_none() => return Ordering::Equal,
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        // Each is older than the next; checked with dpkg --compare-versions.
        let ordered = [
            "1.0~rc1-1",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-2",
            "1.0-10",
            "1.0a-1",
            "1.0+dfsg-1",
            "1.0.1-1",
            "1.09-1",
            "1.10-1",
            "4.17.3+36-g54dacb5c02-1",
            "4.17.5+72-g01140da4e8-1",
            "4.17.5+72-g01140da4e8-1+deb12u1",
            "4.20.3+127-gc42374a105-0+deb13u1",
            "1:0.1-1",
        ];
        for (index, older) in ordered.iter().enumerate() {
            assert_eq!(compare(older, older), Ordering::Equal);
            for newer in &ordered[index + 1..] {
                assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
                assert_eq!(compare(newer, older), Ordering::Greater, "{newer} {older}");
            }
        }
        assert_eq!(compare("1.0", "1.00"), Ordering::Equal);
    }
}
