//! `provenance`: how the files of a result came to be, for whoever checks before installing.

use std::path::PathBuf;

use super::vouching::Vouching;
use super::{Selection, Session};
use crate::bill::made::made;
use crate::bill::provenance::component;
use crate::error::Result;
use crate::machine::Machine;
use crate::signing::SigningArgs;
use crate::state::State;
use crate::world::World;

/// Write how each component was built from what: SLSA provenance v1 as in-toto statements
///
///     cargo xtask provenance                       one line of JSON for each component that is built
///     cargo xtask provenance xen-tools --out DIR   DIR/xen-tools.intoto.json
///
/// It comes out of the stored action: sources, patches, crates, tools and packages with digests, and
/// the steps. What was built without the sandbox, or from something else than what is here now, is refused. To sign,
/// in the environment or as arguments; the file is then a DSSE envelope, DIR/xen-tools.intoto.dsse.json:
///
///     XTASK_SIGN='gpg --detach-sign --output "$SIGNATURE" "$FILE"'
///     XTASK_SIGN_VERIFY='gpg --verify "$SIGNATURE" "$FILE"'
///
/// That of an archive and of packages is written by who makes them:
///
///     cargo xtask tarball --provenance
///     cargo xtask package deb --provenance
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Write a file for each component there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signing: SigningArgs,
    /// Name of the key in the envelope
    #[arg(long, value_name = "ID", requires = "sign")]
    sign_key: Option<String>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let definitions = session.settled()?;
    session.whole_lock(&definitions)?;
    let wanted = args.selection.wanted(session)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let state = State::read(&session.layout);
    let asked = |name: &&crate::definition::Name| wanted.names.is_empty() || wanted.names.contains(*name);
    let vouching = Vouching { signing: args.signing.wanted(), key: args.sign_key.clone() };
    let mut written = Vec::new();
    for name in world.plan.order.iter().filter(asked) {
        let statement = component(&world, &state, name, &made(&world, &state, name)?, &session.cancel)?;
        let line = vouching.line(session, statement, name.as_str())?;
        written.push((vouching.file(name.as_str()), line));
    }
    for (file, line) in &written {
        match &args.out {
            Some(out) => {
                let file = out.join(file);
                crate::atomic::write(&file, line)?;
                eprintln!("{}", file.display());
            }
            None => print!("{}", String::from_utf8_lossy(line)),
        }
    }
    Ok(())
}
