//! `freeze` and `unfreeze`.

use super::project::Project;
use crate::origin::git::git_in;

#[test]
fn a_frozen_lock_moves_no_pin_and_is_thawed_again() {
    let project = Project::new();
    let upstream = project.upstream("a");
    project.track("branch = 'main'");
    // What is not pinned yet is pinned now.
    let shown = project.ok(&["freeze"]);
    assert!(shown.contains(&format!("a: branch main -> {}", project.commit("a"))), "{shown}");
    let frozen = project.lock();
    assert!(frozen.contains("frozen = true"), "{frozen}");
    assert!(project.ok(&["freeze"]).contains("frozen already"));
    assert!(project.ok(&["status"]).contains("(frozen)"));
    let new = upstream.commit("f", "two\n");
    for args in [&["update"][..], &["update", "a"], &["pin", "a", &new]] {
        project.refused(args, &["is frozen", "help: cargo xtask unfreeze --manifest m"]);
    }
    assert!(project.ok(&["update", "--dry-run"]).contains(&new));
    assert_eq!(project.lock(), frozen);
    // A source that came later is not resolved.
    let url = project.url("a");
    project.manifest(&format!(
        "a.git = {{ urls = [{url:?}], branch = 'main' }}\nb.git = {{ urls = [{url:?}], branch = 'main' }}\n"
    ));
    project.refused(&["build"], &["source `b` has no pin", "cargo xtask unfreeze --manifest m && cargo xtask update"]);
    project.track("branch = 'main'");

    assert!(project.ok(&["unfreeze"]).contains("no longer frozen"));
    assert!(project.ok(&["unfreeze"]).contains("is not frozen"));
    project.ok(&["update"]);
    assert_eq!(project.commit("a"), new);
}

#[test]
fn local_work_is_not_frozen() {
    let project = Project::new();
    project.upstream("a");
    project.track("branch = 'main'");
    project.ok(&["update"]);
    project.checkout.write(".xtask/src/a/f", "mine\n");
    project.refused(&["freeze"], &["a: in `", "f (edited)", "force-update"]);
    let tree = project.checkout.path(".xtask/src/a");
    git_in(&tree, &["commit", "-qam", "my work"]);
    project.refused(&["freeze"], &["a: in `", "my work"]);
    assert!(!project.lock().contains("frozen"));
}

#[test]
fn a_directory_of_this_repository_is_frozen_by_its_commit() {
    let project = Project::new();
    project.checkout.manifest(&["a"], "");
    project.checkout.script("a", "", "true");
    project.checkout.write("a/f", "one\n");
    let ran = project.checkout.run(&["freeze"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.says(&["source `a` is a directory in no repository"]);
    project.ok(&["unfreeze"]);
    let root = project.checkout.root();
    git_in(&root, &["init", "-q", "-b", "main", "."]);
    project.refused(&["freeze"], &["a/f (added)"]);
    git_in(&root, &["add", "a"]);
    git_in(&root, &["commit", "-q", "-m", "all of a"]);
    project.ok(&["freeze"]);
}
