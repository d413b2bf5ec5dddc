//! A package as Debian has it (deb(5)): an ar of two tars. No program of Debian's is needed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::archive::{Writer, xz};
use super::scripts::scripts;
use super::{Bound, Common, Format, Package, Relation};
use crate::error::{Context, Result};
use crate::tree::Node;

/// The name of its file.
pub fn file_name(package: &Package, arch: &str) -> String {
    format!("{}_{}_{arch}.deb", package.name, package.version.without_epoch())
}

/// The bytes of a package. `system` are its dependencies on packages of the distribution; `read` gives the content of a file.
pub fn bytes(
    package: &Package,
    common: &Common<'_>,
    system: &BTreeSet<String>,
    read: &dyn Fn(&str) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let mut sums = String::new();
    let mut data = Writer::new(xz(Vec::new()), package.epoch);
    data.root()?;
    for (path, node) in &package.files {
        let bytes = match node {
            Node::File { .. } => read(path)?,
            _ => Vec::new(),
        };
        if matches!(node, Node::File { .. }) {
            Md5::digest(&bytes).iter().for_each(|byte| write!(sums, "{byte:02x}").unwrap_or_default());
            writeln!(sums, "  {path}").unwrap_or_default();
        }
        data.add(path, node, &bytes)?;
    }
    let packing = || format!("cannot pack `{}`", package.name);
    let data = data.finish()?.finish().context(packing)?;

    let mut members: Vec<(&str, String, u32)> =
        vec![("control", control(package, common, system), 0o644), ("md5sums", sums, 0o644)];
    let configuration: String = package.configuration(common.sysconfdir).map(|path| format!("/{path}\n")).collect();
    if !configuration.is_empty() {
        members.push(("conffiles", configuration, 0o644));
    }
    if !package.libraries.is_empty() {
        members.push(("triggers", "activate-noawait ldconfig\n".to_owned(), 0o644));
        members.push(("shlibs", shlibs(package), 0o644));
    }
    let scripts = scripts(package, Format::Deb);
    members.extend(scripts.before_install.map(|script| ("preinst", script, 0o755)));
    members.extend(scripts.after_install.map(|script| ("postinst", script, 0o755)));
    members.extend(scripts.after_remove.map(|script| ("postrm", script, 0o755)));
    members.sort();
    let mut tar = Writer::new(xz(Vec::new()), package.epoch);
    tar.root()?;
    for (name, text, mode) in members {
        let node = Node::File { digest: crate::digest::Digest::of(text.as_bytes()), mode };
        tar.add(name, &node, text.as_bytes())?;
    }
    let tar = tar.finish()?.finish().context(packing)?;

    let mut deb = ar::Builder::new(Vec::new());
    for (name, bytes) in [("debian-binary", b"2.0\n".as_slice()), ("control.tar.xz", &tar), ("data.tar.xz", &data)] {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mtime(package.epoch);
        header.set_mode(0o100_644);
        deb.append(&header, bytes).context(packing)?;
    }
    deb.into_inner().context(packing)
}

/// The text that dpkg goes by.
pub fn control(package: &Package, common: &Common<'_>, system: &BTreeSet<String>) -> String {
    let list = |relations: &BTreeSet<Relation>| relations.iter().map(text).collect::<Vec<_>>();
    let mut depends = list(&package.depends);
    depends.extend(system.iter().cloned());
    let is_there =
        |depends: &[String], name: &String| depends.iter().any(|one| one.split([' ', ':']).next() == Some(name));
    let needed: Vec<String> = package.needed.iter().filter(|name| !is_there(&depends, name)).cloned().collect();
    depends.extend(needed);
    let mut recommends = list(&package.recommends);
    recommends.extend(package.named.iter().filter(|name| !is_there(&depends, name)).cloned());
    recommends.sort();
    recommends.dedup();
    // Whoever takes over a file of another package breaks what that was.
    let bounded: BTreeSet<Relation> =
        package.replaces.iter().filter(|relation| relation.version.is_some()).cloned().collect();
    let whole: BTreeSet<Relation> = package
        .replaces
        .iter()
        .filter(|relation| relation.version.is_none())
        .chain(&package.conflicts)
        .cloned()
        .collect();
    let kib: u64 = package
        .files
        .values()
        .map(|node| if let Node::File { digest, .. } = node { digest.size.div_ceil(1024) } else { 1 })
        .sum();
    let version = package.version.deb();
    let fields = [
        ("Package", package.name.clone()),
        ("Source", source(package)),
        ("Version", version),
        ("Architecture", common.arch.to_owned()),
        ("Maintainer", common.maintainer.to_owned()),
        ("Installed-Size", kib.to_string()),
        ("Depends", depends.join(", ")),
        ("Recommends", recommends.join(", ")),
        ("Provides", list(&package.provides).join(", ")),
        ("Replaces", list(&package.replaces).join(", ")),
        ("Breaks", list(&bounded).join(", ")),
        ("Conflicts", list(&whole).join(", ")),
        ("Section", package.section.clone()),
        ("Priority", "optional".to_owned()),
        ("Homepage", package.homepage.clone()),
    ];
    let mut control: String = fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    writeln!(control, "Description: {}", package.summary).unwrap_or_default();
    writeln!(control, " Part of {}, made by Sultana from version {}.", package.component, package.version.upstream)
        .unwrap_or_default();
    control
}

/// Distributions call the source of all of Xen `xen`; what a tool makes of the field must not differ in one set.
fn source(package: &Package) -> String {
    if package.component.as_str() == package.name { String::new() } else { package.component.to_string() }
}

/// What somebody depends on who links to its libraries (deb-shlibs(5)).
fn shlibs(package: &Package) -> String {
    let line = |soname: &String| {
        let (name, version) = match soname.split_once(".so.") {
            Some(parts) => parts,
            None => soname.strip_suffix(".so")?.rsplit_once('-')?,
        };
        Some(format!("{name} {version} {} (>= {})\n", package.name, package.version.deb()))
    };
    package.libraries.iter().filter_map(line).collect()
}

fn text(relation: &Relation) -> String {
    let Relation { name, version } = relation;
    match version {
        None => name.clone(),
        Some((Bound::Same, version)) => format!("{name} (= {})", version.deb()),
        Some((Bound::AtLeast, version)) => format!("{name} (>= {})", version.deb()),
        Some((Bound::Before, version)) => format!("{name} (<< {})", version.deb()),
    }
}
