//! `provenance`, signed with a real key.

use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

use super::project::project;
use crate::build::checkout::sealed;
use crate::build::run::ran;
use crate::origin::git::git_in;
use crate::tier;

#[test]
fn a_statement_names_what_came_out_and_what_went_in() {
    let project = project();
    let checkout = &project.checkout;
    project.refused(&["provenance"], &["`b` was not built here yet", "help: cargo xtask build b"]);
    checkout.built(&["--no-sandbox"]);
    project.refused(&["provenance"], &["cannot vouch for `b`: it was built without the sandbox"]);
    if !sealed() {
        return;
    }
    checkout.built(&[]);
    let a: Value = serde_json::from_str(&project.ok(&["provenance", "a"])).unwrap();
    let two = "27dd8ed44a83ff94d557f9fd0412ed5a8cbca69ea04922d88c01184a07300a5a";
    assert_eq!((&a["subject"][0]["name"], &a["subject"][0]["digest"]["sha256"]), (&"usr/f".into(), &two.into()));
    let definition = &a["predicate"]["buildDefinition"];
    let materials = definition["resolvedDependencies"].as_array().unwrap();
    let find = |name: &str| materials.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {a:#}"));
    assert_eq!(find("source a")["digest"]["gitCommit"], project.commit("a").as_str());
    for name in ["src", "deps", "patches/0001-0001-two.patch", "sh"] {
        assert_eq!(find(name)["digest"]["sha256"].as_str().unwrap().len(), 64);
    }
    let steps = definition["internalParameters"]["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["name"], "run");
    assert_eq!(project.ok(&["provenance"]).lines().count(), 2, "of each component");

    // Not only files: each thing that would give another action.
    let changed =
        ["cannot vouch for `b`: what it is built from has changed since it was built", "help: cargo xtask build b"];
    let definition = checkout.read("components/b.toml");
    checkout.write("components/b.toml", &definition.replace("echo >", "echo x >"));
    project.refused(&["provenance", "b"], &changed);
    checkout.built(&["b", "--only"]);
    project.ok(&["provenance", "b"]);
    project.refused(&["provenance", "a"], &["cannot vouch for `a`: what it is built from has changed"]);
    checkout.built(&[]);
    checkout.write("b/new", "");
    project.refused(&["provenance", "b"], &changed);
}

/// The SHA-256 that `sha256sum` has for a file.
fn sum(path: &std::path::Path) -> String {
    let out = Command::new("sha256sum").arg(path).output().unwrap().stdout;
    String::from_utf8(out).unwrap().split_whitespace().next().unwrap().to_owned()
}

fn dependencies(statement: &Value) -> impl Fn(&str) -> Value + '_ {
    let all = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
    move |name| all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name}: {all:#?}")).clone()
}

#[test]
fn an_archive_says_which_commits_it_was_made_of() {
    let project = project();
    let definition = project.checkout.read("components/a.toml");
    project.checkout.write("components/a.toml", &format!("{definition}[tarball]\nat = '.'\n"));
    project.ok(&["freeze"]);
    let git = |args: &[&str]| git_in(&project.checkout.root(), args);
    git(&["init", "-q"]);
    git(&["add", "components", "manifests", "b"]);
    git(&["commit", "-q", "-m", "one"]);
    let pack = |more: &[&str]| project.json(&[&["--json", "tarball", "--format", "gz"], more].concat());
    let packed = pack(&["--provenance"]);
    let path = |key: &str| std::path::PathBuf::from(packed[key].as_str().unwrap());
    let (file, stated) = (path("file"), path("provenance"));
    assert_eq!(stated.to_str().unwrap(), format!("{}.intoto.json", file.display()));
    let statement: Value = serde_json::from_slice(&std::fs::read(&stated).unwrap()).unwrap();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], sum(&file).as_str());
    assert_eq!(statement["predicate"]["buildDefinition"]["externalParameters"]["format"], "tar.gz");
    let find = dependencies(&statement);
    let repository = find("repository");
    assert_eq!(repository["digest"]["gitCommit"], git(&["rev-parse", "HEAD"]).trim());
    assert_eq!(repository["annotations"], Value::Null, "the archive itself is no work that is not committed");
    assert_eq!(find("source a")["digest"]["gitCommit"], project.commit("a").as_str());
    assert_eq!(find("patch 0001-two.patch")["digest"]["sha256"].as_str().unwrap().len(), 64);

    assert_eq!(pack(&[])["provenance"], Value::Null);
    assert!(!stated.exists(), "what was stated of an earlier archive is not true of this one");
}

#[test]
fn packages_say_which_builds_they_were_made_of() {
    if !sealed() {
        return;
    }
    let project = project();
    let checkout = &project.checkout;
    checkout.built(&["--no-sandbox"]);
    let local = checkout.run(&["package", "tar", "--provenance", "--allow-local"]);
    assert_eq!(local.code, Some(2), "nobody knows all that those are made of");
    checkout.built(&[]);
    let list = || {
        let names = std::fs::read_dir(checkout.path(".xtask/packages/tar")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let packed = project.json(&["--json", "package", "tar", "--provenance"]);
    let stated = packed["provenance"][0].as_str().unwrap();
    let file = packed["packages"][0]["file"].as_str().unwrap();
    assert_eq!(stated, format!("{file}.intoto.json"));
    assert_eq!(list().len(), 3, "the package of `a`, its statement and their sums");
    let read = || -> Value { serde_json::from_slice(&std::fs::read(stated).unwrap()).unwrap() };
    let statement = read();
    let subject = &statement["subject"][0];
    assert_eq!(subject["name"], file.rsplit('/').next().unwrap());
    assert_eq!(subject["digest"]["sha256"], sum(file.as_ref()).as_str());
    let a: Value = serde_json::from_str(&project.ok(&["provenance", "a"])).unwrap();
    let find = dependencies(&statement);
    let (build, details) = (find("component a"), &a["predicate"]["runDetails"]);
    assert_eq!(build["annotations"]["action"], details["metadata"]["invocationId"], "its own statement says more");
    assert_eq!(build["digest"], details["byproducts"][0]["digest"]);
    assert_eq!(find("source a")["digest"]["gitCommit"], project.commit("a").as_str());
    assert_eq!(find("source b")["digest"]["sha256"].as_str().unwrap().len(), 64, "which has no commit");

    // What was edited is of no commit.
    checkout.write(".xtask/src/a/new", "");
    checkout.built(&[]);
    project.ok(&["package", "tar", "--provenance", "--revision", "2"]);
    let names = list();
    assert_eq!(names.len(), 3, "{names:?}");
    let stated = names.iter().find(|name| name.to_str().unwrap().ends_with(".intoto.json")).unwrap();
    let statement: Value = serde_json::from_slice(&std::fs::read(stated).unwrap()).unwrap();
    let source = dependencies(&statement)("source a");
    assert_eq!((&source["digest"]["gitCommit"], &source["uri"]), (&Value::Null, &Value::Null), "{source}");
    assert_eq!(source["digest"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(source["annotations"]["modified"], "differs from its pin");
    project.ok(&["package", "tar", "--revision", "2"]);
    assert_eq!(list().len(), 2, "nobody stated how these were made");
}

#[test]
fn what_signs_other_things_is_asked_for_statements_only() {
    if !sealed() {
        return;
    }
    let project = project();
    let checkout = &project.checkout;
    checkout.built(&[]);
    let run = |args: &[&str]| {
        let mut command = checkout.command(&[&["package", "tar"], args].concat());
        ran(command.env("XTASK_SIGN", "exit 3"))
    };
    assert_eq!(run(&[]).code, Some(0));
    let lacks = run(&["--provenance"]);
    assert_eq!(lacks.code, Some(2));
    lacks.says(&["nothing verifies the signature", "help: XTASK_SIGN_VERIFY='gpg --verify"]);
    let fails = run(&["--provenance", "--sign-verify", "true"]);
    assert_eq!(fails.code, Some(3), "{}", fails.stderr);
    fails.says(&["cannot sign the provenance of", "`exit 3` failed"]);
    assert_eq!(run(&["--sign", "true"]).code, Some(2), "packages are not signed by it");
    let mut check = Command::new("sha256sum");
    let listed = check.args(["-c", "SHA256SUMS"]).current_dir(checkout.path(".xtask/packages/tar")).status().unwrap();
    assert!(listed.success(), "what nobody signed is there and listed");
}

#[test]
fn an_envelope_is_signed_over_type_and_payload() {
    if which::which("ssh-keygen").is_err() {
        return tier::skip("there is no ssh-keygen");
    }
    if !sealed() {
        return;
    }
    let project = project();
    project.checkout.built(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path("key")]).status().unwrap();
    assert!(made.success());
    let public = std::fs::read_to_string(path("key.pub")).unwrap();
    std::fs::write(path("allowed"), format!("ann {public}")).unwrap();
    let sign = format!("ssh-keygen -q -Y sign -f {} -n intoto < \"$FILE\" > \"$SIGNATURE\"", path("key"));
    let verify = format!("ssh-keygen -Y verify -f {} -I ann -n intoto -s \"$SIGNATURE\" < \"$FILE\"", path("allowed"));
    let out = path("out");
    let args = ["provenance", "a", "--out", &out, "--sign", &sign, "--sign-verify", &verify, "--sign-key", "ann"];
    project.ok(&args);
    let envelope: Value = serde_json::from_slice(&std::fs::read(path("out/a.intoto.dsse.json")).unwrap()).unwrap();
    assert_eq!(envelope["signatures"][0]["keyid"], "ann");
    let decoded = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
    let payload = decoded(&envelope["payload"]);
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let kind = envelope["payloadType"].as_str().unwrap();
    let signed = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), &payload].concat();
    std::fs::write(path("signed"), signed).unwrap();
    std::fs::write(path("signature"), decoded(&envelope["signatures"][0]["sig"])).unwrap();
    let packed = project.ok(&["package", "tar", "--provenance", "--sign", &sign, "--sign-verify", &verify]);
    let stated = packed.lines().find(|line| line.ends_with(".tar.xz.intoto.dsse.json")).unwrap();
    let of_package: Value = serde_json::from_slice(&std::fs::read(stated).unwrap()).unwrap();
    assert_eq!(of_package["payloadType"], kind);
    let check = Command::new("sh")
        .args(["-c", &verify])
        .env("FILE", path("signed"))
        .env("SIGNATURE", path("signature"))
        .output();
    assert!(check.unwrap().status.success());

    let wrong = ["provenance", "a", "--out", &out, "--sign", &sign, "--sign-verify", "false"];
    let ran = project.checkout.run(&wrong);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    ran.says(&["the signature of the provenance of `a` is not one"]);
    assert_eq!(project.checkout.run(&["provenance", "--sign", "true"]).code, Some(2), "nothing verifies it");
}
