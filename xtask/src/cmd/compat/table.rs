//! What Xen's makefiles, the RFC of 2015 and Raisin called things, and what each is here: the one table, from which the commands run and
//! `docs/migration.md` is checked. Knows words; runs nothing.

/// What an old word is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A command line, without `cargo xtask`.
    Line(String),
    /// No command, and why.
    Gone(&'static str),
}

/// An external tree of Xen's makefiles: its name there, and the component and source it is here.
pub struct Tree {
    /// `NAME-dir`.
    pub make: &'static str,
    /// What is built.
    pub component: &'static str,
    /// What is fetched.
    pub source: &'static str,
}

/// Every tree that a Xen has had.
pub const TREES: [Tree; 6] = [
    Tree { make: "qemu-xen", component: "qemu", source: "qemu" },
    Tree { make: "qemu-xen-traditional", component: "qemu-traditional", source: "qemu-traditional" },
    Tree { make: "blktap", component: "blktap", source: "blktap" },
    Tree { make: "seabios", component: "seabios", source: "seabios" },
    Tree { make: "ovmf", component: "ovmf", source: "edk2" },
    Tree { make: "mini-os", component: "mini-os", source: "mini-os" },
];

/// The targets of each tree: what stands around its name, and the command with `C` for its component and `S` for its source.
const OF_TREES: [(&str, &str, &str); 6] = [
    ("", "-dir", "fetch S"),
    ("", "-dir-find", "fetch S"),
    ("", "-dir-force-update", "force-update S"),
    ("subdir-all-", "-dir", "build C"),
    ("subdir-install-", "-dir", "build C"),
    ("subdir-clean-", "-dir", "clean C"),
];

const NO_DOCS: &str = "no component builds Xen's documentation";
const NO_STUBDOM: &str =
    "no component links a whole stub domain; `cargo xtask build mini-os` and their libraries are components";

const TARGETS: [(&str, Result<&str, &str>); 39] = [
    ("all", Ok("build")),
    ("build", Ok("build")),
    ("dist", Ok("build")),
    ("world", Ok("build")),
    ("build-xen", Ok("build xen")),
    ("build-tools", Ok("build xen-tools")),
    ("build-stubdom", Err(NO_STUBDOM)),
    ("build-docs", Err(NO_DOCS)),
    ("dist-xen", Ok("build xen")),
    ("dist-tools", Ok("build xen-tools")),
    ("dist-stubdom", Err(NO_STUBDOM)),
    ("dist-docs", Err(NO_DOCS)),
    ("install", Ok("install --root /")),
    ("install-xen", Ok("build xen")),
    ("install-tools", Ok("build xen-tools")),
    ("install-stubdom", Err(NO_STUBDOM)),
    ("install-docs", Err(NO_DOCS)),
    ("uninstall", Ok("uninstall --root /")),
    ("clean", Ok("clean")),
    ("clean-xen", Ok("clean xen")),
    ("clean-tools", Ok("clean xen-tools")),
    ("clean-stubdom", Err(NO_STUBDOM)),
    ("clean-docs", Err(NO_DOCS)),
    ("distclean", Ok("distclean")),
    ("distclean-xen", Ok("clean xen")),
    ("distclean-tools", Ok("clean xen-tools")),
    ("distclean-stubdom", Err(NO_STUBDOM)),
    ("distclean-docs", Err(NO_DOCS)),
    ("mrproper", Ok("distclean")),
    ("subtree-force-update", Ok("force-update")),
    ("subtree-force-update-all", Ok("force-update --all")),
    ("xenversion", Ok("status xen")),
    ("debball", Ok("package deb")),
    ("rpmball", Ok("package rpm")),
    ("src-tarball", Ok("tarball")),
    ("src-tarball-release", Ok("tarball")),
    ("test", Err("Xen's own tests need a running Xen; `cargo xtask test` tests this repository")),
    ("run-tests-%", Err("Xen's own tests need a running Xen; `cargo xtask test` tests this repository")),
    ("help", Ok("--help")),
];

const RAISIN: [(&str, Result<&str, &str>); 6] = [
    ("install-builddep", Ok("doctor")),
    ("build", Ok("build")),
    ("install", Ok("install --root /")),
    ("configure", Ok("configure-host --dry-run")),
    ("unraise", Ok("uninstall --root /")),
    ("test", Ok("boot dom0 pv")),
];

/// Variables of Config.mk, of the RFC, of Raisin's `config`, and what says the same here.
pub const VARIABLES: [(&str, &str); 50] = [
    ("QEMU_UPSTREAM_URL", "`cargo xtask configure QEMU_UPSTREAM_URL=…`; for good `urls` of `[sources.qemu.git]`"),
    ("QEMU_UPSTREAM_REVISION", "`cargo xtask pin qemu REV`"),
    ("QEMU_UPSTREAM_LOC", "`cargo xtask override qemu DIR`"),
    ("QEMU_UPSTREAM_INTREE", "`cargo xtask override qemu DIR`"),
    (
        "QEMU_TRADITIONAL_URL",
        "`cargo xtask configure QEMU_TRADITIONAL_URL=…`; for good `urls` of `[sources.qemu-traditional.git]`",
    ),
    ("QEMU_TRADITIONAL_REVISION", "`cargo xtask pin qemu-traditional REV`"),
    ("QEMU_TRADITIONAL_LOC", "`cargo xtask override qemu-traditional DIR`"),
    ("QEMU_TRADITIONAL_INTREE", "`cargo xtask override qemu-traditional DIR`"),
    (
        "SEABIOS_UPSTREAM_URL",
        "`cargo xtask configure SEABIOS_UPSTREAM_URL=…`; for good `urls` of `[sources.seabios.git]`",
    ),
    ("SEABIOS_UPSTREAM_REVISION", "`cargo xtask pin seabios REV`"),
    ("SEABIOS_UPSTREAM_LOC", "`cargo xtask override seabios DIR`"),
    ("SEABIOS_UPSTREAM_INTREE", "`cargo xtask override seabios DIR`"),
    ("OVMF_UPSTREAM_URL", "`cargo xtask configure OVMF_UPSTREAM_URL=…`; for good `urls` of `[sources.edk2.git]`"),
    ("OVMF_UPSTREAM_REVISION", "`cargo xtask pin edk2 REV`"),
    ("OVMF_UPSTREAM_LOC", "`cargo xtask override edk2 DIR`"),
    ("OVMF_UPSTREAM_INTREE", "`cargo xtask override edk2 DIR`"),
    (
        "MINIOS_UPSTREAM_URL",
        "`cargo xtask configure MINIOS_UPSTREAM_URL=…`; for good `urls` of `[sources.mini-os.git]`",
    ),
    ("MINIOS_UPSTREAM_REVISION", "`cargo xtask pin mini-os REV`"),
    ("MINIOS_UPSTREAM_LOC", "`cargo xtask override mini-os DIR`"),
    ("MINIOS_UPSTREAM_INTREE", "`cargo xtask override mini-os DIR`"),
    (
        "BLKTAP_UPSTREAM_URL",
        "`cargo xtask configure BLKTAP_UPSTREAM_URL=…`; for good `urls` of `[sources.blktap-c.git]`",
    ),
    ("BLKTAP_UPSTREAM_REVISION", "`cargo xtask pin blktap-c REV`"),
    ("BLKTAP_UPSTREAM_LOC", "`cargo xtask override blktap DIR`"),
    ("BLKTAP_UPSTREAM_INTREE", "`cargo xtask override blktap DIR`"),
    ("QEMU_TAG", "`QEMU_TRADITIONAL_REVISION`, with a warning"),
    ("QEMU_REMOTE", "`QEMU_TRADITIONAL_URL`, with a warning"),
    ("CONFIG_QEMU", "`QEMU_TRADITIONAL_LOC`, with a warning"),
    ("SEABIOS_UPSTREAM_TAG", "`SEABIOS_UPSTREAM_REVISION`, with a warning"),
    ("GIT_HTTP", "nothing to do: https is tried first, and git's own `insteadOf` changes addresses"),
    ("XEN_EXTFILES_URL", "`cargo xtask configure XEN_EXTFILES_URL=…`; for good `urls` of the archives"),
    ("ETHERBOOT_NICS", "`cargo xtask configure ETHERBOOT_NICS=…`"),
    ("CONFIG_QEMU_XEN", "`cargo xtask build --all` builds QEMU, `--with-system-qemu` does not"),
    ("CONFIG_QEMU_TRAD", "`qemu-traditional` in a manifest's lists"),
    ("CONFIG_BLKTAP2", "`blktap = \"rust\"`, `\"c\"`, `\"system\"` or `\"none\"` in a manifest"),
    ("CONFIG_SEABIOS", "`seabios` in a manifest's lists, or `--without-seabios`"),
    ("CONFIG_OVMF", "`cargo xtask build --all` builds it, or `--with-system-ovmf`"),
    ("PREFIX", "`cargo xtask configure --prefix=DIR`; as a variable only through `xtask make` and `xtask raise`"),
    ("DESTDIR", "`cargo xtask install --root DIR`; as a variable only through `xtask make` and `xtask raise`"),
    ("MAKE", "make from PATH; as a variable only through `xtask make` and `xtask raise`"),
    ("RAISIN_MAKE", "`MAKE`"),
    ("GIT", "git from PATH; a `GIT` that is `false` means `--offline`"),
    ("WGET", "no program downloads; a `WGET` that is `false` means `--offline`"),
    ("FETCHER", "no program downloads; `--offline`, and `cargo xtask fetch NAME --from FILE`"),
    ("COMPONENTS", "`cargo xtask build NAME…`; as a variable only through `xtask raise`"),
    ("ENABLED_COMPONENTS", "`components` of a manifest"),
    ("XEN_RELEASE", "`--manifest NAME`"),
    ("GIT_TRANSPORT", "nothing to do, as with `GIT_HTTP`"),
    ("SUDO", "root or sudo is used only by `build --yes`, to install packages"),
    ("TESTS", "scenarios of `cargo xtask boot`, by name"),
    ("ENABLED_TESTS", "scenarios of `cargo xtask boot`, by name"),
];

fn form((_, known): &(&'static str, Result<&'static str, &'static str>)) -> Form {
    known.map_or_else(Form::Gone, |line| Form::Line(line.to_owned()))
}

/// Every make target, in the order of the documentation.
pub fn make_targets() -> Vec<(String, Form)> {
    let of_trees = TREES.iter().flat_map(|tree| {
        OF_TREES.iter().map(|(before, after, line)| {
            let line = line.replace('S', tree.source).replace('C', tree.component);
            (format!("{before}{}{after}", tree.make), Form::Line(line))
        })
    });
    of_trees.chain(TARGETS.iter().map(|entry| (entry.0.to_owned(), form(entry)))).collect()
}

/// Every command of Raisin.
pub fn raisin_commands() -> Vec<(String, Form)> {
    RAISIN.iter().map(|entry| (entry.0.to_owned(), form(entry))).collect()
}
