//! What runs again after a change, and what does not.

use std::fs;
use std::process::Command;

use super::checkout::{Checkout, How, sealed};
use super::run::ran;
use crate::tier;

const MAKEFILE: &str = "\
libx.a: x.o
	ar rcD $@ $^
x.o: x.c x.h
install: libx.a
	install -D -m 644 libx.a $(DESTDIR)/usr/lib/libx.a
	install -D -m 644 x.h.in $(DESTDIR)/usr/include/x.h
.PHONY: install
";

/// `lib`, a library; `app`, which links it; `doc`, which only names where `app` is installed.
fn three() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["lib", "app", "doc"], "");
    checkout.component("lib", "[build.make]\n");
    checkout.write("lib/Makefile", MAKEFILE);
    checkout.write("lib/x.c", "#include \"x.h\"\nint x(void) { return 7; }\n");
    checkout.write("lib/x.h", "/* a comment */\nint x(void);\n");
    checkout.write("lib/x.h.in", "int x(void);\n");
    checkout.component(
        "app",
        "needs = ['lib']\n[build.make]\n[outputs]\napp = '/usr/bin/app'\n[told]\ninternal = ['--app={output:app}']\n",
    );
    checkout.write("app/app.c", "#include <x.h>\n#include <stdio.h>\nint main(void) { printf(\"%d\\n\", x()); }\n");
    checkout.write(
        "app/Makefile",
        "app: app.c\n\t$(CC) $(CPPFLAGS) -o $@ app.c $(LDFLAGS) -lx\ninstall: app\n\tinstall -D app $(DESTDIR)/usr/bin/app\n",
    );
    checkout.component(
        "doc",
        "runtime-needs = ['app']\n[build.steps]\n[[step]]\nname = 'run'\n\
         run = ['sh', '-ec', 'mkdir -p {stage}/usr; echo \"$1\" > {stage}/usr/doc', 'sh', '{told:app}']\n",
    );
    checkout
}

#[test]
fn the_second_build_starts_no_process() {
    for how in How::all() {
        let checkout = three();
        checkout.built(how.args()).says(&["lib: built", "app: built", "doc: built"]);
        assert_eq!(ran(&mut Command::new(checkout.path("dist/usr/bin/app"))).stdout, "7\n");
        if which::which("strace").is_err() {
            tier::skip("there is no strace to see processes with");
            continue;
        }
        let trace = checkout.path("trace");
        let calls = "trace=execve,execveat,fork,vfork,clone,clone3";
        let strace = ["strace", "-f", "-qq", "-e", calls, "-o", trace.to_str().unwrap()];
        let again = ran(&mut checkout.through(&strace, &[&["build"], how.args()].concat()));
        assert_eq!(again.code, Some(0), "{}", again.stderr);
        again.says(&["all 3 components are up to date", "none changed"]);
        let trace = fs::read_to_string(&trace).unwrap();
        let started = trace.lines().filter(|line| line.contains('(') && !line.contains("CLONE_THREAD"));
        assert_eq!(started.count(), 1, "only our own start: {trace}");
    }
}

#[test]
fn a_comment_in_a_header_rebuilds_that_component_only() {
    if !sealed() {
        return;
    }
    let checkout = three();
    checkout.built(&[]);
    checkout.write("lib/x.h", "/* another comment */\nint x(void);\n");
    let again = checkout.built(&[]);
    again.says(&["lib: built", "the same as before", "none changed"]);
    again.never_says(&["app:", "doc:"]);
    checkout.write("lib/x.c", "#include \"x.h\"\nint x(void) { return 8; }\n");
    let again = checkout.built(&[]);
    again.says(&["lib: built", "app: built"]);
    again.never_says(&["doc:"]);
    assert_eq!(ran(&mut Command::new(checkout.path("dist/usr/bin/app"))).stdout, "8\n");
}

#[test]
fn a_new_program_rebuilds_nothing_that_only_names_its_path() {
    let how = How::all()[0].args();
    let checkout = three();
    checkout.built(how);
    assert_eq!(checkout.read("dist/usr/doc"), "--app=/usr/bin/app\n");
    checkout.write("app/app.c", "int main(void) { return 3; }\n");
    let again = checkout.built(how);
    again.says(&["app: built"]);
    again.never_says(&["doc:", "lib:"]);
    assert_eq!(ran(&mut Command::new(checkout.path("dist/usr/bin/app"))).code, Some(3));
}

#[test]
fn distclean_and_build_restores_without_a_step() {
    for how in How::all() {
        let checkout = three();
        checkout.built(how.args());
        let before = checkout.dist();
        assert_eq!(checkout.run(&["distclean"]).code, Some(0));
        assert!(!checkout.path("dist").exists() && !checkout.path(".xtask").exists());
        let again = checkout.built(how.args());
        again.says(&["lib: restored", "app: restored", "doc: restored"]);
        again.never_says(&["(1/", "building"]);
        assert_eq!(checkout.dist(), before);
    }
}

#[test]
fn a_dry_run_says_what_a_build_would_do_and_does_nothing() {
    let checkout = three();
    let plan = || {
        let ran = checkout.run(&["build", "--dry-run"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    let words = |plan: &str| {
        plan.lines().skip(1).map(|line| line.split_whitespace().next().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    let before = plan();
    assert!(before.contains("app          after lib"), "{before}");
    assert!(!checkout.path("dist").exists());
    checkout.built(&[]);
    assert_eq!(words(&plan()), ["current"; 3]);
    checkout.write("lib/x.h", "/* another comment */\nint x(void);\n");
    let after = plan();
    assert!(after.contains("its inputs changed: cargo xtask why lib"), "{after}");
    checkout.built(&[]);
    fs::remove_dir_all(checkout.path(".xtask/state")).unwrap();
    assert_eq!(words(&plan()), ["restore"; 3]);
}

#[test]
fn dist_never_holds_components_of_two_manifests() {
    let checkout = Checkout::new();
    for name in ["a", "b"] {
        checkout.script(name, "", &format!("cp $SRC/f $STAGE/{name}"));
        checkout.write(&format!("{name}/f"), "m\n");
        checkout.write(&format!("n/{name}/f"), "n\n");
    }
    checkout.manifest(&["a", "b"], "");
    let m = checkout.read("manifests/m.toml");
    checkout.write("manifests/n.toml", &m.replace("dir = \"", "dir = \"n/"));
    checkout.write("manifests/n.lock", "version = 1\n");
    let dist = || -> Vec<(String, String)> {
        let text = |(path, (_, bytes))| (path, String::from_utf8(bytes).unwrap());
        checkout.dist().into_iter().map(text).collect()
    };
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let how = How::all()[0].args();
    checkout.built(how);
    assert_eq!(dist(), [file("a", "m\n"), file("b", "m\n")]);
    checkout.built(&[how, &["-m", "n", "b"]].concat());
    assert_eq!(dist(), [file("b", "n\n")]);
    // What an earlier run of the same manifest put there stays.
    checkout.built(&[how, &["-m", "n", "a"]].concat());
    assert_eq!(dist(), [file("a", "n\n"), file("b", "n\n")]);
    checkout.built(how);
    assert_eq!(dist(), [file("a", "m\n"), file("b", "m\n")]);
}

#[test]
fn a_named_component_brings_what_stands_in_dist_and_needs_it() {
    let how = How::all()[0].args();
    let checkout = three();
    let program = |checkout: &Checkout| ran(&mut Command::new(checkout.path("dist/usr/bin/app"))).stdout;
    checkout.built(&[how, &["lib"]].concat()).never_says(&["app:"]);
    checkout.built(how);
    checkout.write("lib/x.c", "#include \"x.h\"\nint x(void) { return 8; }\n");
    checkout.built(&[how, &["lib", "--only"]].concat()).never_says(&["app:"]);
    assert_eq!(program(&checkout), "7\n");
    let again = checkout.built(&[how, &["lib"]].concat());
    again.says(&["app: built"]);
    again.never_says(&["lib: built", "doc:"]);
    assert_eq!(program(&checkout), "8\n");
}
