//! Every mistake in the shape of one file, where serde stops at the first. The types of `component.rs`, `manifest.rs` and `lock.rs`
//! stay the only description of what a file may hold: a value that they refuse is noted, mended, and the file is read again.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::Finding;
use super::place::{Place, Segment};
use super::serde_words::{Refusal, finding};

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
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut read = Read { value: None, findings: Vec::new(), mended: Vec::new() };
    let mut is_whole = true;
    for error in errors {
        let duplicate = error.message().starts_with("duplicate key");
        is_whole &= duplicate;
        read.findings.push(syntax_finding(text, error.message(), error.span().unwrap_or(0..text.len()), duplicate));
    }
    if !is_whole {
        // What the parser made of broken text would only add mistakes that nobody made.
        return read;
    }
    let mut nodes = Nodes { places: vec![Place::default()] };
    let root = nodes.table(document.into_inner(), &Place::default());
    let mut root = Spanned::new(0..0, root);
    // Each turn mends one value, and a value is mended at most twice, so this ends; the bound is for a mistake of ours.
    for _ in 0..nodes.places.len() * 2 + 100 {
        let error = match T::deserialize(toml::Deserializer::from(root.clone())) {
            Ok(value) => {
                read.value = Some(value);
                return read;
            }
            Err(error) => error,
        };
        let refusal = Refusal::of(error.message());
        let number = error.span().map_or(0, |span| span.start);
        let number = item_refused(&root, number, error.message()).unwrap_or(number);
        let Some(place) = nodes.places.get(number).cloned() else { return read };
        // The place that is wrong is not always the one that is mended: an unknown build system leaves none at all.
        let what = match &refusal {
            Refusal::Missing(key) => place.clone().key(key),
            Refusal::UnknownVariant { .. } => place.clone().parent(),
            _ => place.clone(),
        };
        if !read.mended.iter().any(|mended| what.is_within(mended)) {
            read.findings.push(finding(&place, &refusal, error.message(), text));
        }
        let value = match &refusal {
            Refusal::Missing(key) => stand_in_named(key),
            _ => stand_in(&what, &refusal),
        };
        let value = value.map(|value| nodes.value(Spanned::new(0..0, value), what.clone()));
        let mended = match &refusal {
            Refusal::Missing(key) => value.is_some_and(|value| insert(&mut root, number, key, value)),
            Refusal::UnknownVariant { .. } => {
                nodes.number_of(&what).is_some_and(|above| replace(&mut root, above, value))
            }
            _ => replace(&mut root, number, value),
        };
        read.mended.push(what);
        if !mended {
            return read;
        }
    }
    read
}

/// Syntax errors in our words.
fn syntax_finding(text: &str, message: &str, span: Range<usize>, duplicate: bool) -> Finding {
    let span = widen(text, span);
    if duplicate {
        let key = text.get(span.clone()).unwrap_or_default().trim();
        return Finding::new(span, format!("key `{key}` is given twice"), "again here").help("keep one of them");
    }
    let found = text.get(span.clone()).unwrap_or_default();
    if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|marker| line_of(text, span.start).starts_with(marker)) {
        return Finding::new(span, "a merge was left unfinished", "marker of a conflict");
    }
    let label = if found.trim().is_empty() { "here" } else { "not expected here" };
    Finding::new(span, format!("not TOML: {message}"), label)
}

/// An empty range is shown by the character it stands at.
fn widen(text: &str, span: Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let start = (0..=start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let end = (span.end.max(start)..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    start..end
}

fn line_of(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// The values of a document by number. serde's errors tell a span only, and a span may belong to several values or to none; so
/// every key and value gets its own number for a span.
struct Nodes {
    /// The document itself has the number 0.
    places: Vec<Place>,
}

impl Nodes {
    fn number(&mut self, place: Place) -> Range<usize> {
        self.places.push(place);
        let number = self.places.len() - 1;
        number..number + 1
    }

    fn number_of(&self, place: &Place) -> Option<usize> {
        self.places.iter().position(|known| known == place)
    }

    fn table<'i>(&mut self, table: DeTable<'i>, place: &Place) -> DeTable<'i> {
        let mut numbered = DeTable::new();
        for (key, value) in table {
            let here = place.clone().key(key.as_ref());
            let key = Spanned::new(self.number(here.clone().name()), key.into_inner());
            let value = self.value(value, here);
            numbered.insert(key, value);
        }
        numbered
    }

    fn value<'i>(&mut self, value: Spanned<DeValue<'i>>, place: Place) -> Spanned<DeValue<'i>> {
        let number = self.number(place.clone());
        let value = match value.into_inner() {
            DeValue::Table(table) => DeValue::Table(self.table(table, &place)),
            DeValue::Array(array) => {
                let mut numbered = DeArray::new();
                for (index, item) in array.into_iter().enumerate() {
                    numbered.push(self.value(item, place.clone().index(index)));
                }
                DeValue::Array(numbered)
            }
            plain => plain,
        };
        Spanned::new(number, value)
    }
}

/// The item of the list with this number that `message` quotes: what a type says about a string of a list comes without the item's span.
fn item_refused(root: &Spanned<DeTable<'_>>, number: usize, message: &str) -> Option<usize> {
    fn find<'a, 'i>(value: &'a Spanned<DeValue<'i>>, number: usize) -> Option<&'a DeArray<'i>> {
        match value.as_ref() {
            DeValue::Array(array) if value.span().start == number => Some(array),
            DeValue::Array(array) => array.iter().find_map(|item| find(item, number)),
            DeValue::Table(table) => table.iter().find_map(|(_, value)| find(value, number)),
            _ => None,
        }
    }
    let array = root.as_ref().iter().find_map(|(_, value)| find(value, number))?;
    let is_quoted = |text: &str| {
        message.strip_prefix('`').is_some_and(|rest| rest.strip_prefix(text).is_some_and(|rest| rest.starts_with('`')))
    };
    array.iter().find(|item| item.as_ref().as_str().is_some_and(is_quoted)).map(|item| item.span().start)
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

/// Puts a stand-in for `key` into the table that has this number.
fn insert<'i>(root: &mut Spanned<DeTable<'i>>, number: usize, key: &str, value: Spanned<DeValue<'i>>) -> bool {
    fn walk<'a, 'i>(table: &'a mut DeTable<'i>, number: usize) -> Option<&'a mut DeTable<'i>> {
        table.iter_mut().find_map(|(_, value)| into(value, number))
    }
    fn into<'a, 'i>(value: &'a mut Spanned<DeValue<'i>>, number: usize) -> Option<&'a mut DeTable<'i>> {
        let is_it = value.span().start == number;
        match value.get_mut() {
            DeValue::Table(table) => {
                if is_it {
                    Some(table)
                } else {
                    walk(table, number)
                }
            }
            DeValue::Array(array) => array.iter_mut().find_map(|item| into(item, number)),
            _ => None,
        }
    }
    let table = if number == 0 { Some(root.get_mut()) } else { walk(root.get_mut(), number) };
    let Some(table) = table else { return false };
    table.insert(Spanned::new(0..0, key.to_owned().into()), value);
    true
}

/// Puts `value` where the key or value with this number stands, or takes that away.
fn replace<'i>(root: &mut Spanned<DeTable<'i>>, number: usize, value: Option<Spanned<DeValue<'i>>>) -> bool {
    fn in_table<'i>(table: &mut DeTable<'i>, number: usize, new: &mut Option<Spanned<DeValue<'i>>>) -> bool {
        let found = table.iter().find(|(key, value)| key.span().start == number || value.span().start == number);
        let Some(key) = found.map(|(key, _)| key.clone()) else {
            return table.iter_mut().any(|(_, inside)| in_value(inside, number, new));
        };
        match new.take() {
            Some(new) => table.insert(key, new),
            None => table.remove(&key),
        };
        true
    }
    fn in_value<'i>(inside: &mut Spanned<DeValue<'i>>, number: usize, new: &mut Option<Spanned<DeValue<'i>>>) -> bool {
        match inside.get_mut() {
            DeValue::Table(table) => in_table(table, number, new),
            DeValue::Array(array) => {
                let Some(index) = array.iter().position(|item| item.span().start == number) else {
                    return array.iter_mut().any(|item| in_value(item, number, new));
                };
                let mut items: Vec<_> = std::mem::replace(array, DeArray::new()).into_iter().collect();
                items.splice(index..=index, new.take());
                *array = items.into_iter().collect();
                true
            }
            _ => false,
        }
    }
    let mut value = value;
    number != 0 && in_table(root.get_mut(), number, &mut value)
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
