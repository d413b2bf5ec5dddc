//! Where steps run: under bubblewrap, where a component sees the system read-only, its own directories at paths that are the
//! same for everyone, and no network; or, where that cannot be had, plainly, with real paths. `enclosure.rs` is another one: a machine of
//! somebody who builds from a release.
//!
//! Invariant: what runs here is never shared with another machine unless it ran under bubblewrap.

mod enclosure;

pub use enclosure::Enclosure;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::process::{Cancel, Program};
use crate::recipe::{Paths, Step};

/// The sandbox of one build.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// bubblewrap, or nothing.
    bwrap: Option<PathBuf>,
    /// The directory that holds `src build stage deps extra tmp home`.
    dir: PathBuf,
    /// Vendored crates, for a cargo component.
    crates: Option<PathBuf>,
    /// The Rust toolchain, for a cargo component.
    rust: Option<PathBuf>,
    /// What it looks like from inside.
    guise: Guise,
}

/// What a sandbox looks like to those in it. All builds see the same; only `repro-check` has another.
#[derive(Clone, Debug)]
pub struct Guise {
    /// Where its directories are.
    pub paths: Paths,
    /// The number of its user.
    pub user: u32,
    /// The name of its machine.
    pub host: &'static str,
    /// Stands before each program.
    pub before: Vec<String>,
    /// Variables that stand over those of a step.
    pub variables: BTreeMap<String, String>,
}

impl Default for Guise {
    fn default() -> Self {
        let (before, variables) = (Vec::new(), BTreeMap::new());
        Guise { paths: Paths::sandboxed(), user: 0, host: "sultana", before, variables }
    }
}

/// The home of nobody: where things stand in a sandbox that is to be another place. No machine's own is ever seen there.
pub const ELSEWHERE: &str = "/home/somebody";

/// What a build may look at beside the system, and nothing may write.
const READ_ONLY: [&str; 3] = ["deps", "extra", "crates"];
/// What a build may write.
const WRITABLE: [&str; 5] = ["src", "build", "stage", "tmp", "home"];

/// How long one may take to begin, on the slowest of machines.
const PROBE: Duration = Duration::from_secs(60);

/// bubblewrap of this machine, if it works: some kernels and containers refuse it.
pub fn bubblewrap() -> Option<PathBuf> {
    try_bubblewrap().ok()
}

/// bubblewrap of this machine, or why it does not work.
pub fn try_bubblewrap() -> Result<PathBuf, String> {
    let bwrap = which::which_in("bwrap", Some("/usr/bin:/bin:/usr/local/bin"), "/");
    let bwrap = bwrap.map_err(|_| "it is not installed".to_owned())?;
    // A namespace of users too, as builds have it: root gets the others without.
    let probe = ["--unshare-all", "--unshare-user", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"];
    let argv = std::iter::once(bwrap.as_os_str()).chain(probe.map(std::ffi::OsStr::new));
    // One that cannot be finished waits for ever.
    let ended = Program::new(argv.map(ToOwned::to_owned)).timeout(PROBE).run(&Cancel::default());
    let ended = ended.map_err(|error| error.to_string())?;
    if ended.status.success() {
        return Ok(bwrap);
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(if said.is_empty() { ended.status.to_string() } else { said })
}

impl Sandbox {
    /// A sandbox over `dir`; without `bwrap` it is a plain directory.
    pub fn new(bwrap: Option<PathBuf>, dir: PathBuf, crates: Option<PathBuf>, rust: Option<PathBuf>) -> Self {
        Sandbox { bwrap, dir, crates, rust, guise: Guise::default() }
    }

    /// The same over another directory, with another look.
    pub fn disguised(self, dir: PathBuf, guise: Guise) -> Self {
        Sandbox { dir, guise, ..self }
    }

    /// Makes the directories, empty.
    pub fn make_dirs(&self) -> Result<()> {
        use crate::error::Context;
        for name in WRITABLE.iter().chain(&READ_ONLY) {
            let dir = self.dir.join(name);
            let cannot = || format!("cannot make `{}`", dir.display());
            match &self.crates {
                // Nothing binds them there.
                Some(crates) if *name == "crates" && self.bwrap.is_none() => {
                    crate::placing::remove_file(&dir)?;
                    std::os::unix::fs::symlink(crates, &dir).context(cannot)?;
                }
                _ => fs::create_dir_all(&dir).context(cannot)?,
            }
        }
        Ok(())
    }

    /// One of them, on this machine.
    pub fn host(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The paths that steps see.
    pub fn paths(&self) -> Paths {
        match self.bwrap {
            Some(_) => self.guise.paths.clone(),
            None => Paths::real(&self.dir, self.rust.as_deref().unwrap_or(Path::new("/usr"))),
        }
    }

    /// A program that runs `step` in here. `variables` is the whole environment.
    pub fn program(&self, step: &Step, variables: &BTreeMap<String, String>) -> Program {
        let mut env = variables.clone();
        env.extend(step.env.clone());
        let Some(bwrap) = &self.bwrap else {
            let mut argv: Vec<OsString> = step.argv.iter().map(Into::into).collect();
            // Which program a name means the step's search path says, not ours: that has rustup in front of the toolchain.
            if !step.argv[0].contains('/')
                && let Ok(found) = which::which_in(&argv[0], env.get("PATH"), &step.dir)
            {
                argv[0] = found.into_os_string();
            }
            return Program::new(argv).dir(&step.dir).only_env(env).timeout(step.timeout);
        };
        let Guise { paths, user, host, before, variables } = &self.guise;
        env.extend(variables.clone());
        let mut argv: Vec<OsString> = before.iter().map(Into::into).collect();
        argv.push(bwrap.into());
        let mut add = |items: &[&str]| argv.extend(items.iter().map(Into::into));
        system(&mut add, &user.to_string(), host, Processes::Own);
        // Only the writable directories are bound as such; logs and our own bookkeeping stay out of sight.
        for name in WRITABLE {
            add(&["--bind", &self.dir.join(name).to_string_lossy(), &paths.dir(name)]);
        }
        for name in ["deps", "extra"] {
            add(&["--ro-bind", &self.dir.join(name).to_string_lossy(), &paths.dir(name)]);
        }
        if let Some(crates) = &self.crates {
            add(&["--ro-bind", &crates.to_string_lossy(), &paths.dir("crates")]);
        }
        if let Some(rust) = &self.rust {
            add(&["--ro-bind", &rust.to_string_lossy(), &paths.rust]);
        }
        add(&["--remount-ro", "/usr/local", "--remount-ro", "/", "--chdir", &step.dir, "--"]);
        argv.extend(step.argv.iter().map(Into::into));
        // The environment is given to bubblewrap itself, which hands it on: the jobserver's variables join it there.
        Program::new(argv).only_env(env).timeout(step.timeout)
    }
}

/// Which processes a sandbox sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processes {
    /// Its own.
    Own,
    /// All: the kernel lets sandboxes be made in it only where the machine's own /proc is to be seen, and bubblewrap looks for the
    /// numbers of its children there.
    All,
}

/// What every sandbox begins with: nothing of the machine but its system, read-only, without what was put into /usr/local; no
/// network; somebody with that number.
fn system(add: &mut impl FnMut(&[&str]), user: &str, host: &str, processes: Processes) {
    add(&["--unshare-user", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try"]);
    match processes {
        Processes::Own => add(&["--unshare-pid", "--proc", "/proc"]),
        Processes::All => add(&["--bind", "/proc", "/proc"]),
    }
    add(&["--uid", user, "--gid", user, "--hostname", host, "--die-with-parent"]);
    add(&["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc", "--tmpfs", "/usr/local"]);
    for top in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
        match fs::read_link(top) {
            Ok(target) => add(&["--symlink", &target.to_string_lossy(), top]),
            Err(_) if Path::new(top).is_dir() => add(&["--ro-bind", top, top]),
            Err(_) => {}
        }
    }
    // Who can open the terminal of whoever started us can type into it.
    add(&["--dev", "/dev", "--ro-bind", "/dev/null", "/dev/tty"]);
    add(&["--tmpfs", "/tmp", "--tmpfs", "/var/tmp", "--dir", "/run"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> Option<(bool, String)> {
        let Some(bwrap) = bubblewrap() else {
            eprintln!("SKIPPED: bubblewrap is not on this machine or may not run");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(Some(bwrap), dir.path().to_path_buf(), None, None);
        sandbox.make_dirs().unwrap();
        let step = Step {
            name: "s".into(),
            role: crate::recipe::Role::Other,
            argv: ["sh", "-c", script].map(str::to_owned).into(),
            dir: "/b/src".into(),
            env: BTreeMap::new(),
            timeout: Duration::from_secs(60),
        };
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let ended = sandbox.program(&step, &env).run(&Cancel::default()).unwrap();
        let text = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        Some((ended.status.success(), text))
    }

    #[test]
    fn only_its_own_directories_can_be_written() {
        let Some((ok, text)) =
            run("for d in / /usr /usr/local /etc /opt /boot /b /b/deps; do touch $d/x && echo $d; done; \
                                    touch /b/stage/x /b/src/x /b/build/x /tmp/x && echo fine")
        else {
            return;
        };
        assert!(ok && text.starts_with("fine\n"), "only what follows the loop may be written: {text}");
        assert!(text.contains("/usr/x': Read-only file system") && text.contains("/b/deps/x': Read-only"), "{text}");
    }

    #[test]
    fn there_is_no_network_and_nobody_else() {
        let Some((_, text)) =
            run("hostname; id -u; ls /proc | grep -c '^[0-9]'; cat /proc/net/dev | grep -vc lo:; ls /root /home")
        else {
            return;
        };
        assert!(text.starts_with("sultana\n0\n"), "{text}");
    }

    #[test]
    fn there_is_no_terminal() {
        let Some((ok, text)) = run("echo x > /dev/null; (: < /dev/tty) || echo none") else { return };
        // Without a terminal the machine's own could not be opened either, but for another reason.
        assert!(ok && text.starts_with("none\n") && text.contains("/dev/tty: Permission denied"), "{text}");
    }
}
