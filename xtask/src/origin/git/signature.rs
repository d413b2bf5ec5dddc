//! Whether the right person signed a commit or a tag. git asks ssh-keygen or gpg, in a configuration where only the manifest's
//! signers are known: neither the user's keys nor settings have a say.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::super::Fetching;
use super::super::scratch::Scratch;
use super::mirror::Mirror;
use super::{ladder, objects};
use crate::definition::{Commit, Git, Name, Pin, Signed};
use crate::error::{Context, Error, Result};
use crate::process::Program;

/// The tag object that the lock names.
pub(super) fn locked_tag(ctx: &Fetching<'_>, source: &Name, pin: &Pin) -> Result<Commit> {
    pin.signed_tag.clone().ok_or_else(|| {
        Error::input(format!("the lock of `{}` names no signed tag of source `{source}`", ctx.manifest))
            .help(format!("cargo xtask update {source}"))
    })
}

/// The tag object that the origin's tag names now.
pub(super) fn newest_tag(ctx: &Fetching<'_>, source: &Name, git: &Git, urls: &[String]) -> Result<Commit> {
    let Some(tag) = &git.tag else {
        return Err(Error::input(format!("cannot take this revision of source `{source}`: a signed tag is wanted"))
            .help(format!("cargo xtask pin {source} TAG")));
    };
    let name = format!("refs/tags/{tag}");
    let found = ladder::advertised(ctx, &format!("source `{source}`"), urls, std::slice::from_ref(&name))?;
    let cannot = || format!("cannot take tag `{tag}` of source `{source}`");
    let id = found.get(&name).ok_or("its origin has no such tag").context(cannot)?;
    if !found.contains_key(&format!("{name}^{{}}")) {
        return Err(Error::input(format!("{}: it is not signed, only a name of commit {id}", cannot())));
    }
    Commit::try_from(id.clone()).context(cannot)
}

/// `Err` unless one of the manifest's signers signed `id`, a commit or a tag object.
pub(super) fn check(ctx: &Fetching<'_>, source: &Name, git: &Git, mirror: &Mirror, id: &Commit) -> Result<()> {
    let (Some(signed), Some(signers)) = (git.require_signed, &git.allowed_signers) else { return Ok(()) };
    let what = match signed {
        Signed::Tag => format!("tag `{}` of source `{source}`", tag_name(mirror, id)?),
        Signed::Commit => format!("commit {id} of source `{source}`"),
    };
    let home = Scratch::new(&ctx.layout.work().join("tmp"), "signature")?;
    let ssh = known_signers(ctx, &ctx.layout.root.join("manifests").join(signers), home.path())?;
    let git_dir = format!("--git-dir={}", mirror.dir().display());
    let mut allowed = OsString::from("gpg.ssh.allowedSignersFile=");
    allowed.push(&ssh);
    let verb = if signed == Signed::Tag { "verify-tag" } else { "verify-commit" };
    let settings = ["gpg.program=gpg", "gpg.ssh.program=ssh-keygen", "gpg.x509.program=false"];
    let mut argv = vec![OsString::from("git"), "-c".into(), allowed];
    argv.extend(settings.iter().flat_map(|setting| ["-c".into(), (*setting).into()]));
    argv.extend([git_dir.into(), verb.into(), id.as_str().into()]);
    let ended = alone(Program::new(argv), home.path()).run(ctx.cancel)?;
    if ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
    Err(Error::input(format!("{what} is refused: {}", verdict(&said, signers)))
        .because(if said.is_empty() { format!("git {verb} finds no signature") } else { said })
        .help(format!("who may sign stands in manifests/{signers}; to stay at what was: do not update {source}")))
}

/// `Err` unless the tag object calls itself as the manifest does: a server could show an older tag under a newer one's name.
pub(super) fn is_called(mirror: &Mirror, source: &Name, git: &Git, id: &Commit) -> Result<()> {
    let name = tag_name(mirror, id)?;
    if git.tag.as_ref() == Some(&name) {
        return Ok(());
    }
    let wanted = git.tag.as_deref().unwrap_or_default();
    Err(Error::input(format!("tag `{wanted}` of source `{source}` is refused: what was signed is called `{name}`")))
}

fn tag_name(mirror: &Mirror, id: &Commit) -> Result<String> {
    let cannot = || format!("cannot read tag {id}");
    let repository = objects(mirror.dir())?;
    let tag = repository.find_tag(Oid::from_str(id.as_str()).context(cannot)?).context(cannot)?;
    Ok(String::from_utf8_lossy(tag.name_bytes()).into_owned())
}

/// Makes the signers known: the file that ssh-keygen is to read, an empty one when gpg knows them.
fn known_signers(ctx: &Fetching<'_>, file: &Path, home: &Path) -> Result<PathBuf> {
    let cannot = || format!("cannot read the allowed signers in `{}`", file.display());
    let bytes = fs::read(file).map_err(|error| Error::input(cannot()).because(error))?;
    // gpg asks for that.
    fs::set_permissions(home, fs::Permissions::from_mode(0o700)).context(cannot)?;
    // OpenPGP packets begin with a byte above 127; armour says its name.
    let is_keyring = bytes.first().is_some_and(|byte| *byte > 127) || bytes.starts_with(b"-----BEGIN PGP");
    if !is_keyring {
        return Ok(file.to_path_buf());
    }
    let words = ["gpg", "--batch", "--quiet", "--no-autostart", "--import"].map(OsStr::new);
    alone(Program::new(words.into_iter().chain([file.as_os_str()])), home).run(ctx.cancel)?.success(cannot)?;
    Ok("/dev/null".into())
}

/// With nothing of the user's configuration.
fn alone(program: Program, home: &Path) -> Program {
    program
        .only_env(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("GNUPGHOME", home)
        .env("TMPDIR", home)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
}

/// What is wrong with a signature, from what git's helpers say in the C locale.
fn verdict(said: &str, signers: &str) -> String {
    let after =
        |word: &str| said.lines().find_map(|line| line.split_once(word).map(|(_, rest)| rest.trim().to_owned()));
    let key = || {
        let key =
            after(" signature with ").or_else(|| after("gpg:                using ")).or_else(|| after(" using "));
        let issuer = after("issuer ").map(|issuer| format!(" of {}", issuer.trim_matches('"'))).unwrap_or_default();
        key.map(|key| format!("{key}{issuer}")).unwrap_or_else(|| "an unknown key".to_owned())
    };
    if said.is_empty() || said.contains("no signature found") {
        "it is not signed".to_owned()
    } else if let Some(who) = after("BAD signature from ") {
        format!("the signature of {who} is not of what it stands on")
    } else if said.contains("No principal matched") || said.contains("No public key") {
        format!("it was signed with {}, which manifests/{signers} does not list", key())
    } else if let Some(who) = after("Good signature from ") {
        format!("it was signed by {who}, whose key is not valid")
    } else {
        "its signature is not good".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_signed_is_named() {
        let check = |said: &str, words: &str| {
            let verdict = verdict(said, "keys");
            assert!(verdict.contains(words), "{words} is not in {verdict}");
        };
        check("", "not signed");
        check("error: no signature found", "not signed");
        check(
            "Good \"git\" signature with ED25519 key SHA256:x\nNo principal matched.",
            "with ED25519 key SHA256:x, which",
        );
        check(
            "gpg: Signature made x\ngpg:                using EDDSA key AB\ngpg: Can't check signature: No public key",
            "EDDSA key AB",
        );
        check("gpg: BAD signature from \"M <m@x>\" [unknown]", "of \"M <m@x>\"");
        check("Could not verify signature.", "not good");
    }
}
