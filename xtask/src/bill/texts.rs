//! The licence of each component and crate with the files that hold its text: what a distributor hands on (Buildroot's legal-info).
//! Reads sources and vendored crates; what is unknown or missing is a problem of its row, not an error.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{crates, licence};
use crate::cargo_driver::crates_dir;
use crate::definition::{Name, Origin};
use crate::error::{Context, Error, Result};
use crate::placing;
use crate::process::Cancel;
use crate::tree::{Node, Tree};
use crate::world::World;

/// One component or crate.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// `component` or `crate`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// As SPDX writes it today; nothing where it is unknown.
    pub licence: Option<String>,
    /// Components that it is part of.
    pub used_by: BTreeSet<Name>,
    /// Texts, relative to the directory of `write`.
    pub texts: Vec<String>,
    /// What is unknown or missing.
    pub problems: Vec<String>,
    /// Where each text is now.
    #[serde(skip)]
    from: Vec<PathBuf>,
}

impl Row {
    fn new(kind: &'static str, name: &str, version: &str, said: Option<&str>, user: &Name) -> Self {
        let checked = said.and_then(licence::checked);
        let problem = match (said, &checked) {
            (None, _) => Some("it names no licence".to_owned()),
            (Some(said), None) => Some(format!("`{said}` is no SPDX licence expression")),
            _ => None,
        };
        Row {
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            licence: checked,
            used_by: BTreeSet::from([user.clone()]),
            texts: Vec::new(),
            problems: problem.into_iter().collect(),
            from: Vec::new(),
        }
    }

    fn add(&mut self, name: String, from: PathBuf) {
        self.texts.push(name);
        self.from.push(from);
    }

    fn end(&mut self) {
        if self.texts.is_empty() {
            self.problems.push("it comes without the text of its licence".to_owned());
        }
    }
}

/// All components of the world's plan, then all crates.
pub fn rows(world: &World, cancel: &Cancel) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut crates: Vec<Row> = Vec::new();
    for name in &world.plan.order {
        let component = world.component(name);
        let version = super::origin::version(world, &component.source)?;
        let mut row = Row::new("component", name.as_str(), &version, Some(&component.licence), name);
        let own = (&component.source, &component.inputs, component.exclude.as_slice());
        let extra = component.extra.iter().map(|(source, extra)| (source, &extra.inputs, [].as_slice()));
        for (source, inputs, exclude) in std::iter::once(own).chain(extra) {
            let files = world.files(source, inputs, exclude)?;
            texts_of(world, name, source, &files, &mut row)?;
        }
        row.end();
        rows.push(row);
        let Some(resolved) = crates::resolve(world, name, cancel)? else { continue };
        let vendored = crates_dir(&world.layout, &world.needed_source(&component.source)?.tree)?;
        for used in resolved.used.values() {
            let package = &used.package;
            let version = package.version.to_string();
            if let Some(known) = crates.iter_mut().find(|row| row.name == **package.name && row.version == version) {
                known.used_by.insert(name.clone());
                continue;
            }
            let mut row = Row::new("crate", &package.name, &version, package.license.as_deref(), name);
            let dir = package.manifest_path.parent().map_or(vendored.clone(), |dir| dir.as_std_path().to_path_buf());
            for file in top_files(&dir, package.license_file.as_ref().map(|file| file.as_str()))? {
                let text = format!("texts/crates/{}-{version}/{file}", package.name);
                row.add(text, dir.join(file));
            }
            row.end();
            crates.push(row);
        }
    }
    rows.extend(crates);
    Ok(rows)
}

/// The licence files of a source that stand above one of the component's own files.
fn texts_of(world: &World, component: &Name, source: &Name, files: &Tree, row: &mut Row) -> Result<()> {
    let whole = world.needed_source(source)?;
    let is_file = |node: &Node| matches!(node, Node::File { .. });
    let mut found = false;
    for (path, _) in whole.tree.0.iter().filter(|(path, node)| is_licence(path) && is_file(node)) {
        let below = format!("{}/", scope(path));
        let covers =
            below == "/" || files.0.range(below.clone()..).next().is_some_and(|(file, _)| file.starts_with(&below));
        if covers {
            found = true;
            row.add(format!("texts/{component}/{source}/{path}"), whole.dir.join(path));
        }
    }
    // A directory of this repository is under the repository's licence.
    if let (false, Origin::Path(local)) = (found, world.origin(source)?)
        && !world.overrides.0.contains_key(source)
        && whole.dir.starts_with(&world.layout.root)
    {
        for dir in Path::new(&local.dir).ancestors().skip(1) {
            let dir = world.layout.root.join(dir);
            for file in top_files(&dir, None)? {
                found = true;
                row.add(format!("texts/{component}/{source}/{file}"), dir.join(file));
            }
            if found {
                break;
            }
        }
    }
    Ok(())
}

/// Names that licence texts go by, in any case and with any ending but one of code.
fn is_licence(path: &str) -> bool {
    let (dir, base) = path.rsplit_once('/').unwrap_or(("", path));
    let base = base.to_ascii_lowercase();
    let is_text = !base.rsplit_once('.').is_some_and(|(_, end)| {
        ["c", "h", "py", "rs", "sh", "pl", "ml", "go", "js", "html", "xml", "json", "yaml", "yml", "in", "am"]
            .contains(&end)
    });
    let words =
        ["copying", "copyright", "licence", "license", "licences", "licenses", "notice", "unlicense", "patents"];
    let first = base.split(['.', '-', '_']).next().unwrap_or_default();
    let is_collected = dir.rsplit('/').next().is_some_and(|dir| matches!(dir, "LICENSES" | "LICENCES"));
    is_text && (words.contains(&first) || is_collected)
}

/// The directory whose files a licence file is about.
fn scope(path: &str) -> &str {
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    match dir.rsplit_once('/').unwrap_or(("", dir)) {
        (above, "LICENSES" | "LICENCES") => above,
        _ => dir,
    }
}

/// Licence files that stand in a directory itself or in its `LICENSES/`, and one that is named.
fn top_files(dir: &Path, named: Option<&str>) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for below in ["", "LICENSES"] {
        let Ok(entries) = fs::read_dir(dir.join(below)) else { continue };
        for entry in entries {
            let entry = entry.context(|| format!("cannot read `{}`", dir.display()))?;
            let name = Path::new(below).join(entry.file_name()).to_string_lossy().into_owned();
            if is_licence(&name) && entry.path().is_file() {
                found.insert(name);
            }
        }
    }
    let is_inside = |file: &&str| !file.starts_with('/') && !file.split('/').any(|part| part == "..");
    found.extend(named.filter(is_inside).filter(|file| dir.join(file).is_file()).map(str::to_owned));
    Ok(found)
}

impl Row {
    /// Its texts, each with the file that it is read from.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.texts.iter().map(String::as_str).zip(self.from.iter().map(PathBuf::as_path))
    }
}

/// What the list in a directory says of its texts.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(rename = "name")]
    _name: String,
    texts: BTreeSet<String>,
}

/// A file of `dir` that no earlier `write` put there: its list does not name it, or is none of ours.
fn stranger(dir: &Path) -> Result<Option<String>> {
    let list = crate::atomic::read(&dir.join("manifest.json"))?.unwrap_or_default();
    let listed = serde_json::from_slice::<Vec<Listed>>(&list);
    let manifests = ["manifest.csv", "manifest.json"].map(str::to_owned);
    let ours: BTreeSet<String> = listed
        .into_iter()
        .flat_map(|rows| rows.into_iter().flat_map(|row| row.texts).chain(manifests.clone()))
        .collect();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let reading = || format!("cannot read `{}`", dir.join(&below).display());
        for entry in fs::read_dir(dir.join(&below)).context(reading)? {
            let entry = entry.context(reading)?;
            let path = below.join(entry.file_name());
            if entry.file_type().context(reading)?.is_dir() {
                open.push(path);
            } else if !path.to_str().is_some_and(|path| ours.contains(path)) {
                return Ok(Some(path.display().to_string()));
            }
        }
    }
    Ok(None)
}

/// Puts manifest and texts into `dir`, whole or not at all. What stood there must be empty or ours.
pub fn write(rows: &[Row], dir: &Path) -> Result<()> {
    let writing = || format!("cannot write `{}`", dir.display());
    // A link stays one, and what is called `.` has a directory above it.
    let dir = if dir.exists() { dir.canonicalize() } else { std::path::absolute(dir) }.context(writing)?;
    if dir.exists()
        && let Some(stranger) = stranger(&dir)?
    {
        let message = format!("{}: it holds `{stranger}`, which is not ours", writing());
        return Err(Error::input(message).help("name a directory that is empty, or not there yet"));
    }
    let parent = dir.parent().unwrap_or(&dir);
    fs::create_dir_all(parent).context(writing)?;
    let aside = tempfile::Builder::new().prefix(".licences-").tempdir_in(parent).context(writing)?;
    let new = aside.path().join("new");
    for row in rows {
        for (text, from) in row.files() {
            let target = new.join(text);
            fs::create_dir_all(target.parent().unwrap_or(&new)).context(writing)?;
            let bytes = fs::read(from).context(|| format!("cannot read licence `{}`", from.display()))?;
            fs::write(&target, bytes).context(|| format!("cannot write `{}`", target.display()))?;
        }
    }
    fs::create_dir_all(&new).context(writing)?;
    for (name, text) in manifests(rows)? {
        fs::write(new.join(name), text).context(writing)?;
    }
    placing::replace_tree(&new, &dir, &aside.path().join("old"))
}

/// The rows as the two files that stand beside `texts/`, by their names.
pub fn manifests(rows: &[Row]) -> Result<[(&'static str, String); 2]> {
    let json = serde_json::to_string_pretty(rows).context(|| "cannot write licences as JSON".to_owned())?;
    Ok([("manifest.csv", csv(rows)), ("manifest.json", format!("{json}\n"))])
}

/// RFC 4180, but for its line ends.
fn csv(rows: &[Row]) -> String {
    let quoted = |text: &str| match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let mut text = "kind,name,version,licence,used by,texts,problems\n".to_owned();
    for row in rows {
        let used_by = row.used_by.iter().map(Name::as_str).collect::<Vec<_>>().join(" ");
        let licence = row.licence.as_deref().unwrap_or("unknown");
        let (texts, problems) = (row.texts.join(" "), row.problems.join("; "));
        let cells = [row.kind, &row.name, &row.version, licence, &used_by, &texts, &problems];
        text.push_str(&cells.map(quoted).join(","));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licence_files_are_known_by_their_names_and_cover_what_is_beside_them() {
        for yes in [
            "COPYING",
            "a/LICENSE-MIT",
            "License.txt",
            "COPYING.LESSER",
            "LICENSES/GPL-2.0",
            "x/LICENSES/MIT.txt",
            "NOTICE",
        ] {
            assert!(is_licence(yes), "{yes}");
        }
        for no in ["license.c", "src/copy.c", "licensing/x", "tools/check-license.py", "LICENSES.py"] {
            assert!(!is_licence(no), "{no}");
        }
        assert_eq!((scope("COPYING"), scope("a/b/COPYING")), ("", "a/b"));
        assert_eq!((scope("LICENSES/MIT"), scope("a/LICENSES/MIT")), ("", "a"));
    }
}
