//! What built binaries need at run time, and that of the host. Binaries are made by the real compiler.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use xtask::definition::{Definitions, Name};
use xtask::layout::Layout;
use xtask::settings::{Provide, look};

use super::checkout::{Checkout, How};

#[test]
fn a_binary_names_the_component_and_the_package_that_it_does_not_start_without() {
    let how = How::all()[0].args();
    let checkout = Checkout::new();
    checkout.manifest(&["app", "libx", "mid"], "");
    let library = "echo 'int x(void) { return 1; }' > x.c; mkdir -p $STAGE/usr/lib; \
                   cc -shared -fPIC -Wl,-soname,libx.so.1 -o $STAGE/usr/lib/libx.so.1 x.c; ln -s libx.so.1 $STAGE/usr/lib/libx.so";
    checkout.script("libx", "without = 'nobody has x'\n", library);
    checkout.script("mid", "needs = ['libx']\n", "mkdir -p $STAGE/usr; echo > $STAGE/usr/mid");
    let app = "echo 'int x(void); int main(void) { return x(); }' > a.c; mkdir -p $STAGE/usr/bin; \
               cc -o $STAGE/usr/bin/app a.c -L$DEPS/usr/lib -lx; echo '#!/bin/sh' > $STAGE/usr/bin/script";
    let host = "[[host]]\nprogram = 'sh'\nfor = 'scripts'\n";
    checkout.script("app", "needs = ['libx']\n", app);
    let definition = checkout.read("components/app.toml");
    checkout.write("components/app.toml", &format!("{definition}{host}"));
    let early = checkout.run(&["deps", "--runtime"]);
    assert_eq!(early.code, Some(2), "{}", early.stderr);
    early.says(&["nothing of it is built yet", "help: cargo xtask build"]);

    checkout.built(how);
    let deps = checkout.run(&["deps", "--runtime", "app"]);
    assert_eq!(deps.code, Some(0), "{}", deps.stderr);
    assert!(
        deps.stdout.contains("component libx") && deps.stdout.contains("libx.so.1   (/usr/bin/app)"),
        "{}",
        deps.stdout
    );
    assert!(deps.stdout.contains("programs") && !deps.stdout.contains("script"), "{}", deps.stdout);
    if std::path::Path::new("/var/lib/dpkg/status").exists() {
        assert!(deps.stdout.contains("package libc6"), "{}", deps.stdout);
    }
    let json = checkout.run(&["deps", "--runtime", "--json", "app"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let libraries = json["components"][0]["libraries"].as_array().unwrap();
    assert!(libraries.iter().any(|row| row["name"] == "libx.so.1" && row["brings"]["component"] == "libx"), "{json}");

    // Only through `mid` does it stand in the sysroot: nobody asked for it, and the linker took it.
    checkout.write(
        "components/app.toml",
        &checkout.read("components/app.toml").replace("needs = ['libx']", "needs = ['mid']\nruntime-needs = ['libx']"),
    );
    checkout.built(how);
    let deps = checkout.run(&["deps", "--runtime", "app"]);
    assert_eq!(deps.code, Some(1), "{}", deps.stderr);
    deps.says(&["fault: `libx` is optional, but /usr/bin/app of `app` does not start without its libx.so.1"]);
}

#[test]
fn what_the_host_lacks_is_said_by_trying() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "true");
    let definition = checkout.read("components/a.toml");
    let write = |more: &str| checkout.write("components/a.toml", &format!("{definition}{more}"));
    write("[[host]]\ndevice = '/dev/null'\nfor = 'nothing'\n[[host]]\nprobe = ['no-such-program']\nfor = 'much'\n");
    let good = checkout.run(&["doctor", "--host"]);
    assert_eq!(good.code, Some(0), "{}", good.stdout);
    assert!(good.stdout.contains("device /dev/null: can be opened (for nothing)"), "{}", good.stdout);
    assert!(
        good.stdout.contains("cannot be tried") && good.stdout.contains("This machine can run it."),
        "{}",
        good.stdout
    );
    write("[[host]]\ndevice = '/dev/xtask-none'\nfor = 'disks'\n");
    let poor = checkout.run(&["doctor", "--host", "--json"]);
    assert_eq!(poor.code, Some(3), "{}", poor.stdout);
    let json: serde_json::Value = serde_json::from_str(&poor.stdout).unwrap();
    assert_eq!((json["can-run"].as_bool(), json["host"][0]["verdict"].as_str()), (Some(false), Some("missing")));
    // What nobody provides needs nothing.
    assert_eq!(checkout.run(&["doctor", "--host", "--without-a"]).code, Some(0));
    write("[[host]]\ndevice = '/dev/null'\nfile = '/etc'\nfor = 'two'\n");
    checkout.run(&["list"]).says(&["exactly one of program, file, device, kernel, module, probe"]);
}

/// The repository's own `components/blktap.toml` against copies as they are installed by others.
#[test]
fn a_systems_blktap_is_known_by_its_programs_and_how_they_behave() {
    let root = crate::repository();
    let layout = Layout { root: root.to_path_buf(), store: root.join(".xtask/none") };
    let definitions = Definitions::load(&layout, &"debian-12".parse().unwrap()).unwrap();
    let name: Name = "blktap".parse().unwrap();
    let component = &definitions.components[&name];
    assert!(component.without.as_ref().unwrap().contains("VHD disks"), "what is missing without it is said");
    let system = component.system.as_ref().unwrap();
    let check = |programs: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sbin")).unwrap();
        for (program, script) in programs {
            let path = dir.path().join("sbin").join(program);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let pc = dir.path().join("lib/pkgconfig");
        fs::create_dir_all(&pc).unwrap();
        fs::write(pc.join("blktap.pc"), "Name: blktap\nDescription: d\nVersion: 4.1.2\n").unwrap();
        let wanted = Provide::At(dir.path().display().to_string());
        match look(&name, system, &wanted, None) {
            Ok(Ok(copy)) => copy.evidence.join("; "),
            Ok(Err(why)) => why.join("; "),
            Err(error) => error.report(),
        }
    };
    let good = check(&[("tap-ctl", "test \"$1\" = list"), ("tapback", "")]);
    assert!(good.contains("control protocol: ") && good.contains("works"), "{good}");
    if which::which("pkg-config").is_ok() {
        assert!(good.contains("version 4.1.2"), "{good}");
    }
    // As `tap-ctl` of 2.5 ends without its module, whatever it is asked.
    let old = check(&[("tap-ctl", "echo 'blktap kernel module not installed'; exit 218"), ("tapback", "")]);
    assert!(old.contains("it is blktap 2.5 or older"), "{old}");
    assert!(check(&[("tap-ctl", "")]).contains("there is no program tapback"));
    // Without root's rights, or without its daemon, it cannot tell: that is said, and no reason to refuse it.
    let mute = check(&[("tap-ctl", "echo 'Permission denied' >&2; exit 13"), ("tapback", "")]);
    assert!(mute.contains("its control protocol is not known") && mute.contains("Permission denied"), "{mute}");
    assert_eq!(
        definitions.components["xen-tools"].needs.iter().find(|need| **need == name),
        None,
        "never a hard dependency"
    );
}
