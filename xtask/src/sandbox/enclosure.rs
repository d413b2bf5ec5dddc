//! A machine as somebody may have it who builds from a release: the system read-only, no network, another user in another place, and
//! none of the programs that a release is to do without, though they are installed here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Processes, system};
use crate::process::Program;

/// Programs that are gone, with everything whose name goes on after a dash: `git-upload-pack`, `automake-1.16`.
const GONE: [&str; 11] = [
    "aclocal",
    "autoconf",
    "autoheader",
    "autom4te",
    "automake",
    "autoreconf",
    "curl",
    "git",
    "libtool",
    "libtoolize",
    "wget",
];
/// Where programs are.
const PROGRAMS: [&str; 2] = ["/usr/bin", "/usr/sbin"];
/// Where a distribution keeps the rest of git.
const OF_GIT: [&str; 2] = ["/usr/lib/git-core", "/usr/libexec/git-core"];
/// What is installed, as distributions remember it.
const RECORDS: [&str; 3] = ["/var/lib/dpkg", "/var/lib/pacman", "/var/lib/rpm"];
/// Its user, who is nobody special.
const USER: &str = "1000";

/// See the head of the file.
#[derive(Clone, Debug)]
pub struct Enclosure {
    /// bubblewrap.
    pub bwrap: PathBuf,
    /// What can be written.
    pub dir: PathBuf,
    /// Where that is seen.
    pub at: &'static str,
    /// The Rust toolchain, which is at `/rust`.
    pub rust: Option<PathBuf>,
}

impl Enclosure {
    /// A program in here, whose whole environment is that of somebody who has just logged in, and these variables.
    pub fn program(&self, argv: &[&str], dir: &str, variables: &[(&str, &str)], processes: Processes) -> Program {
        let mut all: Vec<OsString> = vec![self.bwrap.clone().into()];
        let mut add = |items: &[&str]| all.extend(items.iter().map(Into::into));
        system(&mut add, USER, "elsewhere", processes);
        for program in gone() {
            add(&["--ro-bind", "/dev/null", &program.to_string_lossy()]);
        }
        for directory in OF_GIT.iter().filter(|directory| Path::new(directory).is_dir()) {
            add(&["--tmpfs", directory]);
        }
        for records in RECORDS {
            add(&["--ro-bind-try", records, records]);
        }
        if let Some(rust) = &self.rust {
            add(&["--ro-bind", &rust.to_string_lossy(), "/rust"]);
        }
        add(&["--bind", &self.dir.to_string_lossy(), self.at, "--remount-ro", "/usr/local", "--remount-ro", "/"]);
        add(&["--chdir", dir, "--"]);
        add(argv);
        let home = format!("{}/home", self.at);
        let mut env = BTreeMap::from([
            ("PATH", "/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", &home[..]),
            ("USER", "somebody"),
            ("LOGNAME", "somebody"),
            ("SHELL", "/bin/sh"),
            ("TERM", "dumb"),
        ]);
        env.extend(variables.iter().copied());
        Program::new(all).only_env(env)
    }
}

/// The files of those programs. A link to one of them leads to nothing, too; one to a program of another name stays.
fn gone() -> Vec<PathBuf> {
    let is_gone = |name: &str| {
        GONE.iter().any(|gone| name.strip_prefix(gone).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
    };
    let entries = PROGRAMS.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter(|entry| entry.file_name().to_str().is_some_and(is_gone))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Cancel;
    use crate::sandbox::bubblewrap;

    fn run(script: &str, processes: Processes) -> Option<String> {
        let Some(bwrap) = bubblewrap() else {
            eprintln!("SKIPPED: bubblewrap is not on this machine or may not run");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let enclosure = Enclosure { bwrap, dir: dir.path().to_path_buf(), at: "/there", rust: None };
        let program = enclosure.program(&["sh", "-c", script], "/there", &[("A", "b")], processes);
        let ended = program.run(&Cancel::default()).unwrap();
        Some(String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap())
    }

    #[test]
    fn what_a_release_does_without_is_not_there() {
        let script = "for program in git wget curl autoconf automake libtoolize; do command -v $program; done; \
                      id -u; hostname; pwd; echo $A $HOME; touch x && test -s /etc/os-release && echo fine; \
                      touch /usr/x /x 2>&1 | grep -c 'Read-only'; grep -vc lo: /proc/net/dev";
        let Some(said) = run(script, Processes::Own) else { return };
        assert_eq!(said, "1000\nelsewhere\n/there\nb /there/home\nfine\n2\n2\n");
    }

    #[test]
    fn a_sandbox_can_be_made_in_it() {
        // Not the first processes in there: their numbers may be those of others outside.
        let script = "n=0; while [ $n -lt 200 ]; do /bin/true; n=$((n + 1)); done; \
                      bwrap --unshare-all --unshare-user --uid 0 --gid 0 --ro-bind / / --proc /proc --dev /dev id -u";
        let Some(said) = run(script, Processes::All) else { return };
        assert_eq!(said, "0\n");
    }
}
