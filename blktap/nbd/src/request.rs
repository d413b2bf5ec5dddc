//! What a client asks for in the transmission phase.

use bitflags::bitflags;

/// The head of a request; a write's bytes follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What its replies carry: the client's business.
    pub cookie: u64,
    /// What is asked.
    pub command: Command,
    /// How. Those that nobody knows are kept.
    pub flags: CommandFlags,
    /// Byte position on the disk.
    pub offset: u64,
    /// How many bytes of the disk it is about.
    pub len_bytes: u64,
    /// How many bytes follow, whether the request is refused or not.
    pub payload_bytes: u32,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bytes of the disk.
    Read,
    /// The bytes that follow go to the disk.
    Write,
    /// The client leaves. There is no reply.
    Disconnect,
    /// What was acknowledged becomes durable.
    Flush,
    /// Nobody needs these bytes any more.
    Trim,
    /// Somebody will soon read these bytes.
    Cache,
    /// Zeros go to the disk.
    WriteZeroes,
    /// Which parts are holes and zeros.
    BlockStatus,
    /// Something else.
    Unknown(u16),
}

impl Command {
    pub(crate) fn of(number: u16) -> Self {
        match number {
            0 => Command::Read,
            1 => Command::Write,
            2 => Command::Disconnect,
            3 => Command::Flush,
            4 => Command::Trim,
            5 => Command::Cache,
            6 => Command::WriteZeroes,
            7 => Command::BlockStatus,
            number => Command::Unknown(number),
        }
    }

    pub(crate) fn number(self) -> u16 {
        match self {
            Command::Read => 0,
            Command::Write => 1,
            Command::Disconnect => 2,
            Command::Flush => 3,
            Command::Trim => 4,
            Command::Cache => 5,
            Command::WriteZeroes => 6,
            Command::BlockStatus => 7,
            Command::Unknown(number) => number,
        }
    }

    /// Whether it changes the disk.
    pub fn is_write(self) -> bool {
        matches!(self, Command::Write | Command::WriteZeroes | Command::Trim)
    }
}

bitflags! {
    /// How a request is to be done.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct CommandFlags: u16 {
        /// It is durable before it is acknowledged.
        const FUA = 1;
        /// Zeros take space.
        const NO_HOLE = 1 << 1;
        /// A read comes in one chunk.
        const DF = 1 << 2;
        /// One extent only.
        const REQ_ONE = 1 << 3;
        /// Zeros are written at once or not at all.
        const FAST_ZERO = 1 << 4;
        /// With extended headers: the length is that of what follows.
        const PAYLOAD_LEN = 1 << 5;
        const _ = !0;
    }
}
