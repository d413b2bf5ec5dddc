//! What a failure says, its exit status, and that it changes nothing that was right before.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::checkout::{Checkout, How, root};
use super::run::ran;
use crate::origin::write_tar_gz;

fn how() -> &'static [&'static str] {
    How::all()[0].args()
}

#[test]
fn a_failed_step_says_what_where_and_what_next() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.component("a", "[build.make]\nmake = ['V=a b']\n");
    checkout.write("a/Makefile", "all: x.o\ninstall:\n");
    checkout.write("a/x.c", "int x;\nint y = missing;\n");
    let ran = checkout.build(how());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let log = checkout.path(".xtask/log/a/01-make.log");
    ran.says(&[
        "a: failed",
        "error: step `make` of `a` failed: exit status: 2",
        "  ran: make 'V=a b'",
        "x.c:2:9: error:",
        &format!("  log: {}", log.display()),
        "help: cargo xtask log a   # the whole log; the tree as it failed is in ",
    ]);
    ran.never_says(&["> make: ***"]);
    assert!(fs::read_to_string(log).unwrap().contains("x.c:2:9: error:"));
    assert!(!checkout.path("dist").exists());
}

#[test]
fn keep_going_builds_what_it_can() {
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b", "c", "d"], "");
    checkout.script("a", "", "echo the reason: error: no >&2; exit 7");
    checkout.script("b", "needs = ['a']", "touch $STAGE/b");
    checkout.script("c", "", "touch $STAGE/c");
    checkout.script("d", "needs = ['c']", "touch $STAGE/d");
    let ran = checkout.build(&[how(), &["--keep-going"]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&["c: built", "d: built", "exit status: 7", "not built, because they need what failed: b"]);
    ran.never_says(&["b: building"]);
    assert!(!checkout.path("dist").exists(), "half of what was asked for is not installed");
    checkout.script("a", "", "touch $STAGE/a");
    let again = checkout.built(how());
    again.says(&["a: built", "b: built"]);
    again.never_says(&["c: ", "d: "]);
    assert_eq!(checkout.dist().into_keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}

#[test]
fn two_owners_of_a_path_are_named_and_dist_stays() {
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b"], "");
    checkout.script("a", "", "echo a > $STAGE/x");
    checkout.script("b", "", "echo b > $STAGE/y");
    checkout.built(how());
    let before = checkout.dist();
    checkout.script("b", "", "echo b > $STAGE/x; echo new > $STAGE/y");
    let ran = checkout.build(how());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["`/x` is installed by `a` and by `b`", "help: ", "[shared] \"/x\""]);
    assert_eq!(checkout.dist(), before);
    let manifest = checkout.read("manifests/m.toml");
    checkout.write("manifests/m.toml", &format!("{manifest}[shared]\n'/x' = 'b'\n"));
    checkout.built(how());
    assert_eq!((checkout.read("dist/x").as_str(), checkout.read("dist/y").as_str()), ("b\n", "new\n"));
}

#[test]
fn a_wrong_definition_or_argument_is_status_2_and_builds_nothing() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "needs = ['nobody']", "true");
    for args in [&["build"][..], &["build", "nobody"], &["build", "--jobs", "many"], &["build", "-m", "nobody"]] {
        let ran = checkout.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        ran.says(&["error: "]);
    }
    assert!(!checkout.path("dist").exists() && !checkout.path(".xtask/build").exists());
}

#[test]
fn an_archive_with_other_content_is_refused_and_not_kept() {
    let checkout = Checkout::new();
    let file = checkout.path("a-1.tar.gz");
    write_tar_gz(&file, &[("a-1/x", "good\n")]);
    checkout.script("a", "", "cp x $STAGE/x");
    checkout.write(
        "manifests/m.toml",
        &format!("summary = 'm'\ncomponents = ['a']\n[sources]\na.archive.urls = ['file://{}']\n", file.display()),
    );
    assert_eq!(checkout.run(&["update"]).code, Some(0));
    let digest = || xtask::digest::Digest::of(&fs::read(&file).unwrap()).hash.to_string();
    let good = digest();
    fs::remove_dir_all(checkout.store()).unwrap();
    fs::remove_dir_all(checkout.path(".xtask")).unwrap();
    write_tar_gz(&file, &[("a-1/x", "evil\n")]);
    let ran = checkout.build(how());
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    ran.says(&["a-1.tar.gz", &good, &digest()]);
    assert!(super::checkout::files(&checkout.store().join("files")).is_empty());
    assert!(!checkout.path(".xtask/src/a").exists() && !checkout.path("dist").exists());
    write_tar_gz(&file, &[("a-1/x", "good\n")]);
    assert_eq!(digest(), good);
    checkout.built(how());
    assert_eq!(checkout.read("dist/x"), "good\n");
}

#[test]
fn distclean_takes_nothing_that_fetch_did_not_make() {
    let checkout = Checkout::new();
    write_tar_gz(&checkout.path("up.tar.gz"), &[("up/f", "one\n")]);
    let url = format!("file://{}", checkout.path("up.tar.gz").display());
    checkout.write("components/a.toml", "");
    checkout.script("a", "", "cp $SRC/f $STAGE/f");
    checkout.write(
        "manifests/m.toml",
        &format!("summary = 'm'\ncomponents = ['a']\n[sources]\na.archive = {{ urls = ['{url}'] }}\n"),
    );
    let ran = checkout.run(&["update"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let refused = |words: &str| {
        let ran = checkout.run(&["distclean"]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        ran.says(&[words, "distclean --discard"]);
    };
    // As the help of a refused fetch says: mv a a.mine.
    let mine = checkout.path(".xtask/src/a.mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("f"), "mine\n").unwrap();
    refused("  a.mine: not made by fetch");
    fs::remove_dir_all(&mine).unwrap();
    // What was fetched is not known any more, and it is not the pin.
    checkout.write(".xtask/src/a/f", "mine\n");
    fs::remove_dir_all(checkout.path(".xtask/state")).unwrap();
    refused("  a: not made by fetch");
    assert_eq!(checkout.read(".xtask/src/a/f"), "mine\n");
    // What ever passed a gate is nowhere else.
    checkout.write(".xtask/src/a/f", "one\n");
    assert_eq!(checkout.run(&["fetch"]).code, Some(0));
    checkout.write(".xtask/gate/gate.db", "history\n");
    refused("gate.db` is the history");
    fs::remove_dir_all(checkout.path(".xtask/gate")).unwrap();
    // Of a source that no manifest has any more.
    checkout.manifest(&["b"], "");
    checkout.script("b", "", "touch $STAGE/b");
    checkout.write("manifests/m.lock", "version = 1\n");
    fs::remove_file(checkout.path("components/a.toml")).unwrap();
    let ran = checkout.run(&["distclean"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!checkout.path(".xtask").exists());
}

#[test]
fn a_directory_of_a_source_is_left_out_only_where_a_tool_made_it() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "cp -r $SRC/. $STAGE");
    for dir in ["dist", "target", ".xtask"] {
        checkout.write(&format!("a/{dir}/f"), "one\n");
    }
    checkout.built(how());
    assert_eq!(checkout.dist().into_keys().collect::<Vec<_>>(), ["dist/f", "target/f"]);
    checkout.write("a/Cargo.toml", "");
    checkout.built(how());
    assert_eq!(checkout.dist().into_keys().collect::<Vec<_>>(), ["Cargo.toml", "dist/f"]);
}

#[test]
fn a_name_that_nobody_has_is_said() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "touch $STAGE/a");
    for command in ["status", "log", "why", "build", "clean"] {
        let ran = checkout.run(&[command, "b"]);
        assert_eq!(ran.code, Some(2), "{command}: {}", ran.stderr);
        ran.says(&["component `b`", "help: cargo xtask list"]);
    }
}

#[test]
fn what_did_not_get_to_standard_output_is_a_failure_unless_its_reader_went_away() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "touch $STAGE/a");
    checkout.built(how());
    for args in [&["list"][..], &["status", "--json"], &["build", "--json"]] {
        let mut command = checkout.command(&[args, if args[0] == "build" { how() } else { &[] }].concat());
        command.stdout(fs::File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = checkout.command(args);
        assert!(command.stdout(writer).stderr(Stdio::null()).status().unwrap().success());
    }
}

#[test]
fn offline_installs_nothing() {
    if !std::path::Path::new("/var/lib/dpkg/status").exists() {
        return crate::tier::skip("this machine has no dpkg");
    }
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.component(
        "a",
        "[build.steps]\n[[step]]\nname = 'run'\nrun = ['true']\n[packages]\ndebian = ['no-such-package-here']\n",
    );
    let ran = checkout.build(&[how(), &["--offline", "--yes"]].concat());
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    ran.says(&["no-such-package-here", "offline nothing is installed"]);
}

#[test]
fn who_may_only_look_can_look() {
    if !root() {
        return;
    }
    let mut checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "touch $STAGE/a");
    checkout.built(how());
    checkout.write("a/f", "");
    fs::remove_dir_all(checkout.path(".xtask/state/index")).unwrap();
    checkout.run_as(1);
    for path in [".xtask", ".xtask/state"] {
        std::os::unix::fs::chown(checkout.path(path), Some(0), Some(0)).unwrap();
    }
    for args in [&["status"][..], &["why", "a"], &["build", "--dry-run"], &["list"]] {
        let ran = checkout.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
    }
    assert!(!checkout.path(".xtask/state/index").exists());
}

#[test]
fn what_needs_more_libraries_runs_where_it_was_called_and_ends_as_it_ends() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "touch $STAGE/a");
    let cargo = checkout.path("bin/cargo");
    checkout.write("bin/cargo", "#!/bin/sh\npwd\necho \"$@\"\necho wrong >&2\nexit 2\n");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", checkout.path("bin").display());
    let mut command = checkout.command(&["--offline", "graph", "--html", "graph.html"]);
    let ran = ran(command.env("PATH", path).current_dir(checkout.path("manifests")));
    if checkout.path("manifests/graph.html").exists() {
        return; // compiled with them
    }
    assert_eq!((ran.code, ran.stderr.contains("wrong")), (Some(2), true), "{}", ran.stderr);
    let (dir, line) = ran.stdout.split_once('\n').unwrap();
    assert!(dir.ends_with("/manifests"), "{dir}");
    assert!(line.contains("--manifest-path") && line.contains("--offline -- --offline graph"), "{line}");
}

#[test]
fn a_component_cannot_bring_what_is_ours_in_dist() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "mkdir $STAGE/.xtask; touch $STAGE/.xtask/x");
    let ran = checkout.build(how());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.says(&["`a` installed `/.xtask`"]);
}
