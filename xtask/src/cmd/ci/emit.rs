//! `ci emit`: the part of the graph that would be built now, as a pipeline.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use serde::Serialize;

use super::{EmitArgs, Format};
use crate::cmd::Session;
use crate::cmd::standing::{Standing, standings};
use crate::definition::{Definitions, Name};
use crate::error::{Context, Error, Result};
use crate::machine::Machine;
use crate::process::shell_line;
use crate::settings::{Key, Setting};
use crate::state::State;
use crate::world::World;

/// One job: it builds one component.
#[derive(Debug, Serialize)]
struct Job {
    id: String,
    argv: Vec<String>,
    line: String,
    needs: Vec<String>,
}

pub(super) fn run(session: &Session, args: &EmitArgs) -> Result<()> {
    let definitions = session.settled()?;
    let said = said(session, &definitions)?;
    let wanted = args.selection.wanted(session)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let jobs = jobs(&world, &State::read(&session.layout), args.full, &said)?;
    let text = render(session, args, &jobs, &said)?;
    match &args.out {
        None => print!("{text}"),
        Some(file) => {
            crate::atomic::write(file, text.as_bytes())?;
            println!("{}: {} components to build", file.display(), jobs.len());
        }
    }
    Ok(())
}

/// Every setting that the jobs are chosen with, wherever it was said: `.config`, what `configure` keeps and this environment are not
/// where the jobs run.
fn said(session: &Session, definitions: &Definitions) -> Result<Vec<String>> {
    let settings = session.settings(definitions)?;
    let word = |(key, setting): (&Key, &Setting)| {
        let word = format!("{key}={}", setting.value);
        if word.contains(char::is_control) {
            return Err(Error::input(format!(
                "cannot write `{}` into a pipeline: it is not one line",
                word.escape_debug()
            )));
        }
        Ok(if matches!(key, Key::Provider(_)) { format!("--{word}") } else { word })
    };
    settings.iter().map(word).collect()
}

/// Jobs for what is not known, each behind its needs.
fn jobs(world: &World, state: &State, full: bool, said: &[String]) -> Result<Vec<Job>> {
    world.read_sources()?;
    let is_dirty = |standing: Standing| full || matches!(standing, Standing::Changed | Standing::New | Standing::Open);
    let dirty = standings(world, state, false)?.into_iter().filter(|(_, standing)| is_dirty(*standing));
    let dirty: BTreeSet<Name> = dirty.map(|(name, _)| name).collect();
    let job = |name: &Name| {
        let mut argv = words(&["build", "--only", "--yes", name.as_str()]);
        argv.extend_from_slice(said);
        let needs = world.plan.needs[name].iter().filter(|need| dirty.contains(*need)).map(id).collect();
        Job { id: id(name), line: line(&argv), argv, needs }
    };
    Ok(world.plan.order.iter().filter(|name| dirty.contains(*name)).map(job).collect())
}

/// A component's name as every CI takes it.
fn id(name: &Name) -> String {
    name.as_str().replace('+', "-plus-").replace('.', "-dot-")
}

/// A shell line, as YAML takes it.
fn line(argv: &[String]) -> String {
    let line = shell_line(argv);
    match line.contains(": ") || line.contains(" #") || line.ends_with(':') {
        true => format!("'{}'", line.replace('\'', "''")),
        false => line,
    }
}

/// A command line of ours.
fn words(words: &[&str]) -> Vec<String> {
    ["cargo", "xtask"].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

fn render(session: &Session, args: &EmitArgs, jobs: &[Job], said: &[String]) -> Result<String> {
    let (format, template) = match args.format {
        Format::Gitlab => ("gitlab", "gitlab.yml.j2"),
        Format::Github => ("github", "github.yml.j2"),
        Format::Buildbot => ("buildbot", "buildbot.py.j2"),
    };
    // Read now, not compiled in: whoever wants other pipelines changes them.
    let path = session.layout.root.join("ci/templates").join(template);
    let template =
        std::fs::read_to_string(&path).context(|| format!("cannot read the template `{}`", path.display()))?;
    let rendering = || format!("cannot write a pipeline by `{}`", path.display());
    let mut environment = minijinja::Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.context(rendering)?);
    environment.add_template("pipeline", &template).context(rendering)?;
    let names: Vec<&str> = args.selection.components.iter().map(String::as_str).collect();
    let flags = args.selection.all.then_some("--all");
    let mut last: Vec<&str> = vec!["build", "--yes"];
    last.extend(flags);
    last.extend(&names);
    let mut command = vec!["ci", "emit", "--format", format, "--manifest", session.manifest.as_str()];
    command.extend(flags);
    command.extend(args.full.then_some("--full"));
    command.extend(&names);
    let last: Vec<String> = words(&last).into_iter().chain(said.iter().cloned()).collect();
    let command: Vec<String> = words(&command).into_iter().chain(said.iter().cloned()).collect();
    let context = minijinja::context! {
        command => shell_line(command),
        manifest => session.manifest.as_str(),
        jobs => Serde(jobs),
        last => line(&last),
        last_argv => last,
    };
    environment.get_template("pipeline").and_then(|template| template.render(context)).context(rendering)
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_id_is_what_every_ci_takes() {
        assert_eq!(super::id(&"gtk+3.0".parse().unwrap()), "gtk-plus-3-dot-0");
    }

    #[test]
    fn a_line_is_quoted_for_a_shell_and_for_yaml() {
        let line = |word: &str| super::line(&["build".to_owned(), word.to_owned()]);
        assert_eq!(line("A=b"), "build A=b");
        assert_eq!(line("A=b c"), "build 'A=b c'");
        assert_eq!(line("A=b: c"), "'build ''A=b: c'''");
    }
}
