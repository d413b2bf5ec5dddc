//! Components that the system provides, or nobody: each wrong copy with its message, and what consumers are told. Copies are real files and
//! programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::checkout::{Checkout, How};

/// `bios` and `emu` are firmware and a program that `tools`, which writes down what it is told, may have from the system; `disks` are
/// programs in a prefix.
fn project() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["tools", "bios"], "optional = ['emu', 'disks']");
    let manifest = checkout.read("manifests/m.toml");
    for name in ["emu", "disks"] {
        fs::create_dir_all(checkout.path(name)).unwrap();
    }
    checkout.write("manifests/m.toml", &format!("{manifest}emu.path.dir = 'emu'\ndisks.path.dir = 'disks'\n"));
    checkout.component(
        "tools",
        "runtime-needs = ['bios', 'emu', 'disks']\n[build.steps]\n[[step]]\nname = 'run'\n\
         run = ['sh', '-ec', 'mkdir -p {stage}{prefix}; echo \"$@\" > {stage}{prefix}/told', 'sh', '{told:bios}', '{told:emu}', '{told:disks}']\n",
    );
    let told = |name: &str| {
        format!(
            "[outputs]\nit = '{{prefix}}/lib/{name}'\n[told]\ninternal = ['--{name}={{output:it}}']\n\
             system = ['--{name}={{path}}']\nabsent = ['--no-{name}']\n"
        )
    };
    let here = checkout.root().display().to_string();
    let body = |name: &str, more: &str| {
        let script = "mkdir -p {stage}{prefix}/lib; echo x > {stage}{prefix}/lib/";
        let step = format!("[build.steps]\n[[step]]\nname = 'run'\nrun = ['sh', '-ec', '{script}{name}']\n");
        let head = format!("without = 'there is no {name} then'\n");
        checkout.component(name, &format!("{head}{step}{}{more}", told(name)));
    };
    body(
        "bios",
        &format!(
            "[system]\nkind = 'file'\npaths = ['{here}/sys/bios.bin']\nmin-bytes = 8\nmax-bytes = 64\nmagic = [{{ at = -4, hex = '55aa' }}]\n\
             [system-packages]\ndebian = ['bios-package']\nfedora = ['bios-package']\nopensuse = ['bios-package']\nalpine = ['bios-package']\narch = ['bios-package']\n"
        ),
    );
    body(
        "emu",
        &format!(
            "[system]\nkind = 'program'\npaths = ['{here}/sys/emu']\n[[system.probe]]\nwhat = 'version'\nrun = ['{{path}}', '--version']\n\
             after = 'version '\nat-least = '2.12'\n[[system.probe]]\nwhat = 'machine'\nrun = ['{{path}}', '-M']\nsays = 'xenfv'\n\
             because = 'it was built without Xen'\n"
        ),
    );
    body(
        "disks",
        "[system]\nkind = 'programs'\nprograms = ['xtask-test-tap', 'xtask-test-back']\n[[system.probe]]\nwhat = 'control protocol'\n\
         run = ['xtask-test-tap', 'list']\nrefuse = 'module not installed'\nbecause = 'it is too old'\noptional = true\n",
    );
    checkout
}

fn program(checkout: &Checkout, path: &str, script: &str) -> String {
    checkout.write(path, &format!("#!/bin/sh\n{script}\n"));
    let path = checkout.path(path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

const GOOD_EMU: &str = "case $1 in -M) echo xenfv;; *) echo 'emulator version 7.2.22 (x)';; esac";

#[test]
fn each_wrong_copy_is_refused_with_its_message() {
    let checkout = project();
    let at = |path: &str| checkout.path(path).display().to_string();
    fs::create_dir_all(checkout.path("sys/dir")).unwrap();
    checkout.write("sys/dir/bios.bin", "12345678Uª");
    checkout.write("sys/small", "x");
    checkout.write("sys/large", &"x".repeat(100));
    checkout.write("sys/other", "1234567890");
    checkout.write("sys/plain", "#!/bin/sh\n");
    std::os::unix::fs::symlink("nowhere", checkout.path("sys/dangling")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, checkout.path("sys/fifo"), fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let old = program(&checkout, "sys/old", "echo 'emulator version 2.9.1'");
    let mute = program(&checkout, "sys/mute", "echo hello");
    let broken = program(&checkout, "sys/broken", "echo 'cannot open shared object' >&2; exit 127");
    let without_xen = program(&checkout, "sys/without-xen", "echo 'emulator version 9.0'");
    program(&checkout, "one/sbin/xtask-test-tap", "true");
    program(&checkout, "two/sbin/xtask-test-tap", "echo 'kernel module not installed'; exit 218");
    program(&checkout, "two/libexec/xtask-test-back", "true");
    for (argument, value, wanted) in [
        ("bios", "bios.bin".to_owned(), "yes, no, auto or an absolute path is wanted"),
        ("bios", "/a/../b".to_owned(), "a path without `..`"),
        ("bios", at("sys/none"), "it is not there"),
        ("bios", at("sys/dangling"), "it is not there"),
        ("bios", at("sys/dir"), "it is a directory; the file itself is wanted, as"),
        ("bios", at("sys"), "it is a directory; the file itself is wanted"),
        ("bios", "/dev/null".to_owned(), "it is a device; a regular file is wanted"),
        ("bios", at("sys/fifo"), "it is no regular file; a regular file is wanted"),
        ("bios", at("sys/small"), "it has 1 bytes; at least 8 and at most 64 are wanted"),
        ("bios", at("sys/large"), "it has 100 bytes; at least 8 and at most 64 are wanted"),
        ("bios", at("sys/other"), "it is something else: at byte -4 it has 3738, not 55aa"),
        ("bios", "yes".to_owned(), "there is none of "),
        ("emu", at("sys/dir"), "it is a directory; the file itself is wanted"),
        ("emu", at("sys/plain"), "it is not executable"),
        ("emu", old, "its version is 2.9.1; at least 2.12 is wanted"),
        ("emu", mute, "its version is not known: "),
        ("emu", broken, "and said: cannot open shared object"),
        ("emu", without_xen, "it was built without Xen"),
        ("disks", at("sys/plain"), "it is a file; the prefix that it is installed in is wanted"),
        ("disks", at("sys"), "there is no program xtask-test-tap in its sbin, bin, libexec"),
        ("disks", at("one"), "there is no program xtask-test-back in its sbin, bin, libexec"),
        ("disks", at("two"), "it is too old"),
        ("disks", "yes".to_owned(), "there is no xtask-test-tap on PATH"),
        ("tools", "yes".to_owned(), "components/tools.toml has no `[system]`"),
    ] {
        for command in [&["build", "--dry-run"][..], &["configure"], &["status"]] {
            let ran = checkout.run(&[command, &[&format!("--with-system-{argument}={value}")]].concat());
            assert_eq!(ran.code, Some(2), "{argument}={value}: {}", ran.stderr);
            ran.says(&[wanted]);
        }
    }
    assert!(!checkout.path(".xtask/configure.toml").exists(), "nothing wrong is kept");
    let ran = checkout.run(&["status", "--with-system-bios=/no/such"]);
    if xtask::machine::Machine::of(
        &xtask::layout::Layout { root: checkout.root(), store: checkout.store().into() },
        true,
    )
    .unwrap()
    .family()
    .is_some()
    {
        ran.says(&["bios-package"]);
    }
}

#[test]
fn consumers_are_told_of_ours_the_systems_or_nobodys() {
    let how = How::all()[0].args();
    let checkout = project();
    let bios = checkout.path("sys/bios.bin").display().to_string();
    fs::create_dir_all(checkout.path("sys")).unwrap();
    fs::write(&bios, b"12345678\x55\xaa00").unwrap();
    let emu = program(&checkout, "sys/emu", GOOD_EMU);
    program(&checkout, "pre/sbin/xtask-test-tap", "test $1 = list");
    program(&checkout, "pre/bin/xtask-test-back", "true");
    let pre = checkout.path("pre").display().to_string();
    let (with_bios, with_emu) = (format!("--with-system-bios={bios}"), format!("--with-system-emu={emu}"));
    let with_disks = format!("--with-system-disks={pre}");
    for (arguments, wanted) in [
        (&[""; 0][..], "--bios=/usr/lib/bios --no-emu --no-disks".to_owned()),
        (&[with_bios.as_str(), &with_emu], format!("--bios={bios} --emu={emu} --no-disks")),
        (&["--with-system-bios"], format!("--bios={bios} --no-emu --no-disks")),
        (&["--with-system-bios=auto", "--with-system-emu=auto"], format!("--bios={bios} --emu={emu} --no-disks")),
        (&["--without-bios", &with_disks], format!("--no-bios --no-emu --disks={pre}")),
        (&["--with-system-emu=no"], "--bios=/usr/lib/bios --emu=/usr/lib/emu --no-disks".to_owned()),
        (&["--with-system-disks=auto"], "--bios=/usr/lib/bios --no-emu --disks=/usr/lib/disks".to_owned()),
    ] {
        checkout.built(&[how, arguments].concat());
        assert_eq!(checkout.read("dist/usr/told").trim(), wanted, "{arguments:?}");
        let ours = wanted.contains("bios=/usr/lib/bios");
        assert_eq!(checkout.path("dist/usr/lib/bios").exists(), ours, "{arguments:?}: what is not ours is not in dist");
    }
    let without = checkout.built(&[how, &["--without-bios"]].concat());
    without.says(&["without `bios`: there is no bios then"]);
    assert!(checkout.run(&["status", "--without-bios"]).stdout.contains("there is no bios then"));
    let auto = checkout.run(&["status", "--with-system-bios=auto"]);
    auto.says(&["bios: the system's, ", "12 bytes, of the right kind"]);
    // Back, at no cost.
    checkout.built(how).never_says(&["building"]);
    let named = checkout.build(&["bios", &with_bios]);
    assert_eq!(named.code, Some(2), "{}", named.stderr);
    named.says(&["`bios` is to be built and is not to be ours at once"]);
}

#[test]
fn what_another_one_needs_cannot_be_left_out() {
    let checkout = Checkout::new();
    checkout.manifest(&["lib", "user"], "");
    checkout.script("lib", "", "mkdir -p $STAGE/usr; echo > $STAGE/usr/lib.h");
    checkout.script("user", "needs = ['lib']", "mkdir -p $STAGE/usr; cp $DEPS/usr/lib.h $STAGE/usr/user");
    let ran = checkout.build(&["--dry-run", "--without-lib"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["cannot leave out `lib`: `user` is built with its files", "help: --without-user"]);
    checkout.built(&["--dry-run", "--without-lib", "--without-user"]);
}

#[test]
fn configure_keeps_what_was_judged_and_shows_where_it_was_said() {
    let how = How::all()[0].args();
    let checkout = project();
    fs::create_dir_all(checkout.path("sys")).unwrap();
    fs::write(checkout.path("sys/bios.bin"), b"12345678\x55\xaa00").unwrap();
    let bios = checkout.path("sys/bios.bin").display().to_string();
    let kept = checkout.run(&["configure", "--prefix=/opt/x", "--with-system-bios=auto", "--without-emu"]);
    assert_eq!(kept.code, Some(0), "{}", kept.stderr);
    assert!(kept.stdout.contains(&format!("with-system-bios={bios}   (auto found it so: 12 bytes")), "{}", kept.stdout);

    // What was found is kept, so what is installed later decides nothing.
    fs::remove_file(&bios).unwrap();
    checkout.built(how);
    assert_eq!(checkout.read("dist/opt/x/told").trim(), format!("--bios={bios} --no-emu --no-disks"));
    let shown = checkout.run(&["configure", "--show", "--json", "--sysconfdir=/etc"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let find = |name: &str| {
        let row = shown["settings"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap();
        (row["value"].as_str().unwrap().to_owned(), row["from"].as_str().unwrap().to_owned())
    };
    assert_eq!(find("prefix"), ("/opt/x".into(), "configure".into()));
    assert_eq!(find("libdir"), ("/opt/x/lib".into(), "default".into()));
    assert_eq!(find("sysconfdir"), ("/etc".into(), "argument".into()));
    assert_eq!(find("with-system-bios"), (bios, "configure".into()));
    assert_eq!(find("with-system-emu"), ("without".into(), "configure".into()));
    assert_eq!(find("with-system-disks"), ("no, with --all".into(), "manifest".into()));
    let git = std::process::Command::new("git")
        .args(["check-ignore", "-q", "../.xtask/x"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(git.unwrap().success(), "what configure keeps is not committed");

    assert_eq!(checkout.run(&["configure", "--forget", "with-system-bios"]).code, Some(0));
    checkout.built(how);
    assert_eq!(checkout.read("dist/opt/x/told").trim(), "--bios=/opt/x/lib/bios --no-emu --no-disks");
    let unknown = checkout.run(&["configure", "--forget", "libdir"]);
    assert_eq!(unknown.code, Some(2));
    unknown.says(&["`libdir` is not kept; what is: prefix, with-system-emu"]);
    assert_eq!(checkout.run(&["configure", "--forget"]).code, Some(0));
    assert!(!checkout.path(".xtask/configure.toml").exists());
    checkout.built(how);
    assert_eq!(checkout.read("dist/usr/told").trim(), "--bios=/usr/lib/bios --no-emu --no-disks");

    checkout.write(".xtask/configure.toml", "values = 3");
    let damaged = checkout.run(&["status"]);
    assert_ne!(damaged.code, Some(0));
    damaged.says(&["cannot read what `configure` kept", "help: cargo xtask configure --forget"]);
    assert_eq!(checkout.run(&["configure", "--forget"]).code, Some(0));
}

#[test]
fn a_preset_is_kept_by_name_and_gives_way_to_every_single_choice() {
    let checkout = Checkout::new();
    checkout.manifest(&["xen", "seabios"], "");
    checkout.script("xen", "", "mkdir -p $STAGE/usr; echo > $STAGE/usr/xen");
    checkout.script("seabios", "", "mkdir -p $STAGE/usr; echo > $STAGE/usr/bios");
    let built = |arguments: &[&str]| {
        let plan = checkout.run(&[&["build", "--dry-run"], arguments].concat());
        assert_eq!(plan.code, Some(0), "{}", plan.stderr);
        plan.stdout
            .lines()
            .filter(|line| line.starts_with("  build"))
            .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(built(&[]), ["seabios", "xen"]);
    assert_eq!(checkout.run(&["configure", "--preset", "hypervisor-only"]).code, Some(0));
    assert_eq!(built(&[]), ["xen"]);
    assert_eq!(built(&["--with-system-seabios=no"]), ["seabios", "xen"]);
    assert_eq!(checkout.run(&["configure", "--with-system-seabios=no"]).code, Some(0));
    assert_eq!(built(&[]), ["seabios", "xen"]);
    // A path of a preset is one of its distribution, here or not.
    assert_eq!(checkout.run(&["configure", "--forget", "--preset", "distro-debian"]).code, Some(0));
    assert!(checkout.run(&["status"]).stdout.contains("system, /usr/share/seabios/bios-256k.bin"));
    let wrong = checkout.run(&["configure", "--preset", "distro-debain"]);
    assert_eq!(wrong.code, Some(2));
    wrong.says(&["there is no preset `distro-debain`", "help: cargo xtask configure --preset distro-debian"]);
}
