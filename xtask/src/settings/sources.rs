//! What the variables of a tree (`QEMU_UPSTREAM_URL` and the like) make of its source in the manifest.

use std::path::{Path, PathBuf};

use super::apply::Local;
use super::key::{self, Key, Part, Tree};
use super::{From, Setting, Settings};
use crate::definition::{Commit, Definitions, Git, Manifest, Name, Origin};
use crate::error::{Error, Result};

/// `XEN_EXTFILES_URL`: asked first for every plain file; the checksum says whether it is the right one.
pub(super) fn mirror(manifest: &mut Manifest, base: &str) {
    for origin in manifest.sources.values_mut() {
        if let Origin::Archive(archive) = origin
            && let Some(file) = archive.urls.first().and_then(|url| url.rsplit('/').next()).map(str::to_owned)
        {
            archive.urls.insert(0, format!("{}/{file}", base.trim_end_matches('/')));
        }
    }
}

/// `git://` as HTTPS; xenbits has its own place for that.
pub(super) fn over_http(url: &str) -> String {
    match url.strip_prefix("git://") {
        Some(rest) => match rest.strip_prefix("xenbits.xen.org/") {
            Some(path) => format!("https://xenbits.xen.org/git-http/{}", path.trim_start_matches("git-http/")),
            None => format!("https://{rest}"),
        },
        None => url.to_owned(),
    }
}

/// The source of the manifest that a tree is.
pub(super) fn source_of(manifest: &Manifest, tree: Tree) -> Option<Name> {
    let names = key::sources(tree).iter().filter_map(|name| name.parse().ok());
    names.into_iter().find(|name| manifest.sources.contains_key(name))
}

/// Makes the source of the manifest what was said of its tree.
pub(super) fn change(
    definitions: &mut Definitions,
    settings: &Settings,
    tree: Tree,
    root: &Path,
    notes: &mut Vec<String>,
) -> Result<()> {
    let get = |part| settings.get(&Key::Source(tree, part));
    let said = |part, setting: &Setting| format!("{}, {}", Key::Source(tree, part), setting.from);
    let given =
        [Part::Loc, Part::Intree, Part::Url, Part::Revision].map(|part| get(part).map(|setting| (part, setting)));
    let Some((part, setting)) = given.iter().flatten().next() else { return Ok(()) };
    let Some(source) = source_of(&definitions.manifest, tree) else {
        if setting.from != From::Environment {
            let name = &definitions.manifest_name;
            notes.push(format!("{} is not used: manifest `{name}` has no such source", Key::Source(tree, *part)));
        }
        return Ok(());
    };
    let local = |part, setting: &Setting, dir: PathBuf| Local {
        dir,
        said: said(part, setting),
        is_far: setting.from == From::Environment,
    };
    if let Some(setting) = get(Part::Loc).filter(|setting| !is_address(&setting.value)) {
        let dir = root.join(&setting.value);
        if !dir.is_dir() {
            let wrong = Error::input(format!("cannot build source `{source}` from `{}`", dir.display()));
            return Err(wrong.because(format!("{} names it, and there is no such directory", said(Part::Loc, setting))));
        }
        definitions.chosen.local.insert(source, local(Part::Loc, setting, dir));
        return Ok(());
    }
    if get(Part::Loc).is_none()
        && let Some(setting) = get(Part::Intree)
        && root.join(&setting.value).is_dir()
    {
        definitions.chosen.local.insert(source, local(Part::Intree, setting, root.join(&setting.value)));
        return Ok(());
    }
    let url = get(Part::Loc)
        .map(|setting| (Part::Loc, setting))
        .or_else(|| get(Part::Url).map(|setting| (Part::Url, setting)));
    let revision = get(Part::Revision);
    if url.is_none() && revision.is_none() {
        return Ok(());
    }
    let origin = definitions.manifest.sources[&source].clone();
    let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(&source));
    let mut git = match &origin {
        Origin::Git(git) => git.clone(),
        _ => Git::default(),
    };
    if let Some((_, setting)) = url {
        git.urls = vec![setting.value.clone()];
    }
    if git.urls.is_empty() {
        let wrong =
            Error::input(format!("cannot take source `{source}` at {}", revision.map_or("", |setting| &setting.value)));
        let key = Key::Source(tree, Part::Url);
        let why =
            format!("the manifest has it as {} and not from git; {key} says where its repository is", origin.kind());
        return Err(wrong.because(why).help(format!("{key}=https://…")));
    }
    let is_pinned = |text: &str| {
        let names = [&git.branch, &git.tag, &git.commit, &git.r#ref];
        names.into_iter().flatten().any(|name| name == text)
            || pin.and_then(|pin| pin.commit.as_ref()).is_some_and(|commit| commit.to_string() == text)
    };
    match revision {
        Some(setting) if !is_pinned(&setting.value) => {
            let candidates = candidates(&git, &setting.value);
            definitions.manifest.sources.insert(source.clone(), Origin::Git(candidates[0].clone()));
            if let Some(lock) = &mut definitions.lock {
                lock.sources.remove(&source);
            }
            definitions.chosen.unpinned.insert(source, candidates);
        }
        None if !matches!(origin, Origin::Git(_)) => {
            let (part, setting) = url.unwrap_or((Part::Url, setting));
            let wrong = Error::input(format!(
                "cannot take source `{source}` from {} of {}",
                setting.value,
                said(part, setting)
            ));
            let key = Key::Source(tree, Part::Revision);
            let why = format!("the manifest has it as {}, which names no revision of a repository", origin.kind());
            return Err(wrong.because(why).help(format!("{key}=master   # a commit, tag or branch")));
        }
        // The pin's commit is the same wherever it is fetched from.
        _ => drop(definitions.manifest.sources.insert(source, Origin::Git(git))),
    }
    Ok(())
}

/// A URL, or git's `host:path`.
fn is_address(text: &str) -> bool {
    text.contains("://") || text.split_once(':').is_some_and(|(host, _)| !host.contains('/'))
}

/// What a revision may be. `origin/NAME` is how Raisin and the scripts of 2015 had to write a branch.
fn candidates(git: &Git, revision: &str) -> Vec<Git> {
    let bare = Git { branch: None, tag: None, commit: None, r#ref: None, ..git.clone() };
    let name = || Some(revision.to_owned());
    if Commit::try_from(revision.to_owned()).is_ok() {
        return vec![Git { commit: name(), ..bare }];
    }
    if revision.starts_with("refs/") {
        return vec![Git { r#ref: name(), ..bare }];
    }
    if let Some(branch) = revision.strip_prefix("origin/") {
        return vec![Git { branch: Some(branch.to_owned()), ..bare }];
    }
    vec![Git { tag: name(), ..bare.clone() }, Git { branch: name(), ..bare }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_old_are_asked_over_https() {
        for (url, wanted) in [
            ("git://xenbits.xen.org/qemu-xen.git", "https://xenbits.xen.org/git-http/qemu-xen.git"),
            ("git://xenbits.xen.org/git-http/seabios.git", "https://xenbits.xen.org/git-http/seabios.git"),
            ("git://example.org/a.git", "https://example.org/a.git"),
            ("https://example.org/a.git", "https://example.org/a.git"),
            ("me@example.org:a.git", "me@example.org:a.git"),
            ("/srv/a.git", "/srv/a.git"),
        ] {
            assert_eq!(over_http(url), wanted);
        }
    }

    #[test]
    fn a_mirror_of_plain_files_is_asked_first() {
        let manifest = "summary='s'\ncomponents=[]\n[sources]\nz.archive.urls=['https://example.org/d/zlib-1.2.3.tar.gz']\n\
                        g.git={urls=['https://example.org/g.git'],tag='t'}";
        let mut manifest: Manifest = toml::from_str(manifest).unwrap();
        let before = manifest.sources["g"].clone();
        mirror(&mut manifest, "https://mirror.example.org/extfiles/");
        let Origin::Archive(archive) = &manifest.sources["z"] else { panic!("{manifest:?}") };
        let wanted =
            ["https://mirror.example.org/extfiles/zlib-1.2.3.tar.gz", "https://example.org/d/zlib-1.2.3.tar.gz"];
        assert_eq!(archive.urls, wanted);
        assert_eq!(manifest.sources["g"], before);
    }

    #[test]
    fn an_address_is_told_from_a_directory() {
        for (text, wanted) in [
            ("https://example.org/a.git", true),
            ("git@example.org:a", true),
            ("/srv/a", false),
            ("../a", false),
            ("tools/qemu-xen", false),
            ("./a:b", false),
        ] {
            assert_eq!(is_address(text), wanted, "{text}");
        }
    }
}
