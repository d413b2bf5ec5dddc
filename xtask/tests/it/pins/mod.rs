//! Pins: moved, named by hand, frozen, compared, and what comes back to them. Real repositories, the real command.

mod diff;
mod export;
mod force_update;
mod freeze;
mod include;
mod moves;
pub mod project;
mod signed;
