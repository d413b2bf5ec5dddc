//! The names of settings, those that scripts of Xen and Raisin have always used among them, and where each may be said. Knows no values.

use std::collections::BTreeSet;
use std::fmt;

use super::From;
use crate::definition::{Name, did_you_mean};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A directory, as autoconf names it.
    Directory(Directory),
    /// Who provides a component.
    Provider(Name),
    /// A part of where a source comes from.
    Source(Tree, Part),
    /// A variable that component files take as `{set:NAME}`.
    Variable(String),
    /// `GIT_HTTP`: no `git://`.
    GitHttp,
    /// `XEN_EXTFILES_URL`: a mirror of plain files.
    Extfiles,
    /// A program that we or a build start.
    Tool(Tool),
    /// `DESTDIR`: where `dist` stands.
    Destdir,
    /// `COMPONENTS`: what is built where nothing is named.
    Components,
}

/// Directories of the installed system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Directory {
    /// `prefix`.
    Prefix,
    /// `libdir`.
    Libdir,
    /// `sysconfdir`.
    Sysconfdir,
    /// `localstatedir`.
    Localstatedir,
}

/// The external trees of Xen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// `QEMU_UPSTREAM`.
    Qemu,
    /// `QEMU_TRADITIONAL`.
    QemuTraditional,
    /// `SEABIOS_UPSTREAM`.
    Seabios,
    /// `OVMF_UPSTREAM`.
    Ovmf,
    /// `MINIOS_UPSTREAM`.
    MiniOs,
    /// `BLKTAP_UPSTREAM`.
    Blktap,
}

/// What can be said of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Where it is cloned from.
    Url,
    /// Which commit, tag or branch.
    Revision,
    /// A directory, or a URL: goes before the others.
    Loc,
    /// A directory that counts where it exists.
    Intree,
}

/// Programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// `GIT`.
    Git,
    /// `MAKE`.
    Make,
    /// `WGET`.
    Wget,
}

/// Where something can be said, as far as it decides what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The command line.
    Argument,
    /// `.config`.
    ConfigFile,
    /// What `configure` keeps.
    Kept,
    /// The environment.
    Environment,
}

impl Place {
    pub(super) fn of(from: &From) -> Self {
        match from {
            From::Argument | From::Manifest | From::Default => Place::Argument,
            From::ConfigFile(_) => Place::ConfigFile,
            From::Kept(_) => Place::Kept,
            From::Environment => Place::Environment,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Place::Argument => "an argument",
            Place::ConfigFile => "`.config`: it is for one run",
            Place::Kept => "what `configure` keeps: it is for one run",
            Place::Environment => "the environment",
        }
    }
}

const DIRECTORIES: [(&str, Directory); 4] = [
    ("prefix", Directory::Prefix),
    ("libdir", Directory::Libdir),
    ("sysconfdir", Directory::Sysconfdir),
    ("localstatedir", Directory::Localstatedir),
];

const TREES: [(&str, Tree); 6] = [
    ("QEMU_UPSTREAM", Tree::Qemu),
    ("QEMU_TRADITIONAL", Tree::QemuTraditional),
    ("SEABIOS_UPSTREAM", Tree::Seabios),
    ("OVMF_UPSTREAM", Tree::Ovmf),
    ("MINIOS_UPSTREAM", Tree::MiniOs),
    ("BLKTAP_UPSTREAM", Tree::Blktap),
];

const PARTS: [(&str, Part); 4] =
    [("_URL", Part::Url), ("_REVISION", Part::Revision), ("_LOC", Part::Loc), ("_INTREE", Part::Intree)];

/// Names that were replaced, and by what.
const OLD: [(&str, &str); 4] = [
    ("QEMU_REMOTE", "QEMU_TRADITIONAL_URL"),
    ("QEMU_TAG", "QEMU_TRADITIONAL_REVISION"),
    ("CONFIG_QEMU", "QEMU_TRADITIONAL_LOC"),
    ("SEABIOS_UPSTREAM_TAG", "SEABIOS_UPSTREAM_REVISION"),
];

const OTHERS: [(&str, Key); 7] = [
    ("GIT_HTTP", Key::GitHttp),
    ("XEN_EXTFILES_URL", Key::Extfiles),
    ("GIT", Key::Tool(Tool::Git)),
    ("MAKE", Key::Tool(Tool::Make)),
    ("WGET", Key::Tool(Tool::Wget)),
    ("DESTDIR", Key::Destdir),
    ("COMPONENTS", Key::Components),
];

/// Variables of component files that scripts have always set; only these are looked for in the environment.
const VARIABLES: [&str; 1] = ["ETHERBOOT_NICS"];

/// What a name means.
pub(super) struct Named {
    pub(super) key: Key,
    /// The way to say it now, where the name is an old one.
    pub(super) instead: Option<String>,
    /// The name says the value too: `without-qemu`.
    pub(super) forced: Option<&'static str>,
}

impl Named {
    pub(super) fn is_old(&self) -> bool {
        self.instead.is_some()
    }
}

impl Key {
    /// What `name` means; `PREFIX` and `prefix` are the same.
    pub(super) fn named(name: &str) -> Option<Named> {
        let plain = |key| Some(Named { key, instead: None, forced: None });
        if let Some((_, new)) = OLD.iter().find(|(old, _)| *old == name) {
            return Some(Named { instead: Some((*new).to_owned()), ..Key::named(new)? });
        }
        if let Some(component) = name.strip_prefix("with-system-") {
            return plain(Key::Provider(component.parse().ok()?));
        }
        if let Some(component) = name.strip_prefix("without-") {
            return Some(Named { forced: Some("without"), ..Key::named(&format!("with-system-{component}"))? });
        }
        if name == "PREFIX" {
            return plain(Key::Directory(Directory::Prefix));
        }
        if let Some((_, directory)) = DIRECTORIES.iter().find(|(known, _)| *known == name) {
            return plain(Key::Directory(*directory));
        }
        for (start, tree) in TREES {
            let part = name.strip_prefix(start).and_then(|end| PARTS.iter().find(|(known, _)| *known == end));
            if let Some((_, part)) = part {
                return plain(Key::Source(tree, *part));
            }
        }
        if let Some(variable) = VARIABLES.iter().find(|known| **known == name) {
            return plain(Key::Variable((*variable).to_owned()));
        }
        OTHERS.iter().find(|(known, _)| *known == name).and_then(|(_, key)| plain(key.clone()))
    }

    /// The same, or a variable that a component file declares.
    pub(super) fn named_or_declared(name: &str, declared: &BTreeSet<String>) -> Option<Named> {
        let variable = || declared.contains(name).then(|| Key::Variable(name.to_owned()));
        Key::named(name).or_else(|| variable().map(|key| Named { key, instead: None, forced: None }))
    }

    /// Whether it may be said there. What package builds export for themselves is taken as an argument only.
    pub fn may_stand_in(&self, place: Place) -> bool {
        match (self, place) {
            (Key::Tool(_) | Key::Destdir | Key::Components, _) => place == Place::Argument,
            (Key::Directory(_) | Key::Provider(_), Place::Environment) => false,
            _ => true,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Directory(directory) => f.write_str(word(&DIRECTORIES, directory)),
            Key::Provider(name) => write!(f, "with-system-{name}"),
            Key::Source(tree, part) => write!(f, "{}{}", word(&TREES, tree), word(&PARTS, part)),
            Key::Variable(name) => f.write_str(name),
            other => f.write_str(word(&OTHERS, other)),
        }
    }
}

fn word<T: PartialEq>(table: &[(&'static str, T)], wanted: &T) -> &'static str {
    table.iter().find(|(_, known)| known == wanted).map_or("", |(word, _)| word)
}

/// Names that are looked for in the environment: those with a prefix of ours or of old, never what others export for themselves.
pub(super) fn is_for_environment(name: &str) -> bool {
    // `PREFIX` names a directory, and no lower-case name is one of a script.
    Key::named(name).is_some_and(|named| named.key.may_stand_in(Place::Environment))
}

/// Every name that can be said, without those of components.
fn names() -> Vec<String> {
    let trees = TREES.iter().flat_map(|(tree, _)| PARTS.iter().map(move |(part, _)| format!("{tree}{part}")));
    let words = DIRECTORIES.iter().map(|(word, _)| *word).chain(OTHERS.iter().map(|(word, _)| *word));
    let words = words.chain(VARIABLES).chain(OLD.iter().map(|(old, _)| *old)).chain(["PREFIX"]);
    trees.chain(words.map(str::to_owned)).collect()
}

pub(super) fn near(name: &str, declared: &BTreeSet<String>) -> Option<String> {
    let names = names();
    did_you_mean(name, names.iter().chain(declared).map(String::as_str)).map(str::to_owned)
}

/// Sources of a manifest that may be that tree, best first.
pub(super) fn sources(tree: Tree) -> &'static [&'static str] {
    match tree {
        Tree::Qemu => &["qemu"],
        Tree::QemuTraditional => &["qemu-traditional"],
        Tree::Seabios => &["seabios"],
        Tree::Ovmf => &["edk2", "ovmf"],
        Tree::MiniOs => &["mini-os"],
        Tree::Blktap => &["blktap-c", "blktap"],
    }
}

/// All trees.
pub(super) fn trees() -> impl Iterator<Item = Tree> {
    TREES.into_iter().map(|(_, tree)| tree)
}
