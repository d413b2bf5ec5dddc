//! The build directory of an overridden component: what a change costs, and everything that must not be gone on from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::UNIX_EPOCH;

use rustix::process::Signal;
use xtask::action::Preimage;
use xtask::layout::Layout;
use xtask::state::State;
use xtask::store::{Found, Store};

use super::checkout::{Checkout, How};
use super::run::ran;

const CONFIGURE: &str = "#!/bin/sh\necho CPPFLAGS += -DTEN=10 > config.mk\n";
const MAKEFILE: &str = "\
-include config.mk
all: p
p: a.o b.o text.o
	$(CC) -o $@ $^
a.o b.o: p.h
text.o: text.in
	sed 's/^/const char *text = \"/; s/$$/\";/' text.in > text.c && $(CC) -c text.c
b.o: b.c
	if grep -q WAIT b.c; then touch ../build/started; until [ -e ../build/open ]; do sleep 0.02; done; fi
	$(CC) $(CPPFLAGS) -c b.c
install: p
	install -D p $(DESTDIR)/usr/bin/p
";
const A: &str =
    "#include \"p.h\"\n#include <stdio.h>\nint main(void) { printf(\"%d %s\\n\", b() * TEN, text); return 0; }\n";

/// `p`, overridden and built once; it prints ten times what `b` returns.
fn overridden() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["p"], "");
    checkout.component("p", "[build.autotools]\n");
    for dir in ["p", "mine"] {
        checkout.write(&format!("{dir}/configure"), CONFIGURE);
        fs::set_permissions(checkout.path(&format!("{dir}/configure")), fs::Permissions::from_mode(0o755)).unwrap();
        checkout.write(&format!("{dir}/Makefile"), MAKEFILE);
        checkout.write(&format!("{dir}/p.h"), "int b(void);\nextern const char *text;\n");
        checkout.write(&format!("{dir}/a.c"), A);
        checkout.write(&format!("{dir}/b.c"), "int b(void) { return 7; }\n");
        checkout.write(&format!("{dir}/text.in"), "text\n");
    }
    checkout.write("mine/b.c", "int b(void) { return 1; }\n");
    assert_eq!(checkout.run(&["override", "p", "mine"]).code, Some(0));
    let first = checkout.built(how());
    first.says(&["p: configure (1/3)", "p: built"]);
    first.never_says(&["incrementally", "empty"]);
    assert_eq!(printed(&checkout), "10 text\n");
    checkout
}

fn how() -> &'static [&'static str] {
    How::all()[0].args()
}

fn printed(checkout: &Checkout) -> String {
    ran(&mut Command::new(checkout.path("dist/usr/bin/p"))).stdout
}

fn returns(checkout: &Checkout, number: u32) {
    checkout.write("mine/b.c", &format!("int b(void) {{ return {number}; }}\n"));
}

/// Lines of the last make that called a compiler.
fn compiled(checkout: &Checkout) -> Vec<String> {
    let log = checkout.read(".xtask/log/p/02-make.log");
    log.lines().filter(|line| line.contains(" -c ")).map(str::to_owned).collect()
}

#[test]
fn a_changed_line_is_compiled_and_nothing_else_and_clean_gives_the_exact_result() {
    let checkout = overridden();
    returns(&checkout, 2);
    let second = checkout.built(how());
    second.says(&["p: make (2/3)", "p: built in", ", incrementally", "with overrides: p"]);
    second.never_says(&["configure ("]);
    assert_eq!((compiled(&checkout).len(), printed(&checkout)), (1, "20 text\n".to_owned()));
    checkout.built(how()).says(&["the 1 component is up to date", "none changed"]);
    assert!(checkout.run(&["status"]).stdout.contains("built, incrementally (exact: cargo xtask build p --clean)"));
    assert!(checkout.run(&["why", "p"]).stdout.contains("p is up to date"));

    let layout = Layout::find(Some(checkout.root()), Some(checkout.store().to_path_buf())).unwrap();
    let store = Store::open(checkout.store()).unwrap();
    let is_incremental = || {
        let built = State::read(&layout).built["p"].clone();
        let Found::Here(preimage) = Preimage::read(&store, built.action).unwrap() else { panic!("{built:?}") };
        assert_eq!(built.incremental, preimage.environment.incremental);
        built.incremental
    };
    assert!(is_incremental(), "the stored result says what it is");
    let exact = checkout.built(&[how(), &["p", "--clean"]].concat());
    exact.says(&["p: configure (1/3)", "p: built in"]);
    exact.never_says(&["incrementally"]);
    assert!(!is_incremental());
    returns(&checkout, 4);
    checkout.built(how()).says(&["incrementally"]);
    returns(&checkout, 2);
    checkout.built(how()).says(&["p: restored from the store"]);
    assert_eq!(printed(&checkout), "20 text\n");

    returns(&checkout, 3);
    checkout.built(how());
    assert!(checkout.path(".xtask/build/p").exists());
    assert_eq!(checkout.run(&["restore", "p"]).code, Some(0));
    assert!(!checkout.path(".xtask/build/p").exists());
    checkout.built(how()).says(&["p: built"]);
    assert_eq!(printed(&checkout), "70 text\n");
}

#[test]
fn a_change_whose_file_is_old_is_compiled_too() {
    let checkout = overridden();
    for (number, file) in [(2, "b.c"), (3, "b.c")] {
        returns(&checkout, number);
        let old = fs::File::options().write(true).open(checkout.path("mine").join(file)).unwrap();
        old.set_modified(UNIX_EPOCH).unwrap();
        checkout.built(how()).says(&["incrementally"]);
        assert_eq!(printed(&checkout), format!("{number}0 text\n"));
    }
}

#[test]
fn an_install_that_makes_is_called_alone_also_after_a_mistake() {
    let checkout = overridden();
    checkout.component("p", "[build.autotools]\ninstall-makes = true\n");
    checkout.write("mine/b.c", "int b(void) { oops }\n");
    let failed = checkout.build(how());
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    failed.says(&["step `install` of `p` failed", "oops"]);
    returns(&checkout, 2);
    let mended = checkout.built(how());
    mended.says(&["p: install (3/3)", "incrementally"]);
    mended.never_says(&["make ("]);
    assert_eq!(printed(&checkout), "20 text\n");
}

#[test]
fn whatever_is_not_a_line_of_code_starts_from_an_empty_directory() {
    let mode = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    type Change<'a> = (&'a str, &'a dyn Fn(&Checkout), &'a str);
    let changes: [Change<'_>; 8] = [
        ("`new.h` is new", &|c| c.write("mine/new.h", ""), "10 text\n"),
        ("`unused.h` is gone", &|c| fs::remove_file(c.path("mine/unused.h")).unwrap(), "10 text\n"),
        ("`configure` changed", &|c| c.write("mine/configure", &CONFIGURE.replace("=10", "=100")), "100 text\n"),
        ("`text.in` changed", &|c| c.write("mine/text.in", "other\n"), "10 other\n"),
        ("`a.c` is of another kind or mode", &|c| mode(c.path("mine/a.c"), 0o755), "10 text\n"),
        ("its recipe, a tool", &|c| c.component("p", "[build.autotools]\n[env]\nCFLAGS = '-DB=1'\n"), "10 text\n"),
        ("another xtask", &|c| c.write(".xtask/build/p/kept.json", "{"), "20 text\n"),
        ("`b.c` changed, and so does a step", &|c| c.write(".xtask/build/p/src/b.c", "int b(void);"), "20 text\n"),
    ];
    let checkout = overridden();
    for (reason, change, result) in changes {
        checkout.write("mine/unused.h", "");
        for file in ["p.h", "a.c", "configure", "Makefile", "text.in"] {
            fs::copy(checkout.path("p").join(file), checkout.path("mine").join(file)).unwrap();
        }
        fs::remove_file(checkout.path("mine/new.h")).ok();
        returns(&checkout, 1);
        checkout.component("p", "[build.autotools]\n");
        // The same content was built before; where nothing has to be built nothing is gone on from.
        fs::remove_dir_all(checkout.store().join("ac")).unwrap();
        fs::create_dir(checkout.store().join("ac")).unwrap();
        checkout.built(how());
        if result.starts_with('2') {
            returns(&checkout, 2);
        }
        change(&checkout);
        let again = checkout.built(how());
        again.says(&["p starts from an empty directory", reason, "p: configure (1/3)"]);
        again.never_says(&["incrementally"]);
        assert_eq!(printed(&checkout), result, "{reason}");
        assert_eq!(compiled(&checkout).len(), 3, "{reason}");
    }
}

#[test]
fn after_a_mistake_the_next_build_goes_on_and_takes_nothing_half_done() {
    let checkout = overridden();
    // Fails after it has written its target.
    checkout.write("mine/Makefile", &MAKEFILE.replace("-c b.c\n", "-c b.c && ! grep BAD b.c\n"));
    checkout.built(how()).says(&["starts from an empty directory"]);
    checkout.write("mine/b.c", "int b(void) { return 3; } /* BAD */\n");
    for line in
        ["int b(void) { return 3; } /* BAD */\n", "int b(void) { oops }\n", "int b(void) { return 4; }/* BAD */\n"]
    {
        checkout.write("mine/b.c", line);
        let failed = checkout.build(how());
        assert_eq!(failed.code, Some(1), "{}", failed.stderr);
        failed.says(&["step `make` of `p` failed", "help: cargo xtask build p --clean"]);
        failed.never_says(&["configure (", "empty directory"]);
        let again = checkout.build(how());
        assert_eq!(again.code, Some(1), "what it left is not taken for done: {}", again.stderr);
    }
    returns(&checkout, 5);
    let mended = checkout.built(how());
    mended.says(&["incrementally"]);
    assert_eq!((compiled(&checkout).len(), printed(&checkout)), (1, "50 text\n".to_owned()));
}

#[test]
fn a_build_that_was_killed_or_took_too_long_is_not_gone_on_from() {
    let checkout = overridden();
    for number in [2, 3] {
        checkout.write("mine/b.c", &format!("int b(void) {{ return {number}; }} /* WAIT */\n"));
        if number == 2 {
            let running = checkout.start(how());
            checkout.at_gate("p");
            running.signal(Signal::KILL, false);
            assert_eq!(running.ended().code, None);
        } else {
            let ran = checkout.build(&[how(), &["--timeout", "300ms"]].concat());
            assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        }
        returns(&checkout, number);
        let again = checkout.built(how());
        again.says(&["p: configure (1/3)"]);
        again.never_says(&["incrementally"]);
        assert_eq!(printed(&checkout), format!("{number}0 text\n"));
    }
}

#[test]
fn a_build_of_steps_of_its_own_always_starts_from_an_empty_directory() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "mkdir $BUILD/x; cp f.c $STAGE/f");
    checkout.write("mine/f.c", "1");
    assert_eq!(checkout.run(&["override", "a", "mine"]).code, Some(0));
    for text in ["2", "3"] {
        checkout.write("mine/f.c", text);
        checkout.built(how()).never_says(&["incrementally"]);
        assert_eq!(checkout.read("dist/f"), text);
    }
    assert!(!checkout.path(".xtask/build/a").exists());
}

#[test]
fn cargo_goes_on_where_it_was_and_crates_are_those_of_the_override() {
    let checkout = Checkout::new();
    checkout.manifest(&["c"], "");
    checkout.component("c", "[build.cargo]\nbins = { c = '/usr/bin/c' }\n");
    let cargo = "[package]\nname = 'c'\nversion = '0.1.0'\nedition = '2021'\n";
    checkout.write("mine/Cargo.toml", cargo);
    checkout.write("mine/Cargo.lock", "version = 3\n\n[[package]]\nname = \"c\"\nversion = \"0.1.0\"\n");
    assert_eq!(checkout.run(&["override", "c", "mine"]).code, Some(0));
    for (number, how_built) in [(1, "c: built in"), (2, "incrementally")] {
        checkout.write("mine/src/lib.rs", &format!("pub fn c() -> u8 {{ {number} }}\n"));
        checkout.write("mine/src/main.rs", "fn main() { println!(\"{}\", c::c()) }\n");
        let mut command = checkout.command(&[&["build", "--offline"], how()].concat());
        // rustup finds the toolchain in the home that this run does not have.
        let rustup = ["RUSTUP_HOME", "RUSTUP_TOOLCHAIN"].map(|name| Some((name, std::env::var_os(name)?)));
        let built = ran(command.envs(rustup.into_iter().flatten()));
        assert_eq!(built.code, Some(0), "{}", built.stderr);
        built.says(&[how_built]);
        assert_eq!(ran(&mut Command::new(checkout.path("dist/usr/bin/c"))).stdout, format!("{number}\n"));
    }
}
