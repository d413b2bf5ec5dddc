//! Origins against real programs: git and its daemon, HTTP on loopback, apt.

mod git;
mod upstream;
mod world;
