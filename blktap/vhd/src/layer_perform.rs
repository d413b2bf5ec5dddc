//! Writes to one image reach its file: a plan's stages, and what holds after one of them failed.
//!
//! A write that fails for want of space ends nothing. Before the plan's pointers nothing leads to what it wrote: its places
//! stay free and count as written to. Among the pointers everything that they lead to is there, so the blocks have their
//! places, and entries that the disk may not have go there with the next write to the block or the next flush. So a block's
//! entry on disk is the one in memory or, of a block that never had another, none: two never lead to one place.
//! Want of space is known before a write returns: where the file system may tell it only when it syncs, space is taken with
//! fallocate first, and where it has no fallocate either, every write is synced.
//! Every other failure, and every failed sync, is final for writes: nobody knows what reached the disk, so nothing may build
//! on it. Reads go on.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use crate::bat::UNUSED;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::Layer;
use crate::layer_write::Writable;
use crate::medium::Medium;
use crate::plan::{Plan, Step};
use crate::write_plan::{self, WritePlan};

impl<M: Medium> Layer<M> {
    pub(crate) fn perform(&mut self, planned: WritePlan, source: Option<&M>) -> Result<()> {
        let medium_bytes = self.image.file().len_bytes();
        let is_sure = match self.write_content(&planned, source) {
            Ok(is_sure) => is_sure,
            Err(error) => {
                self.abandon(&planned, medium_bytes);
                return Err(error);
            }
        };
        let pointed = self.write_pointers(&planned);
        if pointed.as_ref().map_or_else(Error::is_want_of_space, |()| true) {
            self.settle(planned, medium_bytes, pointed.is_ok());
        }
        pointed?;
        if is_sure { Ok(()) } else { self.sync() }
    }

    /// Whether all that was written has its space.
    fn write_content(&self, planned: &WritePlan, source: Option<&M>) -> Result<bool> {
        let (writable, file) = (self.writable()?, self.image.file());
        let mut is_sure = true;
        for plan in [&planned.growth, &planned.content, &planned.pointers] {
            is_sure &= self.take_space(plan)?;
        }
        if !planned.growth.steps.is_empty() {
            writable.note(file.perform(&planned.growth))?;
            self.sync()?;
        }
        self.catch_up(!planned.placed.is_empty())?;
        writable.note(file.perform_from(source.unwrap_or(file), &planned.content))?;
        Ok(is_sure)
    }

    /// Waits, before the first block gets a place, until what an earlier writer left is durable: one that was killed may have
    /// cleared entries, and until then the end of the image and what lies behind it are somebody's after a crash.
    pub(crate) fn catch_up(&self, gives_places: bool) -> Result<()> {
        match self.writable()?.is_caught_up.load(Ordering::Acquire) || !gives_places {
            true => Ok(()),
            false => self.sync(),
        }
    }

    /// Performs steps of which none leads to another.
    pub(crate) fn perform_at_once(&self, plan: &Plan, source: Option<&M>) -> Result<()> {
        let (writable, file) = (self.writable()?, self.image.file());
        let is_sure = self.take_space(plan)?;
        writable.note(file.perform_from(source.unwrap_or(file), plan))?;
        if is_sure { Ok(()) } else { self.sync() }
    }

    fn take_space(&self, plan: &Plan) -> Result<bool> {
        let writes = plan.steps.iter().filter(|step| !matches!(step, Step::Punch { .. } | Step::Barrier));
        writes.map(Step::range).try_fold(true, |is_sure, (offset, len)| Ok(is_sure & self.take_space_of(offset, len)?))
    }

    /// Whether what is written there has its space for sure.
    pub(crate) fn take_space_of(&self, offset: u64, len_bytes: u64) -> Result<bool> {
        let taken = self.image.file().take_space(offset, len_bytes).map_err(|source| {
            Error::io(format!("cannot take space ({len_bytes} bytes at {offset})"), source).within(self.cannot_write())
        });
        taken.or_else(|error| self.writable()?.note(Err(error)).map(|()| false))
    }

    fn write_pointers(&self, planned: &WritePlan) -> Result<()> {
        if planned.waits {
            self.sync()?;
        }
        self.writable()?.note(self.image.file().perform(&planned.pointers))
    }

    /// Nothing leads to what was written, wherever it was.
    fn abandon(&mut self, planned: &WritePlan, medium_bytes: u64) {
        let has_grown = self.image.file().len_bytes() > medium_bytes;
        let Some(writable) = &mut self.writable else { return };
        writable.has_slack |= has_grown;
        for &(_, entry) in &planned.placed {
            writable.places.touched(entry);
        }
        if let Some(ahead) = &mut writable.ahead
            && (has_grown || ahead.zero_from.is_some())
        {
            ahead.zero_from = Some(ahead.zero_from.unwrap_or(medium_bytes).max(planned.end));
        }
    }

    /// Notes where new blocks are, and that the file may have grown from so many bytes.
    fn settle(&mut self, planned: WritePlan, medium_bytes: u64, is_pointed: bool) {
        let (Some(blocks), Some(writable)) = (&mut self.blocks, &mut self.writable) else { return };
        writable.end = planned.end;
        if let Some(ahead) = &mut writable.ahead
            && !planned.growth.steps.is_empty()
        {
            ahead.zero_from = ahead.zero_from.or(Some(medium_bytes));
            writable.has_slack = true;
        }
        let unpointed = writable.unpointed.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (index, entry) in planned.placed {
            blocks.bat.set(index, entry);
            writable.places.take(entry);
            if !is_pointed {
                unpointed.insert(index);
            }
        }
        if is_pointed {
            for index in &planned.rewritten {
                unpointed.remove(index);
            }
            planned.whole.into_iter().for_each(|index| writable.set_whole(index, true));
        }
    }

    /// Makes everything written durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.point()?;
        self.sync()
    }

    /// Writes the entries that the disk may not have.
    pub(crate) fn point(&self) -> Result<()> {
        let writable = self.writable()?;
        let mut unpointed = writable.unpointed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(blocks) = &self.blocks
            && !unpointed.is_empty()
        {
            let mut steps = Vec::new();
            for &index in unpointed.iter().filter(|&&index| index < blocks.bat.len()) {
                let entry = blocks.bat.place(index).unwrap_or(UNUSED);
                write_plan::add_entry(&mut steps, blocks.header.table_offset, index, entry);
            }
            writable.note(self.image.file().perform(&Plan { steps }))?;
            unpointed.clear();
        }
        Ok(())
    }

    /// Waits until everything written is durable. When that fails nobody knows what is.
    pub(crate) fn sync(&self) -> Result<()> {
        // One at a time: the kernel tells of a failed write-back once, and whoever synced beside that would not know.
        let _alone = self.writable()?.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let writable = self.writable()?;
        self.synced(self.image.file().flush())?;
        writable.places.synced();
        writable.is_caught_up.store(true, Ordering::Release);
        Ok(())
    }

    /// Remembers the failure of a sync, whatever its number: it is not one to wait for.
    pub(crate) fn synced(&self, done: Result<()>) -> Result<()> {
        done.map_err(|error| {
            if let Some(writable) = &self.writable {
                writable.has_failed.store(true, Ordering::Relaxed);
            }
            error.within(self.cannot_write()).with_errno(Errno::IO)
        })
    }

    pub(crate) fn writable(&self) -> Result<&Writable> {
        let refuse = |why, errno| Error::new(ErrorKind::Io, why).with_errno(errno).within(self.cannot_write());
        match &self.writable {
            None => Err(refuse("image is open for reading only", Errno::BADF)),
            Some(writable) if writable.has_failed.load(Ordering::Relaxed) => {
                Err(refuse("an earlier write failed: open the image again", Errno::IO))
            }
            Some(writable) => Ok(writable),
        }
    }

    pub(crate) fn cannot_write(&self) -> String {
        self.image.cannot_write()
    }
}

impl Writable {
    /// Remembers the failure of anything but a sync, unless it was for want of space.
    pub(crate) fn note(&self, done: Result<()>) -> Result<()> {
        if let Err(error) = &done
            && !error.is_want_of_space()
        {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        done
    }
}
