//! `dev export`, and patches that no longer apply.

use super::project::Project;
use crate::origin::git::{Upstream, git_in};

/// Ten lines, so that a change at either end is a hunk of its own.
fn lines(first: &str, last: &str) -> String {
    format!("{first}\n{}{last}\n", (1..20).map(|number| format!("{number}\n")).collect::<String>())
}

fn project() -> (Project, Upstream) {
    let project = Project::new();
    let upstream = project.upstream("a");
    upstream.commit("f", &lines("top", "bottom"));
    project.track("branch = 'main'");
    let file = project.checkout.read("components/a.toml");
    project.checkout.write("components/a.toml", &format!("# Ours.\n{file}"));
    project.ok(&["update"]);
    (project, upstream)
}

fn commit(project: &Project, path: &str, text: &str, subject: &str) {
    let tree = project.checkout.path(".xtask/src/a");
    std::fs::write(tree.join(path), text).unwrap();
    git_in(&tree, &["add", "-A"]);
    git_in(&tree, &["commit", "-q", "-m", subject]);
}

fn listed(project: &Project) -> Vec<String> {
    let component: toml::Table = toml::from_str(&project.checkout.read("components/a.toml")).unwrap();
    component["patches"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect()
}

#[test]
fn commits_become_listed_patches_that_build_and_that_git_am_takes() {
    let (project, upstream) = project();
    assert!(project.ok(&["dev", "export", "a"]).contains("no commit of yours"));
    commit(&project, "f", &lines("mine", "mine"), "Change both ends");
    commit(&project, "g", "new\n", "Add g");
    project.checkout.write(".xtask/src/a/f", "not committed\n");
    let ran = project.checkout.run(&["dev", "export", "a"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.says(&["not committed, so not exported", "f (edited)"]);
    let paths = ["components/a/0001-Change-both-ends.patch", "components/a/0002-Add-g.patch"];
    assert_eq!(listed(&project), paths);
    assert!(project.checkout.read("components/a.toml").starts_with("# Ours.\n"));
    let first = project.checkout.read(paths[0]);
    assert!(first.contains(&format!("base-commit: {}", project.commit("a"))), "{first}");

    // The commits are still there: built now, they would be applied twice.
    let tree = project.checkout.path(".xtask/src/a");
    git_in(&tree, &["checkout", "-q", "f"]);
    let twice = project.checkout.build(&[]);
    assert_eq!(twice.code, Some(2), "{}", twice.stderr);
    twice.says(&["the tree has it already", "cargo xtask force-update a --discard"]);
    project.ok(&["force-update", "a", "--discard"]);
    project.checkout.built(&[]);
    assert_eq!(project.checkout.read("dist/usr/f"), lines("mine", "mine"));
    for path in paths {
        git_in(&upstream.dir, &["am", "-q", project.checkout.path(path).to_str().unwrap()]);
    }
    assert_eq!(upstream.git(&["log", "-1", "--format=%an %s"]), "A Add g");
}

#[test]
fn a_second_export_replaces_what_it_changes_and_keeps_the_rest() {
    let (project, _upstream) = project();
    commit(&project, "f", &lines("mine", "bottom"), "Change the top");
    project.ok(&["dev", "export", "a"]);
    let other = "components/a/0001-Change-the-top.patch";
    project.ok(&["force-update", "a", "--discard"]);
    commit(&project, "h", "h\n", "Add h");
    project.ok(&["dev", "export", "a"]);
    assert_eq!(listed(&project), [other, "components/a/0002-Add-h.patch"]);
    // The same subject, told anew.
    let tree = project.checkout.path(".xtask/src/a");
    std::fs::write(tree.join("h"), "better\n").unwrap();
    git_in(&tree, &["commit", "-qa", "--amend", "--no-edit"]);
    project.ok(&["dev", "export", "a"]);
    assert_eq!(listed(&project), [other, "components/a/0002-Add-h.patch"]);
    assert!(project.checkout.read("components/a/0002-Add-h.patch").contains("+better"));
    // Only what the component uses.
    let file = project.checkout.read("components/a.toml").replacen("source = 'a'", "source = 'a'\ninputs = ['f']", 1);
    project.checkout.write("components/a.toml", &file);
    project.ok(&["force-update", "a", "--discard"]);
    commit(&project, "i", "i\n", "Add i");
    let ran = project.checkout.run(&["dev", "export", "a"]);
    ran.says(&["`a` does not use are left out: i"]);
    assert!(ran.stdout.contains("no commit of yours"), "{}", ran.stdout);
    // Not a series.
    git_in(&tree, &["checkout", "-q", "--orphan", "else"]);
    git_in(&tree, &["commit", "-q", "-m", "from nothing"]);
    project.refused(&["dev", "export", "a"], &["is not on top of the pin", "help: git -C"]);
    project.refused(&["dev", "export", "b"], &["no component and no source `b`"]);
}

#[test]
fn a_patch_that_no_longer_applies_says_which_hunk_and_where_it_last_did() {
    let (project, upstream) = project();
    commit(&project, "f", &lines("mine", "mine"), "Change both ends");
    project.ok(&["dev", "export", "a"]);
    project.ok(&["force-update", "a", "--discard"]);
    upstream.commit("other", "x\n");
    project.ok(&["update"]);
    let last = project.commit("a");
    project.checkout.built(&[]);
    upstream.commit("f", &lines("top", "upstream's"));
    project.ok(&["update"]);
    let ran = project.checkout.build(&[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&[
        "`0001-0001-Change-both-ends.patch` of `a`",
        "hunk 2 of 2 of `f`",
        &format!("it last applied at {last}; `a` is at {} now", project.commit("a")),
        "help: the source has moved on",
    ]);
    // Another machine knows the pin that it was exported at.
    std::fs::remove_dir_all(project.checkout.path(".xtask")).unwrap();
    let ran = project.checkout.build(&[]);
    ran.says(&["hunk 2 of 2 of `f`", "it last applied at "]);
}
