//! Shell completion: the scripts, and the words that fit at a place, which the scripts ask for at each key. Names of components,
//! sources and manifests are those of the checkout where the user stands.

use std::ffi::OsString;

use clap::{Command, CommandFactory};
use clap_complete::{ArgValueCandidates, CompletionCandidate};

use super::{Cli, Session};
use crate::definition::{Definitions, Name, gate_names, job_names, manifest_names};
use crate::dist::Record;
use crate::error::{Context, Result};
use crate::layout::Layout;

/// Print the completion script of a shell
///
///     source <(cargo xtask completions bash)       in ~/.bashrc: in the checkout, after it was built
///     source <(cargo xtask completions zsh)        in ~/.zshrc, after compinit
///     cargo xtask completions fish | source        in config.fish
///
/// It completes `cargo xtask`, with the components and sources of the manifest, and leaves other
/// commands of cargo to the completion that was there before.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Print the words that fit in place of the last one
#[derive(Debug, clap::Args)]
pub struct Words {
    /// The command line so far, from `xtask` on; the last word is what is being typed
    #[arg(last = true)]
    words: Vec<OsString>,
}

const BASH: &str = r#"_xtask_found=$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[ "$_xtask_found" = _cargo_xtask ] || _xtask_others=$_xtask_found
_cargo_xtask() {
    if [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[1]}" = xtask ]; then
        local IFS=$'\n'
        COMPREPLY=($('EXE' complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
    elif [ -n "$_xtask_others" ]; then
        "$_xtask_others" "$@"
    fi
}
complete -o bashdefault -o default -F _cargo_xtask cargo
"#;

const ZSH: &str = r#"[ "${_comps[cargo]}" = _cargo_xtask ] || _xtask_others=${_comps[cargo]}
_cargo_xtask() {
    if (( CURRENT > 2 )) && [ "${words[2]}" = xtask ]; then
        local found=("${(@f)$('EXE' complete -- "${(@)words[2,CURRENT]}" 2>/dev/null | cut -f 1)}")
        [ -n "$found" ] && compadd -Q -a found || _files
    elif [ -n "$_xtask_others" ]; then
        "$_xtask_others" "$@"
    fi
}
compdef _cargo_xtask cargo
"#;

const FISH: &str = r#"complete -c cargo -n 'set -l w (commandline -opc); test "$w[2]" = xtask' -a '(set -l w (commandline -opc) (commandline -ct); "EXE" complete -- $w[2..-1] 2>/dev/null)'
"#;

pub fn run(args: &Args) -> Result<()> {
    let own = std::env::current_exe().context(|| "cannot tell what program this is".to_owned())?;
    let script = match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    println!("{}", script.replace("EXE", &own.display().to_string()).trim_end());
    Ok(())
}

pub fn words(session: &Session, args: Words) -> Result<()> {
    let manifest = named_manifest(&args.words).unwrap_or_else(|| session.manifest.clone());
    let mut command = with_names(Cli::command(), session, manifest);
    let place = args.words.len().saturating_sub(1);
    let here = std::env::current_dir().ok();
    let found = clap_complete::engine::complete(&mut command, args.words, place, here.as_deref());
    for candidate in found.context(|| "cannot complete".to_owned())? {
        let help = candidate.get_help().map(|help| help.to_string()).unwrap_or_default();
        let first = help.lines().next().unwrap_or_default();
        let tab = if first.is_empty() { "" } else { "\t" };
        println!("{}{tab}{first}", candidate.get_value().to_string_lossy());
    }
    Ok(())
}

/// The manifest that the line names.
fn named_manifest(words: &[OsString]) -> Option<Name> {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let behind = words.windows(2).find(|pair| matches!(pair[0], "-m" | "--manifest")).map(|pair| pair[1]);
    behind.or_else(|| words.iter().find_map(|word| word.strip_prefix("--manifest=")))?.parse().ok()
}

/// What an argument of each command wants is told by its name.
fn with_names(command: Command, session: &Session, manifest: Name) -> Command {
    let (layout, manifest) = (session.layout.clone(), manifest);
    let add = move |arg: clap::Arg| {
        let of: fn(&Layout, &Name) -> Vec<String> = match arg.get_id().as_str() {
            "component" | "components" => components,
            "source" | "sources" => sources,
            "name" | "names" => both,
            "manifest" => |layout, _| words_of(manifest_names(layout)),
            "branch" | "branches" => |layout, _| words_of(gate_names(layout)),
            "job" => |layout, _| words_of(job_names(layout)),
            "flight" => |layout, _| flights(layout),
            "installed" => |layout, _| Record::read(layout).owners.keys().map(|path| format!("/{path}")).collect(),
            _ => return arg,
        };
        let (layout, manifest) = (layout.clone(), manifest.clone());
        arg.add(ArgValueCandidates::new(move || of(&layout, &manifest).iter().map(CompletionCandidate::new).collect()))
    };
    fn everywhere(command: Command, add: &impl Fn(clap::Arg) -> clap::Arg) -> Command {
        command.mut_args(add).mut_subcommands(|below| everywhere(below, add))
    }
    everywhere(command, &add)
}

fn words_of(names: impl IntoIterator<Item = Name>) -> Vec<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

/// Flights that have logs, the newest first: told by directories, since not every binary can read the gate's state.
fn flights(layout: &Layout) -> Vec<String> {
    let entries = std::fs::read_dir(layout.work().join("gate/log")).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    numbers.into_iter().map(|number| number.to_string()).collect()
}

fn components(layout: &Layout, manifest: &Name) -> Vec<String> {
    Definitions::load(layout, manifest).map(|all| words_of(all.components.into_keys())).unwrap_or_default()
}

fn sources(layout: &Layout, manifest: &Name) -> Vec<String> {
    Definitions::load(layout, manifest).map(|all| words_of(all.manifest.sources.into_keys())).unwrap_or_default()
}

fn both(layout: &Layout, manifest: &Name) -> Vec<String> {
    let mut names = [components(layout, manifest), sources(layout, manifest)].concat();
    names.sort();
    names.dedup();
    names
}
