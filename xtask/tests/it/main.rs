//! Integration tests: xtask's library and its command against real programs. One binary, one module an idea.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bill;
mod boot;
mod build;
mod components;
mod default_manifest;
#[cfg(feature = "gate")]
mod gate;
mod origin;
mod packages;
mod pins;
mod real;
mod release;
mod tier;
mod tour;

/// This repository, as it stands.
fn repository() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
