//! A directory that somebody works in, read as git sees it: the files that it tracks, and those that it neither tracks nor ignores.
//! Where there is no repository, all files. Only looks; starts no process.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use git2::Repository;

use crate::error::{Context, Error, Result};
use crate::stat_index::{Met, Modes, scan_without};
use crate::tree::Rooted;

/// A gitlink's mode in an index.
const SUBMODULE: u32 = 0o160_000;

/// The tree of `dir` without the names in `skip` at its top; digests remembered in `index`.
pub fn read_working_tree(dir: &Path, index: &Path, skip: &[&str]) -> Result<Rooted> {
    let mut repositories = Repositories { dir, open: BTreeMap::new() };
    if let Some(around) = Tracked::around(dir)? {
        repositories.open.insert(String::new(), around);
    }
    let mut leave_out = |path: &str, met: Met| Ok(skip.contains(&path) || repositories.leave_out(path, met)?);
    scan_without(dir, index, Modes::Source, &mut leave_out)
}

/// The repository of the tree, and those in it, submodules or not, by their paths.
struct Repositories<'a> {
    dir: &'a Path,
    open: BTreeMap<String, Tracked>,
}

impl Repositories<'_> {
    fn leave_out(&mut self, path: &str, met: Met) -> Result<bool> {
        let above = Path::new(path).ancestors().skip(1).filter_map(Path::to_str);
        let Some((top, tracked)) = above.into_iter().find_map(|top| self.open.get_key_value(top)) else {
            return Ok(false);
        };
        let below = path[top.len()..].trim_start_matches('/');
        let goes = tracked.leave_out(below, met)?;
        let inner = self.dir.join(path);
        if !goes && met == Met::Directory && inner.join(".git").exists() {
            self.open.insert(path.to_owned(), Tracked::of(Repository::open(&inner).context(|| cannot(&inner))?, "")?);
        }
        Ok(goes)
    }
}

/// What one repository says of the files below a directory of its work tree.
struct Tracked {
    repository: Repository,
    /// The directory, with a slash at the end unless it is the top.
    at: String,
    files: HashSet<String>,
    /// Directories that hold tracked files.
    directories: HashSet<String>,
    submodules: HashSet<String>,
}

impl Tracked {
    /// The repository that `dir` is in, unless it wants to know nothing of it.
    fn around(dir: &Path) -> Result<Option<Self>> {
        let Ok(repository) = Repository::discover(dir) else {
            // A repository that cannot be read must not be taken for none: ignored files would become source.
            return match dir.join(".git").exists() {
                true => Repository::open(dir).context(|| cannot(dir)).and_then(|found| Self::of(found, "")).map(Some),
                false => Ok(None),
            };
        };
        let Some(top) = repository.workdir().and_then(|top| top.canonicalize().ok()) else { return Ok(None) };
        let at = dir.strip_prefix(&top).ok().and_then(Path::to_str).map(|at| format!("{at}/"));
        match at.as_deref() {
            None => Ok(None),
            Some("/") => Self::of(repository, "").map(Some),
            Some(at) if repository.is_path_ignored(at).context(|| cannot(dir))? => Ok(None),
            Some(at) => Self::of(repository, at).map(Some),
        }
    }

    fn of(repository: Repository, at: &str) -> Result<Self> {
        let place = repository.path().to_path_buf();
        let (mut files, mut directories, mut submodules) = (HashSet::new(), HashSet::new(), HashSet::new());
        for entry in repository.index().context(|| cannot(&place))?.iter() {
            let path = String::from_utf8_lossy(&entry.path).into_owned();
            let above = Path::new(&path).ancestors().skip(1).filter_map(Path::to_str);
            for directory in above.take_while(|directory| !directory.is_empty()) {
                if !directories.insert(directory.to_owned()) {
                    break;
                }
            }
            if entry.mode == SUBMODULE {
                submodules.insert(path)
            } else {
                files.insert(path)
            };
        }
        Ok(Tracked { repository, at: at.to_owned(), files, directories, submodules })
    }

    fn leave_out(&self, path: &str, met: Met) -> Result<bool> {
        let path = format!("{}{path}", self.at);
        let is_ignored = |path: &str| self.repository.is_path_ignored(path).context(|| cannot(Path::new(path)));
        match met {
            Met::File => Ok(!self.files.contains(&path) && is_ignored(&path)?),
            Met::Directory if self.directories.contains(&path) || self.submodules.contains(&path) => Ok(false),
            Met::Directory => is_ignored(&format!("{path}/")),
            // git knows no empty directories, but makes those of submodules that are not checked out.
            Met::Empty => Ok(!self.submodules.contains(&path)),
        }
    }
}

fn cannot(place: &Path) -> String {
    format!("cannot tell what git tracks in `{}`", place.display())
}

/// A directory of a person as it stands for a source: absolute, without links. `ours` are directories that it may neither be in nor
/// hold, each with what it is.
pub fn check_working_tree(path: &Path, ours: &[(PathBuf, &str)]) -> Result<PathBuf> {
    if !path.exists() {
        let help = "name the directory that holds the tree; without arguments the command lists what is overridden";
        return Err(Error::input("there is no such directory").help(help));
    }
    if !path.is_dir() {
        return Err(Error::input("it is a file, not a directory").help("unpack it, and name the directory of the tree"));
    }
    let path = path.canonicalize().context(|| format!("cannot find out where `{}` is", path.display()))?;
    if path.to_str().is_none() {
        return Err(Error::input("its path is not UTF-8").help("move the tree to where it is"));
    }
    for (own, what) in ours {
        let own = own.canonicalize().unwrap_or_else(|_| own.clone());
        if path.starts_with(&own) {
            return Err(Error::input(format!("it is inside `{}`, {what}", own.display()))
                .help("copy the tree to a place of your own, and name that"));
        }
        if own.starts_with(&path) {
            return Err(Error::input(format!("it holds `{}`, {what}", own.display()))
                .help("name the directory of the tree alone"));
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(dir: &Path) -> Vec<String> {
        let index = tempfile::NamedTempFile::new().unwrap();
        let tree = read_working_tree(&dir.canonicalize().unwrap(), index.path(), &[]).unwrap();
        tree.0.keys().cloned().collect()
    }

    fn write(dir: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn track(repository: &Repository, paths: &[&str]) {
        let mut index = repository.index().unwrap();
        paths.iter().for_each(|path| index.add_path(Path::new(path)).unwrap());
        index.write().unwrap();
    }

    #[test]
    fn what_git_ignores_is_no_source_unless_it_is_tracked() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            &[
                (".gitignore", "*.o\n/out/\n"),
                ("a.c", ""),
                ("a.o", ""),
                ("kept.o", ""),
                ("out/bin", ""),
                ("out/kept", ""),
            ],
        );
        write(dir.path(), &[("sub/new.c", ""), ("sub/new.o", ""), ("gone/x.o", "")]);
        assert_eq!(read(dir.path()).len(), 9, "without a repository all files count");
        let repository = Repository::init(dir.path()).unwrap();
        let mut index = repository.index().unwrap();
        index.add_all(["a.c", "kept.o", "out/kept"], git2::IndexAddOption::FORCE, None).unwrap();
        index.write().unwrap();
        assert_eq!(read(dir.path()), [".gitignore", "a.c", "kept.o", "out/kept", "sub/new.c"]);
        assert_eq!(read(&dir.path().join("sub")), ["new.c"], "a part of a work tree");
        assert_eq!(read(&dir.path().join("gone")), ["x.o"; 0]);
    }

    #[test]
    fn a_directory_that_the_repository_around_it_ignores_is_on_its_own() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[(".gitignore", "*\n"), ("tree/a.c", "")]);
        Repository::init(dir.path()).unwrap();
        assert_eq!(read(&dir.path().join("tree")), ["a.c"]);
    }

    #[test]
    fn repositories_inside_have_rules_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[("a.c", ""), ("in/.gitignore", "*.x\n"), ("in/b.c", ""), ("in/b.x", ""), ("b.x", "")]);
        track(&Repository::init(dir.path()).unwrap(), &["a.c"]);
        track(&Repository::init(dir.path().join("in")).unwrap(), &["b.c"]);
        assert_eq!(read(dir.path()), ["a.c", "b.x", "in/.gitignore", "in/b.c"]);
    }
}
