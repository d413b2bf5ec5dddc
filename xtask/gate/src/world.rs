//! What a gate asks of the outside: refs, jobs, pushes, the time. Two live behind it: real repositories with real builds, and
//! the simulator's script. The flow is the same code for both.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::model::{Flight, FlightNo, JobState, Revision, StepState, Tuple};
use crate::plan::JobPlan;
use crate::store::Intent;

/// A job to run.
#[derive(Clone, Copy, Debug)]
pub struct JobOrder<'a> {
    /// In which flight.
    pub flight: FlightNo,
    /// What.
    pub job: &'a JobPlan,
    /// Of what.
    pub tuple: &'a Tuple,
}

/// A step, as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepEvent {
    /// It begins.
    Begin {
        /// What is compared between flights.
        testid: String,
        /// Its log, relative to the state's directory.
        log: Option<String>,
    },
    /// The last one that began has ended.
    End {
        /// How.
        state: StepState,
        /// Why it did not pass, in one line.
        reason: Option<String>,
    },
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// A final state.
    pub state: JobState,
    /// The trees it was made of, at what they really were.
    pub built: BTreeMap<String, Revision>,
    /// More that is worth knowing.
    pub runvars: BTreeMap<String, String>,
}

/// What a commit says that it needs: `Depends-On: TREE REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// Another tree.
    pub tree: String,
    /// A revision that must be in it.
    pub revision: Revision,
}

/// Flights that run beside one another, told to an outside that measures time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// The first one begins.
    Begin,
    /// One has ended; another begins when the first did.
    Next,
    /// All have ended.
    End,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The ref is there.
    Done,
    /// It was not where it had to be, or the server does not take it; why.
    Refused(String),
}

/// Gets each step as it happens.
pub type OnStep<'a> = &'a mut dyn FnMut(StepEvent) -> Result<()>;

/// The outside.
pub trait World {
    /// Seconds since 1970.
    fn now(&mut self) -> i64;

    /// The newest revision of a tree that wants to be tested.
    fn candidate(&mut self, tree: &str) -> Result<Revision>;

    /// The revision of a tree that was tested; nothing before the first push.
    fn tested(&mut self, tree: &str) -> Result<Option<Revision>>;

    /// Going from `old` to `new` loses nothing.
    fn contains(&mut self, tree: &str, new: &Revision, old: &Revision) -> Result<bool>;

    /// From one tuple to another, one tree by one commit a step, in the order of their dates, along first parents. A tree that was
    /// rewound goes in one step.
    fn row(&mut self, from: &Tuple, to: &Tuple) -> Result<Vec<Tuple>>;

    /// What a merge brought: of each side its commits along first parents, oldest first, behind the last one that was there already.
    /// Nothing of a commit that is no merge.
    fn merged(&mut self, _tree: &str, _commit: &Revision) -> Result<Vec<Vec<Revision>>> {
        Ok(Vec::new())
    }

    /// What the commits of a tree after `old` up to `new` need of other trees.
    fn depends_on(&mut self, tree: &str, old: &Revision, new: &Revision) -> Result<Vec<Needed>>;

    /// A flight begins, or goes on, that is to be made of the same definitions as another one: it is a measurement of that.
    fn begin_like(&mut self, _flight: FlightNo, _like: FlightNo) -> Result<()> {
        Ok(())
    }

    /// How many flights it can run beside one another.
    fn lanes(&self) -> u32 {
        1
    }

    /// Flights run beside one another.
    fn beside(&mut self, _what: Beside) {}

    /// Everything that decides what a job gives, as a digest; nothing where that cannot be known.
    fn digest(&mut self, order: &JobOrder<'_>) -> Result<Option<String>>;

    /// Runs a job to its end. `Err` only where it did not come to one: somebody stopped us.
    fn run(&mut self, order: &JobOrder<'_>, on_step: OnStep<'_>) -> Result<JobEnd>;

    /// The refs that must move so that this flight's tuple is the tested one, the record of it last. Moves nothing.
    fn refs(&mut self, flight: &Flight) -> Result<Vec<Intent>>;

    /// Where a ref is now.
    fn read_ref(&mut self, intent: &Intent) -> Result<Option<String>>;

    /// Moving it loses nothing of what is at the old place.
    fn is_forward(&mut self, intent: &Intent) -> Result<bool>;

    /// Moves it, if it still is at the old place.
    fn push(&mut self, intent: &Intent) -> Result<Pushed>;

    /// One line for whoever watches.
    fn say(&mut self, line: &str);
}
