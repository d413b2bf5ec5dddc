//! A manifest with what a release can have: a top with Xen's version, a firmware that is configured in advance, a link, a program.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use crate::build::checkout::Checkout;
use crate::build::run::Ran;

/// The archive's name, without its suffix.
pub const NAME: &str = "top-4.99.1";

/// The project. Nothing of it is in a repository.
pub fn project() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["top", "fw"], "");
    checkout.component("top", "[tarball]\nat = '.'\n[build.make]\n");
    checkout.component(
        "fw",
        "[tarball]\nat = 'tools/firmware/fw-dir'\nsteps = ['config']\ncarry = ['.config', '.version']\n\
         [build.steps]\n[[step]]\nname = 'config'\nrun = ['sh', '-ec', 'date -u -d @{epoch} > .config; umask >> .config; id -u >> .config']\n",
    );
    checkout.write("top/Makefile", "all:\ninstall:\n\tmkdir -p $(DESTDIR)/usr\n\tcp Makefile $(DESTDIR)/usr/top\n");
    checkout.write(
        "top/xen/Makefile",
        "export XEN_VERSION = 4\nexport XEN_SUBVERSION = 99\nexport XEN_EXTRAVERSION ?= .1$(XEN_VENDORVERSION)\n",
    );
    checkout.write("top/configure", "#!/bin/sh\n");
    fs::set_permissions(checkout.path("top/configure"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("Makefile", checkout.path("top/GNUmakefile")).unwrap();
    checkout.write("fw/src.c", "int main;\n");
    checkout.write("fw/.version", "rel-1.0\n");
    checkout
}

/// `tarball` with these arguments must do it; gives the archive.
pub fn packed(checkout: &Checkout, args: &[&str]) -> PathBuf {
    let ran = tarball(checkout, args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    checkout.path(&format!("{NAME}.tar.gz"))
}

/// `tarball` with these arguments, packed quickly.
pub fn tarball(checkout: &Checkout, args: &[&str]) -> Ran {
    checkout.run(&[&["tarball", "--format", "gz"], args].concat())
}
