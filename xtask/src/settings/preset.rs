//! Presets: whole sets of choices that somebody else has made already. Their paths are those of a distribution's packages; they are fixed,
//! present on this machine or not.

use crate::definition::did_you_mean;
use crate::error::{Error, Result};

/// A set of values.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// As `configure` would keep them.
    pub values: &'static [(&'static str, &'static str)],
}

/// Debian's directory of libraries, where those of several instruction sets stand beside one another.
const MULTIARCH: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "/usr/lib/x86_64-linux-gnu",
    b"aarch64" => "/usr/lib/aarch64-linux-gnu",
    b"arm" => "/usr/lib/arm-linux-gnueabihf",
    b"riscv64" => "/usr/lib/riscv64-linux-gnu",
    b"powerpc64" => "/usr/lib/powerpc64le-linux-gnu",
    _ => "/usr/lib",
};

/// All of them.
pub const PRESETS: [Preset; 4] = [
    Preset {
        name: "all-internal",
        summary: "everything that the manifest can build is built, nothing is taken from the system",
        values: &[
            ("with-system-blktap", "no"),
            ("with-system-ipxe", "no"),
            ("with-system-mini-os", "no"),
            ("with-system-ovmf", "no"),
            ("with-system-qemu", "no"),
            ("with-system-seabios", "no"),
        ],
    },
    Preset {
        name: "distro-debian",
        summary: "the paths of Debian's qemu-system-xen, seabios and ovmf; blktap is ours, Debian has none",
        values: &[
            ("prefix", "/usr"),
            ("libdir", MULTIARCH),
            ("sysconfdir", "/etc"),
            ("localstatedir", "/var"),
            ("with-system-blktap", "no"),
            ("with-system-ipxe", "without"),
            ("with-system-mini-os", "without"),
            ("with-system-ovmf", "/usr/share/ovmf/OVMF.fd"),
            ("with-system-qemu", "/usr/libexec/xen-qemu-system-i386"),
            ("with-system-seabios", "/usr/share/seabios/bios-256k.bin"),
        ],
    },
    Preset {
        name: "distro-fedora",
        summary: "the paths of Fedora's qemu, seabios, edk2 and ipxe packages; blktap is ours, Fedora has none",
        values: &[
            ("prefix", "/usr"),
            ("libdir", "/usr/lib64"),
            ("sysconfdir", "/etc"),
            ("localstatedir", "/var"),
            ("with-system-blktap", "no"),
            ("with-system-ipxe", "/usr/share/ipxe/10ec8139.rom"),
            ("with-system-mini-os", "without"),
            ("with-system-ovmf", "/usr/share/edk2/xen/OVMF.fd"),
            ("with-system-qemu", "/usr/bin/qemu-system-i386"),
            ("with-system-seabios", "/usr/share/seabios/bios-256k.bin"),
        ],
    },
    Preset {
        name: "hypervisor-only",
        summary: "xen alone: no tools, no firmware, no disks",
        values: &[
            ("without-blktap", "yes"),
            ("without-blktap-c", "yes"),
            ("without-ipxe", "yes"),
            ("without-mini-os", "yes"),
            ("without-ovmf", "yes"),
            ("without-qemu", "yes"),
            ("without-seabios", "yes"),
            ("without-xen-shim", "yes"),
            ("without-xen-tools", "yes"),
        ],
    },
];

/// The preset of that name.
pub fn preset(name: &str) -> Result<Preset> {
    let names = PRESETS.map(|preset| preset.name);
    PRESETS.into_iter().find(|preset| preset.name == name).ok_or_else(|| {
        let wrong = Error::input(format!("there is no preset `{name}`; there are {}", names.join(", ")));
        match did_you_mean(name, names) {
            Some(near) => wrong.help(format!("cargo xtask configure --preset {near}")),
            None => wrong,
        }
    })
}
