//! A manifest out of several files: `include = ["other.toml"]`. What stands later stands over what stood earlier, and the
//! including file over all it includes; of `sources`, `system` and `shared` each entry by itself, of the rest each key. Each
//! file counts once, where it is first included.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;

use super::diagnostic::{At, Finding, Problem};
use super::form::relative_fault;
use super::load::{Checked, Opened};
use super::place::{Place, Segment};
use super::suggest::did_you_mean;
use super::{Blktap, Manifest, Name, Origin};

/// Keys whose entries are merged one by one.
const TABLES: [&str; 3] = ["sources", "system", "shared"];

/// A manifest's file when there are several: nothing of it is required.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Part {
    include: Vec<String>,
    summary: Option<String>,
    components: Option<Vec<Name>>,
    optional: Option<Vec<Name>>,
    sources: BTreeMap<Name, Origin>,
    blktap: Option<Blktap>,
    system: BTreeMap<Name, String>,
    shared: BTreeMap<String, Name>,
}

/// Where each value of a manifest stands: a key, or an entry of a table as `sources.xen`.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<String, Vec<Stand>>);

/// One place where a value is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Relative to the repository's root.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

impl Origins {
    /// Every value, with the place that counts and those that it stands over.
    pub fn values(&self) -> impl Iterator<Item = (&str, &Stand, &[Stand])> {
        self.0.iter().filter_map(|(value, stands)| {
            let (last, earlier) = stands.split_last()?;
            Some((value.as_str(), last, earlier))
        })
    }

    /// The file that gives what a finding is about.
    pub(super) fn file_of(&self, finding: &Finding) -> Option<&str> {
        let At::Place(place) = &finding.at else { return None };
        let stands = self.0.get(&value_of(place)?)?;
        stands.last().map(|stand| stand.file.as_str())
    }

    fn add(&mut self, file: &super::diagnostic::File) {
        let (table, _) = DeTable::parse_recoverable(&file.text);
        let mut note = |value: String, place: Place| {
            let at = place.locate(&table, &file.text).map_or(0, |range| range.start);
            let line = file.line(at);
            self.0.entry(value).or_default().push(Stand { file: file.path.clone(), line });
        };
        for (key, value) in table.as_ref().iter().filter(|(key, _)| key.as_ref() != "include") {
            let key = key.as_ref().as_ref();
            match value.as_ref().as_table().filter(|_| TABLES.contains(&key)) {
                None => note(key.to_owned(), Place::of(key).name()),
                Some(entries) => entries.iter().for_each(|(entry, _)| {
                    let entry = entry.as_ref().as_ref();
                    note(format!("{key}.{entry}"), Place::of(key).key(entry).name());
                }),
            }
        }
    }
}

fn value_of(place: &Place) -> Option<String> {
    match place.path() {
        [Segment::Key(table), Segment::Key(entry), ..] if TABLES.contains(&table.as_str()) => {
            Some(format!("{table}.{entry}"))
        }
        [Segment::Key(key), ..] => Some(key.clone()),
        _ => None,
    }
}

/// The files that a manifest was read from, the including one last.
pub(super) struct Layers {
    files: Vec<Checked>,
    pub(super) origins: Origins,
}

impl Layers {
    /// Adds each finding in the file that it is about.
    pub(super) fn note(&self, findings: Vec<Finding>, problems: &mut Vec<Problem>) {
        let Some(top) = self.files.last() else { return };
        for finding in findings {
            let path = self.origins.file_of(&finding);
            let file = path.and_then(|path| self.files.iter().find(|file| file.file.path == path)).unwrap_or(top);
            file.note(vec![finding], problems);
        }
    }
}

/// Reads `manifests/NAME.toml` with all that it includes. `None` when it could not be read.
pub(super) fn read(root: &Path, name: &Name, problems: &mut Vec<Problem>) -> Option<(Manifest, Layers)> {
    let path = format!("{name}.toml");
    let text = std::fs::read_to_string(root.join("manifests").join(&path)).unwrap_or_default();
    let (table, _) = DeTable::parse_recoverable(&text);
    let mut layers = Layers { files: Vec::new(), origins: Origins::default() };
    if table.as_ref().get("include").is_none() {
        let opened = Opened::<Manifest>::open(root, format!("manifests/{path}"));
        let (manifest, file) = opened.note(problems)?;
        layers.origins.add(&file.file);
        layers.files.push(file);
        return Some((manifest, layers));
    }
    let before = problems.len();
    let mut merge = Merge { root, layers, whole: Part::default(), open: Vec::new(), problems };
    merge.file(&path)?;
    let Merge { layers, whole, problems, .. } = merge;
    let missing = [
        ("summary", whole.summary.is_none()),
        ("components", whole.components.is_none()),
        ("sources", whole.sources.is_empty()),
    ];
    let missing = missing.iter().filter(|(_, is_missing)| *is_missing && problems.len() == before).map(|(key, _)| {
        Finding::new(Place::default(), format!("key `{key}` is missing"), "neither here nor in what is included")
    });
    layers.note(missing.collect(), problems);
    let manifest = Manifest {
        include: whole.include,
        summary: whole.summary.unwrap_or_default(),
        components: whole.components.unwrap_or_default(),
        optional: whole.optional.unwrap_or_default(),
        sources: whole.sources,
        blktap: whole.blktap,
        system: whole.system,
        shared: whole.shared,
    };
    (problems.len() == before).then_some((manifest, layers))
}

/// Files going into one.
struct Merge<'a> {
    root: &'a Path,
    layers: Layers,
    whole: Part,
    /// Those being read, each included by the one before it.
    open: Vec<String>,
    problems: &'a mut Vec<Problem>,
}

impl Merge<'_> {
    /// Merges a file, by its path below `manifests/`, after all that it includes.
    fn file(&mut self, path: &str) -> Option<()> {
        let opened = Opened::<Part>::open(self.root, format!("manifests/{path}"));
        let (mut part, file) = opened.note(self.problems)?;
        self.open.push(path.to_owned());
        let dir = path.rsplit_once('/').map(|(dir, _)| format!("{dir}/")).unwrap_or_default();
        for (index, include) in part.include.iter().enumerate() {
            let target = format!("{dir}{include}");
            match self.fault(&target, include, index) {
                Some(finding) => file.note(vec![finding], self.problems),
                None => {
                    let is_done = self.layers.files.iter().any(|done| done.file.path == format!("manifests/{target}"));
                    if !is_done {
                        // What is wrong in it was said.
                        self.file(&target).unwrap_or_default();
                    }
                }
            }
        }
        self.open.pop();
        for origin in part.sources.values_mut() {
            // A file of signers is named as seen from here.
            if let Origin::Git(git) = origin {
                git.allowed_signers = git.allowed_signers.take().map(|file| format!("{dir}{file}"));
            }
        }
        let whole = &mut self.whole;
        whole.include = part.include;
        whole.summary = part.summary.or(whole.summary.take());
        whole.components = part.components.or(whole.components.take());
        whole.optional = part.optional.or(whole.optional.take());
        whole.sources.extend(part.sources);
        whole.blktap = part.blktap.or(whole.blktap);
        whole.system.extend(part.system);
        whole.shared.extend(part.shared);
        self.layers.origins.add(&file.file);
        self.layers.files.push(file);
        Some(())
    }

    /// Why that file cannot be included there.
    fn fault(&self, target: &str, include: &str, index: usize) -> Option<Finding> {
        let finding = |message: String, label: &str| Finding::new(Place::of("include").index(index), message, label);
        if let Some(fault) = relative_fault(include) {
            let message = format!("`{include}` is no file below the manifest's directory");
            return Some(
                finding(message, fault).help("a file beside this one, `\"other.toml\"`, or in a directory here"),
            );
        }
        if let Some(start) = self.open.iter().position(|open| open == target) {
            let chain = self.open[start..].iter().map(String::as_str).chain([target]).collect::<Vec<_>>();
            let message = match chain.as_slice() {
                [_, _] => format!("`{target}` includes itself"),
                chain => format!("manifests include each other in a circle: {}", chain.join(" -> ")),
            };
            return Some(finding(message, "leads back").help("take one of these `include` out"));
        }
        if self.root.join("manifests").join(target).is_file() {
            return None;
        }
        let beside = self.root.join("manifests").join(target);
        let names: Vec<String> = std::fs::read_dir(beside.parent()?)
            .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        let near = did_you_mean(include, names.iter().filter(|name| name.ends_with(".toml")).map(String::as_str));
        let found = finding(format!("there is no file manifests/{target}"), "not found");
        Some(match near {
            Some(near) => found.help(format!("did you mean `{near}`?")),
            None => found,
        })
    }
}
