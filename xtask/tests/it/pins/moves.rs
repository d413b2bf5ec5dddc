//! `update` and `pin`.

use super::project::Project;
use crate::origin::git::git_at;
use crate::origin::world::{World, origin};

#[test]
fn update_shows_the_commits_by_author_before_it_writes() {
    let project = Project::new();
    let upstream = project.upstream("a");
    project.track("branch = 'main'");
    project.ok(&["update"]);
    let (old, before) = (project.commit("a"), project.lock());
    upstream.git(&["config", "uploadpack.allowFilter", "true"]);
    upstream.commit("f", "two\n");
    upstream.git(&["commit", "-q", "--allow-empty", "--author=Bea <b@example.org>", "-m", "by another"]);
    let new = upstream.commit("f", "three\n");

    let shown = project.ok(&["update", "--dry-run"]);
    for words in [&format!("a: {old} -> {new}"), "3 commits by 2 authors", "A (2):", "set f to two", "Bea (1):"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    assert_eq!(project.lock(), before);
    let json = project.json(&["update", "--json"]);
    let moved = &json["moves"][0];
    assert_eq!((moved["rewound"].as_bool(), moved["commits"]["gained"].as_array().unwrap().len()), (Some(false), 3));
    assert_eq!(project.commit("a"), new);
    assert_eq!(project.ok(&["update"]).trim(), "every pin is what its origin says now");
    // The history that is kept grows; nothing of it is checked out.
    upstream.commit("f", "four\n");
    assert!(project.ok(&["update"]).contains("1 commit by 1 author"));
}

#[test]
fn a_rewound_branch_is_said_with_what_is_new_and_what_is_gone() {
    let project = Project::new();
    let upstream = project.upstream("a");
    upstream.commit("f", "two\n");
    upstream.commit("f", "three\n");
    project.track("branch = 'main'");
    project.ok(&["update"]);
    upstream.git(&["reset", "-q", "--hard", "HEAD~2"]);
    upstream.commit("f", "instead\n");
    let shown = project.ok(&["update"]);
    for words in ["REWOUND", "new: 1 commit by 1 author", "gone: 2 commits by 1 author", "set f to three"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    // When the old history is nowhere any more, the move is said to be one all the same.
    std::fs::remove_dir_all(project.checkout.store()).unwrap();
    upstream.git(&["reset", "-q", "--hard", "HEAD~1"]);
    upstream.commit("f", "again\n");
    upstream.git(&["reflog", "expire", "--expire=now", "--all"]);
    upstream.git(&["gc", "-q", "--prune=now"]);
    let shown = project.ok(&["update", "a"]);
    assert!(shown.contains("REWOUND") && shown.contains("no address has"), "{shown}");
}

#[test]
fn a_source_is_pinned_at_any_commit_tag_branch_or_ref() {
    let project = Project::new();
    let upstream = project.upstream("a");
    let one = upstream.git(&["rev-parse", "HEAD"]);
    upstream.git(&["tag", "-a", "-m", "annotated", "v1"]);
    let two = upstream.commit("f", "two\n");
    upstream.git(&["branch", "other"]);
    // On no branch: what a person is asked to try.
    let aside = upstream.commit("f", "aside\n");
    upstream.git(&["update-ref", "refs/changes/7", &aside]);
    upstream.git(&["reset", "-q", "--hard", &two]);
    let three = upstream.commit("f", "three\n");
    project.track("branch = 'main'");
    project.ok(&["update"]);
    for (revision, commit) in [
        (one.as_str(), &one),
        ("v1", &one),
        ("other", &two),
        ("refs/changes/7", &aside),
        (aside.as_str(), &aside),
        (&three[..12], &three),
        ("refs/tags/v1", &one),
    ] {
        project.ok(&["pin", "a", revision]);
        assert_eq!(project.commit("a"), *commit, "{revision}");
    }
    project.ok(&["pin", "a", &aside]);
    project.ok(&["fetch"]);
    assert_eq!(project.checkout.read(".xtask/src/a/f"), "aside\n");
    // Where nothing of it is yet, and back.
    std::fs::remove_dir_all(project.checkout.store()).unwrap();
    std::fs::remove_dir_all(project.checkout.path(".xtask")).unwrap();
    project.ok(&["fetch"]);
    assert_eq!(project.checkout.read(".xtask/src/a/f"), "aside\n");
    assert!(project.ok(&["update"]).contains("REWOUND"));
    assert_eq!(project.commit("a"), three);
}

#[test]
fn a_revision_that_is_none_is_refused_and_nothing_is_written() {
    let project = Project::new();
    let upstream = project.upstream("a");
    upstream.git(&["branch", "both"]);
    upstream.git(&["tag", "both"]);
    project.track("branch = 'main'");
    project.ok(&["update"]);
    let before = project.lock();
    project.refused(&["pin", "a", "nothing"], &["no tag or branch of this name", "help: "]);
    project.refused(&["pin", "a", "both"], &["cargo xtask pin a refs/tags/both", "cargo xtask pin a refs/heads/both"]);
    project.refused(&["pin", "a", "main~1"], &["an expression of git's is none"]);
    project.refused(&["pin", "a", "--", "--upload-pack=x"], &["is wanted"]);
    project.refused(&["pin", "a", "abcdef1234"], &["no commit of source `a` begins with abcdef1234"]);
    project.refused(&["pin", "b", "main"], &["no source `b`"]);
    assert_eq!(project.lock(), before);
    project.track(&format!("commit = '{}'", upstream.git(&["rev-parse", "HEAD"])));
    project.refused(&["pin", "a", "both"], &["manifest `m` names its commit", "change it there"]);
}

#[test]
fn a_debian_source_package_is_pinned_by_version_and_what_has_none_is_refused() {
    let world = World::new();
    let at = |from: &str, revision: &str| {
        world.with(|ctx| xtask::origin::at(ctx, &world.source, &origin(from), revision)).map_err(|error| error.report())
    };
    assert_eq!(
        at("apt = { package = 'foo', suite = 'stable' }", "1.0-1"),
        Ok(origin("apt = { package = 'foo', suite = 'stable', version = '1.0-1' }"))
    );
    for (from, words) in [
        ("apt = { package = 'foo', version = '2.0-1' }", "manifest `test` names its version, 2.0-1; change it there"),
        ("archive = { urls = ['https://x/a-1.tar.gz'] }", "an archive has no revisions"),
        ("path = { dir = 'x' }", "it is a local directory"),
    ] {
        let refused = at(from, "1.0-1").unwrap_err();
        assert!(refused.contains(words), "{words} is not in {refused}");
    }
}

#[test]
fn a_commit_of_a_time_that_no_date_can_say_is_refused() {
    let project = Project::new();
    let upstream = project.upstream("a");
    project.track("branch = 'main'");
    let before = project.lock();
    git_at(253_402_300_800, &upstream.dir, &["commit", "-q", "--allow-empty", "-m", "late"]);
    let late =
        ["cannot use source `a`: it is dated 253402300800 seconds after 1970", "help: name another revision of it"];
    project.refused(&["update"], &late);
    assert_eq!(project.lock(), before);
}
