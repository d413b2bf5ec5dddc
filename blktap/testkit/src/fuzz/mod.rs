//! Bodies of the fuzz targets: each takes any bytes and must come back, in bounded time and memory, with everything it
//! promises kept. `fuzz/` runs them under libFuzzer, `tests/it/corpus.rs` over the corpus on every ordinary test run.

pub mod cbt;
pub mod chain;
pub mod cli;
pub mod edit;
pub mod frames;
pub mod input;
pub mod journal;
pub mod nbd;
pub mod open;
pub mod read;
pub mod seeds;

/// Memory that a target may take at any moment, the harness with its simulated disks (two of 64 MiB) included.
pub const MAX_BYTES: usize = 512 << 20;

/// A body.
pub type Target = fn(&[u8]);

/// The targets and their names, which are those of the programs and of the corpus's directories.
pub const TARGETS: [(&str, Target); 9] = [
    ("cbt", cbt::run),
    ("chain", chain::run),
    ("cli", cli::run),
    ("edit", edit::run),
    ("frames", frames::run),
    ("journal", journal::run),
    ("nbd", nbd::run),
    ("open", open::run),
    ("read", read::run),
];

/// The value, if there is one. An error must be one that callers can tell from failures of the medium: nothing here fails
/// to read, so what an image makes us say is never EIO or EAGAIN, which callers try again.
fn sound<T>(result: vhd::Result<T>) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    assert!(
        error.errno() > 0 && ![5, 11].contains(&error.errno()),
        "{} is {}",
        legacy_cli::terminal::in_words(&error),
        error.errno()
    );
    None
}
