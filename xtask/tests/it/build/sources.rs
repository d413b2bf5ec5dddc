//! What works on the trees of all sources, and the names that a shell completes.

use super::checkout::Checkout;

fn two() -> Checkout {
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b"], "");
    for name in ["a", "b"] {
        checkout.script(name, "", "true");
        checkout.write(&format!("{name}/deep/f.c"), &format!("int {name}_one;\nint two;\n"));
    }
    checkout.write("a/.gitignore", "*.o\n");
    checkout.write("a/x.o", "int two;\n");
    checkout
}

#[test]
fn foreach_runs_in_each_tree_with_its_name_and_ends_with_the_first_failure() {
    let checkout = two();
    let ran = checkout.run(&["foreach", "echo $name ${PWD##*/} $(test -d $toplevel/components && echo top)"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "a a top\nb b top\n"), "{}", ran.stderr);
    let ran = checkout.run(&["foreach", "grep", "-q", "a_one", "deep/f.c"]);
    assert_eq!(ran.code, Some(1));
    ran.says(&["`grep -q a_one deep/f.c` in source `b`", "|| :"]);
    let ran = checkout.run(&["--json", "foreach", "echo $name; exit 7"]);
    let rows: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&rows[1]["stdout"], &rows[1]["status"]), (&"b\n".into(), &7.into()));
}

#[test]
fn grep_searches_all_sources_as_git_does() {
    let checkout = two();
    let grep = |args: &[&str]| {
        let ran = checkout.run(&[&["grep"], args].concat());
        (ran.code, ran.stdout)
    };
    assert_eq!(grep(&["-n", "two"]), (Some(0), "a/deep/f.c:2:int two;\nb/deep/f.c:2:int two;\n".to_owned()));
    assert_eq!(grep(&["-l", "_one", "--", "*.c"]), (Some(0), "a/deep/f.c\nb/deep/f.c\n".to_owned()));
    assert_eq!(grep(&["a_one"]), (Some(0), "a/deep/f.c:int a_one;\n".to_owned()));
    assert_eq!(grep(&["nowhere"]), (Some(1), String::new()));
    assert_eq!(grep(&["-E", "a("]).0, Some(2));
    // Of a repository what is tracked, and nothing of the repository around it.
    let git = |args: &[&str]| {
        let ran = std::process::Command::new("git").args(args).current_dir(checkout.path("b")).output().unwrap();
        assert!(ran.status.success());
    };
    git(&["init", "-q"]);
    git(&["add", "deep"]);
    checkout.write("b/untracked", "int two;\n");
    assert_eq!(grep(&["-c", "two"]), (Some(0), "a/deep/f.c:1\nb/deep/f.c:1\n".to_owned()));
}

#[test]
fn a_shell_completes_commands_options_and_live_names() {
    let checkout = two();
    checkout.write("manifests/other.toml", "summary = 'o'\ncomponents = ['b']\n[sources]\nb.path.dir = 'b'\n");
    let words = |line: &[&str]| {
        let ran = checkout.run(&[&["complete", "--", "xtask"], line].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words(&["uninst"]), ["uninstall"]);
    let all = words(&["log", ""]);
    assert!(["a", "b"].iter().all(|name| all.contains(&(*name).to_owned())), "{all:?}");
    assert_eq!(words(&["fetch", "b"]), ["b"]);
    assert_eq!(words(&["list", "-m", "oth"]), ["other"]);
    assert!(!words(&["build", "-m", "other", ""]).contains(&"a".to_owned()));
    assert_eq!(words(&["build", "--keep-"]), ["--keep-going"]);
    assert!(!words(&[""]).contains(&"complete".to_owned()), "that one is for shells");

    let script = checkout.run(&["completions", "bash"]).stdout;
    checkout.write("completions.bash", &script);
    let line = "other() { COMPREPLY=(theirs); }; complete -F other cargo; . ./completions.bash; . ./completions.bash
        COMP_WORDS=(cargo xtask log ''); COMP_CWORD=3; _cargo_xtask; echo ${COMPREPLY[@]}
        COMP_WORDS=(cargo bu); COMP_CWORD=1; _cargo_xtask; echo ${COMPREPLY[@]}";
    let ran = super::run::ran(&mut checkout.through(&["env", "bash", "-c", line, "--"], &[]));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].split(' ').any(|word| word == "a"), "{ran:?}");
    assert_eq!(lines[1], "theirs", "{ran:?}");
}
