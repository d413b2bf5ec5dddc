//! Releases of a small synthetic manifest, by the real program: the same bytes everywhere, nothing in them that does not belong there.

mod refused;
mod small;
mod tampered;
mod twice;
mod unpacked;
