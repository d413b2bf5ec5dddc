//! One run: which sources and outputs are missing, and the schedule that makes them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Args, Session};
use crate::action::Inputs;
use crate::cmd::fetch::{How, fetch_source, vendor_crates};
use crate::cmd::moves::exact;
use crate::definition::{Driver, Name};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::origin;
use crate::plan::Provider;
use crate::run::kept::{self, Kept};
use crate::run::{Building, Done, Event, Job, Outcome, Report, Schedule, job_budget, timed};
use crate::state::State;
use crate::store::Found;
use crate::world::World;

/// What everything in a run needs.
pub(super) struct Run<'a> {
    pub(super) session: &'a Session,
    pub(super) args: &'a Args,
    pub(super) world: &'a World,
    pub(super) report: &'a Report,
    pub(super) state: State,
}

impl Run<'_> {
    /// Builds and installs; what the store turns out to have lost is made again.
    pub(super) fn go(mut self) -> Result<()> {
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
        for name in &self.world.definitions.chosen.without {
            let what = Provider::absent("it was left out", &self.world.component(name).without);
            self.report.note(format!("without `{name}`: {}", what.trim_start_matches("it was left out: ")));
        }
        if !self.session.json {
            let overridden = self.world.overridden().line();
            let with = if overridden.is_empty() { overridden } else { format!(", with overrides: {overridden}") };
            eprintln!("done in {}{with}", crate::run::duration(self.report.elapsed().as_secs_f64()));
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
            if self.world.overrides.0.contains_key(&source) {
                self.world.needed_source(&source)?;
            }
            match self.world.source(&source)? {
                Some(tree) if tree.at_pin => {}
                Some(_) => match self.world.override_of(&source)? {
                    Some(why) => self.report.note(format!(
                        "`{source}` {why}; it is built as it is, as an override (cargo xtask status {source})"
                    )),
                    None => drop(to_fetch.insert(source)),
                },
                None => drop(to_fetch.insert(source)),
            }
        }
        let mut vendor = BTreeSet::new();
        for name in &self.world.plan.order {
            let component = self.world.component(name);
            if matches!(component.build, Driver::Cargo(_)) {
                let here = match self.world.source(&component.source)? {
                    Some(_) => self.world.crates(&component.source)?.is_dir(),
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
        self.known(name, &inputs)
    }

    /// What is known of those inputs without building.
    fn known(&self, name: &Name, inputs: &Inputs) -> Result<Option<Done>> {
        if let Some(exact) = self.found(name, inputs.action()?.digest, false)? {
            return Ok(Some(exact));
        }
        match self.world.is_kept(name) && !self.args.clean {
            true => self.found(name, inputs.incremental()?.action()?.digest, true),
            false => Ok(None),
        }
    }

    /// The directory of an earlier build that this one may go on from, if it is one that is kept.
    fn kept(&self, name: &Name, inputs: &Inputs, epoch: u64) -> Result<Option<Kept>> {
        if !self.world.is_kept(name) {
            return Ok(None);
        }
        let dir = self.session.layout.build(name);
        if self.args.clean {
            kept::forget(&dir)?;
        }
        let (kept, reason) = Kept::look(dir, inputs, epoch, &self.world.store)?;
        if let Some(reason) = reason {
            self.report.note(format!("{name} starts from an empty directory: {reason}"));
        }
        Ok(Some(kept))
    }

    fn found(&self, name: &Name, action: Digest, incremental: bool) -> Result<Option<Done>> {
        let Found::Here(output) = self.world.store.output(action)? else { return Ok(None) };
        let known = self.state.built.get(name).is_some_and(|built| built.action == action);
        let component = name.to_string();
        self.report.send(if known { Event::UpToDate { component } } else { Event::Restored { component } });
        if !known {
            self.world.store.touch(action);
        }
        Ok(Some(Done { action, output, incremental, built: None }))
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
        if self.world.overrides.0.contains_key(source) {
            // Only its crates are missing.
            return self.vendor(source, vendor);
        }
        self.report.send(Event::FetchStarted { source: source.to_string() });
        let (result, seconds) =
            timed(|| fetch_source(self.session, self.world, source, How::default(), &|line| self.report.note(line)));
        let kept = result?;
        if kept == origin::CheckedOut::Kept {
            self.report
                .note(format!("`{source}` is not at its pin; it is built as it is (cargo xtask status {source})"));
        }
        self.vendor(source, vendor)?;
        self.report.send(Event::FetchEnded { source: source.to_string(), seconds });
        Ok(())
    }

    fn vendor(&self, source: &Name, vendor: &BTreeSet<Name>) -> Result<()> {
        let users = vendor.iter().filter(|name| self.world.component(name).source == *source);
        users.into_iter().try_for_each(|name| vendor_crates(self.session, self.world, name))
    }

    fn build(&self, building: &Building<'_>, name: &Name, needs: &BTreeMap<Name, Done>) -> Result<Done> {
        let inputs = self.world.inputs(name, &|need| needs.get(need).map(|done| done.output.clone()))?;
        if let Some(known) = self.known(name, &inputs)? {
            return Ok(known);
        }
        let (source, extra) = self.world.source_dirs(name)?;
        let kept = self.kept(name, &inputs, source.epoch)?;
        let incremental = kept.as_ref().is_some_and(Kept::goes_on);
        let inputs = if incremental { inputs.incremental()? } else { inputs };
        let action = inputs.action()?;
        let last = self.state.built.get(name);
        self.report.send(Event::Started {
            component: name.to_string(),
            expected_seconds: last.map(|built| built.seconds).filter(|seconds| *seconds > 0.0),
        });
        let job = Job {
            name,
            component: self.world.component(name),
            inputs: &inputs,
            action: &action,
            source: &source.dir,
            pin: self.world.pin(&self.world.component(name).source).filter(|_| source.is_pins).map(exact),
            extra: &extra,
            epoch: source.epoch,
            sandbox: &self.world.sandbox(name)?,
            directories: &self.world.definitions.chosen.directories,
            root: &self.session.layout.root,
            logs: &self.session.layout.logs(name),
            keep: self.args.keep,
        };
        let (result, seconds) = timed(|| building.build(&job, kept));
        let (output, steps) = result?;
        let same_output = last.is_some_and(|built| built.output == output.root);
        self.report.send(Event::Built { component: name.to_string(), seconds, same_output, incremental });
        Ok(Done { action: action.digest, output, incremental, built: Some((seconds, steps)) })
    }
}

/// The error that decides the exit status: a user's stop first, then what a candidate is to blame for, then the machine.
fn worst(failed: Vec<(Name, Error)>) -> Option<Error> {
    let rank = |error: &Error| match error.kind() {
        Kind::Interrupted => 0,
        Kind::Step => 1,
        Kind::Input => 2,
        Kind::Machine | Kind::NotRun => 3,
    };
    let mut errors: Vec<Error> = failed.into_iter().map(|(_, error)| error).collect();
    errors.sort_by_key(rank);
    let others: Vec<String> =
        errors.iter().skip(1).filter(|error| error.kind() != Kind::Interrupted).map(Error::report).collect();
    let first = errors.into_iter().next()?;
    Some(if others.is_empty() { first } else { first.details(others.join("\n\n")) })
}
