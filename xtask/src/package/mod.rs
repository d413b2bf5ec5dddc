//! Packages of a distribution, made from `dist/` without root and without its tools. `[[package]]` of the components says which file is
//! whose (`split.rs`) and where another version's can be beside it (`beside.rs`), `plan.rs` makes packages with their relations of that,
//! `facts.rs` reads what files need, `dpkg.rs` knows which of Debian's packages bring it. `tidy.rs` makes files what distributions have,
//! `documents.rs` (with `licences.rs` and `bill.rs`) and `scripts.rs` add what no component installs, and `deb.rs`, `rpm/` or `archive.rs`
//! write it down.
//!
//! Invariant: the same files give the same packages, byte for byte: sorted, owned by root, dated with their source.

pub mod archive;
mod beside;
pub mod bill;
pub mod deb;
pub mod documents;
pub mod dpkg;
pub mod facts;
pub mod licences;
pub mod plan;
pub mod rpm;
pub mod scripts;
mod split;
pub mod tidy;
pub mod version;

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::Name;
use crate::elf::Elf;
use crate::tree::Node;
use facts::Facts;
use version::Version;

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Debian, Ubuntu.
    Deb,
    /// Fedora, openSUSE.
    Rpm,
    /// A plain archive, for anybody.
    Tar,
}

impl Format {
    /// What this kind of package calls an instruction set of `uname -m`.
    pub fn arch(self, machine: &str) -> String {
        let name = match (self, machine) {
            (Format::Deb, "x86_64") => "amd64",
            (Format::Deb, "aarch64") => "arm64",
            (Format::Deb, "armv7l") => "armhf",
            (Format::Deb, "ppc64le") => "ppc64el",
            (_, other) => other,
        };
        name.to_owned()
    }
}

/// What all packages of one run have.
#[derive(Debug)]
pub struct Common<'a> {
    /// As the format calls it: `amd64`.
    pub arch: &'a str,
    /// Who answers for them.
    pub maintainer: &'a str,
    /// Where configuration stands.
    pub sysconfdir: &'a str,
}

/// How a version that is named stands to the one that is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// This very one.
    Same,
    /// This one or a later one.
    AtLeast,
    /// An earlier one.
    Before,
}

/// Another package, of any version or of some.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// Its name.
    pub name: String,
    /// Which of its versions.
    pub version: Option<(Bound, Version)>,
}

impl Relation {
    fn any(name: impl Into<String>) -> Self {
        Relation { name: name.into(), version: None }
    }
}

/// What files of a package need of the system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foreign {
    /// Libraries, each with the files that are linked to it.
    pub libraries: BTreeMap<String, BTreeSet<String>>,
    /// Symbols and their versions that some library must have.
    pub symbols: BTreeSet<(String, Option<String>)>,
    /// Interpreters of scripts: `/usr/bin/python3`.
    pub interpreters: BTreeSet<String>,
    /// The Python for which extension modules were compiled: `3.11`.
    pub python: Option<String>,
}

/// One package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The component that it is of, or that leads where there are several.
    pub component: Name,
    /// All components whose files are in it.
    pub components: BTreeSet<Name>,
    /// Its version.
    pub version: Version,
    /// In one line.
    pub summary: String,
    /// Debian's section.
    pub section: String,
    /// SPDX expression.
    pub licence: String,
    /// Upstream's page.
    pub homepage: String,
    /// Seconds since 1970: the date of all its files.
    pub epoch: u64,
    /// Its files, links and empty directories, by installed path without the first `/`.
    pub files: BTreeMap<String, Node>,
    /// Content of those that we made.
    pub made: BTreeMap<String, Vec<u8>>,
    /// Where files stand in the result that have another place in the package.
    pub origins: BTreeMap<String, String>,
    /// Configuration of the distribution's package of this name that is none here: installed paths.
    pub obsolete: Vec<String>,
    /// Units that start with the machine.
    pub units: Vec<String>,
    /// Without these it does not work.
    pub depends: BTreeSet<Relation>,
    /// Most want these.
    pub recommends: BTreeSet<Relation>,
    /// Other names that it goes by.
    pub provides: BTreeSet<Relation>,
    /// Packages whose files it takes over.
    pub replaces: BTreeSet<Relation>,
    /// Packages that cannot be beside it.
    pub conflicts: BTreeSet<Relation>,
    /// Libraries that the dynamic linker finds, by their names there.
    pub libraries: BTreeSet<String>,
    /// What it needs of the system.
    pub foreign: Foreign,
    /// Packages of the distribution that components declare as needed, by the distribution's names.
    pub needed: BTreeSet<String>,
    /// The same of packages that bring what a component only names by its path.
    pub named: BTreeSet<String>,
}

impl Package {
    /// One without files, of which nothing else is known.
    pub fn new(name: &str, component: &Name, version: &Version) -> Self {
        Package {
            name: name.to_owned(),
            component: component.clone(),
            components: BTreeSet::from([component.clone()]),
            version: version.clone(),
            summary: String::new(),
            section: String::new(),
            licence: String::new(),
            homepage: String::new(),
            epoch: 0,
            files: BTreeMap::new(),
            made: BTreeMap::new(),
            origins: BTreeMap::new(),
            obsolete: Vec::new(),
            units: Vec::new(),
            depends: BTreeSet::new(),
            recommends: BTreeSet::new(),
            provides: BTreeSet::new(),
            replaces: BTreeSet::new(),
            conflicts: BTreeSet::new(),
            libraries: BTreeSet::new(),
            foreign: Foreign::default(),
            needed: BTreeSet::new(),
            named: BTreeSet::new(),
        }
    }

    /// Adds a file that no component installed.
    pub fn add(&mut self, path: String, bytes: Vec<u8>) {
        self.add_with_mode(path, bytes, 0o644);
    }

    /// The same, and it can be executed.
    pub fn add_program(&mut self, path: String, bytes: Vec<u8>) {
        self.add_with_mode(path, bytes, 0o755);
    }

    fn add_with_mode(&mut self, path: String, bytes: Vec<u8>, mode: u32) {
        let node = Node::File { digest: crate::digest::Digest::of(&bytes), mode };
        self.files.insert(path.clone(), node);
        self.made.insert(path, bytes);
    }

    /// Where a file stands in the result, without the first `/`.
    pub fn origin<'a>(&'a self, path: &'a str) -> &'a str {
        self.origins.get(path).map_or(path, String::as_str)
    }

    /// Its ELF files; a link to one is none, wherever it leads.
    pub fn elves<'a>(&'a self, facts: &'a Facts) -> impl Iterator<Item = (&'a String, &'a Elf)> {
        let files = self.files.iter().filter(|(_, node)| matches!(node, Node::File { .. }));
        files.filter_map(|(path, _)| Some((path, facts.elf.get(self.origin(path))?)))
    }

    /// Files that an administrator may have changed.
    pub fn configuration<'a>(&'a self, sysconfdir: &'a str) -> impl Iterator<Item = &'a String> {
        let below = format!("{}/", sysconfdir.trim_start_matches('/'));
        let files = self.files.iter().filter(|(_, node)| matches!(node, Node::File { .. }));
        files.map(|(path, _)| path).filter(move |path| path.starts_with(&below))
    }

    /// The bytes that its files have.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|node| if let Node::File { digest, .. } = node { digest.size } else { 0 }).sum()
    }
}
