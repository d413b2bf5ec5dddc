//! What is stated of each package: which builds it was made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Args;
use super::write::Made;
use crate::bill::Bill;
use crate::bill::provenance::{self, Release};
use crate::cmd::Session;
use crate::cmd::vouching::Vouching;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::signing::Signing;
use crate::state::State;
use crate::world::World;

/// Writes the statements beside the packages in `out`, and gives their paths. `written` has the digests of the packages' files, `bill` is of
/// all components, `repository` is what it was before anything was written.
pub(super) fn write(
    session: &Session,
    args: &Args,
    out: &Path,
    (world, bill, repository): (&World, &Bill, Option<Value>),
    made: &[Made<'_>],
    written: &BTreeMap<String, Digest>,
) -> Result<Vec<PathBuf>> {
    let vouching = Vouching { signing: signing(args)?, key: args.sign_key.clone() };
    let state = State::read(&session.layout);
    let one = |made: &Made<'_>| {
        let components = &made.package.components;
        let builds = components.iter().filter_map(|name| Some((name, state.built.get(name)?))).collect();
        let release = Release { asked: asked(args), repository: repository.clone(), bill: &bill.of(components) };
        let statement = provenance::package(world, &made.file, written[&made.file], &builds, release);
        vouching.beside(session, &out.join(&made.file), statement)
    };
    made.iter().map(one).collect()
}

fn asked(args: &Args) -> Vec<(&'static str, Value)> {
    vec![
        ("format", args.format.word().into()),
        ("revision", args.revision.into()),
        ("epoch", args.epoch.into()),
        ("maintainer", args.maintainer.clone().into()),
        ("single", args.single.into()),
        ("strip", (!args.no_strip).into()),
    ]
}

/// The commands that were said, or else those of the environment, which somebody may have set for other commands.
pub(super) fn signing(args: &Args) -> Result<Option<Signing>> {
    let said = |said: &Option<String>, name: &str| said.clone().or_else(|| std::env::var(name).ok());
    match (said(&args.sign, "XTASK_SIGN"), said(&args.sign_verify, "XTASK_SIGN_VERIFY")) {
        (None, _) => Ok(None),
        (Some(sign), Some(verify)) => Ok(Some(Signing { sign, verify })),
        (Some(_), None) => Err(Error::input("cannot sign what is stated of packages: nothing verifies the signature")
            .help("XTASK_SIGN_VERIFY='gpg --verify \"$SIGNATURE\" \"$FILE\"'")),
    }
}
