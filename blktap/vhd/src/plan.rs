//! What is to be written, in order. A plan is a value: it can be printed, tested and replayed; `medium` performs it.

/// Where a plan's writes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A regular file, empty or about to be emptied; it grows as it is written.
    File,
    /// A block device, which keeps its size and its old bytes; its last sector holds the footer.
    BlockDevice {
        /// Size of the device.
        len_bytes: u64,
    },
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes.
    Write {
        /// What they are, for messages.
        what: &'static str,
        /// Byte position in the file.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Write one byte value many times.
    Fill {
        /// What it is, for messages.
        what: &'static str,
        /// Byte position in the file.
        offset: u64,
        /// How many times.
        len_bytes: u64,
        /// The byte.
        byte: u8,
    },
    /// Make the range read as zeros and own its space, so that writing it later cannot run out of space.
    Reserve {
        /// What it is, for messages.
        what: &'static str,
        /// Byte position in the file.
        offset: u64,
        /// Length of the range.
        len_bytes: u64,
    },
    /// Copy bytes of another medium, which the plan's performer is given.
    Copy {
        /// What they are, for messages.
        what: &'static str,
        /// Byte position in the other medium.
        from: u64,
        /// Byte position here.
        offset: u64,
        /// Length of the range.
        len_bytes: u64,
    },
    /// Make the range read as zeros. Its space stays its own where the medium can do that.
    Zero {
        /// What it is, for messages.
        what: &'static str,
        /// Byte position in the file.
        offset: u64,
        /// Length of the range.
        len_bytes: u64,
    },
    /// Make the range read as zeros, and give its space back where the medium can do that.
    Punch {
        /// What it is, for messages.
        what: &'static str,
        /// Byte position in the file.
        offset: u64,
        /// Length of the range.
        len_bytes: u64,
    },
    /// Nothing after this may reach the disk before everything ahead of it is there.
    Barrier,
}

impl Step {
    /// What is written, for messages.
    pub fn what(&self) -> &'static str {
        match self {
            Step::Write { what, .. }
            | Step::Fill { what, .. }
            | Step::Reserve { what, .. }
            | Step::Copy { what, .. }
            | Step::Zero { what, .. }
            | Step::Punch { what, .. } => what,
            Step::Barrier => "barrier",
        }
    }

    /// Byte position and length; nothing for a barrier.
    pub fn range(&self) -> (u64, u64) {
        match self {
            Step::Write { offset, bytes, .. } => (*offset, bytes.len() as u64),
            Step::Fill { offset, len_bytes, .. }
            | Step::Reserve { offset, len_bytes, .. }
            | Step::Copy { offset, len_bytes, .. }
            | Step::Zero { offset, len_bytes, .. }
            | Step::Punch { offset, len_bytes, .. } => (*offset, *len_bytes),
            Step::Barrier => (0, 0),
        }
    }
}

/// Steps in the order in which they must reach the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}
