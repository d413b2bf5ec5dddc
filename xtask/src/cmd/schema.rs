//! `schema`: JSON Schema of the definitions, for editors.

use super::Session;
use crate::error::Result;

/// Print the JSON Schema of components, manifests, gates or jobs, for editors
///
///     cargo xtask schema component > component.schema.json
///     cargo xtask schema manifest > manifest.schema.json
///     cargo xtask schema gate > gate.schema.json        of ci/gates/*.toml; `job` of ci/jobs/*.toml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Which file's
    #[arg(value_enum)]
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    Component,
    Manifest,
    Gate,
    Job,
}

#[cfg(feature = "extras")]
pub fn run(_: &Session, args: &Args) -> Result<()> {
    match args.of {
        Of::Component => println!("{}", crate::definition::component_schema()),
        Of::Manifest => println!("{}", crate::definition::manifest_schema()),
        Of::Gate => println!("{}", crate::definition::gate_schema()),
        Of::Job => println!("{}", crate::definition::job_schema()),
    }
    Ok(())
}

#[cfg(not(feature = "extras"))]
pub fn run(session: &Session, _: &Args) -> Result<()> {
    super::extras::run_with_extras(session)
}
