//! lintian and rpmlint on the packages of the default manifest: nothing but what is listed here, each with its reason.

use std::collections::BTreeSet;
use std::process::Command;

use super::root::packages;
use crate::default_manifest::Checkout;
use crate::tier::{self, Tier};

/// Tags of lintian that stay, with the packages that have them.
const LINTIAN: [(&str, &[&str], &str); 21] = [
    (
        "no-manual-page",
        &["xen-utils-common", "xenstore-utils"],
        "Xen's pages need pandoc and more; they are a component to come",
    ),
    (
        "pkg-config-unavailable-for-cross-compilation",
        &["libxen-dev"],
        "/usr/lib is the default; the preset distro-debian has the directory of Debian",
    ),
    ("non-multi-arch-lib-dir", &["xen-hypervisor-4.17-amd64"], "Xen's own place of xen.efi is lib64/efi"),
    (
        "script-in-etc-init.d-not-registered-via-update-rc.d",
        &["xen-utils-common"],
        "Xen installs them beside the units, which are used",
    ),
    ("init.d-script-missing-start", &["xen-utils-common"], "Xen's"),
    ("init.d-script-does-not-source-init-functions", &["xen-utils-common"], "Xen's"),
    ("init.d-script-does-not-implement-required-option", &["xen-utils-common"], "Xen's"),
    ("omitted-systemd-service-for-init.d-script", &["xen-utils-common"], "Xen has no unit for driver domains' script"),
    (
        "maintainer-script-should-not-use-dpkg-maintscript-helper",
        &["xen-utils-common"],
        "debhelper would write the same lines from debian/*.maintscript, which there is none of",
    ),
    ("maintainer-script-needs-depends-on-ucf", &["xen-utils-common"], "it is asked only where it is there"),
    ("unusual-interpreter", &["xen-utils-4.17"], "modules of Xen's begin with `env python`, and nobody executes them"),
    (
        "package-installs-python-pycache-dir",
        &["xen-utils-4.17"],
        "checked by digest; made by root later they would stay behind",
    ),
    ("package-installs-into-obsolete-dir", &["xen-utils-common"], "Xen's place of its completion"),
    ("non-standard-dir-perm", &["xen-utils-common"], "dumps of guests are not for everybody"),
    ("package-name-doesnt-match-sonames", &["libxenmisc4.17"], "Debian's name for it, and Debian's exception"),
    ("package-has-long-file-name", &["xen-hypervisor-4.17-amd64-dbg"], "Debian's name with our version"),
    (
        "copyright-file-contains-full-apache-2-license",
        &["blktap"],
        "with LLVM's exception, and as ring has it: not the common text",
    ),
    ("initial-upload-closes-no-bugs", &["blktap"], "nobody uploads it"),
    ("unstripped-binary-or-object", &["xen-utils-4.17"], "hvmloader is loaded by its own headers"),
    ("statically-linked-binary", &["xen-utils-4.17"], "hvmloader runs in a guest without anything"),
    (
        "debug-symbols-directly-in-usr-lib-debug",
        &["xen-hypervisor-4.17-amd64-dbg"],
        "where Xen has xen-syms, and Debian too",
    ),
];

/// The same of rpmlint.
const RPMLINT: [(&str, &str); 29] = [
    ("no-manual-page-for-binary", "as for lintian"),
    ("manpage-not-compressed", "with gzip, which Fedora takes too"),
    ("invalid-license", "Debian's rpmlint knows the names before SPDX"),
    ("no-binary", "SeaBIOS is code for x86 in no ELF file"),
    ("only-non-binary-in-usr-lib", "the same"),
    ("missing-hash-section", "the GNU one is there; the old one is not made any more"),
    ("missing-PT_GNU_STACK-section", "xen-syms is never loaded"),
    ("statically-linked-binary", "xen-syms and hvmloader run without a system"),
    ("unstripped-binary-or-object", "the same"),
    ("position-independent-executable-suggested", "as Xen's makefiles link"),
    ("static-library-without-debuginfo", "Xen is built without"),
    ("no-dependency-on", "openSUSE's word for Python; python(abi) is asked for"),
    ("no-major-in-name", "Fedora's name"),
    ("non-versioned-file-in-library-package", "Fedora has one package of all of Xen's libraries"),
    ("outside-libdir-files", "the same: licences and the bill"),
    ("devel-package-with-non-devel-group", "groups are gone in Fedora"),
    ("no-group-tag", "the same"),
    ("no-signature", "who distributes them signs them"),
    ("requires-on-release", "a link to a library is right for this very package of it"),
    ("changelog-time-overflow", "blktap is of this repository and has no date"),
    ("executable-marked-as-config-file", "hotplug scripts are there to be changed"),
    ("non-executable-script", "Xen's: they are sourced"),
    ("non-standard-dir-perm", "dumps of guests are not for everybody"),
    ("symlink-should-be-relative", "Xen's link of pygrub"),
    ("log-files-without-logrotate", "Xen comes without; each domain has a file that xenconsoled opens"),
    ("files-duplicate", "names of one program, which Xen links"),
    ("files-duplicated-waste", "the same"),
    ("library-without-ldconfig-postin", "it is run by a line of a script"),
    ("library-without-ldconfig-postun", "the same"),
];

/// `E: PACKAGE: TAG …`
fn lintian_tag(line: &str) -> Option<(&str, &str)> {
    let mut parts = line.splitn(3, ": ").skip(1);
    Some((parts.next()?, parts.next()?.split(' ').next()?))
}

/// `PACKAGE.ARCH: E: TAG …`
fn rpmlint_tag(line: &str) -> Option<&str> {
    line.split_once(": E: ").or_else(|| line.split_once(": W: "))?.1.split(' ').next()
}

#[test]
fn lintian_finds_only_what_is_listed() {
    if !tier::need(Tier::Full) || !tier::programs(&[("lintian", "lintian")]) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let made = packages(&Checkout::built(), "deb", out.path(), &[]);
    let ended = Command::new("lintian").arg("--allow-root").args(&made).env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(made.len() > 10 && said.contains(": no-manual-page"), "{said}");
    let mut used = BTreeSet::new();
    let mut others = Vec::new();
    for line in said.lines() {
        let Some((package, tag)) = lintian_tag(line) else { continue };
        match LINTIAN.iter().find(|(known, packages, _)| *known == tag && packages.contains(&package)) {
            Some((known, ..)) => drop(used.insert(*known)),
            None => others.push(line),
        }
    }
    assert_eq!(others, Vec::<&str>::new());
    let unused: Vec<&str> = LINTIAN.iter().map(|(tag, ..)| *tag).filter(|tag| !used.contains(tag)).collect();
    assert_eq!(unused, Vec::<&str>::new(), "lintian says nothing of these any more");
}

#[test]
fn rpmlint_finds_only_what_is_listed() {
    if !tier::need(Tier::Full) || !tier::programs(&[("rpmlint", "rpmlint"), ("rpm", "rpm")]) {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let made = packages(&Checkout::built(), "rpm", out.path(), &[]);
    let ended = Command::new("rpmlint").args(&made).env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(made.len() > 5 && said.contains("packages and 0 specfiles checked"), "{said}");
    let is_accepted = |tag: &str| RPMLINT.iter().any(|(known, _)| *known == tag);
    let others: Vec<&str> =
        said.lines().filter(|line| rpmlint_tag(line).is_some_and(|tag| !is_accepted(tag))).collect();
    assert_eq!(others, Vec::<&str>::new());
}
