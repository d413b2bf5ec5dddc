//! Directories that a package owns, so that they go with it: those above its files that no distribution has by itself. Pure.

use std::collections::BTreeSet;

use fast_glob::glob_match;

use crate::package::Package;
use crate::tree::Node;

/// What `filesystem`, systemd, Python, man-db and bash-completion own.
const STANDARD: [&str; 17] = [
    "boot",
    "boot/efi{,/EFI}",
    "etc",
    "etc/{bash_completion.d,default,init.d,rc.d,modules-load.d,profile.d,sysconfig,udev,udev/rules.d}",
    "usr",
    "usr/{bin,include,lib,lib64,libexec,local,sbin,share,src}",
    "usr/lib/{debug,modules-load.d,pkgconfig,systemd,systemd/system,tmpfiles.d,udev,udev/rules.d}",
    "usr/{lib,lib64}/python3*{,/site-packages,/dist-packages,/lib-dynload}",
    "usr/{lib,lib64}/{efi,pkgconfig}",
    "usr/lib/*-linux-gnu*{,/pkgconfig}",
    "usr/share/{doc,licenses,locale,man,pkgconfig}",
    "usr/share/man/man*",
    "usr/share/bash-completion{,/completions}",
    "usr/local/{bin,include,lib,lib64,libexec,sbin,share}",
    "usr/local/share/{doc,licenses,man}",
    "var",
    "var/{cache,lib,log,run,spool}",
];

/// Adds the directories above the files of a package that are its own, and takes out the distribution's.
pub fn own_directories(package: &mut Package) {
    let parents = package.files.keys().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]));
    let own: BTreeSet<String> = parents.filter(|dir| !is_standard(dir)).map(str::to_owned).collect();
    package.files.retain(|path, node| !(matches!(node, Node::Directory { .. }) && is_standard(path)));
    for dir in own {
        package.files.entry(dir).or_insert(Node::Directory { mode: 0o755 });
    }
}

fn is_standard(dir: &str) -> bool {
    STANDARD.iter().any(|glob| glob_match(glob, dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_distribution_has_is_ours() {
        for theirs in
            ["usr", "usr/lib/python3.11/dist-packages", "usr/share/man/man1", "usr/lib/systemd/system", "etc/default"]
        {
            assert!(is_standard(theirs), "{theirs}");
        }
        for ours in
            ["etc/xen", "usr/lib/xen", "usr/lib/python3.11/dist-packages/xen", "usr/share/doc/xen", "var/lib/xen"]
        {
            assert!(!is_standard(ours), "{ours}");
        }
    }
}
