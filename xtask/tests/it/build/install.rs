//! `install` and `uninstall`, as a packager and an administrator use them.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;

use super::checkout::{Checkout, files};
use super::kill::{content, many};
use super::run::wait_until;

fn built() -> (Checkout, PathBuf) {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script(
        "a",
        "",
        "mkdir -p $STAGE/usr/bin $STAGE/etc; echo 1 > $STAGE/etc/conf; echo x > $STAGE/usr/bin/x; chmod 555 $STAGE/usr/bin/x; ln -s x $STAGE/usr/bin/l",
    );
    checkout.built(&["--no-sandbox"]);
    let root = checkout.root().with_file_name("image");
    (checkout, root)
}

#[test]
fn install_change_uninstall() {
    let (checkout, root) = built();
    let run = |args: &[&str], code| {
        let ran = checkout.run(&[args, &["--root", root.to_str().unwrap()]].concat());
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        ran
    };
    run(&["uninstall"], 2).says(&["nothing of ours is installed"]);
    let dry = run(&["install", "--dry-run"], 0);
    assert!(dry.stdout.contains("write    usr/bin/x\n") && !root.exists(), "{}", dry.stdout);
    assert!(run(&["install"], 0).stdout.contains("3 written, 0 removed"));
    let (mut there, dist) = (files(&root), checkout.dist());
    there.retain(|path, _| dist.contains_key(path));
    assert_eq!(there, dist);
    assert!(run(&["install"], 0).stdout.contains("0 written, 0 removed"));

    fs::write(root.join("etc/conf"), "mine\n").unwrap();
    fs::write(root.join("usr/bin/theirs"), "theirs").unwrap();
    let script = checkout.read("components/a.toml").replace("echo 1 ", "echo 2 ");
    checkout.write("components/a.toml", &script);
    checkout.built(&["--no-sandbox"]);
    let told = run(&["install"], 0).stdout;
    assert!(told.contains("kept     etc/conf: it was changed here; look at etc/conf.sultana-new"), "{told}");
    assert_eq!(fs::read_to_string(root.join("etc/conf.sultana-new")).unwrap(), "2\n");

    let json: serde_json::Value = serde_json::from_str(&run(&["uninstall", "--json"], 0).stdout).unwrap();
    assert_eq!(json["kept"][0]["path"], "etc/conf");
    assert_eq!(files(&root).keys().collect::<Vec<_>>(), ["etc/conf", "usr/bin/theirs"]);
    run(&["uninstall"], 2);
}

#[test]
fn what_is_not_a_whole_result_is_not_installed() {
    let (checkout, root) = built();
    let install = || checkout.run(&["install", "--root", root.to_str().unwrap()]);
    fs::remove_file(checkout.path("dist/etc/conf")).unwrap();
    let ran = install();
    assert_eq!(ran.code, Some(2));
    ran.says(&["is not a whole result", "help: cargo xtask build"]);
    assert!(!root.exists());
    checkout.built(&["--no-sandbox"]);
    // What is somebody's in dist/ is not ours to install.
    fs::write(checkout.path("dist/stranger"), "").unwrap();
    assert_eq!(install().code, Some(0));
    assert!(!root.join("stranger").exists());
    let ran = checkout.run(&["install", "--root", "dist/etc"]);
    assert_eq!(ran.code, Some(2));
    ran.says(&["builds write there"]);
    assert_eq!(checkout.run(&["install"]).code, Some(2), "no root is meant unless it is said");
}

#[test]
fn a_killed_install_is_finished_by_the_next() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    let root = checkout.root().with_file_name("image");
    let args = ["install", "--root", root.to_str().unwrap()];
    let mut in_the_middle = 0;
    for version in 1..6 {
        many(&checkout, version);
        checkout.built(&["--no-sandbox"]);
        let is = |number| {
            fs::read_to_string(root.join(format!("d/f{number}"))).unwrap_or_default() == content(version, number)
        };
        let running = checkout.start_command(&args);
        wait_until("the first file is there", || is(0));
        running.signal(Signal::KILL, false);
        running.ended();
        in_the_middle += usize::from(!is(99));
        assert_eq!(checkout.run(&args).code, Some(0));
        assert!((0..500).all(is));
        assert_eq!(files(&root).len(), 501, "the record, and nothing else");
        if in_the_middle > 0 {
            break;
        }
    }
    assert_eq!(checkout.run(&["uninstall", "--root", root.to_str().unwrap()]).code, Some(0));
    assert!(!root.exists(), "it was made by us");
    if in_the_middle == 0 {
        crate::tier::skip("this machine installs 500 files before a kill reaches it");
    }
}

#[test]
fn a_host_is_configured_only_when_that_is_said_and_goes_back() {
    if which::which("systemctl").is_err() {
        return crate::tier::skip("there is no systemctl");
    }
    let checkout = Checkout::new();
    let root = checkout.root().with_file_name("host");
    let units = root.join("usr/lib/systemd/system");
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(root.join("etc/systemd/network")).unwrap();
    fs::write(root.join("etc/systemd/network/20-wired.network"), "theirs").unwrap();
    let unit = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    fs::write(units.join("xenstored.service"), unit).unwrap();
    let before = files(&root);
    let run = |args: &[&str]| {
        let ran = checkout.run(&[&["configure-host", "--root", root.to_str().unwrap()], args].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    let plan = run(&["--dry-run", "--interface", "eth0"]);
    let has = |word: &str| assert!(plan.contains(word), "`{word}` is not in: {plan}");
    ["enable xenstored.service", "undo  systemctl", "Bridge=xenbr0", "4 steps; nothing was done"]
        .into_iter()
        .for_each(has);
    assert_eq!(files(&root), before);
    run(&["--interface", "eth0", "--apply"]);
    let wanted = root.join("etc/systemd/system/multi-user.target.wants/xenstored.service");
    assert!(wanted.is_symlink() && root.join("etc/systemd/network/05-sultana-eth0.network").exists());
    assert!(run(&[]).contains("enabled already"));
    assert!(run(&["--undo"]).contains("4 steps; nothing was done") && wanted.is_symlink());
    assert!(run(&["--undo", "--apply"]).contains("taken back: 4 steps"));
    assert_eq!(files(&root), before);
}
