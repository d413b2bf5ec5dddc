//! Binary packages of this machine's distribution in a root of their own, downloaded and unpacked, never installed. apt chooses and
//! downloads them with a state and a cache of its own, and checks them against the indexes that the distribution signed; nothing of
//! the machine's packages is looked at or changed.

use std::fs::{self, File};
use std::io::PipeReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::super::{Fetching, alone};
use crate::atomic;
use crate::digest::Digest;
use crate::error::{Context, Error, Kind, Result};
use crate::process::{Ended, Program};
use crate::turn::{self, Hold, Turn};

/// What is wanted of which packages.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// By name; what they depend on comes with them.
    pub names: &'a [&'a str],
    /// Taken to be there: nobody who only unpacks needs them.
    pub assumed: &'a [&'a str],
    /// Which paths are unpacked, without a leading slash.
    pub keeps: fn(&str) -> bool,
}

/// A root that nobody removes while this lives.
#[derive(Debug)]
pub struct Unpacked {
    /// Where it is.
    pub root: PathBuf,
    _turn: Turn,
}

/// One package as apt names it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    file: String,
    size: u64,
    sha256: String,
}

/// Whose lists of packages are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    Machine,
    Own,
}

/// Nothing but apt itself runs, and it does not become another user, who could not read our directories.
const CONFIG: &str = "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
     #clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n#clear DPkg::Pre-Install-Pkgs;\nAPT::Sandbox::User \"root\";\n";

/// The packages, unpacked. `None` with `--offline` where they are not here already.
pub fn unpacked(ctx: &Fetching<'_>, wanted: Wanted<'_>) -> Result<Option<Unpacked>> {
    let dir = ctx.layout.store.join("boot");
    alone(&dir.join("lock"), ctx, "packages for boot tests", || {
        let apt = Apt { ctx, wanted, dir: &dir };
        if ctx.offline { apt.newest_here() } else { apt.get().map(Some) }
    })
}

struct Apt<'a> {
    ctx: &'a Fetching<'a>,
    wanted: Wanted<'a>,
    dir: &'a Path,
}

impl Apt<'_> {
    fn get(&self) -> Result<Unpacked> {
        self.prepare()?;
        let lists = self.lists()?;
        match self.get_by(lists) {
            // The lists may be older than what the mirror still has.
            Err(error) if lists == Lists::Machine && error.kind() != Kind::Interrupted => {
                (self.ctx.say)(&format!("{error}; asking the mirror for its lists"));
                self.update()?;
                self.get_by(Lists::Own)
            }
            other => other,
        }
    }

    fn get_by(&self, lists: Lists) -> Result<Unpacked> {
        let packages = self.choose(lists)?;
        let root = self.root_of(&packages);
        if !root.join(DONE).is_file() {
            let mib = packages.iter().map(|package| package.size).sum::<u64>() >> 20;
            (self.ctx.say)(&format!("downloading {} packages to unpack, {mib} MiB", packages.len()));
            crate::machine::need(self.dir, 800 << 20, "unpacking packages for boot tests")?;
            self.download(lists, &packages)?;
            self.unpack(&packages, &root)?;
        }
        self.use_only(root)
    }

    /// apt's own directories, and a list of installed packages that has only what is assumed.
    fn prepare(&self) -> Result<()> {
        for part in ["apt/lists/partial", "apt/cache/archives/partial"] {
            let part = self.dir.join(part);
            fs::create_dir_all(&part).context(|| format!("cannot make `{}`", part.display()))?;
        }
        let assumed = self.wanted.assumed.iter().map(|name| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 999\nMaintainer: nobody\nDescription: assumed\n\n")
        });
        atomic::write(&self.dir.join("apt/status"), assumed.collect::<String>().as_bytes())?;
        atomic::write(&self.dir.join("apt/apt.conf"), CONFIG.as_bytes())
    }

    fn own_lists(&self) -> PathBuf {
        self.dir.join("apt/lists")
    }

    /// The newer ones of the machine's and ours; ours are made where there are none.
    fn lists(&self) -> Result<Lists> {
        let (machines, own) = (newest_list(Path::new("/var/lib/apt/lists")), newest_list(&self.own_lists()));
        match (machines, own) {
            (None, None) => self.update().map(|()| Lists::Own),
            (machines, own) => Ok(if own > machines { Lists::Own } else { Lists::Machine }),
        }
    }

    fn run(&self, words: &[&str], lists: Lists) -> Result<Ended> {
        let at = |path: &str| self.dir.join("apt").join(path).display().to_string();
        let lists = match lists {
            Lists::Machine => "/var/lib/apt/lists".to_owned(),
            Lists::Own => at("lists"),
        };
        let options = [
            format!("Dir::State={}", at("")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::State::lists={lists}"),
            format!("Dir::Cache={}", at("cache")),
            // The lock of the machine's lists is root's, and we only read them.
            "Debug::NoLocking=1".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=2".to_owned(),
            "Acquire::ForceHash=SHA256".to_owned(),
        ];
        let mut argv = vec!["apt-get".to_owned(), "--config-file".to_owned(), at("apt.conf")];
        argv.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        argv.extend(words.iter().map(ToString::to_string));
        Program::new(argv).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").run(self.ctx.cancel)
    }

    fn update(&self) -> Result<()> {
        let ended = self.run(&["update"], Lists::Own)?;
        let cannot = || "cannot get the lists of this machine's repositories".to_owned();
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        ended.success(cannot)?;
        // Of some repositories it may lack the lists and be content: of all, too.
        match newest_list(&self.own_lists()) {
            Some(_) => Ok(()),
            None => Err(Error::machine(cannot()).because(said).help("apt-get update   # must reach a mirror")),
        }
    }

    fn install(&self, how: &str, lists: Lists) -> Result<Vec<u8>> {
        let mut words = vec!["install", "-y", "--no-install-recommends", how, "--"];
        words.extend(self.wanted.names);
        self.run(&words, lists)?.success(|| format!("apt cannot get {}", self.wanted.names.join(" ")))
    }

    fn choose(&self, lists: Lists) -> Result<Vec<Package>> {
        let printed = self.install("--print-uris", lists)?;
        let text = String::from_utf8_lossy(&printed);
        let mut packages: Vec<Package> = text.lines().filter_map(package).collect();
        packages.sort_by(|one, other| one.file.cmp(&other.file));
        if packages.is_empty() {
            return Err(Error::machine(format!("apt names no file for {}", self.wanted.names.join(" "))));
        }
        Ok(packages)
    }

    fn archive(&self, package: &Package) -> PathBuf {
        self.dir.join("apt/cache/archives").join(&package.file)
    }

    fn download(&self, lists: Lists, packages: &[Package]) -> Result<()> {
        self.install("--download-only", lists)?;
        for package in packages {
            let path = self.archive(package);
            let cannot = || format!("cannot read `{}`", path.display());
            let found = Digest::of_reader(&mut File::open(&path).context(cannot)?).context(cannot)?;
            if found.hash.to_string() != package.sha256 {
                fs::remove_file(&path).context(cannot)?;
                let wrong = format!("`{}` is not what the index says: sha256 is {}", package.file, found.hash);
                return Err(Error::machine(wrong).because(format!("wanted is {}", package.sha256)));
            }
        }
        Ok(())
    }

    /// Named after its packages and after what was asked for, so that `--offline` finds it without apt.
    fn root_of(&self, packages: &[Package]) -> PathBuf {
        let text: String = packages.iter().map(|package| format!("{}\n", package.sha256)).collect();
        self.dir.join("roots").join(format!("{}-{}", self.asked(), Digest::of(text.as_bytes()).short()))
    }

    fn asked(&self) -> String {
        let words = [self.wanted.names, &["--"], self.wanted.assumed].concat().join(" ");
        Digest::of(words.as_bytes()).short()
    }

    fn newest_here(&self) -> Result<Option<Unpacked>> {
        let roots = fs::read_dir(self.dir.join("roots")).into_iter().flatten().flatten();
        let ours = format!("{}-", self.asked());
        let done = roots
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours))
            .filter_map(|entry| Some((entry.path().join(DONE).metadata().ok()?.modified().ok()?, entry.path())));
        done.max().map(|(_, root)| self.hold(root)).transpose()
    }

    fn hold(&self, root: PathBuf) -> Result<Unpacked> {
        let turn = turn::take(&root, Hold::Shared, self.ctx.cancel, &|_| {}, "")?;
        Ok(Unpacked { root, _turn: turn })
    }

    /// Takes the root, and removes those that nobody uses any more.
    fn use_only(&self, root: PathBuf) -> Result<Unpacked> {
        let held = self.hold(root)?;
        for entry in fs::read_dir(self.dir.join("roots")).into_iter().flatten().flatten() {
            let of_ours = entry.file_name().to_string_lossy().starts_with(&self.asked());
            if of_ours && entry.path() != held.root && turn::try_take(&entry.path(), Hold::Alone)?.is_some() {
                atomic::remove_tree(&entry.path())?;
            }
        }
        Ok(held)
    }

    fn unpack(&self, packages: &[Package], root: &Path) -> Result<()> {
        (self.ctx.say)("unpacking them");
        let half = root.with_extension("half");
        atomic::remove_tree(&half)?;
        fs::create_dir_all(&half).context(|| format!("cannot make `{}`", half.display()))?;
        for package in packages {
            self.unpack_one(&self.archive(package), &half)?;
        }
        atomic::write(&half.join(DONE), b"")?;
        atomic::remove_tree(root)?;
        fs::rename(&half, root).context(|| format!("cannot make `{}`", root.display()))?;
        // What is unpacked need not be kept packed.
        atomic::remove_tree(&self.dir.join("apt/cache/archives"))
    }

    fn unpack_one(&self, archive: &Path, root: &Path) -> Result<()> {
        let cannot = || format!("cannot unpack `{}`", archive.display());
        let (reader, writer) = std::io::pipe().context(cannot)?;
        let argv = ["dpkg-deb".as_ref(), "--fsys-tarfile".as_ref(), archive.as_os_str()];
        let program = Program::new(argv).env("LC_ALL", "C").piped(None, writer);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| extract(reader, root, self.wanted.keeps));
            let ended = program.run(self.ctx.cancel);
            let read = reading.join().unwrap_or_else(|_| Err(std::io::Error::other("the reader gave up")));
            ended?.success(cannot)?;
            read.context(cannot)
        })
    }
}

/// In a root that is whole.
const DONE: &str = ".unpacked";

fn extract(reader: PipeReader, root: &Path, keeps: fn(&str) -> bool) -> std::io::Result<()> {
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if keeps(&path) {
            // It refuses by itself whatever would get out of the root.
            entry.unpack_in(root)?;
        }
    }
    Ok(())
}

/// When the newest list of packages came.
fn newest_list(dir: &Path) -> Option<SystemTime> {
    let lists = fs::read_dir(dir).ok()?.flatten();
    let lists = lists.filter(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
    lists.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()
}

/// A line `'ADDRESS' FILE SIZE SHA256:…`.
fn package(line: &str) -> Option<Package> {
    let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut words = rest.split(' ');
    let (file, size, hash) = (words.next()?, words.next()?, words.next()?);
    let sha256 = hash.strip_prefix("SHA256:")?.to_owned();
    let is_plain = !file.contains('/') && file.ends_with(".deb");
    is_plain.then(|| Some(Package { file: file.to_owned(), size: size.parse().ok()?, sha256 }))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_off_what_apt_would_download() {
        let found = package(
            "'http://m/pool/b/busybox_1.35-4%2bb1_amd64.deb' busybox_1%3a1.35-4+b1_amd64.deb 928188 SHA256:ab12",
        );
        let wanted =
            Package { file: "busybox_1%3a1.35-4+b1_amd64.deb".to_owned(), size: 928_188, sha256: "ab12".to_owned() };
        assert_eq!(found, Some(wanted));
        for line in ["Reading package lists...", "'http://m/x' ../x.deb 1 SHA256:1", "'http://m/x' x.deb 1 MD5Sum:1"] {
            assert_eq!(package(line), None, "{line}");
        }
    }
}
