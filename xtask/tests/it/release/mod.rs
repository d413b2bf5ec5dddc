//! Releases of a small synthetic manifest, by the real program: the same bytes everywhere, nothing in them that does not belong there.

mod attributes;
mod by_hand;
mod changeset;
mod default;
mod hostile;
mod places;
mod refused;
mod repro;
mod small;
mod tampered;
mod twice;
mod unpacked;
mod verified;
