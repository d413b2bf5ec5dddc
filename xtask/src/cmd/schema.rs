//! `schema`: JSON Schema of the definitions, for editors, and of reports, for machines.

use super::Session;
use crate::error::Result;

/// Print the JSON Schema of components, manifests, gates or jobs, for editors, or of what machines read of us
///
///     cargo xtask schema component > component.schema.json
///     cargo xtask schema manifest > manifest.schema.json
///     cargo xtask schema gate > gate.schema.json        of ci/gates/*.toml; `job` of ci/jobs/*.toml
///     cargo xtask schema gate-report                    what `gate run --json` and `gate bisect --json` print
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Which file's
    #[arg(value_enum)]
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    Component,
    Manifest,
    Gate,
    Job,
    GateReport,
}

/// Kept equal to the types by a test beside it.
const GATE_REPORT: &str = include_str!("../../gate/src/report/schema.json");

#[cfg(feature = "extras")]
pub fn run(_: &Session, args: &Args) -> Result<()> {
    match args.of {
        Of::Component => println!("{}", crate::definition::component_schema()),
        Of::Manifest => println!("{}", crate::definition::manifest_schema()),
        Of::Gate => println!("{}", crate::definition::gate_schema()),
        Of::Job => println!("{}", crate::definition::job_schema()),
        Of::GateReport => print!("{GATE_REPORT}"),
    }
    Ok(())
}

#[cfg(not(feature = "extras"))]
pub fn run(session: &Session, args: &Args) -> Result<()> {
    if args.of == Of::GateReport {
        print!("{GATE_REPORT}");
        return Ok(());
    }
    super::extras::run_with_extras(session)
}
