//! Whatever somebody did to an archive is named.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{Archive, Builder, EntryType, Header};

use super::small::{NAME, packed, project};
use crate::build::checkout::{Checkout, sealed};

/// One member, as it is written again.
struct Member {
    header: Header,
    path: String,
    bytes: Vec<u8>,
}

type Change = fn(&mut Vec<Member>);

/// Writes the archive again with changed members, packed exactly as ours are.
fn tamper(archive: &Path, change: impl FnOnce(&mut Vec<Member>)) {
    let mut members = Vec::new();
    for entry in Archive::new(GzDecoder::new(File::open(archive).unwrap())).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (header, path) = (entry.header().clone(), String::from_utf8_lossy(&entry.path_bytes()).into_owned());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        members.push(Member { header, path, bytes });
    }
    change(&mut members);
    let packer = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    let mut builder = Builder::new(packer);
    for mut member in members {
        member.header.set_size(member.bytes.len() as u64);
        builder.append_data(&mut member.header, &member.path, &member.bytes[..]).unwrap();
    }
    fs::write(archive, builder.into_inner().unwrap().finish().unwrap()).unwrap();
}

fn find<'a>(members: &'a mut [Member], path: &str) -> &'a mut Member {
    let path = format!("{NAME}/{path}");
    members.iter_mut().find(|member| member.path == path).unwrap()
}

/// `verify-tarball` must say these words, and fail; without words it must be content.
fn check(checkout: &Checkout, wanted: &[&str]) {
    let ran = checkout.run(&["verify-tarball", "--no-build", &format!("{NAME}.tar.gz")]);
    if wanted.is_empty() {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        return;
    }
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for wanted in wanted {
        assert!(ran.stderr.contains(wanted), "`{wanted}` is not in {}", ran.stderr);
    }
}

#[test]
fn what_was_done_to_an_archive_is_named() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let archive = packed(&checkout, &[]);
    check(&checkout, &[]);
    let whole = fs::read(&archive).unwrap();
    let changes: [(Change, &[&str]); 9] = [
        (
            |all| find(all, "tools/firmware/fw-dir/.config").bytes[0] ^= 1,
            &["tools/firmware/fw-dir/.config is changed", "(made by `fw`)"],
        ),
        (|all| find(all, "xen/Makefile").bytes.push(b'\n'), &["xen/Makefile is changed", "(source `top`)"]),
        (
            |all| find(all, "Makefile").header.set_mode(0o755),
            &["Makefile has mode 755, should have 644 (source `top`)"],
        ),
        (
            |all| {
                let member = find(all, "Makefile");
                let (header, bytes) = (member.header.clone(), member.bytes.clone());
                all.push(Member { header, path: format!("{NAME}/m4/build-to-host.m4"), bytes });
            },
            &["m4/build-to-host.m4 is extra"],
        ),
        (|all| all.retain(|member| !member.path.ends_with("configure")), &["configure is missing (source `top`)"]),
        (
            |all| {
                let member = find(all, "Makefile");
                let (header, path, bytes) = (member.header.clone(), member.path.clone(), member.bytes.clone());
                all.push(Member { header, path, bytes });
            },
            &["Makefile is there twice"],
        ),
        (|all| find(all, "xen/Makefile").header.set_mtime(1), &["xen/Makefile has time 1, should have 315619200"]),
        (|all| find(all, "configure").header.set_uid(1000), &["configure has owner 1000, should have 0"]),
        (
            |all| {
                let member = find(all, "GNUmakefile");
                member.header.set_entry_type(EntryType::Regular);
            },
            &["GNUmakefile is a file, should be a link"],
        ),
    ];
    for (change, wanted) in changes {
        fs::write(&archive, &whole).unwrap();
        tamper(&archive, change);
        check(&checkout, wanted);
    }
}

#[test]
fn nothing_hides_between_members_or_behind_the_last() {
    if !sealed() {
        return;
    }
    let checkout = project();
    let archive = packed(&checkout, &[]);
    let whole = fs::read(&archive).unwrap();
    // behind the compressed stream
    File::options().append(true).open(&archive).unwrap().write_all(b"more").unwrap();
    check(&checkout, &["the archive was packed by something else, or has something behind its end"]);
    // in a header, where no program looks
    fs::write(&archive, &whole).unwrap();
    tamper(&archive, |all| find(all, "configure").header.as_mut_bytes()[505..510].copy_from_slice(b"hello"));
    check(&checkout, &["the archive has bytes between its members, or in headers"]);
    // cut off
    fs::write(&archive, &whole[..whole.len() / 2]).unwrap();
    let ran = checkout.run(&["verify-tarball", "--no-build", archive.to_str().unwrap()]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("is no whole archive"), "{}", ran.stderr);
}

#[test]
fn another_lock_is_another_archive() {
    if !sealed() {
        return;
    }
    let checkout = project();
    packed(&checkout, &[]);
    checkout.write("top/Makefile", "all:\n");
    check(
        &checkout,
        &["Makefile is changed", "(source `top`)", "sultana/SHA256SUMS is changed", "sultana/tarball.toml is changed"],
    );
}
