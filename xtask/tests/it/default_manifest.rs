//! What the README's first command leaves in `dist/`: not only there, but working. `cargo xtask test` has built it before; here it is
//! restored from the store.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::origin::git::git_in;
use crate::tier::{self, Tier};

/// The repository's own `dist/`, after a build with these arguments.
pub fn dist(arguments: &[&str]) -> PathBuf {
    let root = crate::repository();
    let mut build = Command::new(env!("CARGO_BIN_EXE_xtask"));
    build.arg("build").args(arguments).current_dir(root);
    build.args(std::env::var_os("XTASK_TEST_YES").map(|_| "--yes"));
    let ended = build.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    root.join("dist")
}

/// A checkout of the last commit: in its `dist/` is what its manifest has, and nothing that was built with `--all` before.
pub struct Checkout(tempfile::TempDir);

impl Checkout {
    fn cloned() -> Checkout {
        let dir = tempfile::tempdir().unwrap();
        git_in(dir.path(), &["clone", "-q", crate::repository().to_str().unwrap(), "sultana"]);
        Checkout(dir)
    }

    /// With the default manifest's `dist/`.
    pub fn built() -> Checkout {
        let checkout = Checkout::cloned();
        checkout.build();
        checkout
    }

    /// With Debian's source package of Xen in another version; none where no mirror has it any more, which is on record.
    pub fn of_xen(version: &str) -> Option<Checkout> {
        let checkout = Checkout::cloned();
        let manifest = checkout.0.path().join("sultana/manifests/debian-12.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        let (before, rest) = text.split_once("package = \"xen\", version = \"").unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        fs::write(&manifest, format!("{before}package = \"xen\", version = \"{version}\"{after}")).unwrap();
        let ended = checkout.xtask(&["update", "xen"]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        if !ended.status.success() && said.contains("404") {
            tier::skip(&format!("no mirror has xen {version} any more"));
            return None;
        }
        assert!(ended.status.success(), "{said}");
        checkout.build();
        Some(checkout)
    }

    fn build(&self) {
        let yes: &[&str] = if std::env::var_os("XTASK_TEST_YES").is_some() { &["--yes"] } else { &[] };
        let ended = self.xtask(&[&["build"], yes].concat()).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    /// A command of ours about it.
    pub fn xtask(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(self.0.path().join("sultana"));
        command
    }
}

/// What a program of `dist/` prints, with the libraries of `dist/`.
fn says(dist: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(dist.join(program));
    let ended = command.args(arguments).env("LD_LIBRARY_PATH", dist.join("usr/lib")).output().unwrap();
    String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn xen_seabios_and_blktap_are_installed_and_work() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let dist = dist(&[]);
    let mut xen = Vec::new();
    flate2::read::GzDecoder::new(File::open(dist.join("boot/xen-4.17.5.gz")).unwrap()).read_to_end(&mut xen).unwrap();
    assert!(xen.starts_with(b"\x7fELF") && contains(&xen, "Xen 4.17.5"));
    // Its libraries are found, and it gets as far as asking a hypervisor, which is not running.
    let xl = says(&dist, "usr/sbin/xl", &["info"]);
    assert!(xl.contains("cannot open libxc handle") || xl.contains("xen_version"), "{xl}");
    let seabios = fs::read(dist.join("usr/lib/xen/boot/seabios.bin")).unwrap();
    assert!(seabios.len().is_multiple_of(64 << 10) && contains(&seabios, "SeaBIOS (version"));
    let dir = tempfile::tempdir().unwrap();
    let vhd = dir.path().join("disk.vhd");
    let vhd = vhd.to_str().unwrap();
    assert_eq!(says(&dist, "usr/bin/vhd-util", &["create", "-n", vhd, "-s", "10"]), "");
    assert_eq!(says(&dist, "usr/bin/vhd-util", &["query", "-n", vhd, "-v"]), "10\n");
}

#[test]
fn with_all_qemu_and_libvirt_run_on_the_libraries_just_built_and_firmware_is_there() {
    if !tier::need(Tier::Full) {
        return;
    }
    let dist = dist(&["--all"]);
    let qemu = "usr/lib/xen/bin/qemu-system-i386";
    assert!(says(&dist, qemu, &["-version"]).starts_with("QEMU emulator version 7.2"));
    assert!(says(&dist, qemu, &["-machine", "help"]).contains("xenfv"));
    let mut loader = Command::new(dist.join(qemu));
    let loader = loader.env("LD_LIBRARY_PATH", dist.join("usr/lib")).env("LD_TRACE_LOADED_OBJECTS", "1");
    let loaded = String::from_utf8(loader.output().unwrap().stdout).unwrap();
    let ours = dist.join("usr/lib/libxenctrl.so.4.17");
    assert!(loaded.contains(ours.to_str().unwrap()), "{loaded}");
    let ovmf = fs::read(dist.join("usr/lib/xen/boot/ovmf.bin")).unwrap();
    assert!(ovmf.len() >= 1 << 20 && contains(&ovmf, "_FVH"));
    assert!(dist.join("usr/lib/xen-4.17/boot/xen-shim").is_file());
    for program in ["usr/sbin/libvirtd", "usr/bin/virsh"] {
        let said = says(&dist, program, &["--version"]);
        assert!(said.contains("9.0.0"), "{program}: {said}");
    }
    let mut driver = Command::new("ldd");
    driver.arg(dist.join("usr/lib/libvirt/connection-driver/libvirt_driver_libxl.so"));
    let linked = driver.env("LD_LIBRARY_PATH", dist.join("usr/lib")).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    let ours = dist.join("usr/lib/libxenlight.so.4.17");
    assert!(linked.contains(ours.to_str().unwrap()) && !linked.contains("not found"), "{linked}");
    for image in ["grub-x86_64-xen.bin", "grub-i386-xen_pvh.bin"] {
        let image = fs::read(dist.join("usr/lib/xen/boot").join(image)).unwrap();
        assert!(image.starts_with(b"\x7fELF") && contains(&image, "/boot/grub"));
    }
}

/// Built anew, in a store of its own, with what `dpkg-buildpackage` and debhelper export.
#[test]
fn seabios_comes_out_the_same_where_a_package_is_built() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let dist = dist(&[]);
    let root = crate::repository();
    let dir = tempfile::tempdir().unwrap();
    git_in(dir.path(), &["clone", "-q", root.to_str().unwrap(), "sultana"]);
    let xtask = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(dir.path().join("sultana")).env("XTASK_STORE", dir.path().join("store"));
        let ended = command.envs(environment.iter().copied()).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success(), "{arguments:?}: {said}");
        said
    };
    xtask(&["fetch", "seabios", "xen"], &[]);
    let exported = [
        ("DESTDIR", "/nowhere/debian/tmp"),
        ("PREFIX", "/wrong"),
        ("CFLAGS", "-g -O2 -fstack-protector-strong -Wformat -Werror=format-security -ffile-prefix-map=/x=."),
        ("CPPFLAGS", "-Wdate-time -D_FORTIFY_SOURCE=2"),
        ("LDFLAGS", "-Wl,-z,relro"),
        ("CC", "false"),
        ("MAKEFLAGS", "w -- V=1"),
        ("MAKELEVEL", "2"),
        ("DEB_BUILD_OPTIONS", "parallel=2 nocheck"),
        ("DEB_HOST_MULTIARCH", "x86_64-linux-gnu"),
        ("DH_INTERNAL_OPTIONS", "-a"),
        ("SOURCE_DATE_EPOCH", "1"),
        ("LC_ALL", "C.UTF-8"),
        ("GIT", "/bin/false"),
        ("WGET", "/bin/false"),
    ];
    let said = xtask(&["build", "seabios"], &exported);
    assert!(said.contains("seabios: built in ") && said.contains("offline, since GIT=/bin/false says so"), "{said}");
    let rom = "usr/lib/xen/boot/seabios.bin";
    let inside = fs::read(dir.path().join("sultana/dist").join(rom)).unwrap();
    assert!(inside == fs::read(dist.join(rom)).unwrap(), "SeaBIOS differs from the one built outside");
}
