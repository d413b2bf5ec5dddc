//! Which candidates are tested at once, and how: one after the other, several on top of one another (a window), or several as one
//! (a batch). How many is told by what came of the last ones, so that a kill forgets nothing.

use super::candidates::Candidate;
use super::told::Told;
use super::{Gate, NotPushed, Ran, Start};
use crate::classify::Outcome;
use crate::error::Result;
use crate::model::{Blessing, Flight, FlightNo, Tuple};
use crate::store::OrderKind;
use crate::world::{Beside, World};

impl<W: World> Gate<'_, W> {
    /// Tests what the policy takes of the waiting candidates, on top of a usable baseline.
    pub(super) fn test_waiting(
        &mut self,
        told: &mut Told<'_, W>,
        tested: &Tuple,
        candidates: &[Candidate],
    ) -> Result<()> {
        let policy = self.plan.policy;
        if policy.batch > 1 {
            return self.test_batch(told, tested, candidates, policy.batch);
        }
        let width = match self.last_judged()? {
            Some((flight, true)) => (flight.width + 1).min(policy.window),
            Some((flight, false)) if is_worse(&flight) => flight.width.min(policy.window) / 2,
            Some((flight, false)) => flight.width.min(policy.window),
            None => policy.window,
        };
        self.test_window(told, tested, candidates, width.max(1))
    }

    /// Several candidates, each on top of the one before, as many at a time as the outside can run. The first that is not pushed
    /// ends it: what stands on it was tested for nothing and waits again.
    fn test_window(
        &mut self,
        told: &mut Told<'_, W>,
        tested: &Tuple,
        candidates: &[Candidate],
        width: u32,
    ) -> Result<()> {
        let lanes = self.world.lanes().clamp(1, width) as usize;
        let stack = self.stack(tested, candidates, width as usize)?;
        let before = told.count();
        let mut below = tested;
        for tuples in stack.chunks(lanes) {
            let start = Start { width, ..Start::new(Blessing::Real, self.all_jobs()) };
            let flights = self.start_all(&tuples.iter().collect::<Vec<_>>(), below, start)?;
            below = tuples.last().unwrap_or(below);
            if flights.len() > 1 {
                self.run_beside(&flights)?;
            }
            for flight in flights {
                self.finish(told, flight)?;
            }
            let all_pushed = told.since(before).iter().all(|ran| matches!(ran, Ran::Pushed(_)));
            if !all_pushed || self.order(OrderKind::Stop)?.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Runs the jobs of several flights at the same time, as far as the outside can.
    fn run_beside(&mut self, flights: &[FlightNo]) -> Result<()> {
        self.world.beside(Beside::Begin);
        for number in flights {
            let flight = self.store.flight(*number)?;
            self.run_jobs(&flight)?;
            self.world.beside(Beside::Next);
        }
        self.world.beside(Beside::End);
        Ok(())
    }

    /// Several candidates as one. Where that is worse than what was tested, half of them, until it is good or a single one is to
    /// blame.
    fn test_batch(
        &mut self,
        told: &mut Told<'_, W>,
        tested: &Tuple,
        candidates: &[Candidate],
        most: u32,
    ) -> Result<()> {
        let stack = self.stack(tested, candidates, most as usize)?;
        let count = stack.len() as u32;
        let mut size = match self.last_judged()? {
            Some((flight, true)) => (flight.width * 2).min(most),
            Some((flight, false)) if is_worse(&flight) => flight.width.min(count) / 2,
            Some((flight, false)) => flight.width.min(most),
            None => most,
        };
        loop {
            size = size.clamp(1, count.max(1));
            let Some(tuple) = stack.get(size as usize - 1) else { return Ok(()) };
            let start = Start { width: size, ..Start::new(Blessing::Real, self.all_jobs()) };
            let flight = self.start(tuple, tested, start)?;
            self.finish(told, flight)?;
            if size == 1 || !self.is_batch_to_halve(told.last())? {
                return Ok(());
            }
            self.world.say(&format!("{size} candidates together are worse: searching among them"));
            size /= 2;
        }
    }

    /// A batch of several that is worse than what was tested.
    pub(super) fn is_batch_to_halve(&self, ran: Option<&Ran>) -> Result<bool> {
        let Some(Ran::NotPushed(judged, NotPushed::Blocked)) = ran else { return Ok(false) };
        let is_several = self.plan.policy.batch > 1 && self.store.flight(judged.flight)?.width > 1;
        Ok(is_several && judged.verdict.outcome == Outcome::Regressions)
    }

    /// The last candidate's flight that was judged by itself, and whether it was pushed.
    fn last_judged(&self) -> Result<Option<(Flight, bool)>> {
        let Some(number) = self.store.last_judged(&self.plan.branch)? else { return Ok(None) };
        let flight = self.store.flight(number)?;
        let is_pushed = self.store.was_pushed(&flight)?;
        Ok(Some((flight, is_pushed)))
    }

    /// The flight that had to be pushed before this one, and was not.
    pub(super) fn fell_behind(&self, flight: &Flight) -> Result<Option<FlightNo>> {
        let Some(ahead) = flight.ahead else { return Ok(None) };
        let is_pushed = self.store.was_pushed(&self.store.flight(ahead)?)?;
        Ok((!is_pushed).then_some(ahead))
    }
}

/// What was tested is worse; not: the machine could not, or an operator said no.
fn is_worse(flight: &Flight) -> bool {
    flight.outcome.as_deref() == Some(Outcome::Regressions.as_str())
}
