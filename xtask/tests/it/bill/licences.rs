//! `licences` over real trees.

use super::project::project;
use crate::build::checkout::files;

#[test]
fn texts_are_collected_and_what_is_unknown_or_missing_is_named() {
    let project = project();
    project.checkout.write("b/deep/COPYING", "of what is below\n");
    project.checkout.write("b/deep/x.c", "");
    let out = project.checkout.root().with_file_name("legal");
    let args = ["licences", "--out", out.to_str().unwrap()];
    let said = project.ok(&args);
    assert!(said.contains("3 texts"), "{said}");
    let there = files(&out);
    let text = |path: &str| String::from_utf8(there[path].1.clone()).unwrap();
    assert_eq!(text("texts/a/a/COPYING"), "do what you like\n");
    assert_eq!(text("texts/b/b/deep/COPYING"), "of what is below\n");
    let csv = text("manifest.csv");
    assert!(
        csv.contains("\ncomponent,b,tree-") && csv.contains(",MIT,b,texts/b/b/LICENSE texts/b/b/deep/COPYING,\n"),
        "{csv}"
    );
    project.ok(&["licences", "--strict"]);

    // Nothing of what it is about is an input any more.
    project
        .checkout
        .write("components/b.toml", &format!("exclude = ['deep/*.c']\n{}", project.checkout.read("components/b.toml")));
    project.ok(&["licences", "--out", out.to_str().unwrap()]);
    assert!(files(&out).contains_key("texts/b/b/deep/COPYING"), "it is an input itself");
    project
        .checkout
        .write("components/b.toml", &project.checkout.read("components/b.toml").replace("deep/*.c", "deep/**"));
    project.ok(&args);
    assert!(!files(&out).contains_key("texts/b/b/deep/COPYING"));

    for file in ["b/LICENSE", "b/deep/COPYING"] {
        std::fs::remove_file(project.checkout.path(file)).unwrap();
    }
    assert!(project.ok(&args).contains("component b tree-"), "not strict");
    let strict = project.checkout.run(&["licences", "--strict"]);
    assert_eq!(strict.code, Some(1), "{}", strict.stdout);
    assert!(strict.stdout.contains("it comes without the text of its licence"), "{}", strict.stdout);
    strict.says(&["1 licences are unknown or without a text", "help: "]);
    let json = project.json(&["licences", "--json"]);
    assert_eq!((&json[0]["name"], &json[0]["licence"]), (&"b".into(), &"MIT".into()));
}

#[test]
fn a_directory_of_somebody_else_is_not_replaced() {
    let project = project();
    let refused = |file: &str| {
        let (dir, rest) = file.split_once('/').unwrap();
        let before = files(&project.checkout.path(dir));
        project.refused(&["licences", "--out", dir], &[&format!("it holds `{rest}`, which is not ours"), "help: "]);
        assert_eq!(files(&project.checkout.path(dir)), before);
    };
    // Also where names are as ours.
    for file in ["theirs/notes.txt", "book/texts/one.md", "site/manifest.json"] {
        project.checkout.write(file, "{}");
        refused(file);
    }
    project.ok(&["licences", "--out", "legal"]);
    project.checkout.write("legal/texts/a/notes.txt", "mine");
    refused("legal/texts/a/notes.txt");
    project.checkout.write("file", "mine");
    let ran = project.checkout.run(&["licences", "--out", "file"]);
    assert_ne!(ran.code, Some(0));
    assert_eq!(project.checkout.read("file"), "mine");
}

#[test]
fn the_present_directory_and_one_behind_a_link_are_written_anew() {
    let project = project();
    let checkout = &project.checkout;
    std::fs::create_dir(checkout.path("legal")).unwrap();
    std::os::unix::fs::symlink("legal", checkout.path("link")).unwrap();
    project.ok(&["licences", "--out", "link"]);
    let first = files(&checkout.path("legal"));
    assert!(checkout.path("link").is_symlink() && first.contains_key("manifest.json"));
    checkout.write("b/LICENSE", "freer\n");
    let ended = checkout.command(&["licences", "--out", "."]).current_dir(checkout.path("legal")).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let second = files(&checkout.path("legal"));
    assert_eq!(second["texts/b/b/LICENSE"].1, b"freer\n");
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    let left = std::fs::read_dir(checkout.root()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.display().to_string().starts_with(".licences")));
}
