//! The packages of the default manifest in a clean Debian: installed by apt, working, upgraded from one to the next and from Debian's own,
//! and gone without a trace.

use std::fs;

use super::root::{Root, packages, said, xtask};
use crate::default_manifest::dist;
use crate::tier::{self, Tier};

impl Root {
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
        self.loads(self.ours().into_iter());
        self.starts();
        self.run("test -L /etc/systemd/system/multi-user.target.wants/xenstored.service");
        assert_eq!(self.run("for p in $(dpkg-query -W -f '${Package} ' '*xen*' blktap); do dpkg --verify $p 2>/dev/null || true; done | grep -v xl.conf || true"), "");
    }
}

/// `package deb` into a directory of the root, as apt there names them.
fn debs(root: &Root, out: &str, arguments: &[&str]) -> String {
    let made = packages("deb", &root.path(out), arguments);
    let name = |path: &std::path::PathBuf| format!("./{out}/{}", path.file_name().unwrap().to_str().unwrap());
    made.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn packages_work_in_a_clean_debian_take_over_from_its_own_and_leave_nothing() {
    if !tier::need(Tier::Full) {
        return;
    }
    let Some(root) = Root::new() else { return };
    dist(&[]);
    debs(&root, "first", &[]);
    said(xtask(&["repo", "deb", "--from"]).arg(root.path("first")).arg(root.path("repository")));
    fs::write(root.path("etc/apt/sources.list.d/xen.list"), "deb [trusted=yes] file:/repository sultana main\n")
        .unwrap();
    root.run("apt-get update");
    // Updates of Debian's may come after our version.
    let names = "xen-utils-4.17 xen-hypervisor-4.17-amd64 xen-hypervisor-4.17-amd64-dbg libxen-dev blktap xen-seabios";
    root.install(&format!("-t sultana {names}"));
    fs::remove_file(root.path("etc/apt/sources.list.d/xen.list")).unwrap();
    root.works();
    fs::write(root.path("etc/xen/xl.conf"), "# mine\n").unwrap();
    let second = debs(&root, "second", &["--revision", "2"]);
    root.install(&second);
    root.works();
    assert_eq!(fs::read_to_string(root.path("etc/xen/xl.conf")).unwrap(), "# mine\n");
    root.purge();

    root.install("xen-utils-4.17 xen-hypervisor-4.17-amd64 libxen-dev");
    fs::write(root.path("etc/xen/xl.conf"), "# mine\n").unwrap();
    let after = debs(&root, "after", &["--epoch", "1"]);
    root.run(&format!("apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold {after}"));
    root.works();
    assert_eq!(fs::read_to_string(root.path("etc/xen/xl.conf")).unwrap(), "# mine\n");
    root.purge();
}
