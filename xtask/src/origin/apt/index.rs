//! Debian's Sources indexes, for `update` only. apt reads them into a private state directory, so that the machine needs no
//! deb-src entry and nothing of its own state changes; it verifies them with the archive's keyring.

use std::fs::{self, File as Handle};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use deb822_fast::Deb822;

use super::super::{Fetching, alone};
use super::machine::{self, Repository};
use super::version;
use crate::definition::{Apt, File};
use crate::error::{Context, Error, Result};
use crate::process::Program;

/// A source package as an index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) version: String,
    pub(super) files: Vec<File>,
}

/// Every version of the package in the suite, or in all suites of this machine's own.
pub(super) fn read(ctx: &Fetching<'_>, apt: &Apt) -> Result<Vec<Package>> {
    let wanted = wanted_releases(&machine::repositories(ctx)?, apt.suite.as_deref());
    let dir = ctx.layout.state().join("apt").join(apt.suite.as_deref().unwrap_or("own").replace('/', "_"));
    alone(&dir.with_extension("lock"), ctx, "the index of Debian's sources", || {
        refresh(ctx, &dir, &wanted)?;
        let mut packages = Vec::new();
        for file in index_files(&dir)? {
            packages.extend(packages_in(&file, &apt.package)?);
        }
        packages.sort_by(|one: &Package, other| version::compare(&one.version, &other.version));
        packages.dedup();
        Ok(packages)
    })
}

/// The repositories that a suite is looked for in: those of the machine, with its release's name exchanged for the suite's.
/// `bookworm-updates` and `trixie` give `trixie-updates`; only the suite itself must exist.
fn wanted_releases(repositories: &[Repository], suite: Option<&str>) -> Vec<Repository> {
    let Some(suite) = suite else { return repositories.to_vec() };
    let mut wanted = Vec::new();
    for repository in repositories {
        let base_name = repository.release.split(['-', '/']).next().unwrap_or_default();
        let release = repository.release.replacen(base_name, suite, 1);
        let repository = Repository { release, ..repository.clone() };
        if !wanted.contains(&repository) {
            wanted.push(repository);
        }
    }
    wanted
}

/// Reads the indexes anew, unless this process did so already.
fn refresh(ctx: &Fetching<'_>, dir: &Path, wanted: &[Repository]) -> Result<()> {
    let keyrings = keyrings().join(",");
    let options = if keyrings.is_empty() { String::new() } else { format!("[signed-by={keyrings}] ") };
    let line = |it: &Repository| format!("deb-src {options}{} {} {}\n", it.base, it.release, it.component);
    let list: String = wanted.iter().map(line).collect();
    let done = dir.join("done");
    let mark = format!("{}\n{list}", run_id());
    if crate::atomic::read(&done)?.is_some_and(|found| found == mark.as_bytes()) {
        return Ok(());
    }
    let cannot = || format!("cannot prepare `{}` for apt", dir.display());
    for part in ["state/lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(dir.join(part)).context(cannot)?;
    }
    // What the machine has apt do after an update (clean caches, tell a desktop) is no business of ours.
    let config =
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n";
    crate::atomic::write(&dir.join("apt.conf"), config.as_bytes())?;
    crate::atomic::write(&dir.join("sources.list"), list.as_bytes())?;
    let option = |name: &str, value: &Path| format!("{name}={}", value.display());
    let options = [
        option("Dir::State", &dir.join("state")),
        option("Dir::State::lists", &dir.join("state/lists")),
        option("Dir::Cache", &dir.join("cache")),
        option("Dir::Etc::SourceList", &dir.join("sources.list")),
        option("Dir::Etc::SourceParts", Path::new("/dev/null")),
        // Kept uncompressed: nothing to decompress, and no format that this machine prefers.
        "Acquire::GzipIndexes=false".to_owned(),
        "Acquire::Languages=none".to_owned(),
        "Acquire::Retries=2".to_owned(),
    ];
    let mut argv = vec![
        "apt-get".to_owned(),
        "update".to_owned(),
        "--config-file".to_owned(),
        dir.join("apt.conf").display().to_string(),
    ];
    argv.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
    let ended = Program::new(argv).env("LC_ALL", "C").run(ctx.cancel)?;
    if !ended.status.success() {
        // A suite without an `-updates` or `-security` of its own is no failure, as long as the suite itself is there.
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let files = index_files(dir)?;
        let main = wanted.first().map(|repository| format!("dists_{}_", repository.release.replace('/', "_")));
        let has_main = main.is_some_and(|main| files.iter().any(|file| file.to_string_lossy().contains(&main)));
        if !has_main {
            return ended.success(|| "cannot read the index of Debian's sources".to_owned()).map(|_| ());
        }
        for line in said.lines().filter(|line| line.starts_with("E:")) {
            (ctx.say)(&format!("index of Debian's sources: {}", line.trim_start_matches("E:").trim()));
        }
    }
    crate::atomic::write(&done, mark.as_bytes())
}

/// One process reads an index once, another one again.
fn run_id() -> String {
    static STARTED: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let started = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map(|since| since.as_nanos());
        format!("{}.{}", std::process::id(), now.unwrap_or_default())
    };
    STARTED.get_or_init(started).clone()
}

/// The keyrings that the machine trusts for its own mirrors: those that its sources name, and those of the archives. Where there
/// are none, apt's own trusted keys decide.
fn keyrings() -> Vec<String> {
    const ARCHIVES: [&str; 2] =
        ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"];
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_read = |path: &PathBuf| path.extension().is_some_and(|it| it == "list" || it == "sources");
    let files = parts.filter(is_read).chain([PathBuf::from("/etc/apt/sources.list")]);
    let texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    let named = texts.iter().flat_map(|text| signed_by(text));
    let mut keyrings: Vec<String> =
        named.chain(ARCHIVES).filter(|path| Path::new(path).is_file()).map(str::to_owned).collect();
    keyrings.sort();
    keyrings.dedup();
    keyrings
}

/// Paths after `Signed-By:` and `signed-by=`.
fn signed_by(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| match line.split_once("signed-by=") {
        Some((_, rest)) => Some(rest.split([' ', ']']).next().unwrap_or_default()),
        None => line.strip_prefix("Signed-By:"),
    });
    values.flat_map(|value| value.split([',', ' '])).filter(|path| path.starts_with('/'))
}

fn index_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let lists = dir.join("state/lists");
    let cannot = || format!("cannot read `{}`", lists.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&lists).context(cannot)? {
        let path = entry.context(cannot)?.path();
        if path.to_string_lossy().ends_with("_Sources") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The paragraphs of one package. Only those are parsed: the index has tens of thousands.
fn packages_in(index: &Path, package: &str) -> Result<Vec<Package>> {
    let cannot = || format!("cannot read index `{}`", index.display());
    let mut packages = Vec::new();
    let first_line = format!("Package: {package}");
    let mut paragraph = String::new();
    let mut is_ours = false;
    let reader = BufReader::with_capacity(256 * 1024, Handle::open(index).context(cannot)?);
    for line in reader.lines().map(|line| line.context(cannot)).chain([Ok(String::new())]) {
        let line = line?;
        if !line.is_empty() {
            is_ours |= line == first_line;
            paragraph.push_str(&line);
            paragraph.push('\n');
            continue;
        }
        if is_ours {
            packages.push(parse(&paragraph).map_err(|why| Error::machine(cannot()).because(why))?);
        }
        paragraph.clear();
        is_ours = false;
    }
    Ok(packages)
}

/// One paragraph of a Sources index.
fn parse(paragraph: &str) -> Result<Package, String> {
    let parsed: Deb822 = paragraph.parse().map_err(|error| format!("{error}"))?;
    let fields = parsed.iter().next().ok_or("an empty paragraph")?;
    let field = |name: &str| fields.get(name).ok_or_else(|| format!("a paragraph without {name}"));
    let (version, directory) = (field("Version")?.to_owned(), field("Directory")?);
    let mut files = Vec::new();
    for line in field("Checksums-Sha256")?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [sha256, size, name] = words.as_slice() else { return Err(format!("`{line}` is no checksum line")) };
        let size = size.parse().map_err(|_| format!("`{size}` is no size"))?;
        files.push(File { path: format!("{directory}/{name}"), size, sha256: sha256.parse()? });
    }
    Ok(Package { version, files })
}

/// Where a package was looked for, for messages.
pub(super) fn suites_looked_in(apt: &Apt) -> String {
    match &apt.suite {
        Some(suite) => format!("suite `{suite}` of this machine's mirror"),
        None => "this machine's mirror".to_owned(),
    }
}

/// The versions that the mirror has now, for an error about one that it has not.
pub(super) fn versions_now(ctx: &Fetching<'_>, apt: &Apt) -> String {
    match read(ctx, apt) {
        Ok(packages) => now(&packages, apt),
        Err(error) => format!("and its index cannot be read: {error}"),
    }
}

/// See `versions_now`.
pub(super) fn now(packages: &[Package], apt: &Apt) -> String {
    let versions: Vec<&str> = packages.iter().map(|package| package.version.as_str()).collect();
    match versions.as_slice() {
        [] => format!("there is no `{}` at all in {}", apt.package, suites_looked_in(apt)),
        versions => format!("{} now has {} {}", suites_looked_in(apt), apt.package, versions.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_paragraphs_of_the_package_are_read() {
        let root = tempfile::tempdir().unwrap();
        let index = root.path().join("x_Sources");
        let sha = "b".repeat(64);
        let text = format!(
            "Package: foobar\nVersion: broken\n\nPackage: foo\nBinary: foo,\n foo-doc\nVersion: 1.0-1\nChecksums-Sha256:\n \
             {sha} 10 foo_1.0-1.dsc\n {sha} 20 foo_1.0.orig.tar.gz\nDirectory: pool/main/f/foo\n"
        );
        fs::write(&index, text).unwrap();
        let packages = packages_in(&index, "foo").unwrap();
        assert_eq!(packages.len(), 1);
        assert_eq!(packages[0].version, "1.0-1");
        assert_eq!(packages[0].files[1].path, "pool/main/f/foo/foo_1.0.orig.tar.gz");
        assert_eq!(packages[0].files[1].size, 20);
        assert_eq!(packages_in(&index, "bar").unwrap(), []);
    }

    #[test]
    fn keyrings_are_found_in_both_forms_of_sources() {
        let text = "deb [arch=amd64 signed-by=/k/a.gpg,/k/b.gpg] http://m x main\nTypes: deb\nSigned-By: /k/c.gpg\n# Signed-By: /k/d\n";
        assert_eq!(signed_by(text).collect::<Vec<_>>(), ["/k/a.gpg", "/k/b.gpg", "/k/c.gpg"]);
    }

    #[test]
    fn a_suite_is_looked_for_beside_the_machines_own() {
        let repository = |release: &str| Repository {
            base: "http://m/debian/".into(),
            release: release.into(),
            component: "main".into(),
        };
        let own = [repository("bookworm"), repository("bookworm-updates")];
        let releases = |suite| wanted_releases(&own, suite).into_iter().map(|it| it.release).collect::<Vec<_>>();
        assert_eq!(releases(None), ["bookworm", "bookworm-updates"]);
        assert_eq!(releases(Some("trixie")), ["trixie", "trixie-updates"]);
    }
}
