//! The packages of the default manifest in a clean Debian: installed by apt, working, upgraded from one to the next and from Debian's own,
//! two versions beside each other, and gone without a trace.

use std::collections::BTreeSet;
use std::fs;

use super::root::{Root, packages, said};
use crate::default_manifest::Checkout;
use crate::tier::{self, Tier};

/// Names of the packages that are ours.
const OURS: &str = "$(dpkg-query -W -f '${Package} ${Version}\n' | grep sultana | cut -d' ' -f1)";

impl Root {
    /// All of Xen goes, with its configuration, and everything is as it was.
    fn purge(&self, before: &BTreeSet<String>) {
        assert!(self.path("usr/sbin/xl").is_symlink());
        self.run(&format!("apt-get purge -y {OURS}"));
        let now = self.listing();
        let more: Vec<&String> = now.difference(before).collect();
        let less: Vec<&String> = before.difference(&now).collect();
        assert!(more.is_empty() && less.is_empty(), "left behind: {more:#?}, gone: {less:#?}");
        // Once more by hand, as dpkg may after an error.
        assert_eq!(self.run("dpkg-query -W '*xen*' 2>/dev/null | grep -c sultana || true"), "0\n");
    }

    /// Everything starts as far as it can without a hypervisor.
    fn works(&self) {
        self.loads(self.run(&format!("dpkg -L {OURS} | sort -u")).lines().map(str::to_owned));
        self.starts();
        self.run("test -L /etc/systemd/system/multi-user.target.wants/xenstored.service");
        let verify =
            "for p in $(dpkg-query -W -f '${Package} ' '*xen*' blktap); do dpkg --verify $p 2>/dev/null || true; done";
        assert_eq!(self.run(&format!("({verify}) | grep -v xl.conf || true")), "");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Links that start a script of the old kind.
    fn started(&self, script: &str) -> String {
        self.run(&format!("find /etc/rc?.d -name '[SK]??{script}'"))
    }
}

/// `package deb` into a directory of the root, as apt there names them.
fn debs(root: &Root, of: &Checkout, out: &str, arguments: &[&str]) -> String {
    let made = packages(of, "deb", &root.path(out), arguments);
    let name = |path: &std::path::PathBuf| format!("./{out}/{}", path.file_name().unwrap().to_str().unwrap());
    made.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn packages_work_in_a_clean_debian_upgrade_and_leave_nothing() {
    if !tier::need(Tier::Full) {
        return;
    }
    let Some(root) = Root::new() else { return };
    let checkout = Checkout::built();
    let (_, second) = (debs(&root, &checkout, "first", &[]), debs(&root, &checkout, "second", &["--revision", "2"]));
    said(checkout.xtask(&["repo", "deb", "--from"]).arg(root.path("first")).arg(root.path("repository")));
    root.write("etc/apt/sources.list.d/xen.list", "deb [trusted=yes] file:/repository sultana main\n");
    root.run("apt-get update");
    // Updates of Debian's may come after our version.
    let names = "-t sultana xen-utils-4.17 xen-hypervisor-4.17-amd64 xen-hypervisor-4.17-amd64-dbg libxen-dev blktap xen-seabios";
    root.prepare(names);
    let before = root.listing();
    root.install(names);
    root.works();
    root.write("etc/xen/xl.conf", "# mine\n");
    root.install(&second);
    root.works();
    assert_eq!(root.read("etc/xen/xl.conf"), "# mine\n");
    root.purge(&before);
}

#[test]
fn packages_take_over_from_debians_own_keep_what_was_changed_and_leave_nothing() {
    if !tier::need(Tier::Full) {
        return;
    }
    let Some(root) = Root::new() else { return };
    let checkout = Checkout::built();
    let after = debs(&root, &checkout, "after", &["--epoch", "1"]);
    let theirs = "xen-utils-4.17 xen-hypervisor-4.17-amd64 libxen-dev";
    root.prepare(theirs);
    root.prepare(&after);
    let before = root.listing();
    root.install(theirs);
    assert!(root.started("xen").contains("xen") && root.path("etc/init.d/xen").is_file());
    root.write("etc/xen/xl.conf", "# mine\n");
    root.write("etc/xen/oxenstored.conf", "# mine too\n");
    root.write("etc/default/xen", "XENSTORED_ARGS=-T\n");
    root.run(&format!("apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold {after}"));
    root.works();
    assert_eq!(root.read("etc/xen/xl.conf"), "# mine\n");
    assert_eq!(root.read("etc/xen/oxenstored.conf.dpkg-bak"), "# mine too\n");
    assert_eq!(root.read("etc/default/xen.dpkg-bak"), "XENSTORED_ARGS=-T\n");
    for gone in ["etc/init.d/xen", "etc/init.d/xen.dpkg-bak", "etc/xen/oxenstored.conf", "etc/default/xen"] {
        assert!(!root.path(gone).exists(), "{gone} is still there");
    }
    assert_eq!(root.started("xen"), "");
    // Scripts can be run again, and find nothing more to do.
    let kept = root.listing();
    let again = "DPKG_MAINTSCRIPT_NAME=postinst DPKG_MAINTSCRIPT_PACKAGE=xen-utils-common";
    root.run(&format!(
        "dpkg-reconfigure xen-utils-common && {again} /var/lib/dpkg/info/xen-utils-common.postinst configure 1"
    ));
    assert_eq!(root.listing(), kept);
    root.purge(&before);
}

#[test]
fn two_versions_are_installed_beside_each_other_and_one_goes_without_the_other() {
    if !tier::need(Tier::Full) {
        return;
    }
    let Some(root) = Root::new() else { return };
    let checkout = Checkout::built();
    let old = debs(&root, &checkout, "old", &[]);
    let Some(newer) = Checkout::of_xen("4.20.3+127-gc42374a105-1") else { return };
    said(newer.xtask(&["package", "deb", "--out"]).arg(root.path("new")));
    root.prepare(&old);
    let before = root.listing();
    root.install(&old);
    let only_old = root.listing();
    root.install("./new/*.deb");
    let is_there = |name: &str| root.run(&format!("dpkg-query -W -f '${{db:Status-Abbrev}}' {name}"));
    for version in ["4.17", "4.20"] {
        for name in ["xen-utils-VERSION", "libxenmiscVERSION", "xen-hypervisor-VERSION-amd64"] {
            assert_eq!(is_there(&name.replace("VERSION", version)), "ii ", "{name} of {version}");
        }
        root.has_toolstack(version);
    }
    root.works();
    root.launches_the_version_that_runs("apt install xen-utils-4.19");
    root.run("apt-get purge -y xen-utils-4.20 libxenmisc4.20 xen-hypervisor-4.20-amd64 xen-hypervisor-4.20-amd64-dbg libxen-dev");
    assert_eq!(root.launched(), "+ exec /usr/lib/xen-4.17/bin/xl\n");
    root.works();
    // Links to compile with went with their package, whatever they led to.
    let is_versioned = |line: &&String| line.split('_').nth(1).is_some_and(|path| path.contains("4.17"));
    let now = root.listing();
    let lost: Vec<&String> = only_old.difference(&now).filter(is_versioned).collect();
    assert_eq!(lost, Vec::<&String>::new());
    root.purge(&before);
}
