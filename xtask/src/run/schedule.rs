//! All components of a plan: fetch and build at once, what delays the end the longest first, one job budget for everything.
//!
//! The loop owns all state and takes events from one channel; workers only do. A build takes one token of the jobserver, which is
//! the job that its `make` may always run; the rest of the pool is what make and cargo share among themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::event::Event;
use super::report::Report;
use crate::definition::Name;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;
use crate::process::Cancel;
use crate::store::Output;

/// How many sources are fetched at once: the network, not this machine, is what they wait for.
const FETCHES: usize = 8;

/// How a component came to its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// Its action.
    pub action: Digest,
    /// What it installed.
    pub output: Output,
    /// It was built on what an earlier build left.
    pub incremental: bool,
    /// Seconds by step if it was built, nothing if it came from the store.
    pub built: Option<(f64, Vec<(String, f64)>)>,
}

/// What the loop needs to know of a plan.
#[derive(Debug)]
pub struct Schedule<'a> {
    /// Order and needs.
    pub plan: &'a Plan,
    /// What is done already.
    pub done: BTreeMap<Name, Done>,
    /// Sources of each component.
    pub sources: BTreeMap<Name, BTreeSet<Name>>,
    /// Sources that must be fetched first.
    pub to_fetch: BTreeSet<Name>,
    /// Recorded seconds of each component.
    pub seconds: BTreeMap<Name, f64>,
    /// Go on with what does not depend on a failure.
    pub keep_going: bool,
    /// At most that many builds at once.
    pub most: usize,
}

/// What was done, and what failed.
pub type Outcome = (BTreeMap<Name, Done>, Vec<(Name, Error)>);
/// Brings one source.
pub type Fetch<'a> = dyn Fn(&Name) -> Result<()> + Sync + 'a;
/// Gives one component's output, from the store or by building it; gets the outputs of its needs.
pub type Build<'a> = dyn Fn(&Name, &BTreeMap<Name, Done>) -> Result<Done> + Sync + 'a;

enum Message {
    Fetched(Name, Result<()>),
    Built(Name, Result<Done>),
    Token(std::io::Result<jobserver::Acquired>),
}

impl Schedule<'_> {
    /// Runs everything. Gives what was done, also when something failed, and the failures.
    pub fn run(
        &self,
        report: &Report,
        cancel: &Cancel,
        jobserver: &jobserver::Client,
        fetch: &Fetch<'_>,
        build: &Build<'_>,
    ) -> Outcome {
        let critical = self.plan.critical_seconds(&|name| self.seconds.get(name).copied().unwrap_or(60.0));
        let (sender, messages) = mpsc::channel();
        let mut state = Running { done: self.done.clone(), ..Running::default() };
        state.waiting = self.plan.order.iter().filter(|name| !self.done.contains_key(*name)).cloned().collect();
        state.to_fetch = self.fetch_order(&critical);
        std::thread::scope(|scope| {
            let tokens = sender.clone();
            let helper = match jobserver.clone().into_helper_thread(move |token| {
                // The loop is gone only when nothing waits for a token any more.
                tokens.send(Message::Token(token)).unwrap_or_default();
            }) {
                Ok(helper) => helper,
                Err(error) => {
                    let error = Error::machine("cannot share out jobs").because(error);
                    state.failed.extend(self.plan.order.first().map(|name| (name.clone(), error)));
                    return;
                }
            };
            loop {
                state.give_up_on_the_unreachable(self);
                let stop = cancel.is_stopped() || (!state.failed.is_empty() && !self.keep_going);
                if stop {
                    state.waiting.clear();
                    state.to_fetch.clear();
                }
                while state.fetching < FETCHES
                    && let Some(source) = state.to_fetch.pop()
                {
                    state.fetching += 1;
                    let sender = sender.clone();
                    scope.spawn(move || {
                        let result = fetch(&source);
                        sender.send(Message::Fetched(source, result)).unwrap_or_default();
                    });
                }
                if state.tokens_asked < state.ready(self).len().min(self.most.saturating_sub(state.building)) {
                    state.tokens_asked += 1;
                    helper.request_token();
                }
                if state.building == 0 && state.fetching == 0 && state.waiting.is_empty() {
                    break;
                }
                match messages.recv_timeout(Duration::from_millis(250)) {
                    Ok(Message::Fetched(source, result)) => state.fetched(source, result, self),
                    Ok(Message::Built(name, result)) => {
                        state.tokens_may_be_lost |= result.is_err();
                        state.built(name, result, report);
                    }
                    Ok(Message::Token(Err(error))) => {
                        state
                            .failed
                            .push((self.plan.order[0].clone(), Error::machine("cannot share out jobs").because(error)));
                    }
                    Ok(Message::Token(Ok(token))) => {
                        state.tokens_asked = state.tokens_asked.saturating_sub(1);
                        self.give_back_tokens(jobserver, &mut state);
                        let ready = state.ready(self);
                        let by_path = |a: &&Name, b: &&Name| critical[*a].total_cmp(&critical[*b]).then(b.cmp(a));
                        let Some(name) = ready.iter().max_by(|a, b| by_path(a, b)).cloned() else { continue };
                        state.waiting.retain(|other| *other != name);
                        state.building += 1;
                        let needs = &self.plan.needs[&name];
                        let outputs: BTreeMap<Name, Done> =
                            needs.iter().map(|need| (need.clone(), state.done[need].clone())).collect();
                        let sender = sender.clone();
                        scope.spawn(move || {
                            let result = build(&name, &outputs);
                            drop(token);
                            sender.send(Message::Built(name, result)).unwrap_or_default();
                        });
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => report.tick(),
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        (state.done, state.failed)
    }

    /// A killed make takes the tokens it held with it. When nothing runs and none is on its way, all but the one that was just
    /// taken must be in the pool.
    fn give_back_tokens(&self, jobserver: &jobserver::Client, state: &mut Running) {
        if !state.tokens_may_be_lost || state.building > 0 || state.tokens_asked > 0 {
            return;
        }
        let Ok(available) = jobserver.available() else { return };
        for _ in available + 1..self.most {
            jobserver.release_raw().unwrap_or_default();
        }
        state.tokens_may_be_lost = false;
    }

    /// Sources in the order in which they are popped: the one whose components delay the end the longest comes out first.
    fn fetch_order(&self, critical: &BTreeMap<Name, f64>) -> Vec<Name> {
        let weight = |source: &Name| {
            let users = self.sources.iter().filter(|(_, sources)| sources.contains(source));
            users.filter_map(|(name, _)| critical.get(name)).fold(0.0, |a: f64, b| a.max(*b))
        };
        let mut order: Vec<Name> = self.to_fetch.iter().cloned().collect();
        order.sort_by(|a, b| weight(a).total_cmp(&weight(b)).then(b.cmp(a)));
        order
    }
}

#[derive(Default)]
struct Running {
    done: BTreeMap<Name, Done>,
    failed: Vec<(Name, Error)>,
    waiting: Vec<Name>,
    to_fetch: Vec<Name>,
    fetched: BTreeSet<Name>,
    fetching: usize,
    building: usize,
    tokens_asked: usize,
    /// Something failed since the pool was last known to be full.
    tokens_may_be_lost: bool,
}

impl Running {
    /// Components that could start now.
    fn ready(&self, schedule: &Schedule<'_>) -> Vec<Name> {
        let has_sources = |name: &Name| {
            let sources = schedule.sources.get(name);
            sources
                .into_iter()
                .flatten()
                .all(|source| !schedule.to_fetch.contains(source) || self.fetched.contains(source))
        };
        let has_needs = |name: &Name| schedule.plan.needs[name].iter().all(|need| self.done.contains_key(need));
        self.waiting.iter().filter(|name| has_sources(name) && has_needs(name)).cloned().collect()
    }

    fn fetched(&mut self, source: Name, result: Result<()>, schedule: &Schedule<'_>) {
        self.fetching -= 1;
        match result {
            Ok(()) => {
                self.fetched.insert(source);
            }
            Err(error) => {
                let users = |name: &&Name| schedule.sources.get(*name).is_some_and(|sources| sources.contains(&source));
                let user = self.waiting.iter().find(users).or(schedule.plan.order.first()).cloned();
                self.waiting.retain(|name| !users(&name));
                self.failed.extend(user.map(|user| (user, error)));
            }
        }
    }

    fn built(&mut self, name: Name, result: Result<Done>, report: &Report) {
        self.building -= 1;
        match result {
            Ok(done) => {
                self.done.insert(name, done);
            }
            Err(error) => {
                if error.kind() != Kind::Interrupted {
                    report.send(Event::Failed { component: name.to_string(), error: error.report() });
                }
                self.failed.push((name, error));
            }
        }
    }

    /// What needs a component that failed, or that was given up, never starts.
    fn give_up_on_the_unreachable(&mut self, schedule: &Schedule<'_>) {
        if self.failed.is_empty() {
            return;
        }
        let reachable = |name: &Name, waiting: &[Name], done: &BTreeMap<Name, Done>| {
            let needs = &schedule.plan.needs[name];
            needs.iter().all(|need| done.contains_key(need) || waiting.contains(need) || self.building > 0)
        };
        loop {
            let before = self.waiting.len();
            let waiting = self.waiting.clone();
            self.waiting.retain(|name| reachable(name, &waiting, &self.done));
            if self.waiting.len() == before {
                return;
            }
        }
    }
}

/// A job budget: `jobs` tokens.
pub fn job_budget(jobs: usize) -> Result<jobserver::Client> {
    jobserver::Client::new(jobs).map_err(|error| Error::machine("cannot make a job budget").because(error))
}

/// Wall time of something.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let clock = Instant::now();
    let result = work();
    (result, clock.elapsed().as_secs_f64())
}
