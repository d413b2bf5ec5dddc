//! Upstream moves: a branch goes on, or its history is written anew.

use super::project::{Project, built};
use super::upstream::{Forge, LIBAIO};
use crate::tier::{self, Tier};

/// Reads nothing but its own source.
const OTHER: &str = r#"
summary = "Another"
licence = "MIT"
homepage = "https://example.org"
source = "other"
[build.steps]
[[step]]
name = "install"
run = ["install", "-D", "README", "{stage}/usr/share/other/README"]
"#;

/// libaio tracked by its branch, and a second component beside it.
fn project(forge: &Forge) -> Project {
    forge.publish("libaio");
    let other = forge.create("other");
    other.write("README", "one\n");
    other.push("main", "one");
    let manifest = format!(
        "summary = 's'\ncomponents = ['libaio', 'other']\n\
         [sources.libaio]\ngit = {{ urls = [{:?}], branch = 'main' }}\n\
         [sources.other]\ngit = {{ urls = [{:?}], branch = 'main' }}\n",
        forge.url("libaio"),
        forge.url("other"),
    );
    let project = Project::new(&[("libaio", LIBAIO), ("other", OTHER)], &manifest);
    project.xtask(&["update"]).ok();
    project
}

fn commit_of(project: &Project) -> String {
    project.pin("libaio")["commit"].as_str().unwrap().to_owned()
}

#[test]
fn a_moved_branch_moves_its_pin_and_rebuilds_only_what_it_changes() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let forge = Forge::new();
    let project = project(&forge);
    let Some(ran) = project.build(&["--json"]) else { return };
    assert_eq!(built(&ran).len(), 2, "{ran:?}");
    let old = commit_of(&project);

    let work = forge.work("libaio");
    work.write("src/libaio.h", &format!("{}\n#define SULTANA 1\n", work.read("src/libaio.h")));
    let new = work.push("main", "a header grows");
    // Until somebody asks, nothing moves.
    assert!(built(&project.xtask(&["build", "--json"])).is_empty());
    let moved = project.xtask(&["update"]).ok();
    assert!(moved.starts_with(&format!("libaio: {old} -> {new}\n  1 commit by 1 author\n")), "{moved}");
    assert_eq!(commit_of(&project), new);
    assert!(project.xtask(&["status"]).ok().contains(&format!("at {old}, not at its pin")));
    project.xtask(&["fetch"]).ok();
    let why = project.xtask(&["why", "libaio"]).ok();
    assert!(why.contains("src/libaio.h"), "{why}");
    assert_eq!(built(&project.xtask(&["build", "--json"])), ["libaio"]);
    assert!(project.read("dist/usr/include/libaio.h").contains("SULTANA"));

    // What no step reads is built, comes out the same, and moves nothing in dist/.
    work.write("NEWS", "nothing\n");
    work.push("main", "a file that nobody installs");
    project.xtask(&["update"]).ok();
    let same = project.xtask(&["build"]);
    assert!(same.err.contains("the same as before") && same.err.contains("none changed"), "{}", same.err);
    assert_eq!(project.xtask(&["update"]).ok().trim(), "every pin is what its origin says now");
}

#[test]
fn after_a_rewritten_history_the_locked_commit_is_still_built_or_the_way_out_is_named() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let forge = Forge::new();
    let project = project(&forge);
    let Some(ran) = project.build(&[]) else { return };
    assert_eq!(ran.code, 0, "{}", ran.err);
    let old = commit_of(&project);
    let elsewhere = project.elsewhere();

    let work = forge.work("libaio");
    work.git(&["checkout", "-q", "--orphan", "anew"]);
    let new = work.push("main", "the same, told otherwise");
    for name in ["refs/heads/stable/1", "refs/tags/v1"] {
        crate::origin::git::git_in(&forge.bare("libaio"), &["update-ref", "-d", name]);
    }
    crate::origin::git::git_in(&forge.bare("libaio"), &["gc", "-q", "--prune=now"]);

    // Here the store still has it: a checkout from nothing builds.
    std::fs::remove_dir_all(project.path(".xtask")).unwrap();
    std::fs::remove_dir_all(project.path("dist")).unwrap();
    project.xtask(&["build", "--offline"]).ok();
    assert_eq!(commit_of(&project), old);
    assert!(project.path("dist/usr/lib/libaio.so.1").exists());
    // A machine that never had it is told which commit of what is gone, and what to do.
    let lost = elsewhere.xtask(&["build"]);
    assert_eq!(lost.code, 3, "{}", lost.err);
    for words in ["`libaio`", old.as_str(), forge.url("libaio").as_str(), "cargo xtask update"] {
        assert!(lost.err.contains(words), "{words} is not in {}", lost.err);
    }
    // That works on both.
    for project in [&project, &elsewhere] {
        let moved = project.xtask(&["update"]).ok();
        assert!(moved.contains(&format!("libaio: {old} -> {new}")), "{moved}");
        // The tree is the same, so what was built stands.
        let ran = project.xtask(&["build"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(commit_of(project), new);
    }
}
