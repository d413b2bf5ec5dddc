//! Every mistake in the shape of one file, where serde stops at the first. The types of `component.rs`, `manifest.rs`
//! and `lock.rs` stay the only description of what a file may hold: a value that they refuse is noted, mended, and the
//! file is read again.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Finding;
use super::document::{Document, Number};
use super::place::{Place, Segment};
use super::serde_words::{Refusal, finding};
use super::suggest::did_you_mean;

/// What could be read of a file.
pub(super) struct Read<T> {
    /// With stand-ins where it was mended; `None` when it could not be.
    pub value: Option<T>,
    /// The mistakes.
    pub findings: Vec<Finding>,
    /// Where a stand-in stands: what later checks find there means nothing.
    pub mended: Vec<Place>,
}

/// Reads `text` the fast way, and the careful way only if that fails.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Read<T> {
    match toml::from_str(text) {
        Ok(value) => Read { value: Some(value), findings: Vec::new(), mended: Vec::new() },
        Err(_) => read_carefully(text),
    }
}

fn read_carefully<T: DeserializeOwned>(text: &str) -> Read<T> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut read = Read { value: None, findings: Vec::new(), mended: Vec::new() };
    let mut is_whole = true;
    for error in errors {
        let is_duplicate = error.message().starts_with("duplicate key");
        is_whole &= is_duplicate;
        let span = widen(text, error.span().unwrap_or(0..text.len()));
        read.findings.extend(syntax_finding(text, error.message(), span, is_duplicate));
    }
    if !is_whole {
        // What the parser made of broken text would only add mistakes that nobody made.
        return read;
    }
    let mut document = Document::new(table.into_inner());
    // Each turn mends one value, and a value is mended at most twice, so this ends; the bound is for a mistake of ours.
    for _ in 0..document.len() * 2 + 100 {
        let (number, message) = match document.read() {
            Ok(value) => {
                read.value = Some(value);
                return read;
            }
            Err(refused) => refused,
        };
        let Some(place) = document.place(number).cloned() else { return read };
        let refusal = Refusal::of(&message);
        let (what, mended) = mend(&mut document, number, &place, &refusal);
        if !read.mended.iter().any(|mended| what.is_within(mended)) {
            read.findings.push(finding(&place, &refusal, &message, text));
        }
        read.mended.push(what);
        if !mended {
            return read;
        }
    }
    read
}

/// Changes `document` so that the refused value is refused no more. Gives the place that means nothing from now on, and
/// whether there was a way.
fn mend(document: &mut Document<'_>, number: Number, place: &Place, refusal: &Refusal<'_>) -> (Place, bool) {
    let above = place.clone().parent();
    match refusal {
        Refusal::Missing(key) => {
            let inserted = stand_in_named(key).is_some_and(|value| document.insert(number, key, value));
            (place.clone().key(key), inserted)
        }
        Refusal::UnknownKey { key, known } | Refusal::UnknownVariant { key, known } => {
            let near =
                did_you_mean(key, known.iter().copied()).filter(|near| document.at(&above.clone().key(near)).is_none());
            if let Some(near) = near {
                return (above.key(near), document.rename(number, near));
            }
            let stand_in = stand_in(&above, refusal);
            if let (Some(stand_in), Some(number)) = (stand_in, document.at(&above)) {
                return (above, document.replace(number, Some(stand_in)));
            }
            (place.clone(), document.replace(number, None))
        }
        Refusal::WrongType { .. } | Refusal::NotOneKey { .. } | Refusal::Other => {
            (place.clone(), document.replace(number, stand_in(place, refusal)))
        }
    }
}

/// A syntax error in our words; nothing if it only repeats what another one says.
fn syntax_finding(text: &str, message: &str, span: Range<usize>, is_duplicate: bool) -> Option<Finding> {
    let found = text.get(span.clone()).unwrap_or_default().trim();
    if is_duplicate {
        return Some(
            Finding::new(span, format!("key `{found}` is given twice"), "again here").help("keep one of them"),
        );
    }
    let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|marker| line.starts_with(marker)) {
        let finding = Finding::new(line_start..line_start + 7, "a merge was left unfinished", "marker of a conflict");
        return (span.start == line_start).then_some(finding);
    }
    if line.trim_end().ends_with('=') && span.end >= line_start + line.trim_end().len() {
        return Some(
            Finding::new(span, "not TOML: a value is missing", "here")
                .help("a string is written `\"...\"`, a list `[...]`"),
        );
    }
    let label = if found.is_empty() { "here" } else { "not expected here" };
    Some(Finding::new(span, format!("not TOML: {message}"), label))
}

/// An empty range, or one that only holds white space, is shown by the character in front of it.
fn widen(text: &str, span: Range<usize>) -> Range<usize> {
    let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let (start, end) = (floor(span.start), floor(span.end.max(span.start)));
    if !text[start..end].trim().is_empty() {
        return start..end;
    }
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    match text[line_start..start].char_indices().next_back() {
        Some((at, _)) => line_start + at..start,
        None => start..end,
    }
}

/// Values that stand in for a missing key, so that the rest of the file can be read. A test keeps them complete.
const STAND_INS: &str = r#"
summary = ""
licence = "MIT"
homepage = "https://"
source = "x"
build = { make = {} }
inputs = []
config = ""
bins = {}
name = "x"
run = []
reason = ""
components = []
sources = {}
urls = []
package = "x"
dir = "."
version = 1
tree = "0000000000000000000000000000000000000000000000000000000000000000"
epoch = 0
path = ""
size = 0
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
url = ""
commit = "0000000000000000000000000000000000000000"
origin = { path = { dir = "." } }
empty-list = []
empty-table = {}
one = 1
no = false
"#;

fn stand_in_named(key: &str) -> Option<DeValue<'static>> {
    let table = DeTable::parse(STAND_INS).ok()?.into_inner();
    let (_, value) = table.into_iter().find(|(known, _)| known.as_ref() == key)?;
    Some(value.into_inner())
}

/// What takes the place of a refused value; `None` when it is best taken away.
fn stand_in(place: &Place, refusal: &Refusal<'_>) -> Option<DeValue<'static>> {
    match refusal {
        Refusal::UnknownVariant { .. } | Refusal::NotOneKey { .. } => match place.path() {
            [Segment::Key(build)] if build == "build" => stand_in_named("build"),
            [Segment::Key(sources), _] if sources == "sources" => stand_in_named("origin"),
            _ => None,
        },
        Refusal::WrongType { wanted, .. } => match *wanted {
            "a string" => stand_in_named("name"),
            "a list" => stand_in_named("empty-list"),
            "a table" => stand_in_named("empty-table"),
            "a number" => stand_in_named("one"),
            "true or false" => stand_in_named("no"),
            _ => None,
        },
        // An item that is taken away would move those behind it.
        Refusal::Other if matches!(place.path().last(), Some(Segment::Index(_))) => stand_in_named("name"),
        Refusal::UnknownKey { .. } | Refusal::Missing(_) | Refusal::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Component, Lock, Manifest};

    fn check<T: DeserializeOwned>(text: &str) -> Vec<String> {
        let read = read::<T>(text);
        assert!(read.value.is_some(), "not mended: {:?}", read.findings);
        read.findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn every_missing_key_is_named_at_once() {
        assert_eq!(
            check::<Component>("extra.a = {}\nstep = [{}]\nskip = [{}]"),
            [
                "key `inputs` is missing in `extra.a`",
                "key `reason` is missing in `skip[0]`",
                "key `name` is missing in `step[0]`",
                "key `run` is missing in `step[0]`",
                "key `summary` is missing",
                "key `licence` is missing",
                "key `homepage` is missing",
                "key `source` is missing",
                "key `build` is missing",
            ]
        );
        assert_eq!(
            check::<Component>(&format!("{TOP}build.kconfig = {{}}")),
            ["key `config` is missing in `build.kconfig`"]
        );
        assert_eq!(check::<Component>(&format!("{TOP}build.cargo = {{}}")), ["key `bins` is missing in `build.cargo`"]);
        assert_eq!(check::<Manifest>("").len(), 3);
        let origins = "summary = ''\ncomponents = []\n[sources]\na.git = {}\nb.archive = {}\nc.apt = {}\nd.path = {}";
        assert_eq!(check::<Manifest>(origins).len(), 4);
        assert_eq!(check::<Lock>("sources.a.files = [{}]\nsources.a.submodules = [{}]").len(), 9);
    }

    const TOP: &str = "summary = 'x'\nlicence = 'MIT'\nhomepage = 'https://x'\nsource = 'x'\n";

    #[test]
    fn one_mistake_is_one_finding() {
        let one = |text: &str| check::<Component>(&format!("{TOP}{text}"));
        assert_eq!(one("build.make = {}\nneed = ['x']"), ["unknown key `need`"]);
        let both = ["unknown key `need`", "`need` is a string, but a list is wanted"];
        assert_eq!(one("build.make = {}\nneed = 'x'"), both);
        assert_eq!(
            check::<Component>(&format!("{TOP}build.make = {{}}").replace("licence", "license")),
            ["unknown key `license`"]
        );
        assert_eq!(one("build.mak = {}"), ["unknown build system `mak`"]);
        assert_eq!(one("build = 'make'"), ["`build` is not one of its kinds"]);
        assert_eq!(one("[build]"), ["`build` is empty"]);
        assert_eq!(one("build.make = {}\nbuild.meson = {}"), ["`build` has more than one kind"]);
        assert_eq!(one("build.make = {}\nneeds = 'x'"), ["`needs` is a string, but a list is wanted"]);
        assert_eq!(one("build.make = {}\nneeds = ['x', 5]"), ["`needs[1]` is a number, but a string is wanted"]);
        assert_eq!(one("build.make = {}\nneeds = ['x', 'A', 'B']"), ["`A` is not a name", "`B` is not a name"]);
        assert_eq!(one("build.make.make = 5"), ["`build.make.make` is a number, but a list is wanted"]);
        assert_eq!(one("build.make = {}\nserial = 'yes'"), ["`serial` is a string, but true or false is wanted"]);
        assert_eq!(one("build.make = {}\nstep = [{ name = 'A B', run = [] }]"), ["`A B` is not a name"]);
        assert_eq!(one("build.make = {}\nextra = { A = { inputs = [] } }"), ["`A` is not a name"]);
    }

    #[test]
    fn broken_toml_is_only_that() {
        let read = read::<Component>("summary = \nneed = [");
        assert!(read.value.is_none());
        assert!(read.findings.iter().all(|finding| finding.message.starts_with("not TOML: ")), "{:?}", read.findings);
        assert_eq!(check::<Component>(&format!("{TOP}build.make = {{}}\nsource = 'y'\nneed = []")).len(), 2);
    }
}
