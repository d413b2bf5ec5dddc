//! Where the bytes of a disk lie: runs in the files of its chain. Knows positions only.

/// A stretch of a disk whose bytes lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Length in bytes.
    pub len_bytes: u64,
    /// Where they lie.
    pub place: Place,
}

/// Where bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an image of the chain.
    Layer {
        /// How many parents up: 0 is the image itself.
        depth: usize,
        /// Byte position in its file.
        offset: u64,
    },
    /// In the raw file at the end of the chain.
    Base {
        /// Byte position in the file.
        offset: u64,
    },
    /// Nowhere: they are zeros.
    Zero,
}

impl Place {
    /// The place so many bytes further on.
    pub(crate) fn plus(self, bytes: u64) -> Self {
        match self {
            Place::Layer { depth, offset } => Place::Layer { depth, offset: offset + bytes },
            Place::Base { offset } => Place::Base { offset: offset + bytes },
            Place::Zero => Place::Zero,
        }
    }
}

/// Adds a run, or makes the last one longer.
pub(crate) fn add(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.place.plus(last.len_bytes) == run.place => last.len_bytes += run.len_bytes,
        _ => runs.push(run),
    }
}
