//! `build`: from a manifest to an installed tree.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, IsTerminal, Write};

use super::Session;
use crate::definition::{Driver, Name};
use crate::digest::Digest;
use crate::dist;
use crate::error::{Context, Error, Kind, Result};
use crate::machine::Machine;
use crate::merge::merge;
use crate::origin;
use crate::plan::{Provider, Wanted};
use crate::run::{Building, Done, Event, Job, Mode, Outcome, Report, Schedule, job_budget, timed};
use crate::state::{Built, State};
use crate::store::{Found, Output, register_root};
use crate::tree::Node;
use crate::turn::{self, Hold};
use crate::world::World;

/// Fetch, build and install components into dist/
///
///     cargo xtask build --yes              everything; installs what the build lacks
///     cargo xtask build seabios            one component and what it needs
///     cargo xtask build --all              the optional ones too
///     cargo xtask build --dry-run          what would be done, and why
///
/// What was built before from the same inputs is not built again, wherever it was built.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Components to build [default: those of the manifest]
    components: Vec<String>,
    /// Build the manifest's optional components too
    #[arg(long)]
    all: bool,
    /// Install missing build dependencies without asking (root or sudo)
    #[arg(long, short)]
    yes: bool,
    /// Jobs in all, shared by everything that runs [default: number of cores]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Go on with what does not depend on a failure
    #[arg(long, short)]
    keep_going: bool,
    /// Keep the build directories of successes too, below .xtask/build/
    #[arg(long)]
    keep: bool,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Build without bubblewrap: results stay on this machine and can be neither shared nor released
    #[arg(long)]
    no_sandbox: bool,
    /// Kill a step that runs longer (`90s`, `1h 30m`), even where its definition allows more
    #[arg(long, value_name = "DURATION")]
    timeout: Option<humantime::Duration>,
    /// Show the last line of each log while it grows
    #[arg(long, short)]
    tail: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.definitions()?;
    let wanted = Wanted { names: Session::names(&args.components)?, all: args.all };
    let machine = Machine::of(&session.layout, args.no_sandbox)?;
    let locked = session.whole_lock(&definitions).map(|_| ());
    let mut world = World::new(session.layout.clone(), definitions, &wanted, machine)?;
    if args.dry_run {
        return dry_run(session, &world);
    }
    locked?;
    let report = Report::new(
        if session.json { Mode::Json } else { Mode::Auto },
        args.tail.then(|| session.layout.work().join("log")),
    );
    let say = |line: &str| report.note(line);
    let _turn = session.turn(&say)?;
    let gc = world.store.root().join("gc.lock");
    let _in_use = turn::take(
        &gc,
        Hold::Shared,
        &session.cancel,
        &say,
        "another cargo xtask collects garbage in the store; waiting for its end",
    )?;
    world.store.sweep()?;
    origin::sweep(&session.layout);
    world.read_sources()?;
    provide_packages(session, &mut world, args, &report)?;
    say_unsealed(&world, args.no_sandbox, &report);
    Run { session, args, world: &world, report: &report, state: State::read(&session.layout) }.go()
}

fn dry_run(session: &Session, world: &World) -> Result<()> {
    let state = State::read(&session.layout);
    let mut lines = Vec::new();
    for name in &world.plan.order {
        let component = world.component(name);
        let origin = world.origin(&component.source)?;
        let pin = match (world.pin(&component.source), origin.kind()) {
            (_, "path") => "local".to_owned(),
            (Some(pin), _) => pin
                .version
                .clone()
                .or(pin.commit.as_ref().map(ToString::to_string))
                .unwrap_or_else(|| pin.tree.to_string()),
            (None, _) => "not locked".to_owned(),
        };
        let seconds = state.built.get(name).map(|built| built.seconds);
        lines.push(serde_json::json!({
            "component": name, "source": component.source, "origin": origin.kind(), "pin": pin,
            "needs": component.needs, "expected-seconds": seconds,
        }));
    }
    if session.json {
        return super::print_json(&serde_json::json!({ "manifest": session.manifest, "plan": lines }));
    }
    println!("{}: {}", session.manifest, world.definitions.manifest.summary);
    if world.definitions.lock.is_none() {
        println!(
            "This manifest has no lock: it is a plan. Where its origins can be reached: cargo xtask update -m {}",
            session.manifest
        );
    }
    for (name, line) in world.plan.order.iter().zip(&lines) {
        let needs: Vec<&str> = world.component(name).needs.iter().map(Name::as_str).collect();
        let after = if needs.is_empty() { String::new() } else { format!("  after {}", needs.join(", ")) };
        println!(
            "  build   {name:<12} {} {}{after}",
            line["origin"].as_str().unwrap_or_default(),
            line["pin"].as_str().unwrap_or_default()
        );
    }
    for (name, provider) in &world.plan.providers {
        match provider {
            Provider::System(path) => println!("  system  {name:<12} {path}"),
            Provider::Skipped(reason) => println!("  skip    {name:<12} {reason}"),
            Provider::Absent => println!("  without {name:<12} nobody provides it"),
            Provider::Internal => {}
        }
    }
    Ok(())
}

/// Build dependencies that are missing: installed with `--yes` or when a person at a terminal agrees.
fn provide_packages(session: &Session, world: &mut World, args: &Args, report: &Report) -> Result<()> {
    let components: Vec<_> = world.plan.order.iter().map(|name| world.component(name)).collect();
    let missing =
        world.machine.missing_packages(components.iter().map(|component| &component.packages), args.no_sandbox)?;
    if missing.is_empty() {
        return Ok(());
    }
    let command = world.machine.install_command(&missing);
    let agreed =
        args.yes || (std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && ask(&missing, &command)?);
    if !agreed {
        return Err(Error::machine(format!("missing build dependencies: {}", missing.join(" ")))
            .help("cargo xtask build --yes   # installs them")
            .help(command));
    }
    report.note(format!("installing build dependencies: {}", missing.join(" ")));
    world.machine.install(&missing, &session.cancel, &|line| report.note(line))?;
    // What the machine is has changed, and with it every key.
    world.machine = Machine::of(&session.layout, args.no_sandbox)?;
    Ok(())
}

/// Without bubblewrap a build sees the whole machine.
fn say_unsealed(world: &World, asked: bool, report: &Report) {
    if world.machine.bubblewrap().is_some() {
        return;
    }
    let refused =
        || world.machine.bubblewrap_refused().map_or_else(String::new, |refused| format!(": {}", refused.why));
    let why =
        if asked { "as asked for".to_owned() } else { format!("since bubblewrap does not work here{}", refused()) };
    report.note(format!(
        "no sandbox, {why}: results stay on this machine and can be neither shared nor released (cargo xtask doctor)"
    ));
}

fn ask(missing: &[String], command: &str) -> Result<bool> {
    let mut terminal = std::io::stderr();
    let asking = || "cannot ask on the terminal".to_owned();
    writeln!(terminal, "These build dependencies are missing: {}\nThey are installed by: {command}", missing.join(" "))
        .context(asking)?;
    write!(terminal, "Install them now? [y/N] ").context(asking)?;
    terminal.flush().context(asking)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context(asking)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

struct Run<'a> {
    session: &'a Session,
    args: &'a Args,
    world: &'a World,
    report: &'a Report,
    state: State,
}

impl Run<'_> {
    fn go(mut self) -> Result<()> {
        let result = self.attempt();
        // What was found damaged now counts as missing, so a second attempt makes it again.
        match result {
            Err(error) if error.kind() == Kind::Machine && self.tell_damage() => {
                let result = self.attempt();
                self.tell_damage();
                result
            }
            result => {
                self.tell_damage();
                result
            }
        }
    }

    fn attempt(&mut self) -> Result<()> {
        let (to_fetch, vendor) = self.missing_sources()?;
        let done = self.up_to_date(&to_fetch)?;
        self.tell_damage();
        self.report.send(Event::Planned {
            manifest: self.session.manifest.to_string(),
            components: self.world.plan.order.len() - done.len(),
            up_to_date: done.len(),
        });
        let jobs = self.args.jobs.unwrap_or_else(|| self.world.machine.cores()).max(1);
        let whole = done.len() == self.world.plan.order.len();
        let (done, failed) = if whole { (done, Vec::new()) } else { self.schedule(done, to_fetch, vendor, jobs)? };
        let remembered = self.remember(&done);
        let failures: BTreeSet<&Name> = failed.iter().map(|(name, _)| name).collect();
        let after = |name: &&Name| self.world.plan.needs[*name].iter().any(|need| failures.contains(need));
        let unbuilt: Vec<&str> = self.world.plan.order.iter().filter(after).map(Name::as_str).collect();
        if !unbuilt.is_empty() {
            self.report.note(format!("not built, because they need what failed: {}", unbuilt.join(", ")));
        }
        if let Some(error) = worst(failed) {
            return Err(error);
        }
        remembered?;
        self.install(&done)?;
        if !self.session.json {
            eprintln!("done in {}", crate::run::duration(self.report.elapsed().as_secs_f64()));
        }
        Ok(())
    }

    /// Says what the store was found to have lost since the last call, if anything.
    fn tell_damage(&self) -> bool {
        let lines = self.world.store.take_damaged();
        for line in &lines {
            self.report.note(line);
        }
        !lines.is_empty()
    }

    /// Sources that are not what the lock says, and those whose crates are not here.
    fn missing_sources(&self) -> Result<(BTreeSet<Name>, BTreeSet<Name>)> {
        let mut to_fetch = BTreeSet::new();
        for source in self.world.sources() {
            match self.world.source(&source)? {
                Some(tree) if tree.at_pin => {}
                Some(_) if self.has_local_work(&source)? => self.report.note(format!(
                    "`{source}` has local changes; they are built as they are (cargo xtask status {source})"
                )),
                _ => {
                    to_fetch.insert(source);
                }
            }
        }
        let mut vendor = BTreeSet::new();
        for name in &self.world.plan.order {
            let component = self.world.component(name);
            if matches!(component.build, Driver::Cargo(_)) {
                let here = match self.world.source(&component.source)? {
                    Some(source) => crate::cargo_driver::crates_dir(&self.session.layout, &source.tree)?.is_dir(),
                    None => false,
                };
                if !here {
                    to_fetch.insert(component.source.clone());
                    vendor.insert(name.clone());
                }
            }
        }
        Ok((to_fetch, vendor))
    }

    fn has_local_work(&self, source: &Name) -> Result<bool> {
        let (origin, pin) = (self.world.origin(source)?, self.world.pin(source));
        let state = origin::state(&self.session.layout, source, origin, pin)?;
        Ok(matches!(state, origin::State::Worked { .. }))
    }

    /// Components whose output is known without doing anything.
    fn up_to_date(&self, to_fetch: &BTreeSet<Name>) -> Result<BTreeMap<Name, Done>> {
        let mut done: BTreeMap<Name, Done> = BTreeMap::new();
        for name in &self.world.plan.order {
            let ready = self.world.sources_of(name).is_disjoint(to_fetch)
                && self.world.plan.needs[name].iter().all(|need| done.contains_key(need));
            if ready && let Some(found) = self.lookup(name, &done)? {
                done.insert(name.clone(), found);
            }
        }
        Ok(done)
    }

    fn lookup(&self, name: &Name, done: &BTreeMap<Name, Done>) -> Result<Option<Done>> {
        let inputs = self.world.inputs(name, &|need| done.get(need).map(|done| done.output.clone()))?;
        self.found(name, inputs.action()?.digest)
    }

    fn found(&self, name: &Name, action: Digest) -> Result<Option<Done>> {
        let Found::Here(output) = self.world.store.output(action)? else { return Ok(None) };
        let known = self.state.built.get(name).is_some_and(|built| built.action == action);
        let component = name.to_string();
        self.report.send(if known { Event::UpToDate { component } } else { Event::Restored { component } });
        if !known {
            self.world.store.touch(action);
        }
        Ok(Some(Done { action, output, built: None }))
    }

    fn schedule(
        &self,
        done: BTreeMap<Name, Done>,
        to_fetch: BTreeSet<Name>,
        vendor: BTreeSet<Name>,
        jobs: usize,
    ) -> Result<Outcome> {
        let order = &self.world.plan.order;
        let schedule = Schedule {
            plan: &self.world.plan,
            done,
            sources: order.iter().map(|name| (name.clone(), self.world.sources_of(name))).collect(),
            to_fetch,
            seconds: order.iter().map(|name| (name.clone(), self.state.seconds(name))).collect(),
            keep_going: self.args.keep_going,
            most: jobs,
        };
        let budget = job_budget(jobs)?;
        let building = Building {
            store: &self.world.store,
            report: self.report,
            cancel: &self.session.cancel,
            jobserver: &budget,
            jobs,
            timeout: self.args.timeout.map(Into::into),
        };
        let fetch = |source: &Name| self.fetch(source, &vendor);
        let build = |name: &Name, needs: &BTreeMap<Name, Done>| self.build(&building, name, needs);
        Ok(schedule.run(self.report, &self.session.cancel, &budget, &fetch, &build))
    }

    fn fetch(&self, source: &Name, vendor: &BTreeSet<Name>) -> Result<()> {
        self.report.send(Event::FetchStarted { source: source.to_string() });
        let (result, seconds) =
            timed(|| fetch_source(self.session, self.world, source, false, &|line| self.report.note(line)));
        let kept = result?;
        if kept == origin::CheckedOut::Kept {
            self.report
                .note(format!("`{source}` is not at its pin; it is built as it is (cargo xtask status {source})"));
        }
        for name in vendor.iter().filter(|name| self.world.component(name).source == *source) {
            vendor_crates(self.session, self.world, name)?;
        }
        self.report.send(Event::FetchEnded { source: source.to_string(), seconds });
        Ok(())
    }

    fn build(&self, building: &Building<'_>, name: &Name, needs: &BTreeMap<Name, Done>) -> Result<Done> {
        let inputs = self.world.inputs(name, &|need| needs.get(need).map(|done| done.output.clone()))?;
        let action = inputs.action()?;
        if let Some(found) = self.found(name, action.digest)? {
            return Ok(found);
        }
        let last = self.state.built.get(name);
        self.report.send(Event::Started {
            component: name.to_string(),
            expected_seconds: last.map(|built| built.seconds).filter(|seconds| *seconds > 0.0),
        });
        let (source, extra) = self.world.source_dirs(name)?;
        let job = Job {
            name,
            component: self.world.component(name),
            inputs: &inputs,
            action: &action,
            source: &source.dir,
            extra: &extra,
            epoch: source.epoch,
            sandbox: &self.world.sandbox(name)?,
            root: &self.session.layout.root,
            logs: &self.session.layout.logs(name),
            keep: self.args.keep,
        };
        let (result, seconds) = timed(|| building.build(&job));
        let (output, steps) = result?;
        let same_output = last.is_some_and(|built| built.output == output.root);
        self.report.send(Event::Built { component: name.to_string(), seconds, same_output });
        Ok(Done { action: action.digest, output, built: Some((seconds, steps)) })
    }

    /// Writes down what was learned, and what gc must keep.
    fn remember(&mut self, done: &BTreeMap<Name, Done>) -> Result<()> {
        let before = self.state.clone();
        for (name, done) in done {
            let old = self.state.built.get(name);
            let (seconds, steps, restored) = match (&done.built, old) {
                (Some((seconds, steps)), _) => (*seconds, steps.clone(), false),
                (None, Some(old)) if old.action == done.action => (old.seconds, old.steps.clone(), old.restored),
                (None, old) => (old.map_or(0.0, |old| old.seconds), Vec::new(), true),
            };
            let built = Built { action: done.action, output: done.output.root, seconds, steps, restored };
            self.state.built.insert(name.clone(), built);
        }
        if self.state != before {
            self.state.write(&self.session.layout)?;
        }
        let manifest = &self.world.definitions.manifest;
        let current = manifest.components.iter().chain(&manifest.optional);
        let needed = current.filter_map(|name| self.state.built.get(name)).map(|built| built.action).collect();
        register_root(&self.world.store, &self.session.layout.root, self.session.manifest.as_str(), needed)
    }

    /// Merges everything into dist/: what was asked for now, and what an earlier run of this manifest put there.
    fn install(&self, done: &BTreeMap<Name, Done>) -> Result<()> {
        let manifest = &self.world.definitions.manifest;
        let record = dist::Record::read(&self.session.layout);
        let owners: BTreeSet<&Name> = record.owners.values().collect();
        let mut outputs: BTreeMap<Name, Output> = BTreeMap::new();
        for name in manifest.components.iter().chain(&manifest.optional) {
            if let Some(done) = done.get(name) {
                outputs.insert(name.clone(), done.output.clone());
            } else if let (true, Some(built)) = (owners.contains(name), self.state.built.get(name))
                && let Found::Here(tree) = self.world.store.tree(built.output)?
            {
                outputs.insert(name.clone(), Output { root: built.output, tree });
            }
        }
        let merged = merge(outputs.iter().map(|(name, output)| (name, &output.tree)), &manifest.shared)?;
        let installed = dist::install(&self.session.layout, &self.world.store, &merged)?;
        self.report.send(Event::Installed {
            dist: self.session.layout.dist().display().to_string(),
            written: installed.written,
            removed: installed.removed,
            files: merged.tree.0.values().filter(|node| !matches!(node, Node::Directory { .. })).count(),
        });
        if !installed.foreign.is_empty() {
            let shown: Vec<&str> = installed.foreign.iter().take(3).map(String::as_str).collect();
            let more = installed.foreign.len().saturating_sub(3);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.report
                .note(format!("dist/ holds files that nobody here installed, left alone: {}{more}", shown.join(", ")));
        }
        if installed.lost.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = installed.lost.iter().map(Name::as_str).collect();
        Err(Error::machine(format!("the store lost a part of the output of {}", names.join(", ")))
            .help("cargo xtask build   # makes it again"))
    }
}

/// Brings one source, and says what was done.
pub fn fetch_source(
    session: &Session,
    world: &World,
    source: &Name,
    discard: bool,
    say: &(dyn Fn(&str) + Sync),
) -> Result<origin::CheckedOut> {
    let result = origin::fetch(&session.fetching(discard, say), source, world.origin(source)?, world.pin(source));
    world.forget(source);
    result
}

/// Brings the crates of a cargo component.
pub fn vendor_crates(session: &Session, world: &World, name: &Name) -> Result<()> {
    let component = world.component(name);
    let Some(source) = world.source(&component.source)? else { return Ok(()) };
    crate::cargo_driver::vendor(&session.layout, component, &source.dir, &source.tree, session.offline, &session.cancel)
}

/// The error that decides the exit status: a user's stop first, then what a candidate is to blame for, then the machine.
fn worst(failed: Vec<(Name, Error)>) -> Option<Error> {
    let rank = |error: &Error| match error.kind() {
        Kind::Interrupted => 0,
        Kind::Step => 1,
        Kind::Input => 2,
        Kind::Machine => 3,
    };
    let mut errors: Vec<Error> = failed.into_iter().map(|(_, error)| error).collect();
    errors.sort_by_key(rank);
    let others: Vec<String> =
        errors.iter().skip(1).filter(|error| error.kind() != Kind::Interrupted).map(Error::report).collect();
    let first = errors.into_iter().next()?;
    Some(if others.is_empty() { first } else { first.details(others.join("\n\n")) })
}
