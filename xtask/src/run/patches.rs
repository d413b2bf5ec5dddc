//! The patches of a component, applied strictly. One that no longer fits is told with its hunk, and with the pin at which it last
//! did: that is remembered beside the other state, and a series that `dev export` wrote says it itself.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::patch::{base_commit, failed_hunk};
use crate::process::{Cancel, Program};

/// Where and to what patches are applied.
pub(super) struct Patched<'a> {
    /// The component.
    pub(super) component: &'a str,
    /// Its source, and the pin that it is at; nothing when somebody works in it.
    pub(super) source: (&'a str, Option<&'a str>),
    /// The tree.
    pub(super) tree: &'a Path,
    /// A directory for the patch files, beside the tree.
    pub(super) tmp: &'a Path,
    /// The checkout.
    pub(super) root: &'a Path,
}

impl Patched<'_> {
    /// Applies one patch.
    pub(super) fn apply(&self, name: &str, bytes: &[u8], cancel: &Cancel) -> Result<()> {
        let file = self.tmp.join(name);
        crate::atomic::write(&file, bytes)?;
        let ended = self.git(&["--whitespace=nowarn"], &file).run(cancel)?;
        let remembered = self.remembered(bytes);
        let (source, pin) = self.source;
        if ended.status.success() {
            return match pin {
                Some(pin) => crate::atomic::write(&remembered, pin.as_bytes()),
                None => Ok(()),
            };
        }
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        let text = String::from_utf8_lossy(bytes);
        let hunk = failed_hunk(&text, &said).map(|hunk| format!(": {hunk}")).unwrap_or_default();
        let last = fs::read_to_string(&remembered).ok().or_else(|| base_commit(&text).map(str::to_owned));
        let now = pin.map_or_else(|| "has local work now".to_owned(), |pin| format!("is at {pin} now"));
        let last = last.map(|last| format!("\n  it last applied at {last}; `{source}` {now}")).unwrap_or_default();
        let component = self.component;
        let error = Error::input(format!("cannot apply patch `{name}` of `{component}`{hunk}{last}")).because(said);
        let is_in_it = self.git(&["--check", "--reverse"], &file).run(cancel)?.status.success();
        Err(match is_in_it {
            true => error
                .help(format!("the tree has it already; back to the pin: cargo xtask force-update {source} --discard")),
            false => error
                .help(format!("the source has moved on; refresh the patch in components/{component}.toml or drop it")),
        })
    }

    fn git(&self, options: &[&str], patch: &Path) -> Program {
        let words = ["git", "apply", "-p1"].iter().chain(options).map(OsString::from);
        // Without the ceiling git would find the repository around us and leave out, silently, paths that are not below it.
        let above = self.tree.parent().unwrap_or(self.tree);
        Program::new(words.chain([patch.into()]))
            .dir(self.tree)
            .env("GIT_CEILING_DIRECTORIES", above)
            .env("LC_ALL", "C")
    }

    fn remembered(&self, bytes: &[u8]) -> PathBuf {
        self.root.join(".xtask/state/patches").join(Digest::of(bytes).hash.to_string())
    }
}
