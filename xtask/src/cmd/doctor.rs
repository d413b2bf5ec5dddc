//! `doctor`: what this machine lacks, and the one command that brings it.

use std::io::IsTerminal;
use std::path::Path;

use clap::builder::styling::{AnsiColor, Style};

use super::{Selection, Session};
use crate::definition::{Definitions, Name};
use crate::doctor::{Diagnosis, Finding, Verdict, diagnose};
use crate::error::{Error, Result};
use crate::host::try_all;
use crate::machine::Machine;
use crate::plan::{Plan, Provider};

/// Say what this machine lacks, and the one command that installs it
///
///     cargo xtask doctor                   for building and running everything of the manifest
///     cargo xtask doctor --all             the optional components too
///     cargo xtask doctor xen seabios       for these and what they need
///     cargo xtask doctor -m xen-4.20       for another manifest
///     cargo xtask doctor --host            whether this machine can run the results: devices, kernel, programs, each tried
///
/// `cargo xtask build --yes` installs what building needs by itself. Exit status: 0 one can build; 3 something is missing for
/// it. What is only missing at run time changes nothing.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Try what the components need of the host that runs them, instead; some of it only root can
    #[arg(long)]
    host: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.settled()?;
    let wanted = args.selection.wanted(session)?;
    let machine = Machine::of(&session.layout, false)?;
    if args.host {
        let plan = Plan::new(&definitions.manifest, &definitions.components, &wanted, &machine.platform())?;
        return host(session, &definitions, &plan);
    }
    let diagnosis = diagnose(&session.layout, &definitions, &wanted, &machine, &session.cancel)?;
    if session.json {
        super::print_json(&diagnosis)?;
    } else {
        print!("{}", text(&diagnosis, &Look::of_this_terminal()));
    }
    if diagnosis.can_build { Ok(()) } else { Err(Error::machine("this machine lacks what building needs").said()) }
}

/// What runs here: what we build, and what the system has in its place.
fn host(session: &Session, definitions: &Definitions, plan: &Plan) -> Result<()> {
    let is_there = |name: &&Name| matches!(plan.providers[*name], Provider::Internal | Provider::System(_));
    let components = definitions.components.iter().filter(|(name, _)| is_there(name));
    let findings = try_all(Path::new("/"), components, &session.cancel)?;
    let can_run = findings.iter().all(|finding| finding.verdict != Verdict::Missing);
    if session.json {
        super::print_json(&serde_json::json!({ "can-run": can_run, "host": findings }))?;
    } else {
        let look = Look::of_this_terminal();
        print!("{}", table("on the host that runs it", &findings, width(&findings), &look));
        println!("{}", if can_run { "This machine can run it." } else { "This machine cannot run it." });
    }
    if can_run { Ok(()) } else { Err(Error::machine("this machine lacks what running needs").said()) }
}

fn width<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> usize {
    findings.into_iter().map(|finding| finding.what.chars().count()).max().unwrap_or_default()
}

/// Findings under their title.
fn table(title: &str, findings: &[Finding], width: usize, look: &Look) -> String {
    let mut text = format!("{title}\n");
    for Finding { what, verdict, text: found, help, .. } in findings {
        text.push_str(&format!("  {} {what:<width$}  {}\n", look.mark(*verdict), one_line(found)));
        for help in help {
            text.push_str(&format!("    {:width$}    help: {help}\n", ""));
        }
    }
    text.push('\n');
    text
}

/// How things look on a terminal.
struct Look {
    is_utf8: bool,
    is_coloured: bool,
}

impl Look {
    fn of_this_terminal() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase().replace('-', "");
        let is_coloured = std::io::stdout().is_terminal()
            && set("NO_COLOR").is_none()
            && set("TERM").is_none_or(|term| term != "dumb");
        Look { is_utf8: locale.ends_with("utf8"), is_coloured }
    }

    fn mark(&self, verdict: Verdict) -> String {
        let (tick, word, colour) = match verdict {
            Verdict::Good => ("✓", "ok", AnsiColor::Green),
            Verdict::Poor => ("!", "! ", AnsiColor::Yellow),
            Verdict::Missing => ("✗", "NO", AnsiColor::Red),
        };
        let mark = if self.is_utf8 { tick } else { word };
        if !self.is_coloured {
            return mark.to_owned();
        }
        let style = Style::new().fg_color(Some(colour.into()));
        format!("{style}{mark}{style:#}")
    }
}

fn text(diagnosis: &Diagnosis, look: &Look) -> String {
    let Diagnosis { can_build, machine, build, run_time, install } = diagnosis;
    let width = width(machine.iter().chain(build).chain(run_time));
    let mut text = String::new();
    for (title, findings) in
        [("to build", machine), ("build packages", build), ("at run time, not needed to build", run_time)]
    {
        if findings.is_empty() {
            continue;
        }
        text.push_str(&table(title, findings, width, look));
    }
    text.push_str(match can_build {
        true => "This machine can build.\n",
        false => "This machine cannot build yet.\n",
    });
    if let Some(command) = install {
        let what = if *can_build {
            "What is missing at run time is installed by"
        } else {
            "The missing packages are installed by"
        };
        text.push_str(&format!("{what}\n\n    {command}\n"));
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(what: &str, verdict: Verdict, text: &str, help: &[&str]) -> Finding {
        let help = help.iter().map(ToString::to_string).collect();
        Finding { what: what.into(), verdict, text: text.into(), help, packages: Vec::new() }
    }

    #[test]
    fn the_answer_is_aligned_and_ends_with_the_command() {
        let diagnosis = Diagnosis {
            can_build: false,
            machine: vec![
                finding("git", Verdict::Good, "/usr/bin/git", &[]),
                finding("bubblewrap", Verdict::Missing, "does not work:\n no", &["sysctl -w a=1"]),
            ],
            build: vec![finding("xen", Verdict::Missing, "missing: bison", &[])],
            run_time: vec![finding("qemu", Verdict::Poor, "there is no /q", &[])],
            install: Some("apt-get install bison".into()),
        };
        let plain = text(&diagnosis, &Look { is_utf8: true, is_coloured: false });
        assert_eq!(
            plain,
            "to build\n  ✓ git         /usr/bin/git\n  ✗ bubblewrap  does not work: no\n                  help: sysctl -w a=1\n\n\
             build packages\n  ✗ xen         missing: bison\n\n\
             at run time, not needed to build\n  ! qemu        there is no /q\n\n\
             This machine cannot build yet.\nThe missing packages are installed by\n\n    apt-get install bison\n"
        );
        let coloured = text(&diagnosis, &Look { is_utf8: false, is_coloured: true });
        assert!(coloured.contains("\u{1b}[32mok\u{1b}[0m git") && coloured.contains("NO\u{1b}[0m xen"), "{coloured}");
    }
}
