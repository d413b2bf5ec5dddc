//! What a bisection came to, for people. Only words.

use std::fmt::Write;

use super::{End, Hunted, Seen};

/// The whole story; `commits` are people and commits of the culprit, `git shortlog`'s words.
pub fn text(branch: &str, hunted: &Hunted, commits: &[String]) -> String {
    let hunt = &hunted.hunt;
    let at = |place: usize| hunt.row.get(place).map_or_else(String::new, ToString::to_string);
    let how = match hunted.end {
        None => "interrupted: the next run of the gate goes on".to_owned(),
        Some(End::Complete(place)) => format!("complete: {}", at(place)),
        Some(End::Inconclusive { good, bad }) => {
            format!("inconclusive: nothing between {} and {} can be tested", at(good), at(bad))
        }
        Some(End::Inconsistent { bad, good }) => {
            format!("inconsistent: {} stands behind {}, which is bad", at(good), at(bad))
        }
        Some(End::Unreproducible(place)) => format!("unreproducible: {} is not as it was", at(place)),
        Some(End::Doubtful(place)) => format!("doubtful: {} passes and fails", at(place)),
    };
    let step = hunt.testid.iter().map(|testid| format!(" {testid}")).collect::<String>();
    let mut text = format!("{branch}: bisection of {}{step} {how}\n", hunt.job);
    if let Some((tree, _, new)) = hunted.culprit() {
        let _ = writeln!(text, "{}: {tree} {new}", if hunt.fixed { "fixed by" } else { "culprit" });
        commits.iter().for_each(|line| text.extend(["  ", line, "\n"]));
    }
    for (tuple, seen) in hunt.row.iter().zip(&hunted.seen).filter(|(_, seen)| **seen != Seen::default()) {
        let _ = writeln!(text, "  {tuple}: {} good, {} bad, {} neither", seen.good, seen.bad, seen.neither);
    }
    text
}
