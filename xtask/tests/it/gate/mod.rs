//! The push gate: with small components made for it, with real sources, and the gates of this repository.

mod booted;
mod ci;
mod culprit;
mod debian;
mod forge;
mod gated;
mod killed;
mod leftovers;
mod merges;
mod ours;
mod project;
mod remembered;
mod run;
mod site;
mod verdicts;
mod versions;
