//! What commands that release have in common: which components, what is refused, and the contents of an archive with its sources brought.

use std::collections::BTreeMap;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::Session;
use super::fetch::{How, fetch_all};
use crate::definition::Name;
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::merge::{Merged, merge};
use crate::plan::Wanted;
use crate::release::{Contents, Wishes, gather, is_released, refusal};
use crate::run::Report;
use crate::store::{Found, Output};
use crate::world::World;

/// What an archive is of.
#[derive(Debug, clap::Args)]
pub(super) struct What {
    /// Components, and what they need [default: those of the manifest]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    components: Vec<String>,
    /// The manifest's optional components too
    #[arg(long, conflicts_with = "components")]
    all: bool,
    /// What autoconf makes too, for sources that come without: who builds it needs neither autoconf nor libtool
    #[arg(long)]
    with_generated: bool,
}

impl What {
    /// As it was said, for a statement about the archive.
    pub(super) fn asked(&self) -> [(&'static str, serde_json::Value); 3] {
        [
            ("components", self.components.clone().into()),
            ("all", self.all.into()),
            ("with-generated", self.with_generated.into()),
        ]
    }
}

/// The contents of the archive; an error that names everything that keeps it from being released.
pub(super) fn contents(session: &Session, what: &What, doing: &str, report: &Report) -> Result<(World, Contents)> {
    let say = |line: &str| report.note(line);
    let definitions = session.settled()?;
    refusal::overridden(&session.layout, &definitions, doing)?;
    let lock = session.whole_lock(&definitions)?;
    let wanted = Wanted { names: Session::names(&what.components)?, all: what.all };
    let machine = Machine::of(&session.layout, false)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, machine)?;
    let sources = world.sources();
    let names: Vec<&Name> = sources.iter().collect();
    refusal::moving(&world.definitions, &lock, &names, doing)?;
    let refuse = |say: &dyn Fn(&str)| {
        refusal::local_work(&session.layout, &world.definitions, &|name| sources.contains(name), doing, say)?;
        refusal::uncommitted(&session.layout, &is_released, doing)
    };
    refuse(&say)?;
    fetch_all(session, &world, &sources, How::default())?;
    let _turn = session.turn(&say)?;
    refuse(&|_| {})?;
    world.read_sources()?;
    let wishes = Wishes { generated: what.with_generated, offline: session.offline };
    let contents = gather(&world, wishes, &session.cancel, &say)?;
    Ok((world, contents))
}

/// Everything that the components of a plan have installed, by exact builds from the sources as they are; nothing is built for it.
pub(super) fn built(world: &World) -> Result<Merged> {
    let mut outputs: BTreeMap<Name, Output> = BTreeMap::new();
    let mut unbuilt: Vec<&str> = Vec::new();
    for name in &world.plan.order {
        let needs = &world.plan.needs[name];
        let found = match needs.iter().all(|need| outputs.contains_key(need)) {
            true => world.store.output(world.inputs(name, &|need| outputs.get(need).cloned())?.action()?.digest)?,
            false => Found::Missing,
        };
        match found {
            Found::Here(output) => drop(outputs.insert(name.clone(), output)),
            Found::Missing => unbuilt.push(name.as_str()),
        }
    }
    if !unbuilt.is_empty() {
        let message = format!("there is nothing to compare with: not built from this tree: {}", unbuilt.join(", "));
        return Err(Error::input(message).help(format!("cargo xtask build {}", unbuilt.join(" "))));
    }
    merge(outputs.iter().map(|(name, output)| (name, &output.tree)), &world.definitions.manifest.shared)
}

/// A bar over so many bytes, on a terminal; it is gone when it is dropped.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(session: &Session, what: &'static str, bytes: u64) -> Self {
        let bar = match std::io::stderr().is_terminal() && !session.json {
            true => ProgressBar::new(bytes),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        Bar(bar)
    }

    pub(super) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
