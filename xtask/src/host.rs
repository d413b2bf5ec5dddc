//! What a host must have that runs what was built: each need that a component declares is tried on this machine. Version numbers are not
//! looked at: kernels of distributions carry what their number does not say. Installs and prints nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::definition::{Component, Host, Name};
use crate::doctor::{Finding, Verdict};
use crate::error::Result;
use crate::process::{Cancel, Program};

/// A probe is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How one try ended.
enum Tried {
    Works(String),
    Lacks(String),
    /// It cannot be told here.
    Unknown(String),
}

/// Tries everything that these components declare, below `root`: `/`, but for tests.
pub fn try_all<'a>(
    root: &Path,
    components: impl IntoIterator<Item = (&'a Name, &'a Component)>,
    cancel: &Cancel,
) -> Result<Vec<Finding>> {
    let here =
        Here { root: root.to_path_buf(), release: rustix::system::uname().release().to_string_lossy().into_owned() };
    let mut findings = Vec::new();
    for (name, component) in components {
        for need in &component.host {
            cancel.check()?;
            let (verdict, found) = match here.try_one(need, cancel)? {
                Tried::Works(found) => (Verdict::Good, found),
                Tried::Lacks(why) => (if need.optional { Verdict::Poor } else { Verdict::Missing }, why),
                Tried::Unknown(why) => (Verdict::Poor, why),
            };
            let (kind, what) = need.given().into_iter().next().unwrap_or(("need", String::new()));
            let optional = if need.optional { ", optional" } else { "" };
            // The argv of a probe is for the definition; what it tells is its purpose.
            let text = match kind {
                "probe" => format!("{}: {found}{optional}", need.r#for),
                _ => format!("{kind} {what}: {found} (for {}{optional})", need.r#for),
            };
            findings.push(Finding::new(name, verdict, text));
        }
    }
    Ok(findings)
}

struct Here {
    root: PathBuf,
    release: String,
}

impl Here {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn try_one(&self, need: &Host, cancel: &Cancel) -> Result<Tried> {
        Ok(match need {
            Host { program: Some(program), .. } => program_on_path(program),
            Host { file: Some(file), .. } => match fs::metadata(self.at(file)) {
                Ok(_) => Tried::Works("is there".to_owned()),
                Err(error) => Tried::Lacks(why(&error)),
            },
            Host { device: Some(device), .. } => self.device(device),
            Host { kernel: Some(option), .. } => self.kernel(option),
            Host { module: Some(module), .. } => self.module(module),
            Host { probe: Some(argv), .. } => return probe(argv, cancel),
            _ => Tried::Unknown("nothing to try".to_owned()),
        })
    }

    fn device(&self, device: &str) -> Tried {
        // Without O_NONBLOCK some devices wait for whoever is at the other end.
        let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        match OpenOptions::new().read(true).write(true).custom_flags(flags).open(self.at(device)) {
            Ok(_) => Tried::Works("can be opened".to_owned()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Tried::Unknown("is there, but only root may open it; try as root".to_owned())
            }
            Err(error) => Tried::Lacks(why(&error)),
        }
    }

    /// In the configuration that the running kernel or its package tells.
    fn kernel(&self, option: &str) -> Tried {
        let release = &self.release;
        let plain = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
        let packed = File::open(self.at("/proc/config.gz")).ok().and_then(|file| {
            let mut text = String::new();
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).ok()?;
            Some(text)
        });
        let text = packed.or_else(|| plain.iter().find_map(|path| fs::read_to_string(self.at(path)).ok()));
        let Some(text) = text else {
            return Tried::Unknown(format!("nothing tells how kernel {release} was configured"));
        };
        let start = format!("CONFIG_{option}=");
        match text.lines().find_map(|line| line.strip_prefix(&start)) {
            Some("y") => Tried::Works("built in".to_owned()),
            Some("m") => Tried::Works("a module".to_owned()),
            Some(value) => Tried::Works(value.to_owned()),
            None => Tried::Lacks(format!("kernel {release} was configured without it")),
        }
    }

    fn module(&self, module: &str) -> Tried {
        let same = |name: &str| name.replace('-', "_") == module.replace('-', "_");
        if self.at(&format!("/sys/module/{}", module.replace('-', "_"))).is_dir() {
            return Tried::Works("loaded".to_owned());
        }
        let release = &self.release;
        let lists = [("modules.builtin", "built in"), ("modules.dep", "can be loaded")];
        let mut is_known = false;
        for (list, how) in lists {
            let Ok(text) = fs::read_to_string(self.at(&format!("/lib/modules/{release}/{list}"))) else { continue };
            is_known = true;
            let names = text.lines().filter_map(|line| line.split(':').next()?.rsplit('/').next()?.split(".ko").next());
            if names.into_iter().any(same) {
                return Tried::Works(how.to_owned());
            }
        }
        match is_known {
            true => Tried::Lacks(format!("kernel {release} does not have it")),
            false => Tried::Unknown(format!("not loaded, and the modules of kernel {release} are not here")),
        }
    }
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "is not there".to_owned(),
        _ => error.to_string(),
    }
}

fn program_on_path(program: &str) -> Tried {
    let path = std::env::var("PATH").unwrap_or_default();
    match which::which_in(program, Some(format!("{path}:/usr/sbin:/sbin")), "/") {
        Ok(found) => Tried::Works(found.display().to_string()),
        Err(_) => Tried::Lacks("is not on PATH".to_owned()),
    }
}

fn probe(argv: &[String], cancel: &Cancel) -> Result<Tried> {
    let ended = match Program::new(argv).timeout(PATIENCE).run(cancel) {
        Ok(ended) => ended,
        Err(error) if error.kind() == crate::error::Kind::Interrupted => return Err(error),
        Err(error) => return Ok(Tried::Unknown(format!("cannot be tried: {error}"))),
    };
    if ended.status.success() {
        return Ok(Tried::Works("works".to_owned()));
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned();
    let how = if ended.timed_out { "took too long".to_owned() } else { ended.status.to_string() };
    Ok(Tried::Lacks(format!("{first} ({how})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system below a directory, with a kernel of this machine's release.
    fn system() -> (tempfile::TempDir, String) {
        let root = tempfile::tempdir().unwrap();
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        for (path, text) in [
            ("dev/good".to_owned(), ""),
            ("etc/file".to_owned(), ""),
            (format!("boot/config-{release}"), "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_XEN_GNTDEV=m\n"),
            (format!("lib/modules/{release}/modules.builtin"), "kernel/drivers/xen/evtchn.ko\n"),
            (format!("lib/modules/{release}/modules.dep"), "kernel/drivers/xen/xen-gntdev.ko.xz: kernel/x.ko.xz\n"),
            ("sys/module/loaded_one/x".to_owned(), ""),
        ] {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        (root, release)
    }

    fn check(need: &str) -> (Verdict, String) {
        let (root, release) = system();
        let head = "summary='s'\nlicence='MIT'\nhomepage='h'\nsource='x'\n[build.steps]\n[[host]]\nfor='tests'\n";
        let component: Component = toml::from_str(&format!("{head}{need}")).unwrap();
        let name: Name = "c".parse().unwrap();
        let mut found = try_all(root.path(), [(&name, &component)], &Cancel::default()).unwrap();
        let Finding { verdict, text, .. } = found.remove(0);
        (verdict, text.replace(&release, "R").replace(" (for tests)", ""))
    }

    #[test]
    fn each_need_is_tried() {
        for (need, verdict, text) in [
            ("device='/dev/good'", Verdict::Good, "device /dev/good: can be opened"),
            ("device='/dev/none'", Verdict::Missing, "device /dev/none: is not there"),
            (
                "device='/dev/none'\noptional=true",
                Verdict::Poor,
                "device /dev/none: is not there (for tests, optional)",
            ),
            ("file='/etc/file'", Verdict::Good, "file /etc/file: is there"),
            ("file='/etc/none'", Verdict::Missing, "file /etc/none: is not there"),
            ("kernel='B'", Verdict::Good, "kernel B: built in"),
            ("kernel='XEN_GNTDEV'", Verdict::Good, "kernel XEN_GNTDEV: a module"),
            ("kernel='A'", Verdict::Missing, "kernel A: kernel R was configured without it"),
            ("module='loaded-one'", Verdict::Good, "module loaded-one: loaded"),
            ("module='evtchn'", Verdict::Good, "module evtchn: built in"),
            ("module='xen_gntdev'", Verdict::Good, "module xen_gntdev: can be loaded"),
            ("module='none'", Verdict::Missing, "module none: kernel R does not have it"),
            ("program='no-such-program'", Verdict::Missing, "program no-such-program: is not on PATH"),
            ("probe=['sh','-c','exit 0']", Verdict::Good, "tests: works"),
            ("probe=['sh','-c','echo no copy >&2; exit 3']", Verdict::Missing, "tests: no copy (exit status: 3)"),
            ("probe=['no-such-program']", Verdict::Poor, "tests: cannot be tried: "),
        ] {
            let found = check(need);
            assert_eq!(found.0, verdict, "{need}: {}", found.1);
            assert!(found.1.starts_with(text), "{need}: {}", found.1);
        }
    }
}
