//! This machine's apt: which mirrors it uses, and one file from them. apt does it all itself, so that proxies, credentials and
//! whatever else the machine is set up with just work.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::super::attempts::{self, Failure};
use super::super::download::APT_HELPER;
use super::super::scratch::Scratch;
use super::super::{Fetching, files};
use crate::definition::File;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::process::Program;

/// One repository, release and component that this machine's apt reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repository {
    /// Base address, ending in `/`.
    pub(super) base: String,
    /// Name of the release's directory below `dists/`.
    pub(super) release: String,
    /// `main`, `contrib`, …
    pub(super) component: String,
}

/// The machine's repositories, in the order of its apt. Asked once, by what `apt-get update` would fetch: `apt-get indextargets`
/// knows nothing until the machine's own indexes are there, which in a fresh container they are not, and is slower.
pub(super) fn repositories(ctx: &Fetching<'_>) -> Result<Vec<Repository>> {
    static ASKED: OnceLock<Vec<Repository>> = OnceLock::new();
    if let Some(repositories) = ASKED.get() {
        return Ok(repositories.clone());
    }
    let asked = Program::new(["apt-get", "update", "--print-uris"])
        .env("LC_ALL", "C")
        .run(ctx.cancel)?
        .success(|| "cannot ask this machine's apt for its mirrors".to_owned())?;
    let mut found: Vec<Repository> = Vec::new();
    for repository in String::from_utf8_lossy(&asked).lines().filter_map(repository) {
        if !found.contains(&repository) {
            found.push(repository);
        }
    }
    if found.is_empty() {
        return Err(Error::machine("this machine's apt knows no repository").help("apt-get update --print-uris"));
    }
    Ok(ASKED.get_or_init(|| found).clone())
}

/// A line `'BASE/dists/RELEASE/COMPONENT/binary-ARCH/Packages.xz' …`.
fn repository(line: &str) -> Option<Repository> {
    let (address, _) = line.strip_prefix('\'')?.split_once('\'')?;
    let (base, rest) = address.rsplit_once("/dists/")?;
    let (place, _) = rest.split_once("/binary-")?;
    let (release, component) = place.rsplit_once('/')?;
    Some(Repository { base: format!("{base}/"), release: release.to_owned(), component: component.to_owned() })
}

/// The addresses that a path in the pool may have.
pub(super) fn addresses(ctx: &Fetching<'_>, path: &str) -> Result<Vec<String>> {
    let mut addresses: Vec<String> = Vec::new();
    for repository in repositories(ctx)? {
        let address = format!("{}{path}", repository.base);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    // Debian's security archive has a pool of its own.
    addresses.sort_by_key(|address| path.starts_with("pool/updates/") != address.contains("security"));
    Ok(addresses)
}

/// Downloads one address into the store with apt's helper.
pub(super) fn download(
    ctx: &Fetching<'_>,
    address: &str,
    wanted: Option<Digest>,
) -> Result<(Digest, PathBuf), Failure> {
    let scratch = Scratch::new(&ctx.layout.store.join("tmp"), "apt")?;
    let part = scratch.path().join("part");
    let mut argv = vec![APT_HELPER.into(), "download-file".into(), address.into(), part.clone().into_os_string()];
    argv.extend(wanted.map(|digest| format!("SHA256:{}", digest.hash).into()));
    let ended = Program::new(argv).env("LC_ALL", "C").run(ctx.cancel)?;
    if ended.status.success() {
        return files::keep(ctx, &part, wanted);
    }
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    let reason = said.lines().find(|line| line.starts_with("E: Failed to fetch")).unwrap_or(&said).to_owned();
    if said.contains("Hash Sum mismatch") {
        // apt puts the file aside under this name; hash it ourselves to show both digests.
        let refused = scratch.path().join("part.FAILED");
        return match files::keep(ctx, &refused, wanted) {
            Err(Failure::Permanent(why)) => Err(Failure::Permanent(why)),
            _ => Err(Failure::Permanent(reason)),
        };
    }
    if is_gone(&reason) {
        return Err(Failure::Permanent(reason));
    }
    Err(Failure::Transient(reason))
}

/// The mirror answered that it has no such file.
pub(super) fn is_gone(reason: &str) -> bool {
    reason.contains("404") || reason.contains("File not found") || reason.contains("403")
}

/// The first of some paths that a mirror has, with the digest that it came with.
pub(super) fn first_of(ctx: &Fetching<'_>, paths: &[String]) -> Result<File> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(addresses(ctx, path)?.into_iter().map(|address| (address, path)));
    }
    let what = paths.first().map(|path| format!("`{}`", files::file_name(path))).unwrap_or_default();
    for (address, path) in &all {
        let quiet = Fetching { say: &|_| {}, ..*ctx };
        let result =
            attempts::along(&quiet, &what, std::slice::from_ref(address), |address| download(ctx, address, None));
        if let Ok((digest, _)) = result {
            return Ok(File { path: (*path).clone(), size: digest.size, sha256: digest.hash });
        }
        ctx.cancel.check()?;
    }
    Err(Error::machine(format!("{what} is not in the pool of this machine's mirrors either, under no usual name")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_read_off_what_apt_would_fetch() {
        let found =
            repository("'http://m/debian/dists/bookworm/main/binary-amd64/Packages.xz' m_debian_Packages 0 ").unwrap();
        assert_eq!((found.base.as_str(), found.release.as_str()), ("http://m/debian/", "bookworm"));
        let old = repository("'http://m/d/dists/buster/updates/main/binary-all/Packages.xz' x 0").unwrap();
        assert_eq!((old.release.as_str(), old.component.as_str()), ("buster/updates", "main"));
        for line in ["'http://m/debian/dists/bookworm/InRelease' x 0", "'http://m/flat/Packages' x 0", "W: noise"] {
            assert_eq!(repository(line), None);
        }
    }
}
