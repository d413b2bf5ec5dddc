//! The error numbers that travel: few, and always positive, whatever the platform has.

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ErrorCode {
    /// The export is read-only.
    NotPermitted = 1,
    /// The disk failed.
    Io = 5,
    /// There is no memory.
    NoMemory = 12,
    /// The request is wrong: its range, its flags, its command.
    Invalid = 22,
    /// There is no room, or the range of a write is not inside the export.
    NoSpace = 28,
    /// Too large to be answered in one piece.
    TooLarge = 75,
    /// It would not be fast.
    NotSupported = 95,
    /// The server is about to end.
    Shutdown = 108,
}

impl ErrorCode {
    /// The same as a Linux error number.
    pub fn errno(self) -> i32 {
        self as i32
    }

    /// What a client is told of a Linux error number, positive or negative.
    pub fn of_errno(errno: i32) -> Self {
        const EDQUOT: i32 = 122;
        const EFBIG: i32 = 27;
        const EROFS: i32 = 30;
        match errno.saturating_abs() {
            1 | EROFS => ErrorCode::NotPermitted,
            12 => ErrorCode::NoMemory,
            22 => ErrorCode::Invalid,
            28 | EDQUOT | EFBIG => ErrorCode::NoSpace,
            _ => ErrorCode::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disks_and_quotas_are_no_space_and_the_unknown_is_io() {
        for (errno, code) in [(28, 28), (122, 28), (27, 28), (-22, 22), (30, 1), (5, 5), (61, 5), (i32::MIN, 5)] {
            assert_eq!(ErrorCode::of_errno(errno) as u32, code, "{errno}");
        }
    }
}
