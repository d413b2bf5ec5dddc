//! Packages of the distribution that apt would take instead of ours, since their versions come after them.

use crate::cmd::Session;
use crate::error::Result;
use crate::package::Package;
use crate::package::dpkg::is_later;
use crate::process::Program;

/// Says so of those that apt knows here; without apt it says nothing.
pub(super) fn note(session: &Session, packages: &[Package]) -> Result<()> {
    if which::which("apt-cache").is_err() {
        return Ok(());
    }
    let names = packages.iter().map(|package| package.name.as_str());
    let argv: Vec<&str> = ["apt-cache", "madison"].into_iter().chain(names).collect();
    let ended = Program::new(argv).env("LC_ALL", "C").run(&session.cancel)?;
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let later: Vec<String> = packages.iter().filter_map(|package| later(&said, package)).collect();
    if let Some(first) = later.first() {
        let others = if later.len() > 1 { format!(" and {} others", later.len() - 1) } else { String::new() };
        eprintln!(
            "note: the distribution's {first}{others} come after ours, so apt keeps them; --epoch 1 puts ours after all"
        );
    }
    Ok(())
}

/// `xen-utils-common 4.17.5-1` of a line `NAME | VERSION | ORIGIN`, if that is after the package's version.
fn later(madison: &str, package: &Package) -> Option<String> {
    let version = |line: &str| -> Option<String> {
        let mut words = line.split('|').map(str::trim);
        let (name, version) = (words.next()?, words.next()?);
        let is_later = name == package.name && is_later(version, &package.version.deb());
        is_later.then(|| format!("{name} {version}"))
    };
    madison.lines().find_map(version)
}
