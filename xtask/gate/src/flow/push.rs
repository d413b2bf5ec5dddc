//! From the decision to the refs. They cannot move in one transaction: all are looked at before the first moves, each with a lease,
//! and a flight whose refs moved in part stays open until the others can follow, or nobody can move them any more.

use super::judge::{PUSH_REFUSED, judged};
use super::{Gate, NotPushed, Ran};
use crate::classify::{Verdict, classify};
use crate::error::{Error, Kind, Result};
use crate::model::{Flight, FlightNo, FlightState};
use crate::store::{Audit, Intent, OrderKind, PushState};
use crate::world::{Pushed, World};

/// Why refs were not moved.
enum Stopped {
    /// They never will be: somebody else moved one, or a move would lose something.
    ForGood(String),
    /// A server does not take one, which is where it was.
    ByServer(String),
}

impl<W: World> Gate<'_, W> {
    /// Moves the refs. What an earlier run may have done is read from the refs themselves.
    pub(super) fn push(&mut self, flight: &Flight) -> Result<Ran> {
        let verdict = self.with_evidence(flight, classify)?;
        self.note_moved(flight)?;
        let forces = self.forces(flight)?;
        let forced = !verdict.outcome.is_tolerable();
        if self.moved(flight)?.is_empty() {
            // Orders are heard until the first ref moves.
            let block = self.order(OrderKind::Block)?.map(NotPushed::Ordered);
            let taken_back = (forced && forces.is_none()).then_some(NotPushed::Blocked);
            if let Some(why) = taken_back.or(block) {
                let now = self.world.now();
                self.store.set_flight(flight.flight, FlightState::Done, Some(verdict.outcome.as_str()), now)?;
                return Ok(Ran::NotPushed(judged(flight, verdict, false), why));
            }
        }
        self.record_anew(flight)?;
        let why = match self.stands_elsewhere(flight)? {
            Some(why) if !self.is_record_left(flight)? => Some(Stopped::ForGood(why)),
            _ => match self.cannot_move(flight)? {
                Some(why) => Some(Stopped::ForGood(why)),
                None => self.move_refs(flight)?,
            },
        };
        if let Some(why) = why {
            return self.refuse(flight, verdict, why);
        }
        let outcome = format!("{} - {}", verdict.outcome.as_str(), if forced { "FORCED" } else { "PUSHED" });
        let now = self.world.now();
        // A force that was not needed stands for nothing any more either: its revision is pushed.
        self.store.finish_pushed(
            flight.flight,
            &flight.branch,
            &flight.tuple,
            &outcome,
            &forces.unwrap_or_default(),
            now,
        )?;
        Ok(Ran::Pushed(judged(flight, verdict, forced)))
    }

    /// The trees are pushed, and somebody put something else where that is to be recorded: the record is made again, behind it.
    fn record_anew(&mut self, flight: &Flight) -> Result<()> {
        let Some((number, record)) = self.store.intents(flight.flight)?.pop().filter(|(_, last)| last.tree.is_none())
        else {
            return Ok(());
        };
        if !self.is_record_left(flight)? || self.world.read_ref(&record)? == record.old {
            return Ok(());
        }
        match self.world.refs(flight)?.pop().filter(|last| last.tree.is_none()) {
            Some(Intent { old, new, .. }) => self.store.move_intent(number, old.as_deref(), &new),
            // What stands there is the very same.
            None => self.store.resolve_push(number, PushState::Done),
        }
    }

    /// Moves each ref that is not where it goes.
    fn move_refs(&mut self, flight: &Flight) -> Result<Option<Stopped>> {
        for (number, intent) in self.left(flight)? {
            let pushed = self.world.push(&intent).map_err(|error| match self.moved(flight) {
                Ok(moved) if !moved.is_empty() && error.kind() != Kind::Interrupted => {
                    Error::machine(in_part(flight, &moved)).because(error)
                }
                _ => error,
            })?;
            if let Pushed::Refused(why) = pushed {
                let there = self.world.read_ref(&intent)?;
                if there.as_deref() != Some(&intent.new) {
                    let is_there = there == intent.old;
                    return Ok(Some(if is_there { Stopped::ByServer(why) } else { Stopped::ForGood(why) }));
                }
            }
            self.store.resolve_push(number, PushState::Done)?;
        }
        Ok(None)
    }

    /// An operator gives a flight up: it pushes nothing more. Gives the refs that moved already; where there are some it stays open.
    pub fn abandon(&mut self, number: FlightNo, line: &Audit) -> Result<Vec<Intent>> {
        let flight = self.store.flight(number)?;
        match self.note_moved(&flight) {
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            // What cannot be reached must not hold it for ever: a ref that moved is a tuple that nobody tested, and the next run tests it.
            Err(error) => self.world.say(&format!("cannot see whether refs of flight {number} have moved: {error}")),
            Ok(()) => {}
        }
        self.store.abandon(number, line)
    }

    /// Records which refs are where they go: a kill may have kept an earlier run from it.
    fn note_moved(&mut self, flight: &Flight) -> Result<()> {
        for (number, intent) in self.left(flight)? {
            if self.world.read_ref(&intent)?.as_deref() == Some(&intent.new) {
                self.store.resolve_push(number, PushState::Done)?;
            }
        }
        Ok(())
    }

    /// A tree that this flight does not move and that somebody else moved since: with it the tuple was never tested.
    fn stands_elsewhere(&mut self, flight: &Flight) -> Result<Option<String>> {
        let baseline = flight.baseline.clone().unwrap_or_default();
        for (tree, tested) in self.tested()?.0 {
            let (before, wanted) = (baseline.0.get(&tree), flight.tuple.0.get(&tree));
            if before == wanted && wanted != Some(&tested) {
                let with = wanted.map_or("nothing", |revision| &revision.0);
                return Ok(Some(format!("tested with {tree} at {with}, which is at {tested} now")));
            }
        }
        Ok(None)
    }

    /// Why not all refs can move, looked for before any of them does: half a declared set was never tested.
    fn cannot_move(&mut self, flight: &Flight) -> Result<Option<String>> {
        for (_, intent) in self.store.intents(flight.flight)? {
            let there = self.world.read_ref(&intent)?;
            if there.as_deref() == Some(&intent.new) {
                continue;
            }
            if there != intent.old {
                return Ok(Some(elsewhere(&intent, there.as_deref())));
            }
            if !intent.rewinds && !self.world.is_forward(&intent)? {
                let (old, new) = (intent.old.unwrap_or_default(), intent.new);
                return Ok(Some(format!("`{}` would lose something: {new} does not contain {old}", intent.r#ref)));
            }
        }
        Ok(None)
    }

    /// The refs that are not known to be where they go.
    fn left(&self, flight: &Flight) -> Result<Vec<(i64, Intent)>> {
        let mut intents = self.store.intents(flight.flight)?;
        intents.retain(|(_, intent)| intent.state != PushState::Done);
        Ok(intents)
    }

    /// The refs that are known to be where they go.
    fn moved(&self, flight: &Flight) -> Result<Vec<Intent>> {
        let intents = self.store.intents(flight.flight)?.into_iter().map(|(_, intent)| intent);
        Ok(intents.filter(|intent| intent.state == PushState::Done).collect())
    }

    /// All trees are where they go, and only the last ref, the record's, is not.
    fn is_record_left(&self, flight: &Flight) -> Result<bool> {
        let intents = self.store.intents(flight.flight)?;
        let is_done = |(_, intent): &(i64, Intent)| intent.state == PushState::Done;
        Ok(intents
            .split_last()
            .is_some_and(|(last, trees)| !trees.is_empty() && trees.iter().all(is_done) && !is_done(last)))
    }

    /// Ends the flight, or leaves it open: what was pushed must be recorded, and what is half pushed must go on once it can.
    fn refuse(&mut self, flight: &Flight, verdict: Verdict, why: Stopped) -> Result<Ran> {
        let (moved, number) = (self.moved(flight)?, flight.flight);
        let goes_on = format!("cargo xtask gate run {}   # goes on, once that ref can be moved", flight.branch);
        let why = match why {
            Stopped::ForGood(why) | Stopped::ByServer(why) if self.is_record_left(flight)? => {
                let message = format!("flight {number} is pushed, and cannot be recorded: {why}");
                return Err(Error::machine(message).help(goes_on));
            }
            Stopped::ByServer(why) if !moved.is_empty() => {
                return Err(Error::machine(format!("{}: {why}", in_part(flight, &moved))).help(goes_on));
            }
            // The next run finds a tuple that nobody tested, and tests it.
            Stopped::ForGood(why) if !moved.is_empty() => format!("{why}; {} moved before", refs(&moved)),
            Stopped::ForGood(why) | Stopped::ByServer(why) => why,
        };
        for (number, _) in self.left(flight)? {
            self.store.resolve_push(number, PushState::Refused)?;
        }
        let outcome = format!("{}{PUSH_REFUSED}{why}", verdict.outcome.as_str());
        let now = self.world.now();
        self.store.set_flight(number, FlightState::Done, Some(&outcome), now)?;
        Ok(Ran::NotPushed(judged(flight, verdict, false), NotPushed::Refused(why)))
    }
}

fn in_part(flight: &Flight, moved: &[Intent]) -> String {
    format!("flight {} is pushed in part, {} moved", flight.flight, refs(moved))
}

fn refs(moved: &[Intent]) -> String {
    let one = |intent: &Intent| format!("`{}` of `{}`", intent.r#ref, intent.repository);
    moved.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn elsewhere(intent: &Intent, there: Option<&str>) -> String {
    let wanted = intent.old.as_deref().unwrap_or("not there");
    format!("`{}` is {}, wanted {wanted}", intent.r#ref, there.unwrap_or("not there"))
}
