//! `dev export`: commits on top of a pin become patches that a component lists.

use std::fs;

use crate::cmd::Session;
use crate::definition::{Component, Definitions, Name, with_patches};
use crate::error::{Context, Error, Result};
use crate::origin::{self, Patch, State};
use crate::patch::subject;

/// Write your commits in .xtask/src as a component's patches
///
///     cargo xtask dev export xen-tools     those on top of the pin, into components/xen-tools/
///
/// The patches are those of `git format-patch`, and the component's file lists them; `git am` takes
/// them. A patch that was listed before and is the same change, or has the same subject, is
/// replaced; the others stay in front. Only files that the component uses are exported. Afterwards
/// the commits are still in the checkout, and a build would apply them twice: put it back to the pin
/// with `force-update SOURCE --discard`.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Component, or a source that one component is built from
    name: String,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let say = |line: &str| eprintln!("{line}");
    let _turn = session.turn(&say)?;
    let definitions = session.definitions()?;
    let (name, component) = component(session, &definitions, &args.name)?;
    let source = &component.source;
    let cannot = || format!("cannot export the commits of source `{source}`");
    let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(source));
    let pin = pin.ok_or("the lock has no pin of it").context(cannot)?;
    tell_uncommitted(session, &definitions, source, &say)?;

    let matches = |globs: &[String], path: &str| globs.iter().any(|glob| fast_glob::glob_match(glob, path));
    let wants = |path: &str| matches(&component.inputs, path) && !matches(&component.exclude, path);
    let fetching = session.fetching(false, &say);
    let series = |before| origin::export(&fetching, source, pin, before, &wants);
    let first = series(0)?;
    if !first.left_out.is_empty() {
        let (count, shown) = (first.left_out.len(), first.left_out.iter().take(5).cloned().collect::<Vec<_>>());
        say(&format!("{count} changed files that `{name}` does not use are left out: {}", shown.join(", ")));
    }
    if first.patches.is_empty() {
        println!("source `{source}` has no commit of yours on top of its pin that `{name}` uses");
        return Ok(());
    }
    let root = &session.layout.root;
    let (mut kept, mut replaced) = (Vec::new(), Vec::new());
    for path in &component.patches {
        let bytes = fs::read(root.join(path)).context(|| format!("cannot read patch `{path}`"))?;
        let list = if first.patches.iter().any(|patch| supersedes(patch, &bytes)) { &mut replaced } else { &mut kept };
        list.push(path.clone());
    }
    let series = if kept.is_empty() { first } else { series(kept.len())? };
    let dir = format!("components/{name}");
    let mut listed = kept.clone();
    for patch in &series.patches {
        let path = format!("{dir}/{}", patch.name);
        let is_free = replaced.contains(&path) || !root.join(&path).exists();
        if !is_free && fs::read(root.join(&path)).context(|| format!("cannot read `{path}`"))? != patch.bytes {
            return Err(Error::input(format!(
                "{}: `{path}` is there, and none of these commits replaces it",
                cannot()
            ))
            .help(format!("mv {path} {path}.old")));
        }
        listed.push(path);
    }
    // The list last, and then what it no longer names: a run that is killed leaves a file too many at most.
    for (patch, path) in series.patches.iter().zip(&listed[kept.len()..]) {
        crate::atomic::write(&root.join(path), &patch.bytes)?;
    }
    let file = root.join(format!("components/{name}.toml"));
    let editing = || format!("cannot list the patches in `{}`", file.display());
    let text = fs::read_to_string(&file).context(editing)?;
    let edited = with_patches(&text, &listed).context(editing)?;
    if edited != text {
        crate::atomic::write(&file, edited.as_bytes())?;
    }
    for path in replaced.iter().filter(|path| !listed.contains(path) && path.starts_with(&format!("{dir}/"))) {
        fs::remove_file(root.join(path)).context(|| format!("cannot remove `{path}`"))?;
    }
    if session.json {
        return crate::cmd::print_json(&serde_json::json!({ "component": name, "source": source, "patches": listed,
            "written": &listed[kept.len()..] }));
    }
    listed[kept.len()..].iter().for_each(|path| println!("{path}"));
    println!("components/{name}.toml lists {} patches", listed.len());
    println!("the checkout still has your commits; back to the pin: cargo xtask force-update {source} --discard");
    Ok(())
}

/// The component that is meant.
fn component<'a>(session: &Session, definitions: &'a Definitions, name: &str) -> Result<(Name, &'a Component)> {
    let name: Name = name.parse().map_err(|why: String| Error::input("cannot use this name").because(why))?;
    if let Some(component) = definitions.components.get(&name) {
        return Ok((name, component));
    }
    let built: Vec<_> = definitions.components.iter().filter(|(_, component)| component.source == name).collect();
    match built.as_slice() {
        [] => Err(Error::input(format!("manifest `{}` has no component and no source `{name}`", session.manifest))
            .help("cargo xtask list")),
        [(name, component)] => Ok(((*name).clone(), component)),
        several => Err(several.iter().fold(
            Error::input(format!("several components are built from source `{name}`; whose patches are these?")),
            |error, (name, _)| error.help(format!("cargo xtask dev export {name}")),
        )),
    }
}

fn tell_uncommitted(session: &Session, definitions: &Definitions, source: &Name, say: &dyn Fn(&str)) -> Result<()> {
    let place = session.layout.source(source);
    let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(source));
    if let State::Worked { changes, .. } =
        origin::state(&session.layout, source, &definitions.manifest.sources[source], pin)?
        && !changes.is_empty()
    {
        say(&format!("not committed, so not exported: {}", origin::lines(&place, &changes, &[])));
    }
    Ok(())
}

/// The new patch takes the place of the old one.
fn supersedes(new: &Patch, old: &[u8]) -> bool {
    let name = |bytes: &[u8]| subject(&String::from_utf8_lossy(bytes));
    origin::is_same_change(&new.bytes, old) || name(old).is_some_and(|old| name(&new.bytes) == Some(old))
}
