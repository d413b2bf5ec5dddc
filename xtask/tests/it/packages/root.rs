//! A clean Debian, made for one test and thrown away.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::default_manifest::Checkout;
use crate::tier;

/// What a program prints; it must succeed.
pub fn said(command: &mut Command) -> String {
    let ended = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    let all = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(ended.status.success(), "{command:?}: {all}");
    all
}

/// What a program prints on standard output alone.
pub fn printed(command: &mut Command) -> String {
    let ended = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// A clean system of this machine's release, from its mirrors.
pub struct Root(tempfile::TempDir);

impl Root {
    /// None where it cannot be made, which is on record.
    pub fn new() -> Option<Root> {
        if !rustix::process::geteuid().is_root() {
            tier::skip("a clean Debian needs root");
            return None;
        }
        if !tier::programs(&[("debootstrap", "debootstrap")]) {
            return None;
        }
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
        Some(root)
    }

    /// Where it stands.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// A shell's line in it.
    pub fn run(&self, line: &str) -> String {
        said(
            Command::new("chroot")
                .arg(self.0.path())
                .args(["sh", "-ec", line])
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    }

    /// apt installs what stands in a directory of it.
    pub fn install(&self, packages: &str) {
        self.run(&format!("apt-get install -y --no-install-recommends {packages}"));
    }

    /// Everything that is there, but for what programs write as they run.
    pub fn files(&self) -> BTreeSet<String> {
        let prune = "( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./root -o -path ./var/lib/rpm \
                     -o -path ./var/cache -o -name __pycache__ ) -prune -o -print";
        let found = printed(Command::new("find").arg(".").args(prune.split_whitespace()).current_dir(self.dir()));
        found.lines().map(str::to_owned).collect()
    }

    /// Everything that is there with its kind and where links lead, but for what package managers note of themselves.
    pub fn listing(&self) -> BTreeSet<String> {
        let others = [
            "./proc",
            "./sys",
            "./dev",
            "./tmp",
            "./run",
            "./root",
            "./var/cache",
            "./var/lib/apt",
            "./var/lib/dpkg",
            "./var/lib/ucf",
            "./var/log/apt",
            "./var/log/dpkg.log",
            "./var/log/alternatives.log",
        ];
        let others = others.map(|path| format!("-path {path}")).join(" -o ");
        let arguments = format!(". ( {others} ) -prune -o -printf %y_%p_%l\\n");
        let found = printed(Command::new("find").args(arguments.split(' ')).current_dir(self.dir()));
        found.lines().map(str::to_owned).collect()
    }

    /// apt installs what packages need that is neither ours nor of Xen, so that only those make a difference.
    pub fn prepare(&self, packages: &str) {
        let planned = self.run(&format!("apt-get install -s --no-install-recommends {packages}"));
        let theirs = planned.lines().filter(|line| !line.contains("sultana"));
        let names = theirs.filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
        let others: Vec<&str> = names.filter(|name| !name.contains("xen")).collect();
        assert!(planned.contains("\nInst xen-utils-4.17 "), "{planned}");
        self.install(&others.join(" "));
    }

    /// Each of these files that is an ELF finds all its libraries.
    pub fn loads(&self, paths: impl Iterator<Item = String>) {
        let is_elf = |path: &String| {
            let bytes = fs::read(self.path(path.trim_start_matches('/')));
            bytes.is_ok_and(|bytes| xtask::elf::Elf::read(&bytes).is_some())
        };
        let files: Vec<String> = paths.filter(is_elf).collect();
        assert!(files.len() > 20, "{files:?}");
        let loaded = self.run(&format!("ldd {}", files.join(" ")));
        assert!(!loaded.contains("not found"), "{loaded}");
    }

    /// Programs start as far as they can without a hypervisor.
    pub fn starts(&self) {
        let xl = self.run("xl 2>&1 || true");
        assert!(xl.starts_with("Usage xl "), "{xl}");
        self.run("vhd-util create -n /tmp/disk.vhd -s 10");
        assert_eq!(self.run("vhd-util query -n /tmp/disk.vhd -v"), "10\n");
        self.run("rm /tmp/disk.vhd");
        assert!(self.run("tap-ctl 2>&1 || true").starts_with("usage: tap-ctl "));
        let python = "PYTHONPATH=$(echo /usr/lib/xen-4.*/lib/python | cut -d' ' -f1)";
        self.run(&format!("{python} python3 -c 'import xen.lowlevel.xc, xen.lowlevel.xs, xenfsimage'"));
    }

    /// What `xl` starts, or says instead.
    pub fn launched(&self) -> String {
        self.run("sh -x /usr/sbin/xl 2>&1 | grep -e '^+ exec' -e ^xl: || true")
    }

    /// With 4.17 and 4.20 installed the running hypervisor says which one is started; without one it is the newest. `lacks` is what installs
    /// 4.19.
    pub fn launches_the_version_that_runs(&self, lacks: &str) {
        assert_eq!(self.launched(), "+ exec /usr/lib/xen-4.20/bin/xl\n");
        let version = self.path("sys/hypervisor/version");
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("major"), "4\n").unwrap();
        let lacks = format!("xl: Xen 4.19 runs, and its xl is not installed ({lacks})\n");
        for (minor, says) in [
            ("17", "+ exec /usr/lib/xen-4.17/bin/xl\n"),
            ("20", "+ exec /usr/lib/xen-4.20/bin/xl\n"),
            ("19", lacks.as_str()),
        ] {
            fs::write(version.join("minor"), format!("{minor}\n")).unwrap();
            assert_eq!(self.launched(), says);
        }
        fs::remove_dir_all(self.path("sys/hypervisor")).unwrap();
    }

    /// `xl` of this version itself starts, and its hvmloader is there.
    pub fn has_toolstack(&self, version: &str) {
        let xl = self.run(&format!("/usr/lib/xen-{version}/bin/xl 2>&1 || true"));
        assert!(xl.starts_with("Usage xl "), "{xl}");
        assert!(self.path(&format!("usr/lib/xen-{version}/boot/hvmloader")).is_file());
    }
}

/// `package KIND` of a checkout into a directory: the paths of the packages.
pub fn packages(of: &Checkout, kind: &str, out: &Path, arguments: &[&str]) -> Vec<PathBuf> {
    let mut package = of.xtask(&["package", kind, "--maintainer", "Test <test@xenproject.org>", "--out"]);
    printed(package.arg(out).args(arguments)).lines().map(PathBuf::from).collect()
}
