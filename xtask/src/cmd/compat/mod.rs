//! `make` and `raise`: what people and scripts typed before, as the command it is here. Finds the command line, prints it, and leaves the
//! rest to the command itself.

pub mod table;

use clap::Parser;

use super::{Cli, Global, Session};
use crate::definition::{Name, did_you_mean};
use crate::error::{Error, Result};
use table::{Form, TREES};

/// Run what a make target of Xen's tree is here
///
///     cargo xtask make blktap-dir-find               prints `cargo xtask fetch blktap`, and runs it
///     cargo xtask make -j4 subdir-all-qemu-xen-dir
///     cargo xtask make subtree-force-update-all
///     cargo xtask make dist-tools QEMU_UPSTREAM_REVISION=master
///     cargo xtask make --print distclean             only prints it
///
/// Several targets are run one after the other, as make does. docs/migration.md lists them all.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct MakeArgs {
    /// Targets, and NAME=VALUE
    #[arg(value_name = "TARGET", default_value = "all")]
    targets: Vec<String>,
    /// Jobs, as `build --jobs`
    #[arg(short, long, value_name = "N", num_args = 0..=1)]
    jobs: Option<Option<usize>>,
    /// Go on after a failure, as `build --keep-going`
    #[arg(short, long)]
    keep_going: bool,
    /// Where the target was in Xen's tree; it makes no difference here
    #[arg(short = 'C', value_name = "DIR")]
    directory: Option<String>,
    /// Print the command and do nothing
    #[arg(long)]
    print: bool,
}

/// Run what a command of Raisin is here
///
///     cargo xtask raise build                   prints `cargo xtask build`, and runs it
///     cargo xtask raise -y build                as `build --yes`: installs what the build lacks
///     COMPONENTS="xen seabios" cargo xtask raise build
///     cargo xtask raise configure               what it would do to this host, as a plan
///     cargo xtask raise --print unraise         only prints it
///
/// docs/migration.md lists them all.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RaiseArgs {
    /// Command, and NAME=VALUE
    #[arg(value_name = "COMMAND", required = true)]
    words: Vec<String>,
    /// Say yes to what is asked
    #[arg(short, long)]
    yes: bool,
    /// Say no
    #[arg(short, long, conflicts_with = "yes")]
    no: bool,
    /// Show the last line of each log
    #[arg(short, long)]
    verbose: bool,
    /// Print the command and do nothing
    #[arg(long)]
    print: bool,
}

/// What is set in the environment for make and Raisin, and is not taken from there by any other command.
const ENVIRONMENT: [&str; 4] = ["PREFIX", "DESTDIR", "MAKE", "GIT"];

/// `make`, as exit status.
pub(super) fn make(global: &Global, args: &MakeArgs) -> i32 {
    run(global, args.print, || make_lines(global, args, &|name| std::env::var(name).ok()))
}

/// `raise`, as exit status.
pub(super) fn raise(global: &Global, args: &RaiseArgs) -> i32 {
    run(global, args.print, || raise_lines(args, &|name| std::env::var(name).ok()).map(|line| vec![line]))
}

/// Prints each command line and runs it, until one fails.
fn run(global: &Global, only_print: bool, lines: impl FnOnce() -> Result<Vec<Vec<String>>>) -> i32 {
    let lines = match lines() {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("{}", error.report());
            return error.kind().exit_code();
        }
    };
    for line in lines {
        let line = [global.words(), line].concat();
        if only_print {
            println!("cargo xtask {}", crate::process::shell_line(&line));
            continue;
        }
        eprintln!("cargo xtask {}", crate::process::shell_line(&line));
        let code = match Cli::try_parse_from(["cargo xtask".to_owned()].into_iter().chain(line)) {
            Ok(cli) => super::run(cli),
            Err(error) => {
                // Help is no error.
                let code = error.exit_code();
                error.print().unwrap_or_default();
                code
            }
        };
        if code != 0 {
            return code;
        }
    }
    0
}

fn settings<'a>(words: impl Iterator<Item = &'a String>, environment: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let given: Vec<String> = words.cloned().collect();
    let is_given = |name: &str| given.iter().any(|word| word.split_once('=').is_some_and(|(key, _)| key == name));
    let from_environment = ENVIRONMENT.iter().filter(|name| !is_given(name)).filter_map(|name| {
        let value = environment(name).filter(|value| !value.is_empty())?;
        // That one is said by `--offline`, which every command sees by itself.
        let is_poison = *name == "GIT" && (value == "false" || value.ends_with("/false"));
        (!is_poison).then(|| format!("{name}={value}"))
    });
    let from_environment: Vec<String> = from_environment.collect();
    [given, from_environment].concat()
}

/// `install` takes a root instead of DESTDIR; what is left of the settings goes behind commands that build.
fn finish(line: &str, mut settings: Vec<String>, more: &[String]) -> Vec<String> {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    match words.first().map(String::as_str) {
        Some("install" | "uninstall") => {
            if let Some(root) = settings.iter().rev().find_map(|word| word.strip_prefix("DESTDIR=")) {
                words = vec![words[0].clone(), "--root".to_owned(), root.to_owned()];
            }
        }
        Some("build") => {
            settings.retain(|word| !word.starts_with("DESTDIR="));
            words.extend(more.iter().cloned());
            words.extend(settings);
        }
        Some("fetch" | "status") => {
            settings.retain(|word| word.split_once('=').is_some_and(|(key, _)| !ENVIRONMENT.contains(&key)));
            words.extend(settings);
        }
        _ => {}
    }
    words
}

fn make_lines(
    global: &Global,
    args: &MakeArgs,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Vec<String>>> {
    let (given, targets): (Vec<&String>, Vec<&String>) = args.targets.iter().partition(|word| word.contains('='));
    let settings = settings(given.into_iter(), environment);
    let mut more = Vec::new();
    if let Some(Some(jobs)) = args.jobs {
        more.extend(["--jobs".to_owned(), jobs.to_string()]);
    }
    if args.keep_going {
        more.push("--keep-going".to_owned());
    }
    let all = "all".to_owned();
    let targets = if targets.is_empty() { vec![&all] } else { targets };
    let table = table::make_targets();
    let mut lines: Vec<Vec<String>> = Vec::new();
    for target in targets {
        let line = find("make target", &table, target)?;
        let line = finish(&blktap_of(global, target, line), settings.clone(), &more);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// `blktap-dir` is the blktap that the manifest has chosen, which may be a C one.
fn blktap_of(global: &Global, target: &str, line: String) -> String {
    let Some(tree) = TREES.iter().find(|tree| tree.make == "blktap") else { return line };
    if !target.contains("blktap-dir") {
        return line;
    }
    let Ok(definitions) = Session::new(global, Vec::new()).and_then(|session| session.definitions()) else {
        return line;
    };
    let is_ours = |name: &&Name| name.as_str() == tree.component || name.as_str().starts_with("blktap-");
    let Some(component) = definitions.manifest.components.iter().find(is_ours) else { return line };
    let named = if line.starts_with("build") || line.starts_with("clean") {
        component
    } else {
        &definitions.all_components[component]
    };
    line.replace(" blktap", &format!(" {named}"))
}

fn raise_lines(args: &RaiseArgs, environment: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>> {
    let (given, commands): (Vec<&String>, Vec<&String>) = args.words.iter().partition(|word| word.contains('='));
    let [command] = commands.as_slice() else {
        return Err(Error::input("cannot raise: exactly one command is wanted").help("cargo xtask raise build"));
    };
    let mut line = find("command of Raisin", &table::raisin_commands(), command)?;
    let mut settings = settings(given.into_iter(), environment);
    let mut more = Vec::new();
    if args.yes {
        more.push("--yes".to_owned());
        line = line.replace("configure-host --dry-run", "configure-host --apply");
    }
    if args.verbose {
        more.push("--tail".to_owned());
    }
    let position = settings.iter().position(|word| word.starts_with("COMPONENTS="));
    let components = position.map(|at| settings.remove(at)).map(|word| word["COMPONENTS=".len()..].to_owned());
    let components = components.or_else(|| environment("COMPONENTS")).unwrap_or_default();
    if line == "build" || line == "doctor" {
        // Raisin's names have an underscore where ours have none.
        let names = components.split_whitespace().map(|name| name.replace('_', "-"));
        line = std::iter::once(line).chain(names).collect::<Vec<_>>().join(" ");
    }
    Ok(finish(&line, settings, &more))
}

/// The line of an old word, or why there is none.
fn find(what: &str, table: &[(String, Form)], word: &str) -> Result<String> {
    let is_test = |known: &str| known.strip_suffix('%').is_some_and(|start| word.starts_with(start));
    match table.iter().find(|(known, _)| known == word || is_test(known)) {
        Some((_, Form::Line(line))) => Ok(line.clone()),
        Some((_, Form::Gone(why))) => {
            Err(Error::input(format!("{what} `{word}` is nothing here")).because(*why).help("see docs/migration.md"))
        }
        None => {
            let error = Error::input(format!("there is no {what} `{word}`"));
            let near = did_you_mean(word, table.iter().map(|(known, _)| known.as_str()));
            Err(error.help(near.map_or("see docs/migration.md".to_owned(), |near| format!("did you mean `{near}`?"))))
        }
    }
}

#[cfg(test)]
mod tests;
