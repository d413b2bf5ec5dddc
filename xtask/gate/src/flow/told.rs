//! What comes of a run, told as it comes: a later candidate that ends in an error takes nothing of it back.

use super::{Gate, NotPushed, Ran};
use crate::error::Result;
use crate::store::Store;
use crate::world::World;

/// Gets what came of a run as soon as that is known.
pub type OnRan<'a, W> = &'a mut dyn FnMut(&Ran, &Store, &W) -> Result<()>;

/// What a run told so far.
pub(super) struct Told<'a, W> {
    rans: Vec<Ran>,
    on_ran: OnRan<'a, W>,
}

impl<'a, W> Told<'a, W> {
    pub(super) fn new(on_ran: OnRan<'a, W>) -> Self {
        Told { rans: Vec::new(), on_ran }
    }

    pub(super) fn count(&self) -> usize {
        self.rans.len()
    }

    /// What was told after so many.
    pub(super) fn since(&self, count: usize) -> &[Ran] {
        self.rans.get(count..).unwrap_or_default()
    }

    pub(super) fn last(&self) -> Option<&Ran> {
        self.rans.last()
    }

    /// The last that was judged by itself, not given up because of one ahead of it.
    pub(super) fn last_judged(&self) -> Option<&Ran> {
        self.rans.iter().rfind(|ran| !matches!(ran, Ran::NotPushed(_, NotPushed::Behind(_))))
    }

    pub(super) fn into_rans(self) -> Vec<Ran> {
        self.rans
    }
}

impl<W: World> Gate<'_, W> {
    /// Tells what came of something; of a regression, once the hunt that its verdict began has come to an end, good or bad.
    pub(super) fn tell(&mut self, told: &mut Told<'_, W>, mut ran: Ran) -> Result<()> {
        let hunted = self.hunt_of(&mut ran);
        (told.on_ran)(&ran, self.store, self.world)?;
        told.rans.push(ran);
        hunted
    }
}
