//! Puts a prepared tree in its place by one rename, and refuses where that would destroy somebody's work.

use std::fs;
use std::path::{Path, PathBuf};

use super::local_work::{self, Found, is_that, look};
use super::scratch::Scratch;
use super::stamp::{Recorded, Stamp, Stamps, recipe};
use super::{CheckedOut, Fetching, Manner, Order, Prepared, Wanted, prepare};
use crate::definition::{Name, Origin, Pin};
use crate::error::{Context, Error, Result};
use crate::placing;
use crate::stat_index::{Modes, scan};

/// The slow half of `origin::fetch`, alone in the source.
pub(super) fn fetch(
    ctx: &Fetching<'_>,
    source: &Name,
    origin: &Origin,
    pin: Option<&Pin>,
    stamps: &Stamps,
    manner: Manner,
) -> Result<CheckedOut> {
    let layout = ctx.layout;
    let (place, index) = (layout.source(source), layout.source_index(source));
    let aside = aside(&place, source);
    if aside.exists() && !place.exists() {
        fs::rename(&aside, &place).context(|| format!("cannot put `{}` back", place.display()))?;
    }
    let allowed = |found: &Found| may_replace(ctx, source, &place, found, pin);
    let found = look(layout, source, origin, stamps, pin)?;
    let already = match &found {
        Found::Missing => {
            // Whatever was recorded is gone.
            stamps.forget()?;
            false
        }
        Found::Untouched(stamp) => is_that(stamp, pin) && stamp.recipe == recipe(origin),
        Found::HeadMoved { stamp, .. } | Found::Worked { stamp, .. }
            if is_that(stamp, pin) && !ctx.discard && manner == Manner::Gentle =>
        {
            return Ok(CheckedOut::Kept);
        }
        other => {
            allowed(other)?;
            false
        }
    };
    if let (true, Found::Untouched(stamp)) = (already, &found) {
        let settled = Recorded { at: Some(stamp.clone()), next: None };
        if stamps.read() != settled {
            let tree = scan(&place, &index, Modes::Source, &[])?;
            stamps.write_listing(&tree)?;
            stamps.write(&settled)?;
        }
        return Ok(CheckedOut::Already);
    }
    let scratch = Scratch::new(&layout.work().join("tmp"), source.as_str())?;
    let into = scratch.path().join("tree");
    let wanted = pin.map_or(Wanted::Newest(None), Wanted::Pinned);
    let carry = place.is_dir().then_some(place.as_path());
    let Prepared { pin: new, tree } =
        prepare(ctx, origin, &Order { source, wanted, into: &into, index: &index, carry })?;
    ctx.cancel.check()?;
    let next = Stamp::new(origin, &new);
    stamps.write_listing(&tree)?;
    let moved = !matches!(found, Found::Missing);
    if moved {
        // That took a while: look again before anything is replaced.
        allowed(&look(layout, source, origin, stamps, pin)?)?;
        let at = match found {
            Found::Untouched(stamp) | Found::HeadMoved { stamp, .. } | Found::Worked { stamp, .. } => Some(stamp),
            Found::Missing | Found::Foreign => None,
        };
        stamps.write(&Recorded { at, next: Some(next.clone()) })?;
    }
    placing::replace_tree(&into, &place, &aside)?;
    stamps.write(&Recorded { at: Some(next), next: None })?;
    Ok(if moved { CheckedOut::Moved } else { CheckedOut::Fetched })
}

/// The slow half of `origin::resolve`. Where no tree stands yet the new one is put there, since it had to be made anyway; otherwise
/// the checkout stays as it is until `fetch`.
pub(super) fn resolve(
    ctx: &Fetching<'_>,
    source: &Name,
    origin: &Origin,
    old: Option<&Pin>,
    stamps: &Stamps,
) -> Result<Pin> {
    let layout = ctx.layout;
    let place = layout.source(source);
    let is_free = !place.exists();
    let scratch = Scratch::new(&layout.work().join("tmp"), source.as_str())?;
    let into = scratch.path().join("tree");
    let index = if is_free { layout.source_index(source) } else { scratch.path().join("index") };
    let order = Order { source, wanted: Wanted::Newest(old), into: &into, index: &index, carry: None };
    let Prepared { pin, tree } = prepare(ctx, origin, &order)?;
    if is_free {
        stamps.write_listing(&tree)?;
        placing::replace_tree(&into, &place, &aside(&place, source))?;
        stamps.write(&Recorded { at: Some(Stamp::new(origin, &pin)), next: None })?;
    }
    Ok(pin)
}

/// Where an old tree stands for a moment on file systems that cannot exchange.
fn aside(place: &Path, source: &Name) -> PathBuf {
    place.with_file_name(format!(".{source}.old"))
}

/// `Err` when something would be lost.
fn may_replace(ctx: &Fetching<'_>, source: &Name, place: &Path, found: &Found, pin: Option<&Pin>) -> Result<()> {
    let help = |error: Error| {
        error
            .help(format!("to give it up and take the locked tree: cargo xtask force-update {source} --discard"))
            .help(format!("to keep it, move it away: mv {} {}.mine", place.display(), place.display()))
    };
    match found {
        _ if ctx.discard => Ok(()),
        Found::Missing | Found::Untouched(_) | Found::HeadMoved { .. } => Ok(()),
        Found::Worked { changes, commits, .. } => {
            let to = pin.map_or_else(|| "what its origin has now".to_owned(), name_of);
            Err(help(
                Error::input(format!("cannot move source `{source}` to {to}: somebody works in it"))
                    .because(local_work::lines(place, changes, commits)),
            ))
        }
        Found::Foreign => Err(help(Error::input(format!(
            "cannot fetch source `{source}`: `{}` was not made by fetch, and its content is not the locked one",
            place.display()
        )))),
    }
}

/// A pin as a person calls it.
pub(super) fn name_of(pin: &Pin) -> String {
    match (&pin.commit, &pin.version) {
        (Some(commit), _) => format!("commit {commit}"),
        (None, Some(version)) => format!("version {version}"),
        (None, None) => format!("tree {}", pin.tree),
    }
}
