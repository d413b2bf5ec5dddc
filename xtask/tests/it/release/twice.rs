//! The same bytes whoever packs, wherever and however.

use std::fs;
use std::process::Command;

use super::small::{NAME, packed, project};
use crate::build::checkout::{Checkout, files, sealed};
use crate::build::run::ran;

#[test]
fn an_archive_is_the_same_bytes_in_all_circumstances() {
    if !sealed() {
        return;
    }
    let (one, other) = (project(), project());
    // modes that a umask makes, times, locale and place differ
    for path in ["top/Makefile", "top/xen/Makefile", "fw/src.c"] {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(other.path(path), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let formats = ["gz", "xz", "zst"].into_iter().filter(|format| *format != "zst" || cfg!(feature = "extras"));
    for format in formats {
        let first = one.run(&["tarball", "--format", format, "--jobs", "1"]);
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        let script = format!("umask 077; exec \"$0\" tarball --format {format} --jobs 3");
        let command = other.command(&[]);
        let program = command.get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(program).current_dir(other.root()).env_clear();
        let env: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        shell.envs(env).env("TZ", "Asia/Kathmandu").env("LC_ALL", "C").env("USER", "somebody");
        let second = ran(&mut shell);
        assert_eq!(second.code, Some(0), "{}", second.stderr);
        let bytes = |checkout: &Checkout| fs::read(checkout.path(&format!("{NAME}.tar.{format}"))).unwrap();
        assert!(bytes(&one) == bytes(&other), "{format}");
        let sum = Command::new("sha256sum")
            .arg("-c")
            .arg(format!("{NAME}.tar.{format}.sha256"))
            .current_dir(one.root())
            .output();
        assert!(sum.unwrap().status.success());
    }
}

#[test]
fn each_source_is_in_its_place_and_ours_is_in_nobody_s_way() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let archive = packed(&checkout, &[]);
    let unpacked = checkout.path("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let status = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&unpacked).status().unwrap();
    assert!(status.success());
    let top = unpacked.join(NAME);
    let files = files(&top);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let wanted = [
        "GNUmakefile",
        "Makefile",
        "configure",
        "sultana/BUILDING",
        "sultana/SHA256SUMS",
        "sultana/components/fw.toml",
        "sultana/components/top.toml",
        "sultana/licences/manifest.csv",
        "sultana/licences/manifest.json",
        "sultana/manifests/m.lock",
        "sultana/manifests/m.toml",
        "sultana/sbom.cdx.json",
        "sultana/sbom.spdx.json",
        "sultana/tarball.toml",
        "tools/firmware/fw-dir/.config",
        "tools/firmware/fw-dir/.version",
        "tools/firmware/fw-dir/src.c",
        "xen/Makefile",
    ];
    assert_eq!(names, wanted);
    assert_eq!(files["configure"].0, 0o755);
    assert_eq!(files["GNUmakefile"].1, b"Makefile");
    // made in the sandbox: its time, its user
    let config = String::from_utf8_lossy(&files["tools/firmware/fw-dir/.config"].1).into_owned();
    assert!(config.contains("1980") && config.ends_with("0022\n0\n"), "{config}");
    let spdx: serde_json::Value = serde_json::from_slice(&files["sultana/sbom.spdx.json"].1).unwrap();
    assert_eq!(spdx["name"], format!("sultana-{NAME}"));
    assert!(spdx["creationInfo"]["created"].as_str().unwrap().starts_with("1980-"));
    let cyclonedx: serde_json::Value = serde_json::from_slice(&files["sultana/sbom.cdx.json"].1).unwrap();
    let parts: Vec<&str> =
        cyclonedx["components"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert!(parts.contains(&"fw") && parts.contains(&"top"), "{parts:?}");
    assert!(text(&files["sultana/licences/manifest.csv"].1).contains("\ncomponent,fw,"));
    let sums = Command::new("sha256sum").args(["-c", "sultana/SHA256SUMS"]).current_dir(&top).output().unwrap();
    assert!(sums.status.success(), "{sums:?}");
    let index: toml::Table = toml::from_str(&text(&files["sultana/tarball.toml"].1)).unwrap();
    assert_eq!(index["sources"]["top"]["without"].to_string(), r#"["sultana", "tools"]"#);
    assert_eq!(index["sources"]["fw"]["without"].to_string(), r#"[".config"]"#);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_signature_is_verified_before_it_is_taken() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let sign = "sha512sum < \"$FILE\" > \"$SIGNATURE\"";
    let verify = "sha512sum < \"$FILE\" | cmp - \"$SIGNATURE\"";
    packed(&checkout, &["--sign", sign, "--sign-verify", verify, "--sign-suffix", "sig"]);
    assert!(checkout.path(&format!("{NAME}.tar.gz.sig")).is_file());
    let ran = super::small::tarball(
        &checkout,
        &["--sign", "echo x > \"$SIGNATURE\"", "--sign-verify", verify, "--sign-suffix", "sig"],
    );
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("is not one"), "{}", ran.stderr);
    let left: Vec<_> = fs::read_dir(checkout.root()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("sig")), "{left:?}");
}
