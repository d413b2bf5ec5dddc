//! Who is there: tapdisks by their sockets, their disks by asking them, and markers that nobody serves.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::io::Errno;
use tap_proto::{ALL_MINORS, Listed, Reply, Request};

use crate::client::{Client, LIST_TIMEOUT, unexpected};
use crate::error::{Error, Result};

/// A line of a list: a disk, a tapdisk without any, or a marker that nobody serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The tapdisk's process.
    pub pid: Option<i32>,
    /// The disk's number.
    pub minor: Option<i32>,
    /// Bits of its state.
    pub state: Option<i32>,
    /// Type and path of its image, as they were sent with open or unpause.
    pub image: Option<(OsString, OsString)>,
}

/// All of them: disks of one tapdisk after the other, in the order of blktap's tool, then markers.
pub fn all(client: &Client) -> Result<Vec<Entry>> {
    let mut markers = numbers(&client.run_dir.markers(), "tapdisk-")?;
    let mut entries = Vec::new();
    for pid in numbers(client.run_dir.path(), "ctl")? {
        let Ok(pid) = client.pid(pid) else { continue };
        let disks = one(client, pid)?;
        markers.retain(|marker| !disks.iter().any(|disk| disk.minor == Some(*marker)));
        entries.extend(disks);
    }
    entries.extend(markers.into_iter().map(|minor| Entry { minor: Some(minor), ..Entry::default() }));
    Ok(entries)
}

/// The disks of a tapdisk, or the tapdisk alone where it has none. Nothing for one that is not there.
pub fn of_pid(client: &Client, pid: i32) -> Result<Vec<Entry>> {
    match client.pid(pid) {
        Ok(pid) => one(client, pid),
        Err(_) => Ok(vec![]),
    }
}

/// As [`of_pid`], of a tapdisk that was alive. One that dies meanwhile is listed without disks.
fn one(client: &Client, pid: i32) -> Result<Vec<Entry>> {
    let mut disks = disks(client, pid).unwrap_or_default();
    // The last one attached comes first, as it always has.
    disks.reverse();
    if disks.is_empty() {
        disks.push(Entry { pid: Some(pid), ..Entry::default() });
    }
    Ok(disks)
}

fn disks(client: &Client, pid: i32) -> Result<Vec<Entry>> {
    let mut connection = client.connect(pid, Some(LIST_TIMEOUT))?;
    connection.send(ALL_MINORS, &Request::List)?;
    let mut entries = Vec::new();
    loop {
        match connection.receive()? {
            Reply::List(Listed { count: 0, .. }) => return Ok(entries),
            Reply::List(_) if entries.len() > usize::from(u16::MAX) => {
                return Err(Error::new(Errno::PROTO, format!("tapdisk {pid} lists without end")));
            }
            Reply::List(Listed { minor, state, path, .. }) => {
                let image = split(path.as_os_str());
                entries.push(Entry { pid: Some(pid), minor: Some(minor), state: Some(state), image });
            }
            reply => return Err(unexpected(pid, &reply)),
        }
    }
}

/// Type and path of `type:path`.
fn split(text: &OsStr) -> Option<(OsString, OsString)> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    Some((part(&bytes[..colon]), part(&bytes[colon + 1..])))
}

/// The numbers of names in a directory that are this word and a number, in the order of their names.
fn numbers(directory: &std::path::Path, word: &str) -> Result<Vec<i32>> {
    let failed = |source| Error::io(format!("cannot list `{}`", directory.display()), source);
    let entries = match fs::read_dir(directory) {
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed)?.file_name());
    }
    names.sort();
    let number = |name: &OsString| name.to_str()?.strip_prefix(word)?.parse().ok().filter(|&number: &i32| number >= 0);
    Ok(names.iter().filter_map(number).collect())
}
