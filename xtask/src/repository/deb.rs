//! A repository of Debian's form (deb-repository): `pool/` with packages, `dists/SUITE` with indices by their digests, and `Release`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use super::{Found, each, place, sha256, sweep, write_named};
use crate::error::{Context, Error, Result};
use crate::package::archive::xz;
use crate::package::documents::date;
use crate::process::Cancel;
use crate::signing::Signing;

/// What packages are called that run everywhere.
const ALL: &str = "all";

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

/// Puts a package into the pool; false if it is there already.
pub fn add(repository: &Path, file: &Path) -> Result<bool> {
    let bytes = fs::read(file).context(|| format!("cannot read `{}`", file.display()))?;
    let described = described(&file.display().to_string(), &bytes)?;
    let source = described.field("Source").or_else(|| described.field("Package")).unwrap_or_default();
    let source = source.split(' ').next().unwrap_or(source);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    place(repository, &format!("pool/{source}/{name}"), &bytes)
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
    let indices = indices(&suite, &stanzas)?;
    let release = release(wishes.suite, stanzas.keys(), newest, &indices.sums);
    publish(&suite, &release, indices, wishes, cancel)?;
    // Whoever has read the index before this one still gets what it names.
    let before = String::from_utf8_lossy(&before);
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
        remove(&suite.join(name))?;
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

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::machine(format!("cannot remove `{}`", path.display())).because(error))
        }
        _ => Ok(()),
    }
}

fn stanza(package: &Found, described: &Described) -> String {
    let (size, sum) = (package.bytes.len(), sha256(&package.bytes));
    format!("{}\nFilename: {}\nSize: {size}\nSHA256: {sum}\n", described.control.trim_end(), package.location)
}

fn release<'a>(suite: &str, arches: impl Iterator<Item = &'a String>, time: u64, sums: &str) -> String {
    let arches = arches.map(String::as_str).collect::<Vec<_>>().join(" ");
    format!(
        "Origin: Sultana\nLabel: Sultana\nSuite: {suite}\nCodename: {suite}\nDate: {}\nArchitectures: {arches}\n\
         Components: main\nDescription: Xen and its components\nAcquire-By-Hash: yes\nSHA256:\n{sums}",
        date(time).replace("+0000", "UTC")
    )
}

/// Reads what a package says of itself.
fn described(name: &str, bytes: &[u8]) -> Result<Described> {
    let broken = || Error::input(format!("cannot read package `{name}`"));
    let described = control(bytes).map_err(|error| broken().because(error))?;
    if described.field("Package").is_none() || described.control.contains("\n\n") {
        return Err(broken().because("its control file is not one stanza with a name"));
    }
    // They become names of directories.
    for field in ["Package", "Source", "Architecture"] {
        let name = described.field(field).and_then(|value| value.split(' ').next()).unwrap_or("-");
        if name.starts_with('.') || !name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
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
        let mut tar = Vec::new();
        match packing {
            ".xz" => liblzma::read::XzDecoder::new(&mut member).read_to_end(&mut tar)?,
            ".gz" => flate2::read::GzDecoder::new(&mut member).read_to_end(&mut tar)?,
            "" => member.read_to_end(&mut tar)?,
            _ => return Err(invalid(format!("`{packed}` is neither xz nor gz"))),
        };
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
