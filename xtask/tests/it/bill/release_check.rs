//! `release-check`: all findings of a list at once, and none where everything holds.

use super::project::project;
use crate::build::checkout::sealed;
use crate::origin::git::git_in;

const LIST: &str = "
[[check]]
must = 'locked'
why = 'pinned'
[[check]]
must = 'frozen'
why = 'still'
[[check]]
must.not-moving = {}
why = 'exact'
[[check]]
must.signed = { except = [] }
why = 'signed'
[[check]]
must = 'no-overrides'
why = 'ours'
[[check]]
must = 'no-local-work'
why = 'clean'
[[check]]
must = 'built'
why = 'built'
[[check]]
must.licences = {}
why = 'free'
[[check]]
must = 'bill'
why = 'known'
[[check]]
must.changelog = { file = 'CHANGELOG.md', heading = '## {version}' }
why = 'told'
[[check]]
must.tested = { record = 'tests.md' }
why = 'tested'
";

#[test]
fn everything_is_found_at_once_and_each_help_helps() {
    let project = project();
    let checkout = &project.checkout;
    project.refused(&["release-check"], &["cannot read the list of checks", "--list FILE"]);
    checkout.write("ci/release-check.toml", LIST);
    checkout.write("CHANGELOG.md", "## 0.1.0.1\n");
    std::fs::remove_file(checkout.path("b/LICENSE")).unwrap();
    checkout.write(".xtask/src/a/f", "mine\n");
    let ran = checkout.run(&["release-check"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for what in [
        "yes  pinned\n",
        "no   still\n       the lock of `m` is not frozen\n       help: cargo xtask freeze --manifest m\n",
        "source `a` follows branch main",
        "source `a` is taken unsigned",
        "yes  ours\n",
        "source `a` is not what the lock names",
        "this checkout is in no git repository",
        "`a` was not built here yet",
        "component `b` tree-",
        "yes  known\n",
        "has no heading `## 0.1.0`",
        "no tests are recorded in `tests.md`",
    ] {
        assert!(ran.stdout.contains(what), "{what}: {}", ran.stdout);
    }
    ran.says(&["`m` cannot be released yet: "]);

    checkout.write("ci/release-check.toml", "[[check]]\nmust = 'shine'\n");
    project.refused(&["release-check"], &["unknown variant `shine`", "help: mend that line"]);

    // Now what the help lines say.
    checkout.write(
        "ci/release-check.toml",
        &LIST.replace("not-moving = {}", "not-moving = { except = ['a'] }").replace("except = []", "except = ['a']"),
    );
    project.ok(&["force-update", "a", "--discard"]);
    checkout.write("CHANGELOG.md", "## 0.1.0\n");
    checkout.write("b/LICENSE", "free\n");
    checkout.write(".gitignore", "/.xtask/\n/dist/\n");
    project.ok(&["freeze"]);
    let root = checkout.root();
    let git = |args: &[&str]| git_in(&root, args);
    git(&["init", "-q", "-b", "main"]);
    let commit = || {
        git(&["add", "-A"]);
        git(&["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "-m", "m"]);
        git(&["rev-parse", "HEAD"])
    };
    let tested = commit();
    let record = |failed: usize| {
        let json = serde_json::json!({ "commit": tested, "checks": [{ "check": "tests", "failed": failed }] });
        checkout.write("tests.md", &format!("# A run\n\n```json\n{json}\n```\n"));
    };
    record(1);
    commit();
    if !sealed() {
        return;
    }
    checkout.built(&[]);
    let ran = checkout.run(&["release-check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let findings: Vec<&str> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|check| check["findings"].as_array().unwrap())
        .map(|one| one["what"].as_str().unwrap())
        .collect();
    assert_eq!((ran.code, findings), (Some(1), vec!["1 tests failed in `tests.md`"]));
    record(0);
    commit();
    assert!(!project.ok(&["release-check"]).contains("no   "));
    checkout.write("README.md", "new\n");
    commit();
    let late = checkout.run(&["release-check"]);
    assert!(late.stdout.contains("and `README.md` has changed since"), "{}", late.stdout);
    let definition = checkout.read("components/a.toml");
    checkout.write("components/a.toml", &definition.replace("-m 644", "-m 600"));
    let unbuilt = checkout.run(&["release-check"]);
    let what = "no   built\n       cannot vouch for `a`: what it is built from has changed since it was built\n";
    assert!(unbuilt.stdout.contains(what), "{}", unbuilt.stdout);
}

/// The repository's own list is one.
#[test]
fn the_list_of_this_repository_can_be_read() {
    let root = crate::repository();
    let list = xtask::bill::readiness::List::read(&root.join("ci/release-check.toml")).unwrap();
    assert!(list.check.len() > 5);
}
