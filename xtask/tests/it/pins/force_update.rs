//! `force-update`.

use super::project::Project;
use crate::origin::git::git_in;

#[test]
fn local_work_is_named_and_kept_until_it_is_discarded() {
    let project = Project::new();
    let upstream = project.upstream("a");
    upstream.commit("g", "two\n");
    upstream.commit("g", "three\n");
    project.track("branch = 'main'");
    project.ok(&["update"]);
    let tree = project.checkout.path(".xtask/src/a");
    let pin = git_in(&tree, &["rev-parse", "HEAD"]);
    project.checkout.write(".xtask/src/a/f", "mine\n");
    project.refused(&["force-update"], &["`a`", "f (edited)", "cargo xtask force-update a --discard"]);
    git_in(&tree, &["commit", "-qam", "my work"]);
    project.refused(&["force-update", "a"], &["commit ", "my work"]);
    assert_eq!(project.checkout.read(".xtask/src/a/f"), "mine\n");

    project.ok(&["force-update", "a", "--discard"]);
    assert_eq!(project.checkout.read(".xtask/src/a/f"), "one\n");
    assert_eq!(git_in(&tree, &["rev-parse", "HEAD"]), pin);
    // A file that is gone is work too; twice the same is nothing to do.
    std::fs::remove_file(tree.join("f")).unwrap();
    project.refused(&["force-update"], &["f (removed)"]);
    project.ok(&["force-update", "--discard"]);
    project.ok(&["force-update"]);
    assert_eq!(git_in(&tree, &["status", "--porcelain"]), "");
}

#[test]
fn another_known_commit_goes_back_to_the_pin() {
    let project = Project::new();
    let upstream = project.upstream("a");
    project.track("branch = 'main'");
    project.ok(&["update"]);
    let old = project.commit("a");
    let new = upstream.commit("f", "two\n");
    project.ok(&["update"]);
    project.ok(&["fetch"]);
    let tree = project.checkout.path(".xtask/src/a");
    git_in(&tree, &["checkout", "-q", &old]);
    project.ok(&["fetch"]);
    assert_eq!(project.checkout.read(".xtask/src/a/f"), "one\n");
    project.ok(&["force-update"]);
    assert_eq!(git_in(&tree, &["rev-parse", "HEAD"]), new);
}
