//! `sbom` in both forms.

use std::process::Command;

use serde_json::Value;

use super::project::project;
use super::validators;

fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|one| one[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value} in {list:#}"))
}

#[test]
fn a_bill_names_pins_patches_needs_and_what_the_system_has() {
    let project = project();
    let commit = project.commit("a");
    let spdx = project.json(&["sbom"]);
    let a = find(&spdx["packages"], "SPDXID", "SPDXRef-source-a");
    assert_eq!(a["downloadLocation"], format!("git+{}@{commit}", project.url("a")));
    assert_eq!(find(&spdx["packages"], "name", "m")["versionInfo"], commit.as_str());
    assert!(
        find(&spdx["packages"], "SPDXID", "SPDXRef-patch-a-0001-two.patch")["checksums"][0]["checksumValue"]
            .is_string()
    );
    let relations: Vec<String> = spdx["relationships"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let word = |key: &str| one[key].as_str().unwrap().trim_start_matches("SPDXRef-").to_owned();
            format!("{} {} {}", word("spdxElementId"), word("relationshipType"), word("relatedSpdxElement"))
        })
        .collect();
    for relation in [
        "DOCUMENT DESCRIBES result",
        "component-a GENERATED_FROM source-a",
        "component-a DEPENDS_ON component-b",
        "system-c OPTIONAL_DEPENDENCY_OF component-a",
        "patch-a-0001-two.patch PATCH_FOR component-a",
    ] {
        assert!(relations.contains(&relation.to_owned()), "{relation}: {relations:#?}");
    }
    assert_eq!(spdx["hasExtractedLicensingInfos"][0]["licenseId"], "LicenseRef-theirs");

    let cyclonedx = project.json(&["sbom", "--format", "cyclonedx"]);
    let a = find(&cyclonedx["components"], "bom-ref", "component-a");
    assert_eq!(a["pedigree"]["patches"][0]["diff"]["url"], "components/a/0001-two.patch");
    assert_eq!(a["pedigree"]["ancestors"][0]["externalReferences"][0]["comment"], format!("commit {commit}"));
    assert_eq!(find(&cyclonedx["dependencies"], "ref", "component-a")["dependsOn"][0], "component-b");
    assert_eq!(find(&cyclonedx["components"], "bom-ref", "system-c")["scope"], "optional");
    // Of one component: nothing of the others.
    let b = project.json(&["sbom", "b"]);
    assert!(
        b["packages"].as_array().unwrap().iter().all(|one| !one["SPDXID"].as_str().unwrap().contains("-a")),
        "{b:#}"
    );
}

#[test]
fn a_bill_is_the_same_at_another_time_and_place() {
    let project = project();
    for format in ["spdx", "cyclonedx"] {
        let args = ["sbom", "--format", format];
        let here = project.ok(&args);
        let mut elsewhere = project.checkout.command(&args);
        let root = project.checkout.root().with_file_name("moved");
        let copied = Command::new("cp").arg("-a").arg(project.checkout.root()).arg(&root).status().unwrap();
        assert!(copied.success());
        let ended = elsewhere.current_dir(&root).env("TZ", "Asia/Kolkata").env("LC_ALL", "C").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stdout), here, "{}", String::from_utf8_lossy(&ended.stderr));
        std::fs::remove_dir_all(&root).unwrap();
    }
}

#[test]
fn what_is_not_pinned_or_not_its_pin_is_not_told_as_if_it_were() {
    let project = project();
    project.checkout.write(".xtask/src/a/f", "mine\n");
    let ran = project.checkout.run(&["sbom"]);
    assert!(ran.stdout.contains("+local"), "{}", ran.stdout);
    ran.says(&["source `a` is not what the lock names"]);
    project.refused(&["sbom", "--files"], &["not built: a b", "help: cargo xtask build a b"]);
    std::fs::remove_file(project.checkout.path("manifests/m.lock")).unwrap();
    project.refused(&["sbom"], &["has no lock", "help: cargo xtask update"]);
}

#[test]
fn installed_files_have_their_digests() {
    let project = project();
    project.checkout.built(&["--no-sandbox"]);
    let spdx = project.json(&["sbom", "--files"]);
    let file = find(&spdx["files"], "fileName", "./usr/f");
    // of "two\n"
    assert_eq!(file["checksums"][0]["checksumValue"], "7bbef45b3bc70855010e02460717643125c3beca");
    assert!(find(&spdx["packages"], "SPDXID", "SPDXRef-component-a")["packageVerificationCode"].is_object());
}

#[test]
fn the_default_manifests_bills_pass_the_public_validators() {
    let Some(python) = validators::python() else { return };
    crate::default_manifest::dist(&[]);
    let root = crate::repository();
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (format, ending) in [("spdx", "spdx"), ("cyclonedx", "cdx")] {
        for more in [&[][..], &["--files"]] {
            let file = dir.path().join(format!("{}.{ending}.json", more.len()));
            let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
            command.args(["sbom", "--format", format, "--out"]).arg(&file).args(more).current_dir(root);
            let ended = command.output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
            files.push(file);
        }
    }
    validators::check(&python, &files);
    let spdx: Value = serde_json::from_slice(&std::fs::read(&files[0]).unwrap()).unwrap();
    let purls = spdx["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["externalRefs"][0]["referenceLocator"].as_str());
    assert!(purls.clone().any(|purl| purl.starts_with("pkg:deb/debian/xen@4.17.5")), "{spdx:#}");
    assert!(purls.clone().any(|purl| purl.starts_with("pkg:cargo/rustls@")), "{spdx:#}");
    assert!(!purls.clone().any(|purl| purl.starts_with("pkg:cargo/proptest@")), "it is only used by tests");
}
