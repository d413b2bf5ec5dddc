//! `diff` of two locks.

use super::project::Project;
use crate::origin::git::git_in;

#[test]
fn sources_that_came_went_and_moved_are_shown_with_their_commits() {
    let project = Project::new();
    let upstream = project.upstream("a");
    project.upstream("b");
    let root = project.checkout.root();
    let source = |name: &str| format!("{name}.git = {{ urls = [{:?}], branch = 'main' }}\n", project.url(name));
    project.track("branch = 'main'");
    project.manifest(&(source("a") + &source("b")));
    project.ok(&["update"]);
    git_in(&root, &["init", "-q", "-b", "main", "."]);
    git_in(&root, &["add", "manifests"]);
    git_in(&root, &["commit", "-q", "-m", "locked"]);
    assert!(project.ok(&["diff", "HEAD"]).contains("no source differs"));
    let old = project.commit("a");
    let new = upstream.commit("f", "two\n");
    project.manifest(&(source("a") + &source("a").replacen('a', "c", 1)));
    project.ok(&["update"]);

    let b = || format!("b: no longer a source (was {}", project_commit(&root, "b"));
    for args in [
        &["diff", "HEAD"][..],
        &["diff", "HEAD:manifests/m.lock", "manifests/m.lock"],
        &["diff", "main", "manifests/m.lock"],
    ] {
        let shown = project.ok(args);
        for words in
            [&format!("a: {old} -> {new}"), "1 commit by 1 author", "set f to two", &b(), &format!("c: {new} (new)")]
        {
            assert!(shown.contains(words), "{args:?}: {words} is not in {shown}");
        }
    }
    let json = project.json(&["diff", "HEAD", "--json"]);
    let moves = json["moves"].as_array().unwrap();
    let names: Vec<_> = moves.iter().map(|moved| moved["source"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(moves[0]["commits"]["gained"][0]["commit"].as_str().unwrap(), new);
    project.refused(&["diff", "nowhere"], &["no revision `nowhere`", "help: "]);
    project.refused(&["diff", "HEAD:x.lock"], &["revision `HEAD` has no file `x.lock`"]);
    project.checkout.write("bad.lock", "version = ");
    project.refused(&["diff", "bad.lock"], &["cannot read lock `bad.lock`"]);
}

/// As the last commit of the project has it.
fn project_commit(root: &std::path::Path, source: &str) -> String {
    let lock: toml::Table = toml::from_str(&git_in(root, &["show", "HEAD:manifests/m.lock"])).unwrap();
    lock["sources"][source]["commit"].as_str().unwrap().to_owned()
}
