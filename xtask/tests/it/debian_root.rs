//! The packages of the default manifest in a clean Debian, made for this test and thrown away: installed by apt, working, upgraded from one to
//! the next and from Debian's own, and gone without a trace.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::default_manifest::dist;
use crate::tier::{self, Tier};

fn said(command: &mut Command) -> String {
    let ended = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    let all = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(ended.status.success(), "{command:?}: {all}");
    all
}

/// A clean system of this machine's release, from its mirrors.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Root {
        let root = Root(tempfile::Builder::new().prefix("xtask-debian-").tempdir().unwrap());
        let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
        let known = said(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]));
        let release = fs::read_to_string("/etc/os-release").unwrap();
        let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap().to_owned();
        let mut lines: BTreeSet<&str> = known.lines().filter(|line| line.ends_with(" main")).collect();
        lines.retain(|line| {
            let suite = line.split(' ').nth(1).unwrap();
            suite == release || suite == format!("{release}-security") || suite == format!("{release}-updates")
        });
        let mirror = lines.iter().find(|line| line.split(' ').nth(1) == Some(&release)).unwrap();
        let mirror = mirror.split(' ').next().unwrap();
        said(Command::new("debootstrap").args(["--variant=minbase", &release]).arg(root.0.path()).arg(mirror));
        let lines: String = lines.iter().map(|line| format!("deb {line}\n")).collect();
        fs::write(root.path("etc/apt/sources.list"), lines).unwrap();
        fs::copy("/etc/resolv.conf", root.path("etc/resolv.conf")).unwrap();
        root.run("apt-get update");
        root
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// A shell's line in it.
    fn run(&self, line: &str) -> String {
        said(
            Command::new("chroot")
                .arg(self.0.path())
                .args(["sh", "-ec", line])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    }

    /// apt installs what stands in a directory of it.
    fn install(&self, packages: &str) {
        self.run(&format!("apt-get install -y --no-install-recommends {packages}"));
    }

    /// Paths of everything that our packages installed.
    fn ours(&self) -> Vec<String> {
        let names = self.run("dpkg-query -W -f '${Package} ${Version}\n' | grep sultana | cut -d' ' -f1");
        let names = names.split_whitespace().collect::<Vec<_>>().join(" ");
        self.run(&format!("dpkg -L {names} | sort -u")).lines().map(str::to_owned).collect()
    }

    /// All of ours go, with their configuration, and nothing of them stays.
    fn purge(&self) {
        let paths = self.ours();
        assert!(paths.iter().any(|path| path == "/usr/sbin/xl"));
        self.run("apt-get purge -y $(dpkg-query -W -f '${Package} ${Version}\n' | grep sultana | cut -d' ' -f1)");
        let is_ours = |path: &&String| {
            let there = self.path(path.trim_start_matches('/'));
            there.symlink_metadata().is_ok_and(|found| !found.is_dir() && !found.is_symlink())
                || there.is_dir() && (path.contains("xen") || path.contains("blktap"))
        };
        assert_eq!(paths.iter().filter(is_ours).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    /// Everything starts as far as it can without a hypervisor.
    fn works(&self) {
        for path in self.ours() {
            let Ok(bytes) = fs::read(self.path(path.trim_start_matches('/'))) else { continue };
            if xtask::elf::Elf::read(&bytes).is_some() {
                let loaded = self.run(&format!("ldd {path}"));
                assert!(!loaded.contains("not found"), "{path}: {loaded}");
            }
        }
        assert!(self.run("xl 2>&1 || true").starts_with("Usage xl "));
        self.run("vhd-util create -n /tmp/disk.vhd -s 10");
        assert_eq!(self.run("vhd-util query -n /tmp/disk.vhd -v"), "10\n");
        self.run("rm /tmp/disk.vhd");
        assert!(self.run("tap-ctl 2>&1 || true").starts_with("usage: tap-ctl "));
        self.run("python3 -c 'import xen.lowlevel.xc, xen.lowlevel.xs'");
        self.run("test -L /etc/systemd/system/multi-user.target.wants/xenstored.service");
        assert_eq!(self.run("for p in $(dpkg-query -W -f '${Package} ' '*xen*' blktap); do dpkg --verify $p 2>/dev/null || true; done | grep -v xl.conf || true"), "");
    }
}

/// `package deb` of the repository into a directory of the root.
fn packages(root: &Root, out: &str, arguments: &[&str]) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut package = Command::new(env!("CARGO_BIN_EXE_xtask"));
    package.args(["package", "deb", "--maintainer", "Test <test@xenproject.org>", "--out"]).arg(root.path(out));
    said(package.args(arguments).current_dir(repository));
    let names = fs::read_dir(root.path(out)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| format!("./{out}/{name}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn packages_work_in_a_clean_debian_take_over_from_its_own_and_leave_nothing() {
    if !tier::need(Tier::Full) {
        return;
    }
    if !rustix::process::geteuid().is_root() || which::which("debootstrap").is_err() {
        return tier::skip("a clean Debian needs root and debootstrap");
    }
    dist(&[]);
    let root = Root::new();
    let first = packages(&root, "first", &[]);
    root.install(&first);
    root.works();
    fs::write(root.path("etc/xen/xl.conf"), "# mine\n").unwrap();
    let second = packages(&root, "second", &["--revision", "2"]);
    root.install(&second);
    root.works();
    assert_eq!(fs::read_to_string(root.path("etc/xen/xl.conf")).unwrap(), "# mine\n");
    root.purge();

    root.install("xen-utils-4.17 xen-hypervisor-4.17-amd64 libxen-dev");
    fs::write(root.path("etc/xen/xl.conf"), "# mine\n").unwrap();
    let after = packages(&root, "after", &["--epoch", "1"]);
    root.run(&format!("apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold {after}"));
    root.works();
    assert_eq!(fs::read_to_string(root.path("etc/xen/xl.conf")).unwrap(), "# mine\n");
    root.purge();
}
