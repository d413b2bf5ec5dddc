//! Installing Debian packages without harm: first simulated, refused if anything would be removed or downgraded, and
//! apart from every other apt that may run at the same time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::install::as_root;
use super::remembered::{Remembered, stamps};
use crate::error::{Context, Error, Kind, Result};
use crate::process::{Cancel, Ended, Program};

/// How long we wait for another apt or dpkg to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);
/// How often a lock that apt itself does not wait for is tried.
const LOCK_POLL: Duration = Duration::from_secs(2);

/// What apt would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Simulation {
    /// New packages and their versions.
    installed: BTreeMap<String, String>,
    /// From one version to a later one.
    upgraded: Vec<String>,
    removed: Vec<String>,
    downgraded: Vec<String>,
}

impl Simulation {
    /// Reads what `apt-get install -s` prints in the C locale.
    fn parse(text: &str) -> Self {
        let mut simulation = Simulation::default();
        let mut in_downgrades = false;
        for line in text.lines() {
            // "The following packages will be DOWNGRADED:" and then names on indented lines
            if !line.starts_with(' ') {
                in_downgrades = line.contains("will be DOWNGRADED");
            } else if in_downgrades {
                simulation.downgraded.extend(line.split_whitespace().map(str::to_owned));
            }
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("Inst"), Some(name), Some(old)) if old.starts_with('[') => {
                    simulation.upgraded.push(name.to_owned())
                }
                (Some("Inst"), Some(name), Some(new)) => {
                    simulation.installed.insert(name.to_owned(), new.trim_matches(['(', ')']).to_owned());
                }
                (Some("Remv" | "Purg"), Some(name), _) => simulation.removed.push(name.to_owned()),
                _ => {}
            }
        }
        simulation
    }

    /// `Err` if something that is there would not be there any more.
    fn refuse_harm(&self, packages: &[String]) -> Result<()> {
        let harms = [("remove", &self.removed), ("downgrade", &self.downgraded)];
        let harms: Vec<String> = harms
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(verb, names)| format!("{verb} {}", names.join(" ")))
            .collect();
        if harms.is_empty() {
            return Ok(());
        }
        Err(Error::machine(format!(
            "installing {} would {}; nothing was changed",
            packages.join(" "),
            harms.join(" and ")
        ))
        .help(format!("apt-get install -s --no-install-recommends {}   # shows why", packages.join(" "))))
    }
}

/// Installs `packages`. `say` gets what is done, line by line.
pub(super) fn install(packages: &[String], cancel: &Cancel, say: &dyn Fn(&str)) -> Result<()> {
    let mut updated = false;
    if !has_lists(Path::new("/")) {
        update(cancel, say)?;
        updated = true;
    }
    let simulation = match simulate(packages, cancel) {
        Err(error) if error.kind() != Kind::Interrupted && !updated => {
            say("apt does not know all of these packages; asking the mirror for its lists");
            update(cancel, say)?;
            updated = true;
            simulate(packages, cancel)?
        }
        other => other?,
    };
    simulation.refuse_harm(packages)?;
    say(&describe(&simulation));
    match really_install(packages, cancel) {
        // The lists may be older than what the mirror still has.
        Err(error) if error.kind() != Kind::Interrupted && !updated => {
            say("apt could not install them; asking the mirror for its lists and trying again");
            update(cancel, say)?;
            simulate(packages, cancel)?.refuse_harm(packages)?;
            really_install(packages, cancel)
        }
        other => other,
    }
}

fn describe(simulation: &Simulation) -> String {
    let mut parts = vec![format!("apt: {} new packages", simulation.installed.len())];
    if !simulation.upgraded.is_empty() {
        parts.push(format!("newer versions of {}", simulation.upgraded.join(" ")));
    }
    parts.join(", ")
}

/// Hosts of the mirrors that apt reads. apt is asked once, and again when its configuration changed.
pub(super) fn mirrors(remembered: &Remembered, cancel: &Cancel) -> Result<Vec<String>> {
    let question = "hosts of apt's mirrors";
    if let Some(known) = remembered.recall(question) {
        return Ok(known);
    }
    let stamps = stamps(configuration(Path::new("/etc/apt")));
    let argv = ["apt-get", "update", "--print-uris"].map(str::to_owned);
    let printed = apt(argv, cancel)?.success(|| "cannot ask this machine's apt for its mirrors".to_owned())?;
    let mut hosts: Vec<String> = String::from_utf8_lossy(&printed).lines().filter_map(host).collect();
    hosts.sort();
    hosts.dedup();
    if hosts.is_empty() {
        return Err(Error::machine("apt knows no mirror: nothing in `/etc/apt` names one"));
    }
    remembered.keep(question, stamps, &hosts)?;
    Ok(hosts)
}

/// `mirror.example` of a line `'http://mirror.example/debian/dists/…' …`; the path of a mirror on this machine.
fn host(line: &str) -> Option<String> {
    let (address, _) = line.strip_prefix('\'')?.split_once('\'')?;
    let Some((_, rest)) = address.split_once("//") else {
        return Some(address.split("/dists/").next().unwrap_or(address).to_owned());
    };
    let host = rest.split('/').next().unwrap_or_default();
    // Credentials stay out of sight.
    Some(host.rsplit('@').next().unwrap_or(host).to_owned())
}

/// The files that say which mirrors apt reads, and the directories that hold them.
fn configuration(etc: &Path) -> Vec<PathBuf> {
    let mut paths = vec![etc.join("apt.conf"), etc.join("sources.list")];
    for dir in ["apt.conf.d", "sources.list.d"].map(|name| etc.join(name)) {
        paths.extend(fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()));
        paths.push(dir);
    }
    paths
}

/// Whether apt has the lists of any repository.
pub(super) fn has_lists(root: &Path) -> bool {
    let is_list = |name: &str| name.contains("_Packages");
    let entries = fs::read_dir(root.join("var/lib/apt/lists")).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| is_list(&entry.file_name().to_string_lossy()))
}

fn simulate(packages: &[String], cancel: &Cancel) -> Result<Simulation> {
    let argv = ["apt-get", "install", "-s", "-y", "--no-install-recommends", "--allow-downgrades", "--"];
    let ended = apt(argv.iter().map(ToString::to_string).chain(packages.iter().cloned()), cancel)?;
    let printed = ended.success(|| format!("apt cannot install {}", packages.join(" ")))?;
    Ok(Simulation::parse(&String::from_utf8_lossy(&printed)))
}

fn really_install(packages: &[String], cancel: &Cancel) -> Result<()> {
    // Hooks of container images remove *.deb from the common directory, also those of another apt that is about to
    // unpack them.
    let archives = tempfile::Builder::new().prefix("sultana-apt-").tempdir();
    let archives = archives.context(|| "cannot make a directory for downloaded packages".to_owned())?;
    let making = || format!("cannot make `{}`", archives.path().display());
    // apt downloads as another user, who must get there.
    fs::set_permissions(archives.path(), fs::Permissions::from_mode(0o755)).context(making)?;
    fs::create_dir(archives.path().join("partial")).context(making)?;
    let mut argv: Vec<String> =
        ["apt-get", "install", "-y", "--no-install-recommends", "--no-remove"].map(Into::into).into();
    argv.extend(["-o".to_owned(), format!("DPkg::Lock::Timeout={}", LOCK_TIMEOUT.as_secs())]);
    argv.extend(["-o".to_owned(), format!("Dir::Cache::archives={}/", archives.path().display())]);
    argv.extend(
        ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "--"].map(Into::into),
    );
    argv.extend(packages.iter().cloned());
    apt_as_root(argv, cancel)?.success(|| format!("cannot install {}", packages.join(" "))).map(drop)
}

fn update(cancel: &Cancel, say: &dyn Fn(&str)) -> Result<()> {
    say("apt-get update");
    let argv = ["apt-get", "update", "-o", "APT::Update::Error-Mode=any"].map(str::to_owned);
    apt_as_root(argv.into(), cancel)?
        .success(|| "cannot get the lists of this machine's repositories".to_owned())
        .map(drop)
}

fn apt(argv: impl IntoIterator<Item = String>, cancel: &Cancel) -> Result<Ended> {
    Program::new(argv).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").run(cancel)
}

/// Runs apt as root; waits for the locks that apt itself does not wait for.
fn apt_as_root(argv: Vec<String>, cancel: &Cancel) -> Result<Ended> {
    let started = Instant::now();
    loop {
        let settings = ["env", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"].map(str::to_owned);
        let ended = Program::new(as_root(settings.into_iter().chain(argv.iter().cloned()))).run(cancel)?;
        let said = String::from_utf8_lossy(&ended.stderr);
        let is_locked = !ended.status.success() && said.contains("Could not get lock");
        if !is_locked || started.elapsed() > LOCK_TIMEOUT {
            return Ok(ended);
        }
        std::thread::sleep(LOCK_POLL);
        cancel.check()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOVES: &str = "\
Reading package lists...
The following packages will be REMOVED:
  exim4-daemon-light
The following NEW packages will be installed:
  libabc1 postfix
The following packages will be upgraded:
  libssl3
The following packages will be DOWNGRADED:
  gcc-12 cpp-12
  libgcc-12-dev
0 upgraded, 2 newly installed, 3 downgraded, 1 to remove and 0 not upgraded.
Remv exim4-daemon-light [4.96]
Inst libabc1 (1.2-3 Debian:12/stable [amd64])
Inst libssl3 [3.0.1-1] (3.0.2-1 Debian:12/stable [amd64])
Inst postfix (3.7 Debian:12/stable [amd64])
Conf libabc1 (1.2-3 Debian:12/stable [amd64])
";

    #[test]
    fn what_apt_would_do_is_read_and_harm_is_refused() {
        let simulation = Simulation::parse(REMOVES);
        assert_eq!(
            simulation.installed.iter().map(|(name, version)| format!("{name}={version}")).collect::<Vec<_>>(),
            ["libabc1=1.2-3", "postfix=3.7"]
        );
        assert_eq!(simulation.upgraded, ["libssl3"]);
        let error = simulation.refuse_harm(&["postfix".to_owned()]).unwrap_err();
        let wanted = "installing postfix would remove exim4-daemon-light and downgrade gcc-12 cpp-12 libgcc-12-dev; nothing was changed";
        assert_eq!(error.to_string(), wanted);
        assert!(Simulation::parse("Inst a (1 x [all])\n").refuse_harm(&[]).is_ok());
    }

    #[test]
    fn lists_are_seen_when_there_are_any() {
        let root = tempfile::tempdir().unwrap();
        assert!(!has_lists(root.path()));
        let lists = root.path().join("var/lib/apt/lists");
        fs::create_dir_all(lists.join("partial")).unwrap();
        assert!(!has_lists(root.path()));
        fs::write(lists.join("mirror_debian_dists_x_main_binary-amd64_Packages.lz4"), "").unwrap();
        assert!(has_lists(root.path()));
    }

    #[test]
    fn a_mirror_is_shown_by_its_host_and_never_with_a_password() {
        let check = |address: &str| host(&format!("'{address}' name 0 ")).unwrap_or_default();
        assert_eq!(check("http://mirror.example/debian/dists/bookworm/InRelease"), "mirror.example");
        assert_eq!(check("https://me:secret@mirror:8080/d/dists/bookworm/InRelease"), "mirror:8080");
        assert_eq!(check("file:/srv/debian/dists/bookworm/InRelease"), "file:/srv/debian");
        assert_eq!(check("http://mirror/flat/Packages"), "mirror");
    }

    /// The real apt of this machine, as far as it goes without changing anything.
    #[test]
    fn a_real_simulation_is_understood() {
        if which::which("apt-get").is_err() || !has_lists(Path::new("/")) {
            eprintln!("SKIPPED: no apt-get with lists on this machine");
            return;
        }
        let ask = |name: &str| simulate(&[name.to_owned()], &Cancel::default());
        // One of these is not installed, whatever the machine.
        let is_new = |simulation: &Simulation| !simulation.installed.is_empty();
        let found = ["tcc", "nasm", "yasm", "indent"].into_iter().filter_map(|name| ask(name).ok()).find(is_new);
        found.expect("all of them are installed").refuse_harm(&[]).unwrap();
        assert_eq!(ask("dpkg").unwrap().removed, Vec::<String>::new());
        let error = ask("no-such-package-anywhere").unwrap_err();
        assert!(error.report().contains("Unable to locate package no-such-package-anywhere"), "{}", error.report());
    }
}
