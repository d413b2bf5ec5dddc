//! `gc`: keeps the store within a quota.

use super::Session;
use crate::error::{Error, Result};
use crate::store::{Store, parse_size};

/// Make the store fit its quota
///
///     cargo xtask gc                       down to 20 GiB
///     cargo xtask gc --quota 5G            down to 5 GiB
///     cargo xtask gc --dry-run             what would go
///
/// What the current locks of living checkouts need is never taken; of the rest, the longest unused goes first.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Bytes that results may take, with K, M, G or T
    #[arg(long, default_value = "20G", env = "XTASK_QUOTA", value_name = "SIZE")]
    quota: String,
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let quota = parse_size(&args.quota).map_err(|why| Error::input("cannot use --quota").because(why))?;
    let store = Store::open(&session.layout.store)?;
    store.sweep()?;
    let done = store.collect(quota, args.dry_run)?;
    if session.json {
        return super::print_json(&done);
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    println!(
        "{} results and {} blobs {}; {} MiB before, {} MiB after, {} MiB needed by checkouts",
        done.results,
        done.blobs,
        if args.dry_run { "would go" } else { "removed" },
        mib(done.before_bytes),
        mib(done.after_bytes),
        mib(done.needed_bytes)
    );
    Ok(())
}
