//! Signatures that a manifest asks for, made with real keys of ssh-keygen and gpg.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::project::Project;
use crate::origin::git::Upstream;
use crate::tier;

/// A directory with keys, and how git is told to sign with one.
struct Keys {
    dir: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        Keys { dir: tempfile::tempdir().unwrap() }
    }

    fn run(&self, argv: &[&str]) -> String {
        let output = Command::new(argv[0]).args(&argv[1..]).env("GNUPGHOME", self.dir.path()).output().unwrap();
        assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A new ssh key; its line for allowed_signers.
    fn ssh(&self, name: &str) -> String {
        let file = self.path(name);
        self.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file.to_str().unwrap()]);
        let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
        format!("{name}@example.org {public}")
    }

    fn fingerprint(&self, name: &str) -> String {
        let line = self.run(&["ssh-keygen", "-l", "-f", self.path(name).to_str().unwrap()]);
        line.split(' ').nth(1).unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the repository sign with that ssh key.
    fn sign_with(&self, upstream: &Upstream, name: &str) {
        upstream.git(&["config", "gpg.format", "ssh"]);
        upstream.git(&["config", "user.signingKey", self.path(name).to_str().unwrap()]);
        upstream.git(&["config", "commit.gpgSign", "true"]);
    }
}

fn has(program: &str) -> bool {
    let has = which::which(program).is_ok();
    if !has {
        tier::skip(&format!("there is no {program}"));
    }
    has
}

fn commit_policy() -> &'static str {
    "branch = 'main', require-signed = 'commit', allowed-signers = 'keys/a'"
}

#[test]
fn commits_of_others_and_unsigned_ones_are_refused_and_the_signer_is_named() {
    if !has("ssh-keygen") {
        return;
    }
    let (project, keys) = (Project::new(), Keys::new());
    project.checkout.write("manifests/keys/a", &keys.ssh("ann"));
    keys.ssh("mallory");
    let upstream = project.upstream("a");
    project.track(commit_policy());
    project.refused(&["update"], &["source `a` is refused: it is not signed", "manifests/keys/a"]);
    keys.sign_with(&upstream, "ann");
    let good = upstream.commit("f", "two\n");
    project.ok(&["update"]);
    assert_eq!(project.commit("a"), good);
    let before = project.lock();

    keys.sign_with(&upstream, "mallory");
    let bad = upstream.commit("f", "evil\n");
    let fingerprint = keys.fingerprint("mallory");
    for args in [&["update"][..], &["pin", "a", &bad]] {
        project.refused(args, &[&bad, "it was signed with ED25519 key", &fingerprint, "does not list"]);
    }
    assert_eq!(project.lock(), before);
    // A lock that somebody wrote by hand is no way around it.
    std::fs::remove_dir_all(project.checkout.path(".xtask")).unwrap();
    project.checkout.write("manifests/m.lock", &before.replace(&good, &bad));
    project.refused(&["fetch"], &[&bad, "it was signed with"]);
    project.checkout.write("manifests/m.lock", &before);
    project.ok(&["fetch"]);
    assert_eq!(project.checkout.read(".xtask/src/a/f"), "two\n");
    // Neither is what the user's own configuration trusts.
    let home = project.checkout.root().parent().unwrap().join("home");
    let trusting = home.join("trusting");
    std::fs::write(&trusting, std::fs::read_to_string(keys.path("mallory.pub")).map(|key| format!("m {key}")).unwrap())
        .unwrap();
    let setting = format!("[gpg \"ssh\"]\n\tallowedSignersFile = {}\n", trusting.display());
    std::fs::write(home.join(".gitconfig"), setting).unwrap();
    project.refused(&["update"], &["it was signed with"]);
}

#[test]
fn a_tag_must_be_signed_and_be_called_as_it_was_signed() {
    if !has("ssh-keygen") {
        return;
    }
    let (project, keys) = (Project::new(), Keys::new());
    project.checkout.write("manifests/keys/a", &keys.ssh("ann"));
    let upstream = project.upstream("a");
    let one = upstream.git(&["rev-parse", "HEAD"]);
    let policy = |tag: &str| format!("tag = '{tag}', require-signed = 'tag', allowed-signers = 'keys/a'");
    upstream.git(&["tag", "light"]);
    project.track(&policy("light"));
    project.refused(&["update"], &["tag `light`", "not signed, only a name"]);
    upstream.git(&["tag", "-a", "-m", "x", "v0"]);
    project.track(&policy("v0"));
    project.refused(&["update"], &["tag `v0` of source `a` is refused: it is not signed"]);
    keys.sign_with(&upstream, "ann");
    upstream.git(&["tag", "-s", "-m", "x", "v1"]);
    project.track(&policy("v1"));
    project.ok(&["update"]);
    assert_eq!(project.commit("a"), one);
    assert!(project.lock().contains("signed-tag = "), "{}", project.lock());
    assert_eq!(project.ok(&["update"]).trim(), "every pin is what its origin says now");
    // From nothing, by the lock alone, even when the tag is no longer called so.
    upstream.commit("f", "two\n");
    upstream.git(&["tag", "-s", "-m", "x", "v2"]);
    std::fs::remove_dir_all(project.checkout.store()).unwrap();
    std::fs::remove_dir_all(project.checkout.path(".xtask")).unwrap();
    project.ok(&["fetch"]);
    project.ok(&["pin", "a", "v2"]);
    project.refused(&["pin", "a", &one], &["a signed tag is wanted"]);
    upstream.git(&["update-ref", "refs/tags/v3", "v1"]);
    project.track(&policy("v3"));
    project.refused(&["update"], &["tag `v3`", "what was signed is called `v1`"]);
}

#[test]
fn a_keyring_says_whose_openpgp_signatures_are_taken() {
    if !has("gpg") {
        return;
    }
    let (project, keys) = (Project::new(), Keys::new());
    for name in ["Ann <ann@example.org>", "Mallory <mallory@example.org>"] {
        keys.run(&["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", name, "ed25519", "sign"]);
    }
    project.checkout.write("manifests/keys/a", &keys.run(&["gpg", "--armor", "--export", "ann@example.org"]));
    let upstream = project.upstream("a");
    let gpg = keys.path("gpg.sh");
    executable(&gpg, &format!("#!/bin/sh\nGNUPGHOME={} exec gpg \"$@\"\n", keys.dir.path().display()));
    upstream.git(&["config", "gpg.program", gpg.to_str().unwrap()]);
    upstream.git(&["config", "commit.gpgSign", "true"]);
    upstream.git(&["config", "user.signingKey", "ann@example.org"]);
    let good = upstream.commit("f", "two\n");
    project.track(commit_policy());
    project.ok(&["update"]);
    assert_eq!(project.commit("a"), good);
    upstream.git(&["config", "user.signingKey", "mallory@example.org"]);
    upstream.commit("f", "evil\n");
    project.refused(&["update"], &["it was signed with EDDSA key", "does not list"]);
    keys.run(&["gpgconf", "--kill", "all"]);
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_policy_that_cannot_hold_is_shown_where_it_stands() {
    let project = Project::new();
    project.upstream("a");
    project.track("branch = 'main', require-signed = 'tag'");
    project.refused(
        &["list"],
        &["nobody is said to sign this source", "a signed tag is wanted, but this origin names no tag"],
    );
    project.track("branch = 'main', allowed-signers = '../x'");
    project.refused(&["list"], &["these signers are not asked for", "no file below the manifest's directory"]);
    project.track("branch = 'main', require-signed = 'commit', allowed-signers = 'nowhere'");
    project.refused(&["update"], &["cannot read the allowed signers", "manifests/nowhere"]);
}
