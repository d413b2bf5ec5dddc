//! What a boot test needs beside what it tests: an emulator, a kernel, a userland. The emulator is the machine's own where it has one;
//! the rest are packages of the machine's distribution, unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::elf::{inside, library_dirs};
use super::emulator::Emulator;
use super::{Boot, CannotRun, Ready};
use crate::error::{Context, Error, Result};
use crate::machine::Family;
use crate::origin::{Unpacked, WantedPackages, unpacked};

/// Programs and libraries that a dom0 and the tools of Xen want.
const USERLAND: [&str; 11] = [
    "bash",
    "busybox-static",
    "coreutils",
    "libgcc-s1",
    "liblzma5",
    "libuuid1",
    "libyajl2",
    "libzstd1",
    "mount",
    "util-linux",
    "zlib1g",
];
/// What those depend on to be installed, not to be used.
const ASSUMED: [&str; 9] = [
    "adduser",
    "debconf",
    "initramfs-tools",
    "ipxe-qemu",
    "iso-codes",
    "kmod",
    "linux-base",
    "linux-initramfs-tool",
    "passwd",
];

/// All of it, for as long as this lives.
pub(super) struct Pieces {
    pub(super) emulator: Emulator,
    pub(super) kernel: Kernel,
    /// Where packages were unpacked.
    pub(super) packages: Unpacked,
}

/// A kernel of the distribution.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) version: String,
    /// The bzImage.
    pub(super) image: PathBuf,
    /// Modules by name, with underscores.
    pub(super) modules: BTreeMap<String, PathBuf>,
    /// What needs no module.
    pub(super) builtin: BTreeSet<String>,
}

impl Pieces {
    /// Gets everything; `mib` is how much memory the made-up machine wants.
    pub(super) fn get(boot: &Boot<'_>, mib: u64) -> Ready<Pieces> {
        if let Some(reason) = unfit(mib) {
            return Ok(Err(CannotRun(reason)));
        }
        let own_emulator = which::which("qemu-system-x86_64").ok();
        let mut names = USERLAND.to_vec();
        names.push(if is_ubuntu() { "linux-image-generic" } else { "linux-image-amd64" });
        names.extend(own_emulator.is_none().then_some("qemu-system-x86"));
        let wanted = WantedPackages { names: &names, assumed: &ASSUMED, keeps };
        let Some(packages) = unpacked(boot.fetching, wanted)? else {
            let reason =
                "kernel, userland and perhaps an emulator are packages that are not here, and --offline was said";
            return Ok(Err(CannotRun(reason.to_owned())));
        };
        let emulator = match own_emulator {
            Some(program) => Emulator::of_machine(program),
            None => Emulator::unpacked(&packages.root)?,
        };
        let kernel = Kernel::find(&packages.root)?;
        Ok(Ok(Pieces { emulator, kernel, packages }))
    }

    /// A program of the unpacked userland.
    pub(super) fn program(&self, name: &str) -> Result<PathBuf> {
        let dirs = ["bin", "usr/bin", "sbin", "usr/sbin"];
        let found = dirs.iter().find_map(|dir| inside(&self.packages.root, &format!("{dir}/{name}")));
        found.ok_or_else(|| Error::machine(format!("no package that was unpacked has the program `{name}`")))
    }
}

/// Why nothing can run on this machine.
fn unfit(mib: u64) -> Option<String> {
    if !cfg!(target_arch = "x86_64") {
        return Some("boot tests are for x86_64, and this machine is not".to_owned());
    }
    if Family::here() != Some(Family::Debian) || which::which("apt-get").is_err() {
        return Some("kernel and userland are packages of Debian or Ubuntu, and this machine has no apt".to_owned());
    }
    let available = available_mib(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    available
        .filter(|available| *available < mib)
        .map(|available| format!("{mib} MiB of memory are wanted, and {available} MiB are available"))
}

fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

fn is_ubuntu() -> bool {
    fs::read_to_string("/etc/os-release").unwrap_or_default().lines().any(|line| line == "ID=ubuntu")
}

/// Programs, libraries, firmware, and of the kernel what a test may load; not the gigabyte that is the rest.
fn keeps(path: &str) -> bool {
    let path = path.strip_prefix("usr/lib/modules/").map_or(path.to_owned(), |rest| format!("lib/modules/{rest}"));
    if let Some(rest) = path.strip_prefix("lib/modules/") {
        let below = rest.split_once('/').map_or("", |(_, below)| below);
        let kinds =
            ["kernel/crypto/", "kernel/drivers/block/", "kernel/drivers/virtio/", "kernel/drivers/xen/", "kernel/lib/"];
        return below == "modules.builtin" || kinds.iter().any(|kind| below.starts_with(kind));
    }
    let dirs = ["bin/", "boot/vmlinuz", "lib/", "lib64/", "sbin/", "usr/bin/", "usr/lib/", "usr/lib64/", "usr/sbin/"];
    let data = ["usr/share/qemu/", "usr/share/seabios/"];
    dirs.iter().chain(&data).any(|dir| path.starts_with(dir))
}

impl Kernel {
    fn find(root: &Path) -> Result<Kernel> {
        let missing = || Error::machine("no package that was unpacked has a kernel");
        let mut images: Vec<PathBuf> = fs::read_dir(root.join("boot"))
            .context(|| "cannot look for a kernel".to_owned())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        images.sort();
        let image = images.pop().ok_or_else(missing)?;
        let name = image.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = name.strip_prefix("vmlinuz-").ok_or_else(missing)?.to_owned();
        let places = [format!("lib/modules/{version}"), format!("usr/lib/modules/{version}")];
        let dir = places.iter().find_map(|place| inside(root, place)).ok_or_else(missing)?;
        let mut modules = BTreeMap::new();
        collect(&dir, &mut modules)?;
        let builtin = fs::read_to_string(dir.join("modules.builtin")).unwrap_or_default();
        let builtin = builtin.lines().filter_map(|line| module_name(line.rsplit('/').next()?)).collect();
        Ok(Kernel { version, image, modules, builtin })
    }
}

fn collect(dir: &Path, modules: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let cannot = || format!("cannot read `{}`", dir.display());
    for entry in fs::read_dir(dir).context(cannot)? {
        let entry = entry.context(cannot)?;
        if entry.file_type().context(cannot)?.is_dir() {
            collect(&entry.path(), modules)?;
        } else if let Some(name) = module_name(&entry.file_name().to_string_lossy()) {
            modules.insert(name, entry.path());
        }
    }
    Ok(())
}

/// `xen_blkback` of `xen-blkback.ko.xz`.
fn module_name(file: &str) -> Option<String> {
    file.split_once(".ko").map(|(name, _)| name.replace('-', "_"))
}

/// Directories of libraries in the unpacked root, as its loader wants them.
pub(super) fn library_path(root: &Path) -> String {
    let dirs = library_dirs(root).into_iter().filter_map(|dir| inside(root, &dir));
    dirs.map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_kernel_only_what_a_test_may_load_is_kept() {
        for kept in [
            "boot/vmlinuz-6.1.0-56-amd64",
            "lib/modules/6.1/kernel/drivers/xen/xen-gntdev.ko",
            "usr/lib/modules/6.12/kernel/drivers/block/loop.ko.xz",
            "usr/lib/modules/6.12/modules.builtin",
            "usr/lib/x86_64-linux-gnu/libc.so.6",
            "lib64/ld-linux-x86-64.so.2",
        ] {
            assert!(keeps(kept), "{kept}");
        }
        for left in ["lib/modules/6.1/kernel/drivers/gpu/drm/drm.ko", "boot/System.map-6.1", "usr/share/doc/x"] {
            assert!(!keeps(left), "{left}");
        }
    }

    #[test]
    fn names_of_modules_and_free_memory_are_read() {
        assert_eq!(module_name("xen-blkback.ko.xz").as_deref(), Some("xen_blkback"));
        assert_eq!(module_name("modules.order"), None);
        assert_eq!(available_mib("MemTotal: 9 kB\nMemAvailable:    2097152 kB\n"), Some(2048));
        assert_eq!(available_mib(""), None);
    }
}
