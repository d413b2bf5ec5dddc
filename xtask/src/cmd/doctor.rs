//! stub
use super::Session; use crate::error::Result;
/// Doctor
#[derive(Debug, clap::Args)]
pub struct Args {}
pub fn run(_: &Session, _: &Args) -> Result<()> { Ok(()) }
