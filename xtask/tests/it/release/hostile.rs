//! Archives that somebody made to do harm: whatever is in them is named, nothing of them is unpacked, and no amount of it is held or
//! waited for.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use super::small::{NAME, packed, project};
use crate::build::checkout::{Checkout, sealed};

/// The plain tar in an archive of ours.
fn plain(archive: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(archive).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Packs it as we do.
fn pack(archive: &Path, tar: &[u8]) {
    let mut packer = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    packer.write_all(tar).unwrap();
    fs::write(archive, packer.finish().unwrap()).unwrap();
}

/// A member as raw bytes, with a name that no library would write.
fn member(kind: EntryType, name: &str, target: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(315_619_200);
    header.set_size(bytes.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    if matches!(kind, EntryType::Char | EntryType::Block) {
        header.set_device_major(1).unwrap();
        header.set_device_minor(5).unwrap();
    }
    header.set_cksum();
    let mut all = header.as_bytes().to_vec();
    all.extend(bytes);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

/// A record of a pax header.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length).unwrap();
    format!("{length}{rest}").into_bytes()
}

/// `verify-tarball` must name it, and fail without having done anything.
fn check(checkout: &Checkout, wanted: &[&str]) {
    let ran = checkout.run(&["verify-tarball", &format!("{NAME}.tar.gz")]);
    assert_eq!(ran.code, Some(1), "{wanted:?}: {}", ran.stderr);
    ran.says(wanted);
    ran.never_says(&["panicked"]);
    assert!(!checkout.path(".xtask/verify").exists(), "{wanted:?}");
}

#[test]
fn no_member_does_harm_and_each_is_named() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let archive = packed(&checkout, &[]);
    let good = plain(&archive);
    let end = good.len() - 1024;
    let here = |name: &str| format!("{NAME}/{name}");
    let file = |name: &str| member(EntryType::Regular, name, "", b"x");
    let pax = |records: &[u8], next: Vec<u8>| [member(EntryType::XHeader, &here("pax"), "", records), next].concat();
    let kind = |kind: EntryType| member(kind, &here("it"), "", b"");
    let members: [(Vec<u8>, &[&str]); 17] = [
        (file("/etc/evil"), &["/etc/evil is extra: it is not below `top-4.99.1/`"]),
        (file("../evil"), &["../evil is extra: it is not below"]),
        (file(&here("../../evil")), &["../../evil is extra"]),
        (file("top-4.99.1.evil"), &["top-4.99.1.evil is extra: it is not below"]),
        (file(&here("makefile")), &["makefile is extra"]),
        (file(&here("./Makefile")), &["./Makefile is extra"]),
        (file(&here("Makefile")), &["Makefile is there twice"]),
        (file(&here("\x1b[2J\nall 9 members are what the lock says")), &["\\u{1b}[2J\\nall 9 members", "is extra"]),
        (member(EntryType::Link, &here("it"), "/etc/passwd", b""), &["it is extra: a member of kind Link"]),
        (member(EntryType::Symlink, &here("out"), "../../../etc", b""), &["out is extra"]),
        (kind(EntryType::Char), &["it is extra: a member of kind Char"]),
        (kind(EntryType::Block), &["it is extra: a member of kind Block"]),
        (kind(EntryType::Fifo), &["it is extra: a member of kind Fifo"]),
        (kind(EntryType::Continuous), &["it is extra: a member of kind Continuous"]),
        (pax(&record("path", "/etc/evil"), file(&here("it"))), &["/etc/evil is extra: it is not below"]),
        (pax(&record("GNU.sparse.major", "1"), file(&here("it"))), &["it is extra"]),
        (
            [member(EntryType::XGlobalHeader, "pax_global_header", "", &record("comment", "x")), file(&here("it"))]
                .concat(),
            &["pax_global_header is extra", "it is extra"],
        ),
    ];
    for (more, wanted) in members {
        pack(&archive, &[&good[..end], &more, &good[end..]].concat());
        check(&checkout, wanted);
    }
    assert!(!checkout.root().join("../evil").exists());

    // Headers that only some programs look at, in front of members that are as they should be.
    let name = here("configure").into_bytes();
    let at = good.windows(name.len()).position(|it| it == name).unwrap();
    let odd = [
        (member(EntryType::XHeader, &here("x"), "", &record("SCHILY.xattr.user.x", "x")), "configure has a pax header"),
        (member(EntryType::GNULongName, "././@LongLink", "", here("other\0").as_bytes()), "other is extra"),
        (member(EntryType::XHeader, &here("x"), "", &record("path", &here("other"))), "configure is missing"),
    ];
    for (header, wanted) in odd {
        pack(&archive, &[&good[..at], &header, &good[at..]].concat());
        check(&checkout, &[wanted]);
    }
    // A program that takes its user's rights along, or nobody's.
    for (mode, wanted) in [(0o4755, "configure has mode 4755"), (0o2755, "has mode 2755"), (0o777, "has mode 777")] {
        let mut bytes = good.clone();
        let mut header = Header::from_byte_slice(&good[at..at + 512]).clone();
        header.set_mode(mode);
        header.set_cksum();
        bytes[at..at + 512].copy_from_slice(header.as_bytes());
        pack(&archive, &bytes);
        check(&checkout, &[wanted]);
    }
}

#[test]
fn what_is_behind_the_end_is_found_however_much_it_is() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let archive = packed(&checkout, &[]);
    let (whole, good) = (fs::read(&archive).unwrap(), plain(&archive));
    // a second stream, which gzip and tar unpack too
    fs::write(&archive, [&whole[..], &whole[..]].concat()).unwrap();
    check(&checkout, &["the archive was packed by something else, or has something behind its end"]);
    // within the stream, behind the blocks that end it
    pack(&archive, &[&good[..], &member(EntryType::Regular, "evil", "", b"x")].concat());
    check(&checkout, &["the archive has bytes between its members, or in headers"]);
    // bombs: behind the end, as a file, as the name of one
    let zeros = vec![0; 200 << 20];
    pack(&archive, &[&good[..], &zeros].concat());
    check(&checkout, &["the archive goes on long after everything that a release has"]);
    let end = good.len() - 1024;
    for (kind, name) in
        [(EntryType::Regular, "big"), (EntryType::GNULongName, "././@LongLink"), (EntryType::XHeader, "x")]
    {
        pack(&archive, &[&good[..end], &member(kind, &format!("{NAME}/{name}"), "", &zeros), &good[end..]].concat());
        check(&checkout, &["the archive goes on long after everything that a release has"]);
    }
}

#[test]
fn what_is_cut_off_or_no_archive_is_said_and_nothing_breaks() {
    if !sealed() {
        return;
    }
    let checkout = project();
    for format in ["gz", "xz", "zst"].into_iter().filter(|format| *format != "zst" || cfg!(feature = "extras")) {
        let ran = checkout.run(&["tarball", "--format", format]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let name = format!("{NAME}.tar.{format}");
        let whole = fs::read(checkout.path(&name)).unwrap();
        let cuts = [10, whole.len() / 3, whole.len() - 20].map(|length| whole[..length].to_vec());
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 0x55;
        for bytes in cuts.into_iter().chain([flipped]) {
            fs::write(checkout.path(&name), bytes).unwrap();
            let ran = checkout.run(&["verify-tarball", "--no-build", &name]);
            assert!(matches!(ran.code, Some(1 | 2)), "{format}: {:?} {}", ran.code, ran.stderr);
            ran.never_says(&["panicked"]);
            assert!(ran.stderr.contains("is no whole archive") || ran.stderr.contains("is not what the lock says"));
        }
    }
    let refused = |wanted: &[&str]| {
        let ran = checkout.run(&["verify-tarball", "--no-build", &format!("{NAME}.tar.gz")]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        ran.says(wanted);
        assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
    };
    let archive = checkout.path(&format!("{NAME}.tar.gz"));
    // A member without a mode, whose name would do something to a terminal.
    let mut bytes = member(EntryType::Regular, &format!("{NAME}/\x1b[2J"), "", b"x");
    let mut header = Header::from_byte_slice(&bytes[..512]).clone();
    header.as_old_mut().mode = *b"nothing.";
    header.set_cksum();
    bytes[..512].copy_from_slice(header.as_bytes());
    pack(&archive, &bytes);
    refused(&["is no whole archive", "\\u{1b}[2J", "help: cargo xtask tarball"]);
    fs::write(&archive, "not packed").unwrap();
    refused(&["it is no .tar.gz, .tar.xz or .tar.zst", "help: cargo xtask tarball"]);
}
