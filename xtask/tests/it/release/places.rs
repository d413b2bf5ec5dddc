//! Everything that Xen's own build would download stands in an archive where its own makefiles look: they are asked, with programs for
//! downloads that fail. Xen is Debian's; the other sources are small ones at the places that our definitions give them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::small::tarball;
use crate::build::checkout::{Checkout, sealed};
use crate::origin::git::Upstream;
use crate::tier::{self, Tier};

/// Components with a directory as source, and a file in it.
const TREES: [(&str, &str); 5] = [
    ("mini-os", "Config.mk"),
    ("ovmf", "OvmfPkg/build.sh"),
    ("qemu", "configure"),
    ("qemu-traditional", "xen-setup"),
    ("seabios", "Makefile"),
];
/// Components whose source Xen's build takes as the archive that it is: their names in `stubdom/configure`, and the rest of the file's.
const FILES: [(&str, &str, &str); 7] = [
    ("gmp", "GMP", ".tar.bz2"),
    ("lwip", "LWIP", ".tar.gz"),
    ("newlib", "NEWLIB", ".tar.gz"),
    ("pciutils", "LIBPCI", ".tar.bz2"),
    ("polarssl", "POLARSSL", "-gpl.tgz"),
    ("tpm_emulator", "TPMEMU", ".tar.gz"),
    ("zlib", "ZLIB", ".tar.gz"),
];
/// As `stubdom/configure` of Xen 4.17 has them.
const VERSIONS: [&str; 7] = ["4.3.2", "1.3.0", "1.16.0", "2.2.9", "1.1.4", "0.7.4", "1.2.3"];

/// A component that builds nothing, where our own definition has its source.
fn component(checkout: &Checkout, name: &str) {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../components/{name}.toml"));
    let mut ours: toml::Table = toml::from_str(&fs::read_to_string(ours).unwrap()).unwrap();
    let mut tarball = ours.remove("tarball").unwrap();
    // What steps make is tested elsewhere.
    for key in ["steps", "carry", "with"] {
        tarball.as_table_mut().unwrap().remove(key);
    }
    checkout
        .component(name, &format!("tarball = {tarball}\n[build.steps]\n[[step]]\nname = 'nothing'\nrun = ['true']\n"));
}

fn checkout(dir: &Path) -> Checkout {
    let checkout = Checkout::new();
    let mut sources = "xen.apt = { package = 'xen', version = '4.17.5+72-g01140da4e8-1' }\n".to_owned();
    for (name, file) in TREES {
        checkout.write(&format!("{name}/{file}"), "");
        sources.push_str(&format!("{name}.path.dir = '{name}'\n"));
    }
    for ((name, _, suffix), version) in FILES.into_iter().zip(VERSIONS) {
        let top = format!("{name}-{version}");
        fs::create_dir(dir.join(&top)).unwrap();
        fs::write(dir.join(&top).join("README"), name).unwrap();
        let file = dir.join(format!("{top}{suffix}"));
        let packed = Command::new("tar").arg("-caf").arg(&file).arg("-C").arg(dir).arg(&top).status();
        assert!(packed.unwrap().success());
        sources.push_str(&format!("{name}.archive.urls = ['file://{}']\n", file.display()));
    }
    let ipxe = Upstream::new(dir.join("ipxe"));
    ipxe.commit("src/arch/i386/Makefile", "all:\n");
    ipxe.git(&["tag", "v1"]);
    sources.push_str(&format!("ipxe.git = {{ urls = ['{}'], tag = 'v1' }}\n", ipxe.url()));
    let names: Vec<&str> =
        ["xen", "ipxe"].into_iter().chain(TREES.map(|it| it.0)).chain(FILES.map(|it| it.0)).collect();
    names.iter().for_each(|name| component(&checkout, name));
    checkout.write("manifests/m.toml", &format!("summary = 'm'\ncomponents = {names:?}\n[sources]\n{sources}"));
    let ran = checkout.run(&["update"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    checkout
}

/// make of Xen, which has only what is there; what it says.
fn make(top: &Path, args: &[&str]) -> String {
    let output =
        Command::new("make").args(["GIT=false", "FETCHER=false"]).args(args).current_dir(top).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

#[test]
fn xens_own_makefiles_find_everything_that_they_would_download() {
    if !tier::need(Tier::Standard) || !sealed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let checkout = checkout(dir.path());
    let ran = tarball(&checkout, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let unpack =
        Command::new("tar").arg("-xf").arg(checkout.path("xen-4.17.5.tar.gz")).current_dir(dir.path()).status();
    assert!(unpack.unwrap().success());
    let top = dir.path().join("xen-4.17.5");
    // What configure would make, as far as these rules need it.
    for made in ["Stubdom.mk", "Tools.mk"] {
        fs::write(top.join("config").join(made), "").unwrap();
    }

    for target in ["ovmf-dir", "seabios-dir"] {
        let said = make(&top, &["-C", "tools/firmware", target]);
        assert!(said.contains("is up to date"), "{said}");
    }
    let makefile = fs::read(top.join("tools/firmware/ovmf-dir/Makefile")).unwrap();
    assert_eq!(makefile, fs::read(top.join("tools/firmware/ovmf-makefile")).unwrap());
    make(&top, &["-C", "tools", "qemu-xen-dir-find", "qemu-xen-traditional-dir-find"]);
    make(&top, &["mini-os-dir"]);
    let configure = fs::read_to_string(top.join("stubdom/configure")).unwrap();
    for ((name, variable, suffix), version) in FILES.into_iter().zip(VERSIONS) {
        assert!(configure.contains(&format!("\n{variable}_VERSION=\"{version}\"\n")), "{name}");
        let file = format!("{name}-{version}{suffix}");
        let said = make(&top, &["-C", "stubdom", &format!("{variable}_VERSION={version}"), &file]);
        assert!(said.contains("is up to date"), "{said}");
        assert_eq!(fs::read(top.join("stubdom").join(&file)).unwrap(), fs::read(dir.path().join(&file)).unwrap());
    }
    let said = make(&top, &["-C", "tools/firmware/etherboot", "ipxe.tar.gz"]);
    assert!(said.contains("is up to date"), "{said}");
    // Its next rule unpacks that, and patches it.
    let unpack =
        Command::new("tar").args(["-xzf", "ipxe.tar.gz"]).current_dir(top.join("tools/firmware/etherboot")).status();
    assert!(unpack.unwrap().success());
    assert!(top.join("tools/firmware/etherboot/ipxe/src/arch/i386/Makefile").is_file());

    let ran = checkout.run(&["verify-tarball", "--no-build", "xen-4.17.5.tar.gz"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for made in ["config/Stubdom.mk", "config/Tools.mk", "tools/qemu-xen-dir", "tools/qemu-xen-traditional-dir"] {
        xtask::atomic::remove_tree(&top.join(made)).or_else(|_| xtask::placing::remove_file(&top.join(made))).unwrap();
    }
    xtask::atomic::remove_tree(&top.join("tools/firmware/etherboot/ipxe")).unwrap();
    let ran = crate::build::run::ran(checkout.command(&["build", "--offline"]).current_dir(top.join("sultana")));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.never_says(&["is not as it was in the archive"]);
}
