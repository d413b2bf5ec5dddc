//! Steps that reach for what is not theirs: the machine's directories and the network.

use std::net::TcpListener;
use std::path::Path;

use super::checkout::{Checkout, How, sealed};
use super::small::Small;
use crate::tier;

fn one(script: &str) -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", script);
    checkout
}

#[test]
fn an_install_that_ignores_destdir_is_explained() {
    if !sealed() {
        return;
    }
    for target in ["/usr/lib/xtask-test", "/etc/xtask-test", "/opt/xtask-test", "/xtask-test"] {
        let checkout = Checkout::new();
        checkout.manifest(&["a"], "");
        checkout.component("a", "[build.make]\n");
        checkout.write("a/Makefile", &format!("all:\ninstall:\n\tinstall -D Makefile {target}/x\n"));
        let ran = checkout.build(&[]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.says(&[
            "step `install` of `a` failed",
            "Read-only file system",
            "help: ",
            "ignores DESTDIR",
            "below {stage}",
        ]);
        assert!(!Path::new(target).exists());
    }
}

#[test]
fn without_a_sandbox_what_it_left_there_is_named() {
    let script = "echo x > /opt/xtask-test; touch -d 2001-01-01 /opt/xtask-test; echo x > $STAGE/x";
    // An /opt of its own, since other tests build without a sandbox at the same time.
    let Some(opt) = Small::mount(Path::new("/opt"), "size=1m") else { return };
    let checkout = one(script);
    let ran = opt.build(&checkout, How::Plain);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&["`a` wrote outside of its stage, on this machine:\n  /opt/xtask-test\n", "help: look at each"]);
    assert!(!checkout.path("dist").exists() && !Path::new("/opt/xtask-test").exists());
}

#[test]
fn a_step_that_tries_the_network_fails_and_is_told_why() {
    if !sealed() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let clients = [
        ("bash", format!("bash -c 'echo > /dev/tcp/127.0.0.1/{port}'")),
        ("curl", format!("curl -sS http://127.0.0.1:{port}/")),
        ("wget", format!("wget -O - http://127.0.0.1:{port}/")),
        ("python3", format!("python3 -c 'import urllib.request as r; r.urlopen(\"http://127.0.0.1:{port}/\")'")),
        ("git", format!("git clone http://127.0.0.1:{port}/x.git")),
        ("git", "git clone https://host.invalid/x.git".to_owned()),
        ("bash", "bash -c 'echo > /dev/tcp/192.0.2.1/80'".to_owned()),
    ];
    for (client, script) in clients {
        if which::which_in(client, Some("/usr/bin:/bin"), "/").is_err() {
            tier::skip(&format!("there is no {client}"));
            continue;
        }
        let ran = one(&script).build(&[]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.says(&["help: a step tried the network, which no build may"]);
        assert!(listener.accept().is_err(), "{client} came through");
    }
}
