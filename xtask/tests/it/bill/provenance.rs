//! `provenance`, signed with a real key.

use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

use super::project::project;
use crate::build::checkout::sealed;
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
    let pack = |more: &[&str]| project.json(&[&["--json", "tarball", "--format", "gz", "--out", "out"], more].concat());
    let packed = pack(&["--provenance"]);
    let path = |key: &str| std::path::PathBuf::from(packed[key].as_str().unwrap());
    let (file, stated) = (path("file"), path("provenance"));
    assert_eq!(stated.to_str().unwrap(), format!("{}.intoto.json", file.display()));
    let statement: Value = serde_json::from_slice(&std::fs::read(&stated).unwrap()).unwrap();
    assert_eq!(statement["subject"][0]["digest"]["sha256"], sum(&file).as_str());
    assert_eq!(statement["predicate"]["buildDefinition"]["externalParameters"]["format"], "tar.gz");
    let find = dependencies(&statement);
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
    project.ok(&["package", "tar", "--provenance"]);
    let packages = checkout.path(".xtask/packages/tar");
    let lines = std::fs::read_to_string(packages.join("provenance.intoto.jsonl")).unwrap();
    let statements: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [statement] = &statements[..] else { panic!("one for all of `a`: {lines}") };
    let subject = &statement["subject"][0];
    assert_eq!(subject["digest"]["sha256"], sum(&packages.join(subject["name"].as_str().unwrap())).as_str());
    let a: Value = serde_json::from_str(&project.ok(&["provenance", "a"])).unwrap();
    let find = dependencies(statement);
    let (build, details) = (find("component a"), &a["predicate"]["runDetails"]);
    assert_eq!(build["annotations"]["action"], details["metadata"]["invocationId"], "its own statement says more");
    assert_eq!(build["digest"], details["byproducts"][0]["digest"]);
    assert_eq!(find("source a")["digest"]["gitCommit"], project.commit("a").as_str());
    assert_eq!(find("source b")["digest"]["sha256"].as_str().unwrap().len(), 64, "which has no commit");
    project.ok(&["package", "tar"]);
    assert!(!packages.join("provenance.intoto.jsonl").exists(), "it was of an earlier run's");
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
    let packed = ["package", "tar", "--provenance", "--sign", &sign, "--sign-verify", &verify];
    project.ok(&packed);
    let lines = project.checkout.read(".xtask/packages/tar/provenance.intoto.dsse.jsonl");
    let types = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["payloadType"].clone());
    assert_eq!(types.collect::<Vec<_>>(), [kind]);
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
