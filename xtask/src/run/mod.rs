//! Running a plan: what happens (`event`), how it is shown (`report`), one component (`component`), all of them (`schedule`), and
//! the directory that an overridden one keeps (`kept`), its patches (`patches`), what is said when one fails (`failure`). Decides nothing
//! about what a build is made of; that is `action.rs` and `world.rs`.

mod component;
mod event;
mod failure;
#[cfg(test)]
mod failure_tests;
pub mod kept;
mod missing;
mod patches;
mod report;
mod schedule;
mod stray;

pub use component::{Building, Job, log_name};
pub use event::Event;
pub use failure::{Excerpt, first_error, hints};
pub use report::{Mode, Report, duration, last_line};
pub use schedule::{Build, Done, Fetch, Outcome, Schedule, job_budget, timed};
