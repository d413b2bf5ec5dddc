//! The push gate: with small components made for it, with real sources, and the gates of this repository.

mod gated;
mod ours;
mod run;
