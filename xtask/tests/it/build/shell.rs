//! `shell`: what a step sees, for a person or a script.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use super::checkout::{Checkout, How};
use super::run::Ran;
use crate::tier;

fn shell(checkout: &Checkout, how: How, args: &[&str]) -> Ran {
    checkout.run(&[&["shell"], how.args(), args].concat())
}

#[test]
fn a_failed_step_is_opened_at_the_failed_tree_with_its_environment() {
    for how in How::all() {
        let checkout = Checkout::new();
        checkout.manifest(&["a"], "");
        checkout.component(
            "a",
            "[build.steps]\n[env]\nALL = 'yes'\n\
             [[step]]\nname = 'one'\nrun = ['sh', '-c', 'echo one > {build}/one']\n\
             [[step]]\nname = 'two'\nrun = ['sh', '-c', 'echo two > two; exit 1']\ndir = '{build}'\nenv = { STEP = '2' }\n\
             [[step]]\nname = 'three'\nrun = ['true']\n",
        );
        checkout.write("a/f", "source\n");
        assert_eq!(checkout.build(how.args()).code, Some(1));
        let script = "cat one two ../src/f; echo $ALL $STEP $SOURCE_DATE_EPOCH $XTASK_STORE; echo more > ../src/more";
        let there = shell(&checkout, how, &["a", "--", "sh", "-c", script]);
        assert_eq!((there.code, there.stdout.as_str()), (Some(0), "one\ntwo\nsource\nyes 2 315619200\n"), "{how:?}");
        assert_eq!(checkout.read(".xtask/build/a/src/more"), "more\n");
        for step in ["one", "1"] {
            let first = shell(&checkout, how, &["a", "--step", step, "--", "sh", "-c", "cat f; echo $STEP."]);
            assert_eq!(first.stdout, "source\n.\n");
        }
        let ran = shell(&checkout, how, &["a", "--", "sh", "-c", "exit 7"]);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        ran.says(&["in step `two` of `a`: exit status: 7"]);
        let ran = shell(&checkout, how, &["a", "--step", "four", "--", "true"]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        ran.says(&["`a` has no step `four`; it has 1 one, 2 two, 3 three", "help: "]);
        if how == How::Sealed {
            let ran = shell(&checkout, how, &["a", "--", "sh", "-c", "ls -d /b/*; touch /usr/x"]);
            ran.says(&["Read-only file system"]);
            assert!(ran.stdout.contains("/b/stage\n"), "{}", ran.stdout);
        }
    }
}

#[test]
fn where_no_tree_is_kept_one_is_made_and_a_kept_one_is_not_gone_on_from() {
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.component("a", "[build.make]\n");
    checkout.write("a/Makefile", "all: f.o\nf.o: f.c\n\t$(CC) -c f.c\ninstall:\n\tcp f.o $(DESTDIR)/f.o\n");
    checkout.write("a/f.c", "int f;\n");
    let how = How::all()[0];
    checkout.built(how.args());
    let made = shell(&checkout, how, &["a", "--", "ls"]);
    assert_eq!((made.code, made.stdout.as_str()), (Some(0), "Makefile\nf.c\n"), "{}", made.stderr);
    made.says(&["no tree of `a` is kept"]);

    fs::create_dir(checkout.path("mine")).unwrap();
    fs::copy(checkout.path("a/Makefile"), checkout.path("mine/Makefile")).unwrap();
    assert_eq!(checkout.run(&["override", "a", "mine"]).code, Some(0));
    for (number, how_built) in [(1, "a: built"), (2, "incrementally"), (3, "a: built")] {
        checkout.write("mine/f.c", &format!("int f{number};\n"));
        let again = checkout.built(how.args());
        again.says(&[how_built]);
        if number == 2 {
            let kept = shell(&checkout, how, &["a", "--", "sh", "-c", "ls f.o; echo wrong > f.o"]);
            assert_eq!(kept.stdout, "f.o\n", "{}", kept.stderr);
        } else {
            again.never_says(&["incrementally"]);
        }
    }
}

#[test]
fn a_shell_on_a_terminal_belongs_to_the_person() {
    if which::which("script").is_err() {
        tier::skip("there is no `script` to make a terminal with");
        return;
    }
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "exit 1");
    for how in How::all() {
        assert_eq!(checkout.build(how.args()).code, Some(1));
        let script = format!("exec script -qec \"$0 shell a {}\" /dev/null", how.args().join(" "));
        let mut command = checkout.through(&["sh", "-c", &script], &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut seen = String::new();
        let mut until = |word: &str, times: usize| {
            let mut byte = [0];
            while seen.matches(word).count() < times && screen.read(&mut byte).unwrap() == 1 {
                seen.push(char::from(byte[0]));
            }
            assert_eq!(seen.matches(word).count(), times, "`{word}` in: {seen}");
        };
        until("a run:", 1);
        keys.write_all(b"sh -c 'echo sta\"\"rted; exec sleep 1000'\n").unwrap();
        until("started", 1);
        // Ctrl-C ends what runs there, not the shell.
        keys.write_all(b"\x03").unwrap();
        until("a run:", 2);
        keys.write_all(b"echo still $((20 + 3)) here; exit 4\n").unwrap();
        until("still 23 here", 1);
        drop(keys);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}
