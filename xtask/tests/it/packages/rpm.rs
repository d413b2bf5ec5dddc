//! The rpms of the default manifest in a root that is thrown away. It is a Debian whose libraries and programs one rpm claims to bring, so
//! that rpm has to find every dependency: nothing is forced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::root::{Root, packages, printed, said};
use crate::default_manifest::Checkout;
use crate::tier::{self, Tier};

const PROGRAMS: [(&str, &str); 4] =
    [("rpm", "rpm"), ("rpmbuild", "rpm"), ("dnf", "dnf"), ("createrepo_c", "createrepo-c")];

/// Directories that a distribution has by itself, and this root has not.
const STANDARD: [&str; 5] =
    ["./etc/bash_completion.d", "./usr/lib/debug", "./usr/lib/pkgconfig", "./usr/lib64/efi", "./usr/share/licenses"];

/// What says that a unit is enabled.
const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/xenstored.service";

/// An rpm that brings what the root has.
fn system(root: &Root, out: &Path) -> PathBuf {
    let mut brings: BTreeSet<String> = ["bridge-utils", "iproute", "python3", "yajl", "python(abi) = 3.11"]
        .into_iter()
        .chain(["/bin/sh", "/bin/bash", "/usr/bin/python3", "/usr/bin/perl"])
        .map(str::to_owned)
        .collect();
    let libraries = root.path("usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    for entry in fs::read_dir(libraries).unwrap() {
        let Ok(bytes) = fs::read(entry.unwrap().path()) else { continue };
        let Some(elf) = xtask::elf::Elf::read(&bytes) else { continue };
        let Some(soname) = elf.soname else { continue };
        brings.insert(format!("{soname}()(64bit)"));
        brings.extend(elf.versions.iter().map(|version| format!("{soname}({version})(64bit)")));
    }
    let provides: String = brings.iter().map(|one| format!("Provides: {one}\n")).collect();
    let spec = out.join("system.spec");
    let head = "Name: system\nVersion: 1\nRelease: 1\nSummary: what the root has\nLicense: none\nBuildArch: noarch\n";
    fs::write(&spec, format!("{head}{provides}%description\n-\n%files\n")).unwrap();
    said(Command::new("rpmbuild").args(["-bb", "--define"]).arg(format!("_topdir {}", out.display())).arg(&spec));
    out.join("RPMS/noarch/system-1-1.noarch.rpm")
}

impl Root {
    fn rpm(&self, arguments: &[&str], packages: &[PathBuf]) -> String {
        said(Command::new("rpm").arg("--root").arg(self.dir()).args(arguments).args(packages))
    }

    fn dnf(&self, repository: &Path, arguments: &[&str]) -> String {
        let mut dnf = Command::new("dnf");
        dnf.args(["-y", "--nogpgcheck", "--releasever=1", "--disableplugin=*", "--repo=xen"]);
        dnf.arg(format!("--repofrompath=xen,{}", repository.display()));
        said(dnf.arg(format!("--installroot={}", self.dir().display())).args(arguments))
    }

    /// Names of our packages there.
    fn rpms(&self) -> Vec<String> {
        let names = self.rpm(&["-qa", "--qf", "%{NAME} %{PACKAGER}\\n"], &[]);
        names.lines().filter_map(|line| Some(line.strip_suffix(" Test <test@xenproject.org>")?.to_owned())).collect()
    }

    fn rpms_work(&self) {
        let names = self.rpms();
        assert!(names.len() > 5, "{names:?}");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let paths = self.rpm(&[&["-ql"][..], &names].concat(), &[]);
        self.loads(paths.lines().map(str::to_owned));
        self.starts();
        let verified = Command::new("rpm").arg("--root").arg(self.dir()).arg("-V").args(&names).output().unwrap();
        let verified = String::from_utf8(verified.stdout).unwrap();
        let other = |line: &&str| !line.ends_with("/etc/xen/xl.conf");
        assert_eq!(verified.lines().filter(other).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

#[test]
fn rpms_say_what_they_need_and_two_runs_give_the_same_bytes() {
    if !tier::need(Tier::Full) || !tier::programs(&PROGRAMS) {
        return;
    }
    let checkout = Checkout::built();
    let out = tempfile::tempdir().unwrap();
    let first = packages(&checkout, "rpm", &out.path().join("first"), &[]);
    let again = packages(&checkout, "rpm", &out.path().join("again"), &[]);
    assert!(first.len() > 5);
    for (one, other) in first.iter().zip(&again) {
        assert!(fs::read(one).unwrap() == fs::read(other).unwrap(), "{} differs", one.display());
    }
    let asked = |what: &str, name: &str| {
        let is_it = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
        said(Command::new("rpm").args(["-qp", what]).arg(first.iter().find(is_it).unwrap()))
    };
    let check = |what: &str, name: &str, lines: &[&str]| {
        let all = asked(what, name);
        lines.iter().for_each(|line| assert!(all.lines().any(|other| other == *line), "no {line} in {all}"));
    };
    check(
        "--requires",
        "xen-runtime-4.17",
        &["libxenlight.so.4.17(VERS_4.17.0)(64bit)", "libc.so.6()(64bit)", "/usr/bin/python3"],
    );
    check("--provides", "xen-libs-common", &["libxencall.so.1()(64bit)", "libxencall.so.1(VERS_1.3)(64bit)"]);
    check("--configfiles", "xen-runtime-common", &["/etc/xen/xl.conf", "/etc/default/xencommons"]);
    assert!(!asked("--requires", "xen-runtime-common").contains("libxenlight"), "links to a launcher need nothing");
    assert!(asked("--scripts", "xen-runtime-common").contains("systemctl --no-reload preset xenstored.service"));
}

#[test]
fn rpms_install_without_force_work_upgrade_and_leave_nothing() {
    if !tier::need(Tier::Full) || !tier::programs(&PROGRAMS) {
        return;
    }
    let Some(root) = Root::new() else { return };
    root.install("python3 python3-distutils libyajl2 liblzo2-2 libncurses6 bridge-utils iproute2 systemd");
    let checkout = Checkout::built();
    let out = tempfile::tempdir().unwrap();
    root.rpm(&["--initdb"], &[]);
    root.rpm(&["-i"], &[system(&root, out.path())]);
    let before = root.files();
    root.rpm(&["-i"], &packages(&checkout, "rpm", &out.path().join("first"), &[]));
    root.rpms_work();
    assert!(root.path(ENABLED).is_symlink());
    fs::write(root.path("etc/xen/xl.conf"), "# mine\n").unwrap();
    packages(&checkout, "rpm", &out.path().join("second"), &["--revision", "2"]);
    let repository = out.path().join("repository");
    for from in ["first", "second"] {
        said(checkout.xtask(&["repo", "rpm", "--from"]).arg(out.path().join(from)).arg(&repository));
    }
    root.dnf(&repository, &["upgrade"]);
    assert!(root.rpm(&["-q", "xen-runtime-4.17"], &[]).contains("sultana2"));
    root.rpms_work();
    assert_eq!(fs::read_to_string(root.path("etc/xen/xl.conf")).unwrap(), "# mine\n");
    let names = root.rpms();
    root.rpm(&[&["-e"][..], &names.iter().map(String::as_str).collect::<Vec<_>>()].concat(), &[]);
    let kept = root.path("etc/xen/xl.conf.rpmsave");
    assert_eq!(fs::read_to_string(&kept).unwrap(), "# mine\n");
    fs::remove_dir_all(root.path("etc/xen")).unwrap();
    // Debian's systemctl keeps links of init scripts, dnf its history.
    let is_others = |path: &&String| {
        STANDARD.contains(&path.as_str())
            || ["./etc/rc", "./etc/dnf", "./var/lib/dnf"].iter().any(|dir| path.starts_with(dir))
    };
    let now = root.files();
    let left: Vec<&String> =
        now.difference(&before).filter(|path| !is_others(path) && !path.contains(".log")).collect();
    assert_eq!(left, Vec::<&String>::new());
}

/// Packages without files by the names that Fedora's have, which depend on one another as those do, and disable a unit as they go.
fn fedoras(out: &Path) -> Vec<PathBuf> {
    let spec = out.join("fedora.spec");
    let names = ["hypervisor", "runtime", "libs"];
    let packages = names.map(|name| {
        let needs = if name == "libs" { "" } else { "Requires: xen-libs = %{version}-%{release}\n" };
        let disables = "if [ $1 -eq 0 ]; then systemctl --no-reload disable xenstored.service || :; fi";
        let going = if name == "runtime" { format!("%preun {name}\n{disables}\n") } else { String::new() };
        format!("%package {name}\nSummary: {name}\n{needs}%description {name}\n-\n{going}%files {name}\n")
    });
    let head = "Name: xen\nVersion: 4.17.4\nRelease: 3.fc39\nSummary: Xen\nLicense: none\nBuildArch: noarch\n%description\n-\n";
    fs::write(&spec, format!("{head}{}", packages.concat())).unwrap();
    said(Command::new("rpmbuild").args(["-bb", "--define"]).arg(format!("_topdir {}", out.display())).arg(&spec));
    names.map(|name| out.join(format!("RPMS/noarch/xen-{name}-4.17.4-3.fc39.noarch.rpm"))).into()
}

#[test]
fn two_versions_of_rpms_are_beside_each_other_and_each_takes_over_from_fedoras() {
    if !tier::need(Tier::Full) || !tier::programs(&PROGRAMS) {
        return;
    }
    let Some(root) = Root::new() else { return };
    root.install("python3 python3-distutils libyajl2 liblzo2-2 libncurses6 bridge-utils iproute2 systemd");
    let checkout = Checkout::built();
    let Some(newer) = Checkout::of_xen("4.20.3+127-gc42374a105-1") else { return };
    let out = tempfile::tempdir().unwrap();
    root.rpm(&["--initdb"], &[]);
    root.rpm(&["-i"], &[system(&root, out.path())]);
    root.rpm(&["-i"], &fedoras(out.path()));
    let old = packages(&checkout, "rpm", &out.path().join("old"), &[]);
    root.rpm(&["-U"], &old);
    let is_there =
        |name: &str| root.rpm(&["-qa", "--qf", "%{NAME} %{RELEASE}\n"], &[]).lines().any(|line| line == name);
    for name in ["hypervisor", "runtime", "libs"] {
        assert!(!is_there(&format!("xen-{name} 3.fc39")), "Fedora's {name} is still there");
    }
    assert!(root.path(ENABLED).is_symlink(), "what went has disabled it");
    let only_old: BTreeSet<String> = root.files();
    let mut new = packages(&newer, "rpm", &out.path().join("new"), &[]);
    // Those of blktap and SeaBIOS are the same.
    new.retain(|path| !old.iter().any(|old| old.file_name() == path.file_name()));
    root.rpm(&["-U"], &new);
    let names = root.rpms();
    for version in ["4.17", "4.20"] {
        for name in ["runtime", "libs", "hypervisor"] {
            let name = format!("xen-{name}-{version}");
            assert!(names.contains(&name), "no {name} in {names:?}");
        }
        root.has_toolstack(version);
    }
    root.rpms_work();
    root.launches_the_version_that_runs("dnf install xen-runtime-4.19");
    let newer = names.iter().map(String::as_str).filter(|name| name.contains("4.20") || *name == "xen-devel");
    root.rpm(&[&["-e"][..], &newer.collect::<Vec<_>>()].concat(), &[]);
    assert_eq!(root.launched(), "+ exec /usr/lib/xen-4.17/bin/xl\n");
    root.rpms_work();
    let now = root.files();
    let lost: Vec<&String> = only_old.difference(&now).filter(|path| path.contains("4.17")).collect();
    assert_eq!(lost, Vec::<&String>::new());
}

/// What `primary.xml` says of packages, each by its name, but for what is allowed to differ.
fn primary(repository: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut data = fs::read_dir(repository.join("repodata")).unwrap().map(|entry| entry.unwrap().path());
    let file = data.find(|path| path.to_str().unwrap().ends_with("-primary.xml.gz")).unwrap();
    let text = printed(Command::new("gzip").arg("-dc").arg(file)).replace("&#x2f;", "/").replace("&#x27;", "'");
    let packages = text.split("<package type=\"rpm\">").skip(1);
    packages
        .map(|package| {
            let name = package.split("<name>").nth(1).unwrap().split("</name>").next().unwrap();
            // createrepo_c has the time of the file, no size of an archive, and of libc the last version only.
            let differs = ["<time ", "<size ", "name=\"libc.so.6", "<location ", "<rpm:vendor"];
            let lines = package.lines().map(str::trim).filter(|line| !differs.iter().any(|word| line.contains(word)));
            let plain = |line: &str| line.replace("></file>", "/>").replace("&gt;", ">").replace("&quot;", "\"");
            (name.to_owned(), lines.filter(|line| !line.is_empty()).map(plain).collect())
        })
        .collect()
}

#[test]
fn an_index_says_what_createrepo_says() {
    if !tier::need(Tier::Full) || !tier::programs(&PROGRAMS) {
        return;
    }
    let checkout = Checkout::built();
    let out = tempfile::tempdir().unwrap();
    packages(&checkout, "rpm", &out.path().join("made"), &[]);
    let (ours, theirs) = (out.path().join("ours"), out.path().join("theirs"));
    said(checkout.xtask(&["repo", "rpm", "--from"]).arg(out.path().join("made")).arg(&ours));
    said(Command::new("cp").arg("-r").arg(ours.join("packages")).arg(out.path().join("packages")));
    fs::create_dir(&theirs).unwrap();
    fs::rename(out.path().join("packages"), theirs.join("packages")).unwrap();
    said(Command::new("createrepo_c").args(["-q", "--no-database"]).arg(&theirs));
    let (ours, theirs) = (primary(&ours), primary(&theirs));
    assert!(ours.len() > 5 && ours["xen-libs-4.17"].iter().any(|line| line.contains("libxenlight.so")));
    for (name, lines) in &theirs {
        let ours = &ours[name];
        let [missing, more] = [lines.difference(ours), ours.difference(lines)].map(|lines| lines.collect::<Vec<_>>());
        assert!(missing.is_empty() && more.is_empty(), "{name}: missing {missing:?}, more {more:?}");
    }
}
