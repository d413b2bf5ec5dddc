//! Makes the contents of a release: each source in its place, as `git archive` gives it, then what is added to it, then what is ours.

use std::collections::BTreeMap;

use super::contents::{Contents, Owner};
use super::{crates, generated, own, placed, version};
use crate::definition::{Driver, Name, Origin};
use crate::error::{Error, Result};
use crate::origin::{self, Archived, read_working_tree};
use crate::overrides::not_source;
use crate::process::Cancel;
use crate::tree::Rooted;
use crate::world::World;

/// What is wanted beside what every release has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// What autoconf makes.
    pub generated: bool,
    /// Crates may not be fetched.
    pub offline: bool,
}

/// A source in an archive.
#[derive(Debug)]
pub(super) struct Placed {
    /// Where, below the top.
    pub at: String,
    /// Everything that the archive has of the source.
    pub tree: Rooted,
}

/// The contents of a release of what `world` plans. Its sources are here.
pub fn gather(world: &World, wishes: Wishes, cancel: &Cancel, say: &dyn Fn(&str)) -> Result<Contents> {
    let places = places(world)?;
    let top = top(world, &places)?;
    let epoch = world.sources().iter().filter_map(|source| world.pin(source)).map(|pin| pin.epoch).max();
    let mut contents = Contents::new(name(world, top)?, epoch.unwrap_or(crate::world::LOCAL_EPOCH));
    let mut all = BTreeMap::new();
    for (source, at) in &places {
        cancel.check()?;
        let (tree, dir) = locked(world, source)?;
        let archived = match world.is_unpacked(source) {
            true => Archived::default(),
            false => origin::archived(
                &world.layout,
                (source, world.origin(source)?, world.pin(source)),
                (&dir, &tree),
                cancel,
            )?,
        };
        let tree = archived.tree(tree);
        contents.add_tree(at, &tree, &dir, &Owner::Source(source.clone()))?;
        contents.keep_bytes(at, archived.into_changed());
        all.insert(source.clone(), Placed { at: at.clone(), tree });
    }
    for name in &world.plan.order {
        let component = world.component(name);
        if let Some(tarball) = &component.tarball {
            generated::add(world, name, tarball, wishes.generated, &mut contents, cancel)?;
            placed::add(world, name, tarball, &all, &mut contents, wishes.offline, cancel)?;
        }
        if matches!(component.build, Driver::Cargo(_)) {
            let source = world.needed_source(&component.source)?;
            let vendored = world.crates(&component.source)?;
            let at = &places[&component.source];
            crates::add(&source.dir, &vendored, at, &mut contents, cancel)?;
        }
    }
    own::add(world, &all, &mut contents, wishes.offline, cancel, say)?;
    contents.check()?;
    Ok(contents)
}

/// Where each source stands. What no component has a place for is below `sultana/`, where it is in nobody's way.
fn places(world: &World) -> Result<BTreeMap<Name, String>> {
    let mut places: BTreeMap<Name, String> = BTreeMap::new();
    for name in &world.plan.order {
        let component = world.component(name);
        let Some(tarball) = &component.tarball else { continue };
        let at = &tarball.at;
        if let Some(other) = places.get(&component.source).filter(|other| *other != at) {
            let source = &component.source;
            let message = format!("components give source `{source}` two places in an archive: `{other}` and `{at}`");
            return Err(Error::input(message).help(format!("components/{name}.toml: `[tarball] at`")));
        }
        places.insert(component.source.clone(), at.clone());
    }
    for source in world.sources() {
        let aside = format!("{}/src/{source}", own::DIR);
        places.entry(source).or_insert(aside);
    }
    Ok(places)
}

fn top<'a>(world: &World, places: &'a BTreeMap<Name, String>) -> Result<&'a Name> {
    let tops: Vec<&Name> = places.iter().filter(|(_, at)| *at == ".").map(|(source, _)| source).collect();
    let manifest = &world.definitions.manifest_name;
    match tops[..] {
        [top] => Ok(top),
        [] => Err(Error::input(format!("cannot make a tarball of `{manifest}`: no source is at its top"))
            .because("none of the components that are wanted says `[tarball] at = \".\"`")
            .help("name xen too: cargo xtask tarball --components xen,…")),
        [one, other, ..] => Err(Error::input(format!(
            "cannot make a tarball of `{manifest}`: `{one}` and `{other}` would both be at its top"
        ))
        .help("give one of them another place: `[tarball] at` in components/")),
    }
}

/// `xen-4.17.5`.
fn name(world: &World, top: &Name) -> Result<String> {
    let source = world.needed_source(top)?;
    let file = source.dir.join("xen/Makefile");
    let makefile = crate::atomic::read(&file)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let env = |name: &Name| world.component(name).env.get("XEN_VENDORVERSION").cloned();
    let vendor = world.plan.order.iter().find_map(env).unwrap_or_default();
    let version = version::version(makefile.as_deref(), &vendor, world.origin(top)?, world.pin(top));
    Ok(format!("{top}-{version}"))
}

/// The tree of a source exactly as the lock has it, and where its files are.
fn locked(world: &World, source: &Name) -> Result<(Rooted, std::path::PathBuf)> {
    let there = world.needed_source(source)?;
    if let Origin::Path(_) = world.origin(source)? {
        let index = world.layout.state().join("release").join(source);
        return Ok((read_working_tree(&there.dir, &index, &not_source(&there.dir))?, there.dir.clone()));
    }
    if !there.is_pins {
        let wanted = world.pin(source).map(|pin| pin.tree.to_string()).unwrap_or_default();
        return Err(Error::input(format!("source `{source}` is not what the lock names"))
            .because(format!("its tree is {}, locked is {wanted}", there.tree.root().hash))
            .help(format!("cargo xtask status {source}")));
    }
    Ok((there.tree.clone(), there.dir.clone()))
}
