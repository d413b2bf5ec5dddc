//! A chain of VHDs, or a raw disk.

use std::path::{Path, PathBuf};

use vhd::map::Place;
use vhd::{Disk, ErrorKind, Medium};

use super::{Link, Store, Stretch, Written};
use crate::failure::Result;
use crate::pipe::Loan;

/// An image and all that lies below it.
#[derive(Debug)]
pub(crate) struct Chain {
    disk: Disk,
    is_read_only: bool,
    /// The copy of a file, where that is all of it.
    ram: Option<PathBuf>,
}

impl Chain {
    pub(crate) fn new(disk: Disk, is_read_only: bool) -> Self {
        Chain { disk, is_read_only, ram: None }
    }

    /// A copy of this file, in memory.
    pub(crate) fn in_ram(self, copy_of: &Path) -> Self {
        Chain { ram: Some(copy_of.to_owned()), ..self }
    }
}

impl Store for Chain {
    fn size_bytes(&self) -> u64 {
        self.disk.size_bytes()
    }

    fn links(&self) -> Vec<Link> {
        if let Some(path) = &self.ram {
            return vec![Link { kind: "ram", path: path.clone() }];
        }
        let vhds = self.disk.images().map(|image| Link { kind: "vhd", path: image.file().path().to_owned() });
        let raw = self.disk.raw_path().map(|path| Link { kind: "aio", path: path.to_owned() });
        vhds.chain(raw).collect()
    }

    fn own(&self, offset: u64, len_bytes: u64) -> Result<Vec<(u64, bool)>> {
        let runs = self.disk.map(offset, len_bytes)?.into_iter();
        let is_raw = self.disk.images().next().is_none();
        let is_own = |place| is_raw || matches!(place, Place::Layer { depth: 0, .. });
        Ok(runs.map(|run| (run.len_bytes, is_own(run.place))).collect())
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        Ok(self.disk.read_at(offset, bytes)?)
    }

    fn read_many(&self, reads: &mut [(u64, &mut [u8])]) -> Result<()> {
        self.disk.read_many(reads).into_iter().try_for_each(|done| Ok(done?))
    }

    fn lend(&self, offset: u64, len_bytes: u64) -> Option<Vec<Loan<'_>>> {
        let lent = self.disk.lend(offset, len_bytes)?.into_iter();
        let loan = |(file, offset, len_bytes)| Some(Loan { file, offset, len_bytes: usize::try_from(len_bytes).ok()? });
        lent.map(loan).collect()
    }

    fn write_over_many(&self, writes: &[(u64, &[u8])]) -> Vec<Option<Written>> {
        let over = self.disk.write_over_many(writes).into_iter();
        over.map(|done| done.map(|done| Ok(done?))).collect()
    }

    fn write_over(&self, offset: u64, bytes: &[u8]) -> Option<Result<()>> {
        self.disk.write_over(offset, bytes).map(|done| Ok(done?))
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        Ok(self.disk.write_at(offset, bytes)?)
    }

    fn write_many(&mut self, writes: &[(u64, &[u8])]) -> Vec<Written> {
        match self.disk.write_many(writes) {
            Ok(()) => writes.iter().map(|_| Ok(())).collect(),
            // They lie over each other, or there is room for some of them only; nothing was written.
            Err(error) if [ErrorKind::InvalidInput, ErrorKind::NoSpace].contains(&error.kind()) => {
                writes.iter().map(|&(offset, bytes)| self.write(offset, bytes)).collect()
            }
            Err(error) => vec![Err(error.into()); writes.len()],
        }
    }

    fn write_zeroes(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        Ok(self.disk.write_zeroes_part(offset, len_bytes)?)
    }

    fn discard(&mut self, offset: u64, len_bytes: u64) -> Result<u64> {
        Ok(self.disk.discard_part(offset, len_bytes)?)
    }

    fn stretches(&self, offset: u64, len_bytes: u64, max: usize) -> Result<Vec<Stretch>> {
        let found = self.disk.status(offset, len_bytes, max)?.into_iter();
        Ok(found.map(|it| Stretch { len_bytes: it.len_bytes, is_zero: it.is_zero }).collect())
    }

    fn flush(&self) -> Result<()> {
        // What nobody writes is on disk.
        if self.is_read_only { Ok(()) } else { Ok(self.disk.flush()?) }
    }

    fn close(self: Box<Self>) -> Result<()> {
        if self.is_read_only { Ok(()) } else { Ok(self.disk.close()?) }
    }
}
