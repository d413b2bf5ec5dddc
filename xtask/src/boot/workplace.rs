//! Where a scenario works: a directory that goes when it is over, or one that the user named; and the small files that tell how it
//! went, which stay in any case.

use std::path::{Path, PathBuf};

use super::Boot;
use super::initramfs::Initramfs;
use crate::atomic;
use crate::error::{Context, Result};
use crate::origin::Scratch;

pub(super) struct Workplace {
    dir: PathBuf,
    artefacts: PathBuf,
    _scratch: Option<Scratch>,
}

impl Workplace {
    pub(super) fn new(boot: &Boot<'_>, scenario: &str) -> Result<Self> {
        let layout = boot.fetching.layout;
        if let Some(keep) = boot.keep {
            let cannot = || format!("cannot work in `{}`", keep.display());
            std::fs::create_dir_all(keep.join(scenario)).context(cannot)?;
            let dir = keep.join(scenario).canonicalize().context(cannot)?;
            return Ok(Workplace { artefacts: dir.clone(), dir, _scratch: None });
        }
        let artefacts = layout.work().join("log/boot").join(scenario);
        atomic::remove_tree(&artefacts)?;
        std::fs::create_dir_all(&artefacts).context(|| format!("cannot make `{}`", artefacts.display()))?;
        let scratch = Scratch::new(&layout.work().join("tmp"), "boot")?;
        Ok(Workplace { dir: scratch.path().to_path_buf(), artefacts, _scratch: Some(scratch) })
    }

    /// Where programs run.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What stays.
    pub(super) fn artefacts(&self) -> &Path {
        &self.artefacts
    }

    /// A file of the machine.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.at(name);
        std::fs::write(&path, bytes).context(|| format!("cannot write `{}`", path.display()))
    }

    /// Removes one, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.at(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(|| format!("cannot remove `{}`", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// An initramfs, and the list of what is in it.
    pub(super) fn initramfs(&self, name: &str, initramfs: &Initramfs) -> Result<()> {
        atomic::write(&self.artefacts.join(format!("{name}.list")), initramfs.list().as_bytes())?;
        initramfs.write(&self.at(name))
    }

    /// The command that started the machine.
    pub(super) fn command(&self, line: &str) -> Result<()> {
        let text = format!("cd {} && {line}\n", self.dir.display());
        atomic::write(&self.artefacts.join("command"), text.as_bytes())
    }

    /// Where the console goes.
    pub(super) fn console(&self) -> PathBuf {
        self.artefacts.join("console.log")
    }
}
