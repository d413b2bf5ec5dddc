//! `--allow-parents`: no command follows an image out of the directories that were named.

use std::fs;

use crate::bench::Bench;
use crate::sample::dynamic;

/// `in/b.vhd`, whose parent is `out/a.vhd`.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::create_dir(bench.path("in")).unwrap();
    fs::create_dir(bench.path("out")).unwrap();
    fs::write(bench.path("out/a.vhd"), dynamic(64)).unwrap();
    bench.run(["snapshot", "-n", "in/b.vhd", "-p", "out/a.vhd", "-e"]).code(0);
    bench
}

#[test]
fn parents_outside_are_refused_by_every_command_that_follows_them() {
    let commands: [&[&str]; 8] = [
        &["query", "-d", "-n", "in/b.vhd"],
        &["query", "-p", "-n", "in/b.vhd"],
        &["check", "-p", "-n", "in/b.vhd"],
        &["read", "-r", "0", "-n", "in/b.vhd"],
        &["coalesce", "-n", "in/b.vhd"],
        &["fill", "-n", "in/b.vhd"],
        &["copy", "-n", "in/b.vhd", "-N", "c.vhd"],
        &["snapshot", "-n", "c.vhd", "-p", "in/b.vhd"],
    ];
    for command in commands {
        let bench = bench();
        let narrowed = |directories: &[&str]| {
            let options = directories.iter().flat_map(|directory| ["--allow-parents", directory]);
            let arguments: Vec<&str> =
                command[..1].iter().copied().chain(options).chain(command[1..].to_vec()).collect();
            bench.run(arguments)
        };
        let refused = narrowed(&["in"]).get_output().clone();
        assert!(refused.status.code().is_some_and(|status| status != 0), "{command:?}: {refused:?}");
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        let said = format!("{stderr}{}", String::from_utf8_lossy(&refused.stdout));
        assert!(said.contains("is in none of the directories") || said.contains("-13"), "{command:?}: {said}");
        narrowed(&["in", "out"]).code(0);
    }
}

#[test]
fn a_directory_must_be_named_and_be_there() {
    let bench = bench();
    bench.run(["query", "-v", "-n", "in/b.vhd", "--allow-parents"]).code(22).stdout_eq("");
    bench.run(["query", "-v", "-n", "in/b.vhd", "--allow-parents", "none"]).code(2).stdout_eq("");
    bench.run(["query", "-v", "-n", "in/b.vhd", "--allow-parents", "in"]).code(0).stdout_eq("64\n");
}
