//! A repository of Debian's form (deb-repository): `pool/` with packages, `dists/SUITE` with indices by their digests, and `Release`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use super::{Found, each, sha256, sweep, write_named};
use crate::error::{Context, Error, Result};
use crate::package::archive::xz;
use crate::package::documents;
use crate::placing;
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
}

/// Where a package is in the pool.
pub fn location(file: &Path, bytes: &[u8]) -> Result<String> {
    let described = described(&file.display().to_string(), bytes)?;
    let source = described.field("Source").or_else(|| described.field("Package")).unwrap_or_default();
    let source = source.split(' ').next().unwrap_or(source);
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
        let described = described(&package.location, &package.bytes)?;
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
    let suite = repository.join("dists").join(wishes.suite);
    let before = crate::atomic::read(&suite.join("Release"))?.unwrap_or_default();
    let before = String::from_utf8_lossy(&before);
    let indices = indices(&suite, &stanzas)?;
    let release = next(&before, newest, &|time| release(wishes.suite, stanzas.keys(), time, &indices.sums));
    publish(&suite, &release, indices, wishes, cancel)?;
    // Whoever has read the index before this one still gets what it names.
    let sum = |line: &str| line.strip_prefix(' ')?.split(' ').next().map(str::to_owned);
    let named: BTreeSet<String> = before.lines().chain(release.lines()).filter_map(sum).collect();
    for arch in stanzas.keys() {
        sweep(&suite.join(format!("main/binary-{arch}/by-hash/SHA256")), &named)?;
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

/// Signs first, since that may fail; then everything gets its name, and what apt reads first comes last.
fn publish(suite: &Path, release: &str, indices: Indices, wishes: &Wishes<'_>, cancel: &Cancel) -> Result<()> {
    let aside = tempfile::tempdir().context(|| "cannot make a directory".to_owned())?;
    let unsigned = aside.path().join("Release");
    crate::atomic::write(&unsigned, release.as_bytes())?;
    let what = format!("the index of `{}`", suite.display());
    let sign = |signing: &Option<Signing>| {
        signing.as_ref().map(|signing| signing.signature(&unsigned, &what, cancel)).transpose()
    };
    let signatures = [("Release.gpg", sign(&wishes.signing)?), ("InRelease", sign(&wishes.clear_signing)?)];
    for (name, _) in signatures.iter().filter(|(_, signature)| signature.is_none()) {
        placing::remove_file(&suite.join(name))?;
    }
    // Who does not ask for digests reads these.
    for (path, bytes) in indices.plain {
        crate::atomic::write(&path, &bytes)?;
    }
    crate::atomic::write(&suite.join("Release"), release.as_bytes())?;
    for (name, signature) in signatures {
        if let Some(signature) = signature {
            crate::atomic::write(&suite.join(name), &signature)?;
        }
    }
    Ok(())
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
fn described(name: &str, bytes: &[u8]) -> Result<Described> {
    let broken = || Error::input(format!("cannot read package `{name}`"));
    let described = control(bytes).map_err(|error| broken().because(error))?;
    let is_whole = ["Package", "Version", "Architecture"].iter().all(|field| described.field(field).is_some());
    if !is_whole || described.control.contains("\n\n") {
        return Err(broken().because("its control file is not one stanza with a name, a version and an architecture"));
    }
    // They become names of files and directories.
    for (field, more) in [("Package", ""), ("Source", ""), ("Version", "~:"), ("Architecture", "")] {
        let name = described.field(field).and_then(|value| value.split(' ').next()).unwrap_or("-");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c) || more.contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(broken().because(format!("`{name}` is no name for `{field}`")));
        }
    }
    Ok(described)
}

/// The control file in a package (deb(5)).
fn control(bytes: &[u8]) -> io::Result<Described> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut members = ar::Archive::new(bytes);
    while let Some(member) = members.next_entry() {
        let mut member = member?;
        let time = member.header().mtime();
        let packed = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let Some(packing) = packed.strip_prefix("control.tar") else { continue };
        let unpacked: Box<dyn Read> = match packing {
            ".xz" => Box::new(liblzma::read::XzDecoder::new(&mut member)),
            ".gz" => Box::new(flate2::read::GzDecoder::new(&mut member)),
            "" => Box::new(&mut member),
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

    #[test]
    fn what_a_package_says_of_itself_is_read_only_so_far() {
        let mut packed = xz(Vec::new());
        packed.write_all(&vec![0; usize::try_from(LARGEST).unwrap() + 1]).unwrap();
        let packed = packed.finish().unwrap();
        let mut deb = ar::Builder::new(Vec::new());
        deb.append(&ar::Header::new(b"control.tar.xz".to_vec(), packed.len() as u64), &packed[..]).unwrap();
        let report = location(Path::new("x.deb"), &deb.into_inner().unwrap()).unwrap_err().report();
        assert!(report.contains("`x.deb`") && report.contains("has more than 16 MiB unpacked"), "{report}");
    }
}
