//! Exit statuses: the errno of the first failure, as scripts know them.

/// Usage errors.
pub const EINVAL: i32 = 22;
/// Files that must not be there yet.
pub const EEXIST: i32 = 17;
/// Sizes beyond the format.
pub const EFBIG: i32 = 27;
/// Chains that are too long already.
pub const ENOSPC: i32 = 28;
/// Output that cannot be written for no reason the system names.
pub const EIO: i32 = 5;
/// What blktap calls -1: names and lengths of keys.
pub const EPERM: i32 = 1;
/// Names that lead nowhere.
pub const ENOENT: i32 = 2;
/// Names longer than the tools ever took.
pub const ENAMETOOLONG: i32 = 36;
/// Sectors and blocks past the end.
pub const ERANGE: i32 = 34;
/// Blocks that no entry of a BAT can name.
pub const EOVERFLOW: i32 = 75;
/// Files that end before something that they promise.
pub const EPIPE: i32 = 32;
/// Options that this version cannot serve.
pub const ENOSYS: i32 = 38;
/// Chains that never end.
pub const ELOOP: i32 = 40;
/// Commands and options that this version does not have.
pub const EOPNOTSUPP: i32 = 95;

/// The errno of the first failure of a command that goes on after failures; 0 for none.
#[derive(Clone, Copy, Debug, Default)]
pub struct FirstErrno(Option<i32>);

impl FirstErrno {
    /// Notes a failure.
    pub fn note(&mut self, errno: i32) {
        self.0 = self.0.or(Some(errno));
    }

    /// The exit status.
    pub fn get(self) -> i32 {
        self.0.unwrap_or(0)
    }
}
