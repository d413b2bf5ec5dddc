//! `explain`: where a file of a result comes from.

use std::path::PathBuf;

use super::Session;
use crate::bill::explain::{self, Explained};
use crate::error::Result;
use crate::machine::Machine;
use crate::plan::Wanted;
use crate::runtime_deps::Brings;
use crate::world::World;

/// Say where a file of a result comes from: component, revision, step, and what it needs
///
///     cargo xtask explain /usr/sbin/xl              as it is on the installed system
///     cargo xtask explain dist/usr/sbin/xl          the same file
///     cargo xtask explain /tmp/image/usr/sbin/xl    of a root that `install` wrote
///     cargo xtask explain usr/sbin/xl --root /tmp/image
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// File of dist/, of an installed root, or as it is on the installed system
    #[arg(value_name = "FILE")]
    installed: PathBuf,
    /// Root that `install` wrote
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let file = explain::find(&session.layout, &args.installed, args.root.as_deref())?;
    let definitions = session.settled()?;
    let wanted = Wanted { names: Vec::new(), all: true };
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let explained = explain::explain(&world, &file, &session.cancel)?;
    if session.json {
        return super::print_json(&explained);
    }
    print(&explained);
    Ok(())
}

fn print(explained: &Explained) {
    println!("{}", explained.file);
    let row = |key: &str, value: &str| println!("  {key:<10} {value}");
    row("is", &explained.is);
    row("component", &format!("{}: {} ({})", explained.component, explained.summary, explained.licence));
    for source in &explained.sources {
        row("source", &format!("{} {} {}", source.name, source.origin, source.version));
    }
    explained.patches.iter().for_each(|patch| row("patch", patch));
    let word = if explained.steps.len() == 1 { "step" } else { "one of" };
    for step in &explained.steps {
        let mut line: String = step.ran.chars().take(160).collect();
        if line.len() < step.ran.len() {
            line.push_str(" …");
        }
        row(word, &format!("{}: {line}", step.name));
    }
    if let Some(action) = explained.action {
        let exact = if explained.exact == Some(false) { ", without the sandbox or on an earlier build" } else { "" };
        row("action", &format!("{}{exact}", action.hash));
    }
    for needed in &explained.needs {
        let owner = match &needed.brings {
            Brings::Itself => "its own component".to_owned(),
            Brings::Component(name) => format!("component {name}"),
            Brings::Package(name) => format!("package {name}"),
            Brings::Unknown => "of unknown origin".to_owned(),
        };
        row("needs", &format!("{}, {owner}", needed.library));
    }
    explained.notes.iter().for_each(|note| row("note", note));
}
