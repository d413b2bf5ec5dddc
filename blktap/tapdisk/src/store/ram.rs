//! A disk in memory: a copy of a file, whose changes are gone when it is closed.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{MemfdFlags, Mode, OFlags};

/// As in blktap: what a disk in memory has at most, and what an empty file stands for.
const MAX_BYTES: u64 = 1_024_000 * 512;
const PIECE_BYTES: usize = 1 << 20;

/// Copies the file into memory and returns the path by which that can be opened as long as the file is open.
///
/// # Errors
///
/// `ENOMEM` for a file that is too large.
pub(crate) fn copy(path: &Path) -> io::Result<(File, std::path::PathBuf)> {
    // A FIFO must not make this wait for its other end.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let len_bytes = match source.metadata()? {
        metadata if metadata.is_file() => metadata.len() / 512 * 512,
        // Something else may not know its length.
        _ => return Err(io::Error::from_raw_os_error(rustix::io::Errno::INVAL.raw_os_error())),
    };
    if len_bytes > MAX_BYTES {
        return Err(io::Error::from_raw_os_error(rustix::io::Errno::NOMEM.raw_os_error()));
    }
    let memory = File::from(rustix::fs::memfd_create("tapdisk", MemfdFlags::CLOEXEC)?);
    memory.set_len(if len_bytes == 0 { MAX_BYTES } else { len_bytes })?;
    let (mut at, mut bytes) = (0, vec![0; PIECE_BYTES]);
    while at < len_bytes {
        let wanted = usize::try_from(len_bytes - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let len = source.read(&mut bytes[..wanted])?;
        if len == 0 {
            break;
        }
        // Zeros take no memory.
        if bytes[..len].iter().any(|&byte| byte != 0) {
            memory.write_all_at(&bytes[..len], at)?;
        }
        at += len as u64;
    }
    let name = format!("/proc/self/fd/{}", memory.as_raw_fd()).into();
    Ok((memory, name))
}
