//! The texts of licences as packages carry them: each once, with what it is the licence of. Knows texts; `bill/texts.rs` finds their files.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::bill::texts::Row;
use crate::definition::Name;
use crate::error::{Context, Result};

/// What components and their crates come with.
#[derive(Clone, Debug, Default)]
pub struct Licences(Vec<Licence>);

#[derive(Clone, Debug)]
struct Licence {
    /// `aes 0.9.4`.
    of: String,
    /// Nothing where nobody says one.
    expression: Option<String>,
    used_by: BTreeSet<Name>,
    /// Where each stands in its source, and what it says.
    texts: Vec<(String, String)>,
}

impl Licences {
    /// Reads them all.
    pub fn read(rows: &[Row]) -> Result<Self> {
        let licence = |row: &Row| -> Result<Licence> {
            let mut texts = Vec::new();
            for (name, file) in row.files() {
                let bytes = std::fs::read(file).context(|| format!("cannot read licence `{}`", file.display()))?;
                // `texts/COMPONENT/SOURCE/…` and `texts/crates/NAME-VERSION/…`
                let place = name.splitn(4, '/').nth(3).unwrap_or(name);
                texts.push((place.to_owned(), String::from_utf8_lossy(&bytes).replace('\r', "")));
            }
            let of = format!("{} {}", row.name, row.version);
            Ok(Licence { of, expression: row.licence.clone(), used_by: row.used_by.clone(), texts })
        };
        rows.iter().map(licence).collect::<Result<_>>().map(Licences)
    }

    /// All texts of these components, the same ones once. `common`: those that every Debian system has are only named.
    pub fn collected(&self, components: &BTreeSet<Name>, common: bool) -> String {
        let mut texts: Vec<(Vec<String>, String)> = Vec::new();
        for licence in self.0.iter().filter(|licence| !licence.used_by.is_disjoint(components)) {
            let expression = licence.expression.as_deref().unwrap_or("licence unknown");
            let mut add = |heading: String, text: String| match texts.iter_mut().find(|(_, known)| *known == text) {
                Some((headings, _)) => headings.push(heading),
                None => texts.push((vec![heading], text)),
            };
            for (place, text) in &licence.texts {
                let text = text.trim_matches('\n');
                let text = if common { by_reference(text) } else { text.to_owned() };
                add(format!("{}, {place} ({expression})", licence.of), text);
            }
            if licence.texts.is_empty() {
                add(format!("{} ({expression})", licence.of), "It comes without a text.".to_owned());
            }
        }
        let mut all = String::new();
        for (headings, text) in texts {
            headings.iter().for_each(|heading| writeln!(all, "{heading}").unwrap_or_default());
            writeln!(all, "\n{text}\n").unwrap_or_default();
        }
        all
    }
}

/// How texts begin that every Debian system has in /usr/share/common-licenses, the name there, and how long they are at most.
const COMMON: [(&[&str], &str, usize); 7] = [
    (&["GNU GENERAL PUBLIC LICENSE", "Version 2,"], "GPL-2", 19_000),
    (&["GNU GENERAL PUBLIC LICENSE", "Version 3,"], "GPL-3", 36_000),
    (&["GNU LIBRARY GENERAL PUBLIC LICENSE", "Version 2,"], "LGPL-2", 26_500),
    (&["GNU LESSER GENERAL PUBLIC LICENSE", "Version 2.1,"], "LGPL-2.1", 27_500),
    (&["GNU LESSER GENERAL PUBLIC LICENSE", "Version 3,"], "LGPL-3", 8_500),
    (&["Apache License", "Version 2.0,"], "Apache-2.0", 12_000),
    (&["Mozilla Public License", "2.0"], "MPL-2.0", 17_500),
];

/// A text in which what is common is only named. What stands before it stays; where something may follow it, all stays.
fn by_reference(text: &str) -> String {
    let found = COMMON.iter().filter_map(|(words, name, longest)| {
        let at = text.find(words[0])?;
        let version: String = text[at + words[0].len()..].split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        let is_it = version.trim_start_matches("Version ").starts_with(words[1].trim_start_matches("Version "));
        let (rest, least) = (text.len() - at, longest / 2);
        (is_it && rest <= *longest && rest >= least).then_some((at, *name))
    });
    match found.min() {
        Some((at, name)) => {
            let before = text[..at].trim_end();
            let blank = if before.is_empty() { "" } else { "\n\n" };
            format!("{before}{blank}On Debian systems the text is /usr/share/common-licenses/{name}")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licences(texts: &[(&str, &str, &str)]) -> Licences {
        let licence = |(of, user, text): &(&str, &str, &str)| Licence {
            of: (*of).to_owned(),
            expression: Some("MIT".to_owned()),
            used_by: BTreeSet::from([user.parse().unwrap()]),
            texts: Vec::from_iter((!text.is_empty()).then(|| ("COPYING".to_owned(), format!("{text}\n")))),
        };
        Licences(texts.iter().map(licence).collect())
    }

    #[test]
    fn the_same_text_stands_once_and_others_are_not_there() {
        let all = licences(&[("a 1", "a", "text"), ("b 1", "b", "other"), ("c 1", "a", "text"), ("d 1", "a", "")]);
        let wanted = "a 1, COPYING (MIT)\nc 1, COPYING (MIT)\n\ntext\n\nd 1 (MIT)\n\nIt comes without a text.\n\n";
        assert_eq!(all.collected(&BTreeSet::from(["a".parse().unwrap()]), true), wanted);
    }

    #[test]
    fn a_common_text_is_named_and_what_stands_around_it_stays() {
        let gpl = format!("GNU GENERAL PUBLIC LICENSE\n   Version 2, June 1991\n{}", "x".repeat(17_900));
        let named = "On Debian systems the text is /usr/share/common-licenses/GPL-2";
        assert_eq!(by_reference(&gpl), named);
        assert_eq!(by_reference(&format!("Note:\n\n{gpl}")), format!("Note:\n\n{named}"));
        for whole in
            [format!("{gpl}{gpl}"), "GNU GENERAL PUBLIC LICENSE Version 2, or later".to_owned(), "MIT".to_owned()]
        {
            assert_eq!(by_reference(&whole), whole);
        }
    }
}
