//! `build` against real make, cc and sh: what runs again and what does not, and what is left after every kind of failure.

pub mod checkout;
mod compat;
mod crates;
mod damage;
mod deps;
mod elsewhere;
mod incremental;
mod install;
mod kept;
mod kill;
mod messages;
mod outside;
mod overrides;
mod package;
mod repository;
pub mod run;
mod shell;
pub mod small;
mod sources;
mod space;
mod stop;
mod system;
mod together;
