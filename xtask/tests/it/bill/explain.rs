//! `explain` of files that real steps installed.

use super::project::project;

#[test]
fn a_file_is_explained_wherever_it_stands() {
    let project = project();
    let checkout = &project.checkout;
    project.refused(&["explain", "/usr/f"], &["no file that we put", "help: cargo xtask build"]);
    checkout.built(&["--no-sandbox"]);
    let root = checkout.root().with_file_name("image");
    project.ok(&["install", "--root", root.to_str().unwrap()]);
    let installed = root.join("usr/f");
    for args in [
        &["explain", "/usr/f"][..],
        &["explain", "usr/f"],
        &["explain", "dist/usr/f"],
        &["explain", installed.to_str().unwrap()],
        &["explain", "/usr/f", "--root", root.to_str().unwrap()],
    ] {
        let json = project.json(&[args, &["--json"]].concat());
        assert_eq!((&json["component"], &json["file"]), (&"a".into(), &"/usr/f".into()), "{args:?}");
        assert_eq!(json["sources"][0]["version"], project.commit("a").as_str());
        assert_eq!(
            (&json["patches"][0], &json["steps"][0]["name"]),
            (&"components/a/0001-two.patch".into(), &"run".into())
        );
        assert_eq!((&json["exact"], json["notes"].as_array().unwrap().len()), (&false.into(), 0), "{json:#}");
    }
    assert!(project.ok(&["explain", "dist/usr/link"]).contains("is         link to f\n"));
    project.refused(&["explain", "dist/usr"], &["it is a directory", "help: cargo xtask explain /usr/"]);
    project.refused(&["explain", "/usr/ff"], &["help: cargo xtask explain /usr/f"]);

    // What is no longer so is said.
    std::fs::write(&installed, "mine\n").unwrap();
    let changed = project.ok(&["explain", installed.to_str().unwrap()]);
    assert!(changed.contains("its content was changed since"), "{changed}");
    checkout.write(".xtask/src/a/f2", "new\n");
    let moved = project.ok(&["explain", "/usr/f"]);
    assert!(moved.contains("`a` has changed since this was built (cargo xtask why a)"), "{moved}");
    let words = project.ok(&["complete", "--", "xtask", "explain", "/usr/l"]);
    assert_eq!(words, "/usr/link\n");
}

#[test]
fn of_several_steps_the_one_that_named_the_file_is_told() {
    let project = project();
    let checkout = &project.checkout;
    let step = |name: &str, run: &str| format!("[[step]]\nname = '{name}'\nrun = ['sh', '-ec', '{run}']\n");
    let steps = [
        step("one", "mkdir -p {stage}/usr && echo 1 > {stage}/usr/one"),
        step("two", "cd {stage}/usr && for x in 2 3; do echo > f$x; echo \"wrote {stage}/usr/f$x\"; done"),
        step("three", "test -e {stage}/usr"),
    ];
    checkout.component("b", &format!("[build.steps]\n{}", steps.concat()));
    checkout.write("manifests/m.toml", &checkout.read("manifests/m.toml").replace("['a']", "['a', 'b']"));
    checkout.built(&["--no-sandbox"]);
    let told = |file: &str| {
        let json = project.json(&["explain", file, "--json"]);
        let steps = json["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap().to_owned());
        steps.collect::<Vec<_>>().join(" ")
    };
    assert_eq!((told("/usr/one"), told("/usr/f3")), ("one".into(), "two".into()), "by its line, by its log");
    std::fs::remove_dir_all(checkout.path(".xtask/log/b")).unwrap();
    assert_eq!(told("/usr/f3"), "one two three", "nothing tells");
}
