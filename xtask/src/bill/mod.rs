//! What a result is made of, told to others: `gather` reads it from definitions, lock, sources and crates into a `Bill`; `spdx` and
//! `cyclonedx` write that down in the two forms that there are. Nothing here builds, and nothing here depends on when, where or by whom
//! it is called: the same pins give the same bytes.

mod crates;
mod cyclonedx;
pub mod dsse;
pub mod explain;
mod gather;
pub mod licence;
pub mod made;
mod origin;
pub mod provenance;
mod purl;
pub mod readiness;
mod spdx;
pub mod texts;

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::Name;
use crate::digest::Hash;

pub use cyclonedx::cyclonedx;
pub use gather::{Stamp, gather};
pub use spdx::spdx;

/// What one part of a bill is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A thing that we build.
    Component,
    /// The tree that a component is built from.
    Source,
    /// A downloaded file that a source is unpacked from.
    Archive,
    /// A change on top of a source.
    Patch,
    /// A crate that is linked into a component, or runs when it is built.
    Crate,
    /// A component that the machine provides, or that is to be there at run time.
    System,
}

impl Kind {
    /// The word for it in ids and for people.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Component => "component",
            Kind::Source => "source",
            Kind::Archive => "archive",
            Kind::Patch => "patch",
            Kind::Crate => "crate",
            Kind::System => "system",
        }
    }
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Unique in the bill, letters, digits, `.` and `-`: `component-xen`.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Its name at home.
    pub name: String,
    /// Its version; empty where it has none.
    pub version: String,
    /// One line.
    pub summary: Option<String>,
    /// A checked SPDX expression; nothing where nobody says one.
    pub licence: Option<String>,
    /// An address for people.
    pub homepage: Option<String>,
    /// Where it is got, as SPDX writes it.
    pub download: Option<String>,
    /// Package URL.
    pub purl: Option<String>,
    /// Of its bytes, where it is one file.
    pub sha256: Option<Hash>,
    /// What else is known, by our words.
    pub notes: BTreeMap<String, String>,
}

impl Part {
    /// A part of which no more is known. `unique` is its name among those of its kind.
    fn new(kind: Kind, unique: &str, name: impl Into<String>) -> Self {
        Part {
            id: id(kind, unique),
            kind,
            name: name.into(),
            version: String::new(),
            summary: None,
            licence: None,
            homepage: None,
            download: None,
            purl: None,
            sha256: None,
            notes: BTreeMap::new(),
        }
    }
}

/// How one part is related to another; read from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// Is generated from: a component from its source, a source from an archive.
    MadeFrom,
    /// Does not run, or is not built, without.
    Needs,
    /// Is used while it is built and is not in it.
    NeedsToBuild,
    /// Names by its path; works without.
    MayUse,
    /// Has been changed by that patch.
    PatchedBy,
}

/// One relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Id of the part that has it.
    pub from: String,
    /// What.
    pub relation: Relation,
    /// Id of the other one.
    pub to: String,
}

/// A file of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below `/`, without the slash.
    pub path: String,
    /// Component that brought it.
    pub component: Name,
    /// SHA-1, which SPDX insists on.
    pub sha1: String,
    /// SHA-256.
    pub sha256: Hash,
}

/// What a set of components is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// What it is of: the manifest's name, or the one component's.
    pub name: String,
    /// Of the first component.
    pub version: String,
    /// Seconds since 1970: when the newest part of it was committed.
    pub epoch: u64,
    /// By id.
    pub parts: Vec<Part>,
    /// Sorted.
    pub links: Vec<Link>,
    /// By path; empty unless they were asked for.
    pub files: Vec<File>,
}

impl Bill {
    /// Ids that a part is related to in one of these ways.
    fn related<'a>(&'a self, from: &'a str, relations: &'a [Relation]) -> impl Iterator<Item = &'a str> {
        let is_it = move |link: &&Link| link.from == from && relations.contains(&link.relation);
        self.links.iter().filter(is_it).map(|link| link.to.as_str())
    }

    /// The bill of these components alone, with all that is in them; what they only may use is left out.
    pub fn of(&self, components: &BTreeSet<Name>) -> Bill {
        let mut wanted = BTreeSet::new();
        let mut open: Vec<String> = components.iter().map(|name| id(Kind::Component, name.as_str())).collect();
        let inside = [Relation::MadeFrom, Relation::Needs, Relation::NeedsToBuild, Relation::PatchedBy];
        while let Some(part) = open.pop() {
            open.extend(self.related(&part, &inside).filter(|other| !wanted.contains(*other)).map(str::to_owned));
            wanted.insert(part);
        }
        let is_wanted = |id: &String| wanted.contains(id);
        Bill {
            parts: self.parts.iter().filter(|part| is_wanted(&part.id)).cloned().collect(),
            links: self.links.iter().filter(|link| is_wanted(&link.from) && is_wanted(&link.to)).cloned().collect(),
            files: self.files.iter().filter(|file| components.contains(&file.component)).cloned().collect(),
            ..self.clone()
        }
    }

    fn part(&self, id: &str) -> Option<&Part> {
        self.parts.binary_search_by(|part| part.id.as_str().cmp(id)).ok().map(|index| &self.parts[index])
    }

    /// The time in the form of both standards.
    fn time(&self) -> String {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.epoch);
        humantime::format_rfc3339_seconds(time).to_string()
    }
}

/// The id of a part. No name has a dot where another has an underscore, so each gets its own.
fn id(kind: Kind, name: &str) -> String {
    let allowed = |c: char| match c {
        '_' => '.',
        c if c.is_ascii_alphanumeric() || c == '.' => c,
        _ => '-',
    };
    format!("{}-{}", kind.word(), name.chars().map(allowed).collect::<String>())
}

/// As SPDX 2.3 still asks for it beside SHA-256.
pub fn sha1(bytes: impl AsRef<[u8]>) -> String {
    use sha1::Digest as _;
    sha1::Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
