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
