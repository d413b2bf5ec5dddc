//! Pins: moved, named by hand, frozen, compared, and what comes back to them. Real repositories, the real command.

mod moves;
mod project;
