//! The push gate: which tuple of revisions may be pushed, and why. What osstest was, as values and one SQLite file.
//!
//! - `model.rs`: flight, job, step, runvar, tuple, with osstest's words for their states. `words.rs`: enums that are stored as words.
//! - `classify.rs`: the verdict on a flight; a pure function. `allow.rs`: failures that somebody answers for.
//! - `bisect/`: which tuple made a job fail; pure too.
//! - `store/`: everything that happened, each change one transaction.
//! - `plan.rs`: what a gate is told to do: trees, jobs. `flow/`: one run of it, from candidate to push.
//! - `world.rs`: what the flow asks of the outside: refs, jobs, pushes, the time. `simulate/`: such a world out of a script.
//! - `report/`: what came of it: a value with a version, lines, a mail. `site/`: everything as pages.
//!
//! Nothing here starts a process or knows a repository: the program does that behind `world::World`.

#[macro_use]
mod words;

pub mod allow;
pub mod bisect;
pub mod classify;
pub mod flow;
pub mod model;
pub mod plan;
pub mod report;
pub mod simulate;
pub mod site;
pub mod store;
pub mod world;

pub use xtask_content::error;
