//! `import-config-mk`: the pins of a Xen tree beside those of a manifest.

use std::path::PathBuf;

use super::Session;
use crate::config_mk::{self, Standing};
use crate::definition::Origin;
use crate::error::Result;

/// Show where the pins of a Xen tree's Config.mk differ from the manifest's
///
///     cargo xtask import-config-mk ~/xen                 the default manifest
///     cargo xtask import-config-mk ~/xen -m unstable     another one
///     cargo xtask import-config-mk ~/xen --json
///
/// Reads Config.mk, the Makefile of tools/firmware/etherboot and stubdom/configure. Writes nothing: for each
/// difference it prints the command that takes Xen's pin over.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Tree of Xen, with Config.mk at its top
    xen_tree: PathBuf,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.definitions()?;
    let manifest = &session.manifest;
    let mut rows = Vec::new();
    for named in config_mk::read(&args.xen_tree)? {
        let origin = definitions.manifest.sources.get(&named.source);
        let pin = definitions.lock.as_ref().and_then(|lock| lock.sources.get(&named.source));
        let standing = config_mk::standing(&named, origin, pin);
        let is_elsewhere = origin.is_some_and(|origin| !config_mk::is_from_there(&named, origin));
        let is_git = matches!(origin, Some(Origin::Git(_)));
        rows.push((named, standing, is_elsewhere, is_git));
    }
    if session.json {
        let row = |(named, standing, is_elsewhere, _): &(config_mk::Named, Standing, bool, bool)| serde_json::json!({ "xen": named, "manifest": standing, "other-url": is_elsewhere });
        let pins: Vec<_> = rows.iter().map(row).collect();
        return super::print_json(&serde_json::json!({ "manifest": manifest, "pins": pins }));
    }
    let width = rows.iter().map(|(named, ..)| named.source.as_str().len()).max().unwrap_or(0);
    for (named, standing, is_elsewhere, is_git) in &rows {
        let (source, revision) = (&named.source, &named.revision);
        let says = match standing {
            Standing::Same => format!("the same, {revision}"),
            Standing::Differs(here) => format!("{revision}, in {manifest} {here}"),
            Standing::Elsewhere(here) => format!("{revision}, in {manifest} {here}"),
            Standing::Absent => format!("{revision}, {manifest} has no such source"),
        };
        println!("  {:width$}  {says}", source.as_str());
        if let (true, Some(url)) = (is_elsewhere, &named.url) {
            println!("  {:width$}  from {url}, which {manifest} does not name", "");
        }
        if *is_git && matches!(standing, Standing::Differs(_)) {
            println!("  {:width$}  cargo xtask pin {source} {revision} --manifest {manifest}", "");
        }
    }
    Ok(())
}
