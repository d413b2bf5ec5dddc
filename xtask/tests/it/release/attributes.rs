//! What attributes of git say of an archive: ours has what `git archive` gives, byte for byte.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Command;

use flate2::read::GzDecoder;

use super::small::{NAME, packed, project, tarball};
use crate::build::checkout::{Checkout, sealed};
use crate::build::run::ran;
use crate::origin::git::{Upstream, git_in};

/// Files and links of an archive of ours below `at`.
fn members(archive: &Path, at: &str) -> BTreeMap<String, Vec<u8>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(File::open(archive).unwrap())).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let Some(path) = path.strip_prefix(&format!("{NAME}/{at}/")).map(str::to_owned) else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        match entry.link_name().unwrap() {
            Some(target) => drop(members.insert(path, target.into_owned().into_os_string().into_encoded_bytes())),
            None if entry.header().entry_type().is_file() => drop(members.insert(path, bytes)),
            None => {}
        }
    }
    members
}

/// The same of what `git archive` gives of a commit, below `at`.
fn archived(repository: &Path, commit: &str, at: &str, into: &Path) -> BTreeMap<String, Vec<u8>> {
    let file = into.join("archive.tar");
    git_in(repository, &["archive", "--format=tar", "-o", file.to_str().unwrap(), commit]);
    let dir = tempfile::tempdir_in(into).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(dir.path()).status().unwrap().success());
    let files = crate::build::checkout::files(dir.path());
    files.into_iter().map(|(path, (_, bytes))| (format!("{at}{path}"), bytes)).collect()
}

/// A repository with every kind of attribute, and a submodule with its own.
fn upstream(dir: &Path) -> (Upstream, Upstream) {
    let inner = Upstream::new(dir.join("inner"));
    fs::write(inner.dir.join(".gitattributes"), "id export-subst\n*.bin export-ignore\n").unwrap();
    fs::write(inner.dir.join("x.bin"), "1").unwrap();
    inner.commit("id", "$Format:%H %s$\n");
    let top = Upstream::new(dir.join("fw"));
    for (path, text) in [
        (
            ".gitattributes",
            "[attr]private export-ignore\n.gitattributes export-ignore\n/tests private\n.info export-subst\n*.c text\n",
        ),
        (".info", "Changeset: $Format:%H$\nCommit date: $Format:%cD$ $Format:%an <%ae>$ $Format:$ $Id$\n"),
        (
            "deep/.gitattributes",
            "*.dat export-ignore\nkeep.dat -export-ignore\nv export-subst\nvendor/ export-ignore\n",
        ),
        ("deep/v", "$Format:%T %P %ct$ $Format:%B$"),
        ("deep/a.dat", ""),
        ("deep/keep.dat", "$Format:%H$"),
        ("deep/more/b.dat", ""),
        ("deep/vendor/lib.c", ""),
        ("tests/t.c", ""),
        (".version", "rel-1.0\n"),
        ("src.c", "int main;\n"),
    ] {
        fs::create_dir_all(top.dir.join(path).parent().unwrap()).unwrap();
        fs::write(top.dir.join(path), text).unwrap();
    }
    std::os::unix::fs::symlink("../src.c", top.dir.join("deep/link.dat2")).unwrap();
    top.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &inner.url(), "inner"]);
    top.commit("deep/last", "last\n");
    top.git(&["tag", "v1"]);
    (top, inner)
}

/// The small manifest with `fw` from that repository.
fn with_upstream(fw: &Upstream) -> Checkout {
    let checkout = project();
    let manifest = checkout.read("manifests/m.toml");
    let git = format!("fw.git = {{ urls = ['{}'], tag = 'v1', submodules = true }}", fw.url());
    checkout.write("manifests/m.toml", &manifest.replace("fw.path.dir = \"fw\"", &git));
    let ran = checkout.run(&["update"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    checkout
}

#[test]
fn an_archive_has_of_a_source_what_git_archive_gives() {
    if !sealed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (fw, inner) = upstream(dir.path());
    let checkout = with_upstream(&fw);
    let archive = packed(&checkout, &[]);
    let mut ours = members(&archive, "tools/firmware/fw-dir");
    assert!(ours.remove(".config").is_some());
    let mut wanted = archived(&fw.dir, "v1", "", dir.path());
    wanted.extend(archived(&inner.dir, "HEAD", "inner/", dir.path()));
    assert_eq!(ours, wanted);
    let info = String::from_utf8_lossy(&ours[".info"]).into_owned();
    assert!(info.starts_with(&format!("Changeset: {}\n", fw.git(&["rev-parse", "v1"]))), "{info}");
    assert!(
        !ours.contains_key("deep/a.dat") && ours.contains_key("deep/keep.dat") && !ours.contains_key("inner/x.bin")
    );

    // The archive is what the lock says, and a working tree in which nothing was changed.
    let ran_verify = checkout.run(&["verify-tarball", "--no-build", archive.to_str().unwrap()]);
    assert_eq!(ran_verify.code, Some(0), "{}", ran_verify.stderr);
    let top = dir.path().join("unpacked");
    fs::create_dir(&top).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&top).status().unwrap().success());
    let built = ran(checkout.command(&["build", "--offline"]).current_dir(top.join(NAME).join("sultana")));
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    built.never_says(&["is not as it was in the archive"]);
}

#[test]
fn attributes_of_this_machine_decide_nothing() {
    if !sealed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (fw, _) = upstream(dir.path());
    let checkout = with_upstream(&fw);
    let usual = fs::read(packed(&checkout, &[])).unwrap();
    fs::write(checkout.path(".xtask/src/fw/.git/info/attributes"), "src.c export-ignore\n").unwrap();
    let home = checkout.root().with_file_name("home");
    fs::create_dir_all(home.join(".config/git")).unwrap();
    fs::write(home.join(".config/git/attributes"), "src.c export-ignore\n").unwrap();
    fs::write(home.join(".gitconfig"), "[core]\n\tabbrev = 40\n[tar]\n\tumask = user\n").unwrap();
    assert!(fs::read(packed(&checkout, &[])).unwrap() == usual);
}

#[test]
fn what_git_would_say_otherwise_tomorrow_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (fw, _) = upstream(dir.path());
    fw.commit(".info", "made $Format:%cr$\n");
    fw.git(&["tag", "-f", "v1"]);
    let ran = tarball(&with_upstream(&fw), &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["cannot release source `fw`: its `.info` does not stay the same", "it says `%cr`"]);
}
