//! An archive's contents as bytes: sorted, owned by nobody in particular, of one time and normal modes, packed by libraries that are
//! linked in at a locked version. So the bytes depend on nothing of the machine, nor on how many threads packed them: xz and zstd are
//! told the size of a block and always use their encoder for threads, with one thread too.

use std::fs::File;
use std::io::{self, Read, Write};

use flate2::write::GzEncoder;
use liblzma::stream::{Check, MtStreamBuilder};
use liblzma::write::XzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::contents::{Bytes, Contents, Member};
use super::format::Format;
#[cfg(not(feature = "extras"))]
use super::format::not_here;
use crate::digest::{Digest, Hash};
use crate::error::{Context, Error, Result};
use crate::package::archive::append_link;
use crate::process::Cancel;
use crate::tree::Node;

/// Of xz, and three times its window: what `xz -T0 -6` takes too. Tests have many blocks in little data.
const XZ_PRESET: u32 = 6;
const XZ_BLOCK: u64 = if cfg!(test) { 256 << 10 } else { 24 << 20 };
#[cfg(feature = "extras")]
const ZST_LEVEL: i32 = 19;
#[cfg(feature = "extras")]
const ZST_JOB: u32 = if cfg!(test) { 512 << 10 } else { 32 << 20 };

/// Packs the archive into `to`; gives the digest of what was written. `progress` gets the number of bytes packed so far.
pub fn write(
    contents: &Contents,
    format: Format,
    threads: usize,
    to: impl Write,
    cancel: &Cancel,
    progress: &dyn Fn(u64),
) -> Result<Digest> {
    contents.check()?;
    let mut to = Hashing::new(to);
    let packing = || "cannot pack the archive".to_owned();
    let threads = u32::try_from(threads.max(1)).unwrap_or(1);
    match format {
        Format::Gz => {
            let level = flate2::Compression::best();
            let packer = flate2::GzBuilder::new().mtime(0).operating_system(255).write(&mut to, level);
            let packer: GzEncoder<_> = tar(contents, packer, cancel, progress)?;
            packer.finish().context(packing)?;
        }
        Format::Xz => {
            let mut stream = MtStreamBuilder::new();
            stream.threads(threads).block_size(XZ_BLOCK).preset(XZ_PRESET).check(Check::Crc64);
            let packer = XzEncoder::new_stream(&mut to, stream.encoder().context(packing)?);
            tar(contents, packer, cancel, progress)?.finish().context(packing)?;
        }
        #[cfg(feature = "extras")]
        Format::Zst => {
            use zstd::zstd_safe::CParameter;
            let mut packer = zstd::Encoder::new(&mut to, ZST_LEVEL).context(packing)?;
            packer.multithread(threads).context(packing)?;
            packer.set_parameter(CParameter::JobSize(ZST_JOB)).context(packing)?;
            packer.include_checksum(true).context(packing)?;
            tar(contents, packer, cancel, progress)?.finish().context(packing)?;
        }
        #[cfg(not(feature = "extras"))]
        Format::Zst => return Err(not_here()),
    }
    // No packer does that at its end, and a buffer that is dropped says nothing of what it could not write.
    to.flush().context(packing)?;
    Ok(to.digest())
}

/// Writes the members.
pub(super) fn tar<W: Write>(contents: &Contents, to: W, cancel: &Cancel, progress: &dyn Fn(u64)) -> Result<W> {
    let mut builder = tar::Builder::new(to);
    let cannot = |path: &str| format!("cannot pack `{path}`");
    let name = |path: &str| format!("{}/{path}", contents.top);
    let directories = contents.directories();
    let mut done = 0;
    let directory = |builder: &mut tar::Builder<W>, path: &str| {
        let mut header = header(contents.epoch, EntryType::Directory, 0o755, 0);
        builder.append_data(&mut header, name(path).trim_end_matches('/').to_owned() + "/", io::empty())
    };
    directory(&mut builder, "").context(|| cannot(&contents.top))?;
    // Both are sorted, and a directory's name sorts before everything in it.
    let paths: std::collections::BTreeSet<&String> = contents.members.keys().chain(&directories).collect();
    for path in paths {
        cancel.check()?;
        let Some(Member { node, bytes, .. }) = contents.members.get(path) else {
            directory(&mut builder, path).context(|| cannot(path))?;
            continue;
        };
        match node {
            Node::Directory { .. } => directory(&mut builder, path).context(|| cannot(path))?,
            Node::Symlink { target } => {
                let header = header(contents.epoch, EntryType::Symlink, 0o777, 0);
                append_link(&mut builder, header, &name(path), target).context(|| cannot(path))?;
            }
            Node::File { digest, mode } => {
                let mut header = header(contents.epoch, EntryType::Regular, *mode, digest.size);
                let read = match bytes {
                    Bytes::File(file) => {
                        let file = File::open(file).context(|| format!("cannot read `{}`", file.display()))?;
                        append(&mut builder, &mut header, &name(path), file)
                    }
                    Bytes::Memory(bytes) => append(&mut builder, &mut header, &name(path), &bytes[..]),
                    Bytes::None => append(&mut builder, &mut header, &name(path), io::empty()),
                };
                if read.context(|| cannot(path))? != *digest {
                    return Err(Error::machine(cannot(path)).because("it changed while it was read"));
                }
                done += digest.size;
                progress(done);
            }
        }
    }
    builder.into_inner().context(|| cannot(&contents.top))
}

fn append<W: Write>(
    builder: &mut tar::Builder<W>,
    header: &mut Header,
    name: &str,
    from: impl Read,
) -> io::Result<Digest> {
    let mut from = Hashing::new(from);
    builder.append_data(header, name, &mut from)?;
    Ok(from.digest())
}

/// What every member has, and nothing of whoever packs.
pub(super) fn header(epoch: u64, kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch);
    header.set_size(size);
    header
}

/// Reads or writes, and knows the digest of what went through.
pub(super) struct Hashing<T> {
    to: T,
    hasher: Sha256,
    size: u64,
}

impl<T> Hashing<T> {
    pub(super) fn new(to: T) -> Self {
        Hashing { to, hasher: Sha256::new(), size: 0 }
    }

    pub(super) fn digest(self) -> Digest {
        Digest { hash: Hash(self.hasher.finalize().into()), size: self.size }
    }
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.to.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Owner;

    /// A file of some blocks of xz and zstd that does not pack to nothing, a long name, a program and a link.
    fn contents() -> Contents {
        let mut contents = Contents::new("x-1".into(), 1_700_000_000);
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        };
        let big: Vec<u8> = (0..5 * XZ_BLOCK + 5).map(|_| noise()).collect();
        contents.add_bytes("big", &big, Owner::Ours).unwrap();
        contents.add_bytes(&format!("{}/x", "long-name/".repeat(30)), b"1", Owner::Ours).unwrap();
        contents.add_bytes("run", b"#!/bin/sh\n", Owner::Ours).unwrap();
        if let Some(Member { node: Node::File { mode, .. }, .. }) = contents.members.get_mut("run") {
            *mode = 0o755;
        }
        let node = Node::Symlink { target: "../run".into() };
        contents.add("bin/link".into(), Member { node, owner: Owner::Ours, bytes: Bytes::None }).unwrap();
        contents
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_number_of_threads() {
        let contents = contents();
        let formats = [Format::Gz, Format::Xz, Format::Zst].into_iter().filter(|format| format.is_here());
        for format in formats {
            let packed = |threads| {
                let mut bytes = Vec::new();
                let digest = write(&contents, format, threads, &mut bytes, &Cancel::default(), &|_| {}).unwrap();
                assert_eq!(digest, Digest::of(&bytes));
                bytes
            };
            let one = packed(1);
            assert!(one == packed(2) && one == packed(5), "{format:?}");
            assert_eq!(Format::of(&one), Some(format));
            let mut plain = Vec::new();
            format.reader(&one[..]).unwrap().read_to_end(&mut plain).unwrap();
            let tarred = tar(&contents, Vec::new(), &Cancel::default(), &|_| {}).unwrap();
            assert!(plain == tarred);
        }
    }

    /// A disk with so much room.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.0.min(bytes.len());
            self.0 -= room;
            if room == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(room) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_archive_whose_last_byte_finds_no_room_is_an_error() {
        let mut contents = Contents::new("x-1".into(), 0);
        contents.add_bytes("a", b"1", Owner::Ours).unwrap();
        for format in [Format::Gz, Format::Xz, Format::Zst].into_iter().filter(|format| format.is_here()) {
            let onto = |room: u64| {
                let disk = io::BufWriter::with_capacity(1 << 20, Disk(usize::try_from(room).unwrap()));
                write(&contents, format, 1, disk, &Cancel::default(), &|_| {})
            };
            let whole = onto(u64::MAX >> 1).unwrap();
            assert_eq!(onto(whole.size).unwrap(), whole, "{format:?}");
            let error = onto(whole.size - 1).unwrap_err().report();
            assert!(error.contains("cannot pack the archive") && error.contains("no storage space"), "{error}");
        }
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_refused() {
        let mut contents = Contents::new("x-1".into(), 0);
        contents.add_bytes("a", b"1", Owner::Ours).unwrap();
        contents.members.get_mut("a").unwrap().bytes = Bytes::Memory((*b"2").into());
        let error = write(&contents, Format::Gz, 1, Vec::new(), &Cancel::default(), &|_| {}).unwrap_err();
        assert!(error.report().contains("`a`"), "{}", error.report());
    }
}
