//! A repository of Debian's form (deb-repository): `pool/` with packages, `dists/SUITE` with indices by their digests, and `Release`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use super::members::{Member, members};
use super::{Found, Signature, each, is_sum, publish, sha256, sweep, write_named};
use crate::error::{Context, Error, Result};
use crate::package::archive::xz;
use crate::package::documents;
use crate::process::Cancel;
use crate::signing::Signing;

/// What packages are called that run everywhere.
const ALL: &str = "all";

/// More than this no package says of itself, unpacked.
const LARGEST: u64 = 16 << 20;

/// How a repository is made.
#[derive(Debug)]
pub struct Wishes<'a> {
    /// The name of its one distribution.
    pub suite: &'a str,
    /// Signs `Release` into `Release.gpg`.
    pub signing: Option<Signing>,
    /// Signs it into `InRelease`, which has both.
    pub clear_signing: Option<Signing>,
}

impl Wishes<'_> {
    /// What signs the index: beside it, and around it.
    pub fn signatures(&self, repository: &Path) -> [Signature<'_>; 2] {
        let of = |name, signing, variable| Signature { path: self.dir(repository).join(name), signing, variable };
        [
            of("Release.gpg", self.signing.as_ref(), "XTASK_SIGN"),
            of("InRelease", self.clear_signing.as_ref(), "XTASK_CLEAR_SIGN"),
        ]
    }

    fn dir(&self, repository: &Path) -> PathBuf {
        repository.join("dists").join(self.suite)
    }
}

/// What a package says of itself.
struct Described {
    control: String,
    /// Seconds since 1970.
    time: u64,
}

impl Described {
    fn field(&self, name: &str) -> Option<&str> {
        self.control.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    }

    /// The name of its source.
    fn source(&self) -> &str {
        let source = self.field("Source").or_else(|| self.field("Package")).unwrap_or_default();
        source.split(' ').next().unwrap_or(source)
    }
}

/// Where a package is in the pool.
pub fn location(file: &Path, bytes: &[u8]) -> Result<String> {
    let described = described(file, bytes)?;
    let source = described.source();
    let [name, version, arch] =
        ["Package", "Version", "Architecture"].map(|field| described.field(field).unwrap_or_default());
    let (epoch, version) = version.split_once(':').unwrap_or(("", version));
    Ok(super::place(&format!("pool/{source}"), epoch, &format!("{name}_{version}_{arch}.deb")))
}

/// Writes the indices of all packages in the pool; gives how many these are.
pub fn index(repository: &Path, wishes: &Wishes<'_>, cancel: &Cancel) -> Result<usize> {
    let mut stanzas: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut newest = 0;
    let count = each(repository, "pool", "deb", &mut |package| {
        cancel.check()?;
        let described = described(&package.path, &package.bytes)?;
        newest = newest.max(described.time);
        let arch = described.field("Architecture").unwrap_or(ALL).to_owned();
        stanzas.entry(arch).or_default().push(stanza(package, &described));
        Ok(())
    })?;
    let everywhere = stanzas.remove(ALL).unwrap_or_default();
    if stanzas.is_empty() {
        stanzas.insert(ALL.to_owned(), Vec::new());
    }
    stanzas.values_mut().for_each(|of_arch| of_arch.extend(everywhere.iter().cloned()));
    let suite = wishes.dir(repository);
    let before = crate::atomic::read(&suite.join("Release"))?.unwrap_or_default();
    let before = String::from_utf8_lossy(&before);
    let indices = indices(&suite, &stanzas)?;
    let release = next(&before, newest, &|time| release(wishes.suite, stanzas.keys(), time, &indices.sums));
    let plain = indices.plain;
    // Who does not ask for digests reads these.
    let write = || plain.iter().try_for_each(|(path, bytes)| crate::atomic::write(path, bytes));
    publish(&suite.join("Release"), release.as_bytes(), &wishes.signatures(repository), cancel, write)?;
    // Whoever has read the index before this one still gets what it names.
    let sum = |line: &str| line.strip_prefix(' ')?.split(' ').next().map(str::to_owned);
    let named: BTreeSet<String> = before.lines().chain(release.lines()).filter_map(sum).collect();
    for arch in stanzas.keys() {
        sweep(&suite.join(format!("main/binary-{arch}/by-hash/SHA256")), &named, is_sum)?;
    }
    Ok(count)
}

/// Indices that are there by their digests, and not yet by their names.
struct Indices {
    /// As `Release` has them.
    sums: String,
    plain: Vec<(PathBuf, Vec<u8>)>,
}

fn indices(suite: &Path, stanzas: &BTreeMap<String, Vec<String>>) -> Result<Indices> {
    let mut indices = Indices { sums: String::new(), plain: Vec::new() };
    for (arch, stanzas) in stanzas {
        let mut stanzas: Vec<&str> = stanzas.iter().map(String::as_str).collect();
        stanzas.sort_unstable();
        let text = stanzas.join("\n").into_bytes();
        let dir = format!("main/binary-{arch}");
        let packing = || format!("cannot pack an index for `{}`", suite.display());
        let mut packed = xz(Vec::new());
        packed.write_all(&text).context(packing)?;
        for (name, bytes) in [("Packages", text), ("Packages.xz", packed.finish().context(packing)?)] {
            let sum = sha256(&bytes);
            write_named(&suite.join(&dir).join("by-hash/SHA256"), &sum, &bytes)?;
            writeln!(indices.sums, " {sum} {} {dir}/{name}", bytes.len()).unwrap_or_default();
            indices.plain.push((suite.join(&dir).join(name), bytes));
        }
    }
    Ok(indices)
}

fn stanza(package: &Found, described: &Described) -> String {
    let (size, sum) = (package.bytes.len(), sha256(&package.bytes));
    format!("{}\nFilename: {}\nSize: {size}\nSHA256: {sum}\n", described.control.trim_end(), package.location)
}

/// The `Release` after `before`: apt keeps the one that it has unless the date of another goes forward, also where its newest package is gone.
fn next(before: &str, newest: u64, release: &dyn Fn(u64) -> String) -> String {
    let date = before.lines().find_map(|line| line.strip_prefix("Date: "));
    match date.and_then(documents::time) {
        Some(time) if release(time) == before => release(time.max(newest)),
        Some(time) => release(newest.max(time + 1)),
        None => release(newest),
    }
}

fn release<'a>(suite: &str, arches: impl Iterator<Item = &'a String>, time: u64, sums: &str) -> String {
    let arches = arches.map(String::as_str).collect::<Vec<_>>().join(" ");
    format!(
        "Origin: Sultana\nLabel: Sultana\nSuite: {suite}\nCodename: {suite}\nDate: {}\nArchitectures: {arches}\n\
         Components: main\nDescription: Xen and its components\nAcquire-By-Hash: yes\nSHA256:\n{sums}",
        documents::date(time).replace("+0000", "UTC")
    )
}

/// Reads what a package says of itself.
fn described(file: &Path, bytes: &[u8]) -> Result<Described> {
    let name = file.display();
    let broken = || {
        Error::input(format!("cannot read package `{name}`"))
            .help(format!("dpkg-deb --info '{name}'   # what dpkg says of it; move it away, or make it again"))
    };
    let described = control(bytes).map_err(|error| broken().because(error))?;
    let is_whole = ["Package", "Version", "Architecture"].iter().all(|field| described.field(field).is_some());
    if !is_whole || described.control.contains("\n\n") {
        return Err(broken().because("its control file is not one stanza with a name, a version and an architecture"));
    }
    // They become names of files and directories. Behind a source's name its version may stand.
    let source = described.source();
    let fields =
        ["Package", "Version", "Architecture"].map(|field| (field, described.field(field).unwrap_or_default()));
    for (field, value) in fields.into_iter().chain([("Source", source)]) {
        let more = if field == "Version" { "~:" } else { "" };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c) || more.contains(c);
        if value.is_empty() || value.starts_with('.') || !value.chars().all(is_plain) {
            return Err(broken().because(format!("`{value}` is nothing for the field `{field}`")));
        }
    }
    Ok(described)
}

/// The control file in a package (deb(5)).
fn control(package: &[u8]) -> io::Result<Described> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    for Member { name: packed, time, bytes } in members(package)? {
        let Some(packing) = packed.strip_prefix("control.tar") else { continue };
        let unpacked: Box<dyn Read> = match packing {
            ".xz" => Box::new(liblzma::read::XzDecoder::new(bytes)),
            ".gz" => Box::new(flate2::read::GzDecoder::new(bytes)),
            "" => Box::new(bytes),
            _ => return Err(invalid(format!("`{packed}` is neither xz nor gz"))),
        };
        let mut tar = Vec::new();
        unpacked.take(LARGEST + 1).read_to_end(&mut tar)?;
        if tar.len() as u64 > LARGEST {
            return Err(invalid(format!("`{packed}` has more than {} MiB unpacked", LARGEST >> 20)));
        }
        for entry in tar::Archive::new(&tar[..]).entries()? {
            let mut entry = entry?;
            if entry.path()?.file_name().is_some_and(|name| name == "control") {
                let mut control = String::new();
                entry.read_to_string(&mut control)?;
                return Ok(Described { control, time });
            }
        }
    }
    Err(invalid("it has no control file".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, arch: &str, source: &str) -> Vec<u8> {
        let control = format!("Package: {name}\nSource: {source}\nVersion: {version}\nArchitecture: {arch}\n");
        let mut tar = tar::Builder::new(xz(Vec::new()));
        let mut header = tar::Header::new_gnu();
        header.set_size(control.len() as u64);
        tar.append_data(&mut header, "./control", control.as_bytes()).unwrap();
        archive(&tar.into_inner().unwrap().finish().unwrap())
    }

    fn archive(packed: &[u8]) -> Vec<u8> {
        let mut deb = ar::Builder::new(Vec::new());
        deb.append(&ar::Header::new(b"control.tar.xz".to_vec(), packed.len() as u64), packed).unwrap();
        deb.into_inner().unwrap()
    }

    fn located(package: &[u8]) -> std::result::Result<String, String> {
        location(Path::new("x.deb"), package).map_err(|error| error.report())
    }

    #[test]
    fn what_a_package_says_of_itself_is_read_only_so_far() {
        let mut packed = xz(Vec::new());
        packed.write_all(&vec![0; usize::try_from(LARGEST).unwrap() + 1]).unwrap();
        let packed = packed.finish().unwrap();
        let report = located(&archive(&packed)).unwrap_err();
        assert!(report.contains("`x.deb`") && report.contains("has more than 16 MiB unpacked"), "{report}");
    }

    #[test]
    fn a_field_leads_nowhere_out_of_the_pool() {
        let of = |name, version, arch, source| located(&package(name, version, arch, source));
        assert_eq!(of("p", "1:2~3+x-1", "amd64", "s (4)").unwrap(), "pool/s/epoch-1/p_2~3+x-1_amd64.deb");
        let refused = |found: std::result::Result<String, String>, field: &str| {
            let report = found.unwrap_err();
            assert!(report.contains(&format!("is nothing for the field `{field}`")), "{report}");
            assert!(report.contains("help: dpkg-deb --info 'x.deb'"), "{report}");
        };
        refused(of("p", "1 /../../../../../tmp/x", "amd64", "s"), "Version");
        refused(of("p", "1", "amd64 /../../..", "s"), "Architecture");
        refused(of("p /../x", "1", "amd64", "s"), "Package");
        refused(of("p", "1", "amd64", "../s (1)"), "Source");
    }

    #[test]
    fn only_old_indices_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let wishes = Wishes { suite: "s", signing: None, clear_signing: None };
        let index = || index(dir.path(), &wishes, &Cancel::default()).unwrap();
        index();
        let by_hash = dir.path().join("dists/s/main/binary-all/by-hash/SHA256");
        let [old, theirs] = [by_hash.join("0".repeat(64)), by_hash.join("README")];
        for path in [&old, &theirs] {
            std::fs::write(path, "").unwrap();
        }
        index();
        assert!(!old.exists() && theirs.exists());
    }
}
