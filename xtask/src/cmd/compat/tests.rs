//! Each old word and what it becomes; the documentation misses none.

use super::table::{Form, VARIABLES, make_targets, raisin_commands};
use super::*;

#[derive(Debug, clap::Parser)]
struct Typed {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Old,
}

#[derive(Debug, clap::Subcommand)]
enum Old {
    Make(MakeArgs),
    Raise(RaiseArgs),
}

/// What `typed` becomes, in an environment of these variables; several commands are joined by `; `.
fn becomes(typed: &str, environment: &[(&str, &str)]) -> Result<String> {
    let typed = Typed::try_parse_from(format!("xtask {typed}").split(' ')).unwrap();
    let environment =
        |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let lines = match &typed.command {
        Old::Make(args) => make_lines(&typed.global, args, &environment)?,
        Old::Raise(args) => vec![raise_lines(args, &environment)?],
    };
    Ok(lines.iter().map(|line| line.join(" ")).collect::<Vec<_>>().join("; "))
}

#[track_caller]
fn check(typed: &str, wanted: &str) {
    assert_eq!(becomes(typed, &[]).unwrap_or_else(|error| error.report()), wanted, "{typed}");
}

#[test]
fn every_old_word_runs_what_the_table_says_or_is_refused_with_the_reason() {
    for (command, table) in [("make", make_targets()), ("raise", raisin_commands())] {
        for (word, form) in table {
            let word = word.replace('%', "xtf");
            match form {
                Form::Line(line) => check(&format!("{command} {word}"), &line),
                Form::Gone(why) => {
                    let error = becomes(&format!("{command} {word}"), &[]).unwrap_err().report();
                    assert!(error.contains(why) && error.contains("docs/migration.md"), "{error}");
                }
            }
        }
    }
}

#[test]
fn targets_of_the_template_and_of_raisin_become_commands() {
    check("make blktap-dir-find", "fetch blktap");
    check("make blktap-dir-force-update", "force-update blktap");
    check("make subdir-all-blktap-dir", "build blktap");
    check("make -m rfc-2015 subdir-all-blktap-dir", "build blktap-2015");
    check("make -m rfc-2015 blktap-dir-find", "fetch blktap-c");
    check("make ovmf-dir-force-update", "force-update edk2");
    check("make -j4 -k -C tools subdir-install-qemu-xen-dir", "build qemu --jobs 4 --keep-going");
    check("make distclean dist-xen build-xen", "distclean; build xen");
    check("make dist QEMU_UPSTREAM_REVISION=x", "build QEMU_UPSTREAM_REVISION=x");
    check("make install DESTDIR=/tmp/r", "install --root /tmp/r");
    check("raise -y -v build", "build --yes --tail");
    check("raise -y configure", "configure-host --apply");
    let environment = [("PREFIX", "/opt/xen"), ("COMPONENTS", "xen qemu_traditional"), ("GIT", "/bin/false")];
    assert_eq!(becomes("raise build", &environment).unwrap(), "build xen qemu-traditional PREFIX=/opt/xen");
    assert_eq!(becomes("make all PREFIX=/usr", &environment).unwrap(), "build PREFIX=/usr");
}

#[test]
fn what_never_was_a_target_is_said() {
    let error = becomes("make blktap-dir-fnd", &[]).unwrap_err().report();
    assert!(
        error.contains("no make target `blktap-dir-fnd`") && error.contains("did you mean `blktap-dir-find`"),
        "{error}"
    );
}

#[test]
fn the_documentation_has_a_row_for_every_word() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migration.md");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let row = |word: &str, form: &Form| match form {
        Form::Line(line) => format!("| `{word}` | `cargo xtask {line}` |"),
        Form::Gone(why) => format!("| `{word}` | nothing: {why} |"),
    };
    let words = make_targets().into_iter().chain(raisin_commands()).map(|(word, form)| row(&word, &form));
    let variables = VARIABLES.iter().map(|(name, here)| format!("| `{name}` | {here} |"));
    let missing: Vec<String> = words.chain(variables).filter(|row| !text.lines().any(|line| line == row)).collect();
    assert!(missing.is_empty(), "docs/migration.md misses\n{}", missing.join("\n"));
}
