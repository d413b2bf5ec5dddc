//! What holds, for `configure --show`: every setting with its value and where that was said.

use super::key::{self, Directory, Key, Part};
use super::sources::source_of;
use super::{From, Kept, Settings};
use crate::definition::{Definitions, Origin};

/// One line of `configure --show`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    /// The setting.
    pub name: String,
    /// What holds.
    pub value: String,
    /// Where it was said.
    pub from: String,
    /// What else is to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Everything that can be set for a manifest, with what holds. `plain` are the definitions as they stand in the files, `definitions` the same
/// after the settings.
pub fn rows(plain: &Definitions, definitions: &Definitions, settings: &Settings, kept: &Kept) -> Vec<Row> {
    let row = |key: &Key, value: String, from: From| {
        let setting = settings.get(key);
        let said =
            setting.and_then(|setting| setting.said_as.as_ref()).map(|old| format!("said as {old}, an old name"));
        let from = setting.map_or(from, |setting| setting.from.clone()).to_string();
        Row { name: key.to_string(), value, from, note: said }
    };
    let mut rows = Vec::new();
    for directory in [Directory::Prefix, Directory::Libdir, Directory::Sysconfdir, Directory::Localstatedir] {
        let value = definitions.chosen.directories.get(directory).to_owned();
        rows.push(row(&Key::Directory(directory), value, From::Default));
    }
    for (name, component) in &definitions.components {
        let key = Key::Provider(name.clone());
        if component.system.is_none() && settings.get(&key).is_none() {
            continue;
        }
        let manifest = &definitions.manifest;
        let value = match manifest.system.get(name) {
            Some(path) => path.clone(),
            None if manifest.components.contains(name) => "no".to_owned(),
            None if manifest.optional.contains(name) => "no, with --all".to_owned(),
            None => "without".to_owned(),
        };
        let named = plain.manifest.system.contains_key(name)
            || plain.manifest.components.contains(name)
            || plain.manifest.optional.contains(name);
        let mut row = row(&key, value, if named { From::Manifest } else { From::Default });
        let evidence = definitions.chosen.found.get(name).map(|lines| lines.join("; "));
        row.note = row.note.or(evidence).or_else(|| kept.found.get(&row.name).cloned());
        rows.push(row);
    }
    for tree in key::trees() {
        let source = source_of(&plain.manifest, tree);
        for part in [Part::Url, Part::Revision, Part::Loc, Part::Intree] {
            let key = Key::Source(tree, part);
            let value = match (settings.get(&key), &source) {
                (Some(setting), _) => setting.value.clone(),
                (None, Some(source)) => match (&definitions.manifest.sources[source], part) {
                    (Origin::Git(git), Part::Url) => git.urls.join(" "),
                    (Origin::Git(git), Part::Revision) => {
                        let names = [&git.commit, &git.tag, &git.branch, &git.r#ref];
                        names.into_iter().flatten().next().cloned().unwrap_or_default()
                    }
                    (Origin::Path(local), Part::Loc) => local.dir.clone(),
                    _ => continue,
                },
                (None, None) => continue,
            };
            let mut row = row(&key, value, From::Manifest);
            match &source {
                None => row.note = Some("not used: the manifest has no such source".to_owned()),
                Some(source) if part == Part::Intree && !definitions.chosen.local.contains_key(source) => {
                    row.note = Some("not used: there is no such directory".to_owned());
                }
                Some(_) => {}
            }
            rows.push(row);
        }
    }
    for component in definitions.components.values() {
        for (name, default) in &component.settings {
            let value = definitions.chosen.variables.get(name).unwrap_or(default).clone();
            rows.push(row(&Key::Variable(name.clone()), value, From::Default));
        }
    }
    for key in [Key::GitHttp, Key::Extfiles] {
        let default = if key == Key::GitHttp { "n" } else { "" };
        let value = settings.get(&key).map_or(default, |setting| &setting.value).to_owned();
        rows.push(row(&key, value, From::Default));
    }
    let shown: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let others = settings.iter().filter(|(key, _)| !shown.contains(&key.to_string()));
    rows.extend(others.map(|(key, setting)| row(key, setting.value.clone(), setting.from.clone())));
    rows
}
