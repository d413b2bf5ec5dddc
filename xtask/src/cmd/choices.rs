//! `--with-system-NAME`, `--without-NAME` and `NAME=VALUE`: settings on the command line of every command that plans.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::error::{Error, Result};

/// Components that have always been options of Xen's configure, or were asked for; those of the checkout come to them.
const KNOWN: [&str; 6] = ["blktap", "ipxe", "mini-os", "ovmf", "qemu", "seabios"];

/// What was given, as name and value.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices(pub(super) Vec<(String, String)>);

impl clap::Args for Choices {
    fn augment_args(command: Command) -> Command {
        names().into_iter().fold(command, |command, name| {
            let (with, without) = (format!("with-system-{name}"), format!("without-{name}"));
            // Two for each component would bury every other option.
            let with = Arg::new(with.clone())
                .long(with)
                .value_name("yes|no|auto|PATH")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("yes")
                .conflicts_with(without.clone())
                .help(format!("Take {name} from the system"))
                .global(true)
                .hide(true);
            let without = Arg::new(without.clone())
                .long(without)
                .action(ArgAction::SetTrue)
                .help(format!("Leave {name} out"))
                .global(true)
                .hide(true);
            command.arg(with).arg(without)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Choices {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = Vec::new();
        for name in names() {
            let (with, without) = (format!("with-system-{name}"), format!("without-{name}"));
            if let Ok(Some(value)) = matches.try_get_one::<String>(&with) {
                given.push((with, value.clone()));
            }
            if let Ok(Some(true)) = matches.try_get_one::<bool>(&without) {
                given.push((without, "yes".to_owned()));
            }
        }
        Ok(Choices(given))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The known ones and those of the checkout that the command line is about.
fn names() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = KNOWN.into_iter().map(str::to_owned).collect();
    let current = std::env::current_dir().unwrap_or_default();
    let mut arguments = std::env::args();
    let mut root: Option<PathBuf> = None;
    while let Some(argument) = arguments.next() {
        if let Some(dir) = argument.strip_prefix("--checkout=") {
            root = Some(dir.into());
        } else if argument == "--checkout" {
            root = arguments.next().map(PathBuf::from);
        }
    }
    let is_root = |dir: &&Path| dir.join("components").is_dir();
    let root = root.or_else(|| current.ancestors().find(is_root).map(Path::to_path_buf)).unwrap_or_default();
    for entry in std::fs::read_dir(root.join("components")).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let name = file.to_string_lossy().strip_suffix(".toml").map(str::to_owned);
        names.extend(name.filter(|name| name.parse::<crate::definition::Name>().is_ok()));
    }
    names
}

/// Takes `NAME=VALUE` out of positional arguments. No name of a component or source has a `=`.
pub(super) fn take(positionals: &mut Vec<String>) -> Result<Vec<(String, String)>> {
    let mut given = Vec::new();
    let mut wrong = None;
    positionals.retain(|argument| match argument.split_once('=') {
        Some((name, value)) => {
            if name.starts_with("with-") || name.is_empty() {
                wrong.get_or_insert_with(|| argument.clone());
            }
            given.push((name.to_owned(), value.to_owned()));
            false
        }
        None => true,
    });
    match wrong {
        Some(argument) => {
            Err(Error::input(format!("cannot read `{argument}`"))
                .help(format!("--{argument}   # options have two dashes")))
        }
        None => Ok(given),
    }
}
