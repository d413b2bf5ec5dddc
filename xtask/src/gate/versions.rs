//! Trees whose origin has no refs: archives, and source packages of a distribution. The candidate is a newer version, and what was
//! tested stands in the record's lock. A version that was seen is kept with its pin: origins forget.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use xtask_gate::model::Revision;

use super::checkout::Checkout;
use crate::definition::{Apt, Lock, Name, Origin, Pin, with_origin};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};

/// A version of a tree.
#[derive(Debug, Serialize, Deserialize)]
struct Version {
    /// Where it comes from, when that is not what the manifest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    pin: Pin,
}

/// What a pin without a commit is called.
pub(super) fn revision_of(pin: &Pin) -> Revision {
    let commit = pin.commit.as_ref().map(ToString::to_string);
    let file = || pin.files.first().map(|file| file.sha256.to_string());
    Revision(commit.or(pin.version.clone()).or_else(file).unwrap_or_else(|| pin.tree.to_string()))
}

/// The one is a version before the other. Digests of archives have no order.
pub(super) fn is_older(one: &Revision, other: &Revision) -> bool {
    let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let have_order = !is_digest(&one.0) && !is_digest(&other.0);
    have_order && crate::origin::compare_versions(&one.0, &other.0).is_lt()
}

impl Checkout {
    /// The newest version that the origin has.
    pub(super) fn newest(&self, tree: &str) -> Result<Revision> {
        let source = Checkout::source(tree)?;
        self.lay_out(&self.tip()?)?;
        let candidate = self.gate.trees.get(&source).and_then(|tracked| tracked.candidate.clone());
        if let Some(origin) = &candidate {
            self.say_origin(&source, origin)?;
        }
        let ended = self.xtask(&["update", tree])?.run(&self.cancel)?;
        ended.success(|| format!("cannot tell the newest version of `{tree}`"))?;
        let pin = self.lock()?.sources.remove(&source);
        let pin = pin.ok_or_else(|| Error::input(format!("tree `{tree}` is a local directory: it has no versions")))?;
        let revision = revision_of(&pin);
        let origin = candidate.map(|origin| exact(origin, &pin));
        let text = toml::to_string(&Version { origin, pin }).context(|| format!("cannot write {tree} {revision}"))?;
        crate::atomic::write(&self.version_file(tree, &revision), text.as_bytes())?;
        Ok(revision)
    }

    /// The version that was tested: that of the record, or of the lock that the record begins with.
    pub(super) fn tested_version(&self, tree: &str) -> Result<Option<Revision>> {
        let source = Checkout::source(tree)?;
        let record = self.record()?;
        for name in [&record.to, &record.from] {
            if let Some(commit) = self.repository.read_ref(name)? {
                self.repository.fetch(&[name])?;
                let lock: Option<Lock> = self.recorded(&commit, &self.lock_path())?;
                return Ok(lock.and_then(|mut lock| lock.sources.remove(&source)).map(|pin| revision_of(&pin)));
            }
        }
        Ok(None)
    }

    /// Makes manifest and lock of the checkout name that version.
    pub(super) fn take_version(&self, tree: &str, revision: &Revision) -> Result<()> {
        let source = Checkout::source(tree)?;
        let mut lock = self.lock()?;
        if lock.sources.get(&source).map(revision_of).as_ref() != Some(revision) {
            let known = match self.seen(tree, revision)? {
                Some(version) => Some(version),
                None => self.recorded_version(&source, revision)?,
            };
            let Version { origin, pin } = known.ok_or_else(|| {
                Error::machine(format!(
                    "cannot test {tree} {revision}: neither this gate nor its record knows that version"
                ))
            })?;
            if let Some(origin) = &origin {
                self.say_origin(&source, origin)?;
            }
            lock.sources.insert(source.clone(), pin);
            lock.write(&self.dir.join(self.lock_path()))?;
        }
        // A manifest that names another version than its lock is refused.
        match self.origin(&source)? {
            Some(Origin::Apt(apt)) if apt.version.as_ref().is_some_and(|named| *named != revision.0) => {
                self.say_origin(&source, &Origin::Apt(Apt { version: Some(revision.0.clone()), ..apt }))
            }
            _ => Ok(()),
        }
    }

    fn seen(&self, tree: &str, revision: &Revision) -> Result<Option<Version>> {
        let path = self.version_file(tree, revision);
        let cannot = || format!("cannot read `{}`", path.display());
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map(Some).context(cannot),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(cannot),
        }
    }

    fn recorded_version(&self, source: &Name, revision: &Revision) -> Result<Option<Version>> {
        let to = &self.record()?.to;
        let Some(commit) = self.repository.read_ref(to)? else { return Ok(None) };
        self.repository.fetch(&[to])?;
        let lock: Option<Lock> = self.recorded(&commit, &self.lock_path())?;
        let pin = lock.and_then(|mut lock| lock.sources.remove(source)).filter(|pin| revision_of(pin) == *revision);
        let Some(pin) = pin else { return Ok(None) };
        let manifest: Option<toml::Table> = self.recorded(&commit, &self.manifest_path())?;
        Ok(Some(Version { origin: manifest.and_then(|manifest| origin_in(&manifest, source)), pin }))
    }

    /// A file of a commit of the project; nothing where it has no such file.
    fn recorded<T: serde::de::DeserializeOwned>(&self, commit: &str, path: &str) -> Result<Option<T>> {
        let cannot = || format!("cannot read `{path}` of {commit}");
        let listed = self.repository.ask(&["ls-tree", "--name-only", commit, "--", path], cannot)?;
        if listed.is_empty() {
            return Ok(None);
        }
        let text = self.repository.ask(&["show", &format!("{commit}:{path}")], cannot)?;
        toml::from_str(&text).map(Some).context(cannot)
    }

    fn lock(&self) -> Result<Lock> {
        Ok(Lock::read(&self.dir.join(self.lock_path()))?.unwrap_or_default())
    }

    /// What the checkout's manifest itself says of a source, not what it includes.
    fn origin(&self, source: &Name) -> Result<Option<Origin>> {
        let manifest: toml::Table =
            toml::from_str(&self.manifest()?).context(|| format!("cannot read `{}`", self.manifest_path()))?;
        Ok(origin_in(&manifest, source))
    }

    fn manifest(&self) -> Result<String> {
        let path = self.dir.join(self.manifest_path());
        fs::read_to_string(&path).context(|| format!("cannot read `{}`", path.display()))
    }

    /// Writes where a source comes from into the checkout's manifest.
    fn say_origin(&self, source: &Name, origin: &Origin) -> Result<()> {
        let text = with_origin(&self.manifest()?, source, origin)
            .map_err(|why| Error::input(format!("cannot change `{}`", self.manifest_path())).because(why))?;
        crate::atomic::write(&self.dir.join(self.manifest_path()), text.as_bytes())
    }

    fn version_file(&self, tree: &str, revision: &Revision) -> PathBuf {
        let name = format!("{}.toml", Digest::of(revision.0.as_bytes()).hash);
        self.dir.with_file_name("versions").join(tree).join(name)
    }
}

/// The origin that gives this pin and no other.
fn exact(origin: Origin, pin: &Pin) -> Origin {
    match origin {
        Origin::Apt(apt) => Origin::Apt(Apt { version: pin.version.clone(), ..apt }),
        Origin::Archive(archive) => {
            let sha256 = archive.sha256.or(pin.files.first().map(|file| file.sha256));
            Origin::Archive(crate::definition::Archive { sha256, ..archive })
        }
        other => other,
    }
}

fn origin_in(manifest: &toml::Table, source: &Name) -> Option<Origin> {
    manifest.get("sources")?.get(source.as_str())?.clone().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order_and_digests_have_none() {
        let is = |one: &str, other: &str| is_older(&Revision(one.into()), &Revision(other.into()));
        assert!(is("4.17.5+72-g01140da4e8-1", "4.20.3+127-gc42374a105-1") && !is("1:1", "2"));
        assert!(!is(&"a".repeat(64), &"b".repeat(64)) && !is("1", &"b".repeat(64)));
    }
}
