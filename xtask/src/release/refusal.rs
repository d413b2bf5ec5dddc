//! What keeps a checkout from being released: everything that would make the result something else than what its lock says, or that
//! nobody else has. All of a kind is named at once.

use crate::definition::{Definitions, Lock, Name};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::origin::{self, Change, State};
use crate::overrides;

/// Refuses what settings and overrides of this checkout changed. `doing` is the command's words: `make a tarball`.
pub fn overridden(layout: &Layout, definitions: &Definitions, doing: &str) -> Result<()> {
    overrides::refuse(layout, &definitions.manifest, doing)?;
    let chosen = &definitions.chosen;
    let local = chosen.local.iter().map(|(source, it)| format!("  {source}: a directory of yours ({})", it.said));
    let unpinned = chosen.unpinned.keys().map(|source| format!("  {source}: a setting names another revision"));
    let found: Vec<String> = local.chain(unpinned).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::input(format!("cannot {doing}: settings stand over what the lock names\n{}", found.join("\n")))
        .help("cargo xtask configure --show   # says where each was said"))
}

/// Refuses revisions of these sources that move on, unless the lock is frozen. (A pin without the signature that is asked for fits no
/// definition, and is refused where locks are read.)
pub fn moving(definitions: &Definitions, lock: &Lock, sources: &[&Name], doing: &str) -> Result<()> {
    let origins = sources.iter().filter_map(|name| definitions.manifest.sources.get_key_value(*name));
    let moving: Vec<String> =
        origins.flat_map(|(name, origin)| origin.moves().map(|what| format!("  {name}: {what}"))).collect();
    if lock.frozen || moving.is_empty() {
        return Ok(());
    }
    let manifest = &definitions.manifest_name;
    Err(Error::input(format!("cannot {doing}: `{manifest}` follows what moves\n{}", moving.join("\n")))
        .help(format!("cargo xtask freeze --manifest {manifest}   # holds what the lock has now")))
}

/// Sources that somebody works in, each with what is there. A directory in no repository, which nobody can judge, is said.
pub fn worked_in(
    layout: &Layout,
    definitions: &Definitions,
    wanted: &dyn Fn(&Name) -> bool,
    say: &dyn Fn(&str),
) -> Result<Vec<(Name, String)>> {
    let mut found = Vec::new();
    for (name, origin) in definitions.manifest.sources.iter().filter(|(name, _)| wanted(name)) {
        let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(name));
        let place = origin::directory(layout, name, origin);
        let work = match origin::state(layout, name, origin, pin)? {
            State::Worked { changes, commits } => Some(origin::lines(&place, &changes, &commits)),
            State::Foreign => Some(format!("`{}` is not what the lock names", place.display())),
            State::Local if !place.is_dir() => None,
            State::Local => match origin::uncommitted_in(&place)? {
                Some(changes) if changes.is_empty() => None,
                Some(changes) => Some(origin::lines(&place, &changes, &[])),
                None => {
                    say(&format!("source `{name}` is a directory in no repository: no lock holds it"));
                    None
                }
            },
            State::Missing | State::AtPin | State::OffPin { .. } => None,
        };
        found.extend(work.map(|work| (name.clone(), work)));
    }
    Ok(found)
}

/// Refuses sources that somebody works in.
pub fn local_work(
    layout: &Layout,
    definitions: &Definitions,
    wanted: &dyn Fn(&Name) -> bool,
    doing: &str,
    say: &dyn Fn(&str),
) -> Result<()> {
    let found = worked_in(layout, definitions, wanted, say)?;
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = found.iter().map(|(name, work)| format!("  {name}: {work}")).collect();
    Err(Error::input(format!("cannot {doing}: sources hold local work\n{}", lines.join("\n")))
        .help("to throw it away: cargo xtask force-update NAME --discard")
        .help("to keep it as patches: cargo xtask dev export NAME; what is in this repository: git commit"))
}

/// Refuses files of this repository that are not committed, among those that a release has.
pub fn uncommitted(layout: &Layout, wanted: &dyn Fn(&str) -> bool, doing: &str) -> Result<()> {
    let changes: Vec<Change> =
        origin::uncommitted_in(&layout.root)?.unwrap_or_default().into_iter().filter(|it| wanted(&it.path)).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let lines = origin::lines(&layout.root, &changes, &[]);
    Err(Error::input(format!("cannot {doing}: this repository holds what is not committed\n  {lines}"))
        .help("git commit, or git stash"))
}
