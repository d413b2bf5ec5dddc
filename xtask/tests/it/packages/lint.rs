//! lintian and rpmlint on the packages of the default manifest: nothing but what is listed here, each with its reason.

use std::process::Command;

use super::root::packages;
use crate::default_manifest::dist;
use crate::tier::{self, Tier};

/// Tags of lintian that stay.
const LINTIAN: [(&str, &str); 19] = [
    ("no-manual-page", "Xen's pages need pandoc and more; they are a component to come"),
    (
        "pkg-config-unavailable-for-cross-compilation",
        "/usr/lib is the default; the preset distro-debian has the directory of Debian",
    ),
    ("non-multi-arch-lib-dir", "Xen's own place of xen.efi is lib64/efi"),
    ("script-in-etc-init.d-not-registered-via-update-rc.d", "Xen installs them beside the units, which are used"),
    ("init.d-script-missing-start", "Xen's"),
    ("init.d-script-does-not-source-init-functions", "Xen's"),
    ("init.d-script-does-not-implement-required-option", "Xen's"),
    ("omitted-systemd-service-for-init.d-script", "Xen has no unit for driver domains' script"),
    ("package-installs-python-pycache-dir", "checked by digest; made by root later they would stay behind"),
    ("package-installs-into-obsolete-dir", "Xen's place of its completion"),
    ("non-standard-dir-perm", "dumps of guests are not for everybody"),
    ("package-name-doesnt-match-sonames", "Debian's name for it, and Debian's exception"),
    ("package-has-long-file-name", "Debian's name with our version"),
    ("copyright-file-contains-full-apache-2-license", "with LLVM's exception, and as ring has it: not the common text"),
    ("initial-upload-closes-no-bugs", "nobody uploads it"),
    ("absolute-symlink-in-top-level-folder", "Xen's link of pygrub"),
    ("statically-linked-binary", "hvmloader and the like run in a guest without anything"),
    ("unstripped-binary-or-object", "the same: they are loaded by their own headers"),
    ("debug-symbols-directly-in-usr-lib-debug", "where Xen has xen-syms, and Debian too"),
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
fn lintian_tag(line: &str) -> Option<&str> {
    line.splitn(3, ": ").nth(2)?.split(' ').next()
}

/// `PACKAGE.ARCH: E: TAG …`
fn rpmlint_tag(line: &str) -> Option<&str> {
    line.split_once(": E: ").or_else(|| line.split_once(": W: "))?.1.split(' ').next()
}

/// Lines whose tag is not accepted.
fn others(said: &str, tag: fn(&str) -> Option<&str>, accepted: &[(&str, &str)]) -> Vec<String> {
    let is_accepted = |tag: &str| accepted.iter().any(|(known, _)| *known == tag);
    said.lines().filter(|line| tag(line).is_some_and(|tag| !is_accepted(tag))).map(str::to_owned).collect()
}

#[test]
fn lintian_finds_only_what_is_listed() {
    if !tier::need(Tier::Full) || !tier::programs(&[("lintian", "lintian")]) {
        return;
    }
    dist(&[]);
    let out = tempfile::tempdir().unwrap();
    let made = packages("deb", out.path(), &[]);
    let ended = Command::new("lintian").arg("--allow-root").args(&made).env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(made.len() > 10 && said.contains(": no-manual-page"), "{said}");
    assert_eq!(others(&said, lintian_tag, &LINTIAN), Vec::<String>::new());
}

#[test]
fn rpmlint_finds_only_what_is_listed() {
    if !tier::need(Tier::Full) || !tier::programs(&[("rpmlint", "rpmlint"), ("rpm", "rpm")]) {
        return;
    }
    dist(&[]);
    let out = tempfile::tempdir().unwrap();
    let made = packages("rpm", out.path(), &[]);
    let ended = Command::new("rpmlint").args(&made).env("LC_ALL", "C.UTF-8").output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(made.len() > 5 && said.contains("packages and 0 specfiles checked"), "{said}");
    assert_eq!(others(&said, rpmlint_tag, &RPMLINT), Vec::<String>::new());
}
