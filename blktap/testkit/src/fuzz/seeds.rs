//! Inputs to begin with: sound images of each kind, and hostile ones, with something done to each.

use cbt::{BLOCK_BYTES, Header};
use tap_proto::{Extra, Flags, Open, Reply, Request, Text};
use vhd::footer::DiskKind;
use vhd::header::BlockSize;
use vhd::resize::Subject;
use vhd::{Image, Medium};

use super::journal;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header, patch_header};
use crate::sparse_disk::SparseDisk;

/// Checksums are fixed, the image is a file as long as it is.
const FILE: [u8; 2] = [1, 0];
/// The same, a device of 64 KiB.
const DEVICE: [u8; 2] = [9, 16];

/// Names and inputs of a target.
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "cbt" => return logs(),
        "frames" => return frames(),
        "journal" => return journals(),
        "nbd" => return clients(),
        _ => {}
    }
    let mut seeds = Vec::new();
    for (name, image) in images() {
        for (place, how) in [("file", FILE), ("device", DEVICE)] {
            let rest: &[u8] = match target {
                "cli" | "open" => &[],
                "read" => &read(&image),
                "edit" => &list(&(0..6).map(|kind| vec![kind, 1, kind]).collect::<Vec<_>>()),
                "chain" => &chain(&image),
                other => unreachable!("no target {other}"),
            };
            seeds.push((format!("{name}-{place}"), [&how, rest, &image].concat()));
        }
    }
    seeds
}

/// Two logs of the same disk, of disks that grew, and one that is too short.
fn logs() -> Vec<(String, Vec<u8>)> {
    let log = |blocks: u64, bitmap: &[u8]| [&Header::new(blocks * BLOCK_BYTES).to_bytes()[..], bitmap].concat();
    let cases = [
        ("same", log(20, &[1, 2, 4]), log(20, &[8, 2, 0])),
        ("larger", log(8, &[0xff]), log(20, &[0; 3])),
        ("smaller", log(20, &[1; 3]), log(8, &[0])),
        ("short", log(20, &[1; 3]), log(20, &[1; 2])),
        ("empty", log(0, &[]), log(20, &[1; 3])),
        ("huge", log(1 << 40, &[1]), log(u64::MAX / BLOCK_BYTES, &[1])),
    ];
    let input =
        |size: u64, parent: &[u8], child: &[u8]| [&size.to_le_bytes(), &len(parent)[..], parent, child].concat();
    cases.map(|(name, parent, child)| (name.to_owned(), input(100 * BLOCK_BYTES, &parent, &child))).into()
}

/// Requests of a `tap-ctl`, and replies.
fn frames() -> Vec<(String, Vec<u8>)> {
    let path = Text::new("vhd:/a.vhd").expect("it is short");
    let open = |flags, extra| Open { flags, path: path.clone(), extra, ..Open::default() };
    let key = Extra { log_path: Some(path.clone()), key: Some(vec![7; 32].into()) };
    let requests = [
        ("pid", Request::Pid),
        ("open", Request::Open(open(Flags::RDONLY, Extra::default()))),
        ("resume", Request::Resume(open(Flags::ADD_LOG | Flags::OPEN_ENCRYPTED, key))),
        ("stats", Request::Stats),
    ];
    let requests = requests.map(|(name, request)| (name, request.encode(3).to_vec()));
    let replies = [("disk", Reply::Opened(tap_proto::Disk::default())), ("end", Reply::Stats { length: 9 })];
    let replies = replies.map(|(name, reply)| (name, reply.encode(3).to_vec()));
    let pieces = [100u8, 1, 200, 255];
    requests.into_iter().chain(replies).map(|(name, bytes)| (name.to_owned(), [&pieces[..], &bytes].concat())).collect()
}

/// Clients of each form of replies, who ask for everything once.
fn clients() -> Vec<(String, Vec<u8>)> {
    let option = |number: u32, data: &[u8]| {
        let len = u32::try_from(data.len()).expect("data is short");
        [&b"IHAVEOPT"[..], &number.to_be_bytes(), &len.to_be_bytes(), data].concat()
    };
    let context = [&[0; 7][..], &[1, 0, 0, 0, 15], b"base:allocation"].concat();
    let forms = [("simple", vec![]), ("structured", option(8, &[])), ("extended", option(11, &[]))];
    let client = |(name, form): (&str, Vec<u8>)| {
        let head = [&[0, 0, 0, 3][..], &option(3, &[]), &form, &option(10, &context), &option(7, &[0; 6])].concat();
        let is_extended = name == "extended";
        let request = |kind: u16| {
            let magic = if is_extended { 0x21e4_1c71u32 } else { 0x2560_9513 };
            let flags = if is_extended && kind == 1 { 32u16 } else { 0 };
            let head = [&magic.to_be_bytes()[..], &flags.to_be_bytes(), &kind.to_be_bytes(), &[7; 8], &[0; 8]].concat();
            let payload = vec![9; if kind == 1 { 512 } else { 0 }];
            [&head[..], &512u64.to_be_bytes()[if is_extended { 0 } else { 4 }..], &payload].concat()
        };
        let requests: Vec<u8> = (0..9).flat_map(request).collect();
        (name.to_owned(), [&[50, 3, 255, 1, 0, 0][..], &head, &requests].concat())
    };
    forms.map(client).into()
}

/// Resizes that stop after each step, without a journal to be done again, and with theirs to be taken back.
fn journals() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, image) in images() {
        for stop in 0..5 {
            let input = |how: [u8; 2], image: &[u8], journal: &[u8]| {
                [&how, &[4, 0, stop, 0][..], &len(image), image, journal].concat()
            };
            seeds.push((format!("{name}-{stop}"), input(FILE, &image, &[])));
            seeds.push((format!("{name}-{stop}-device"), input(DEVICE, &image, &[])));
            let (disk, journal) = (SparseDisk::file(&image), SparseDisk::file(&[]));
            let done = Image::on(disk.clone())
                .and_then(|image| journal::perform(&Subject::of(&image)?.grow(4 << 20)?, &journal, stop.into()));
            if done.is_ok() && disk.len_bytes() < 1 << 16 {
                seeds.push((format!("{name}-{stop}-journal"), input(FILE, &disk.bytes(), &journal.bytes())));
            }
        }
    }
    seeds
}

/// A vector as `arbitrary` reads it.
fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = items.iter().flat_map(|item| [vec![1], item.clone()].concat()).collect();
    bytes.push(0);
    bytes
}

fn len(image: &[u8]) -> [u8; 2] {
    u16::try_from(image.len()).unwrap().to_le_bytes()
}

/// A leaf on top of itself as a parent and, as raw, as a base.
fn read(image: &[u8]) -> Vec<u8> {
    let op = |kind: u8, anchor: u8, at: u8, len: u8| vec![kind, anchor, at, 0, len, kind];
    let ops = [
        op(2, 0, 1, 3),
        op(6, 0, 0, 0),
        op(3, 0, 1, 3),
        op(7, 0, 0, 0),
        op(1, 0, 0, 50),
        op(3, 0, 2, 9),
        op(2, 1, 1, 1),
        op(4, 2, 16, 8),
        op(0, 0, 0, 20),
    ];
    [&len(image)[..], &[0, 0, 0], &list(&ops)].concat()
}

/// A dynamic disk, the image on top of it, and nothing else.
fn chain(image: &[u8]) -> Vec<u8> {
    let acts: Vec<Vec<u8>> = (0..7).map(|act| vec![act, 0x01]).collect();
    let base = dynamic(2);
    [&[255, 0, 255, 255][..], &list(&acts), &len(&base), &len(image), &[0; 2], &base].concat()
}

fn images() -> Vec<(&'static str, Vec<u8>)> {
    let small = |image: Vec<u8>| {
        let mut image = image;
        edit_header(&mut image, |header| header.block_size = BlockSize::try_from(4096).unwrap());
        edit_footers(&mut image, |footer| footer.current_bytes = 20 << 10);
        image
    };
    let over = || child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    let blocks = |entries: &[u32], sectors: usize| {
        let mut image = small(dynamic(64));
        let footer = image.split_off(image.len() - 512);
        for (index, entry) in entries.iter().enumerate() {
            image[1536 + 4 * index..][..4].copy_from_slice(&entry.to_be_bytes());
        }
        image.resize(sectors * 512, 0x55);
        image.extend(footer);
        image
    };
    let mut fixed = dynamic(64)[..512].to_vec();
    edit_footers(&mut fixed, |footer| {
        (footer.kind, footer.data_offset, footer.current_bytes) = (DiskKind::Fixed, u64::MAX, 2048);
    });
    let mut tiny_blocks = dynamic(64);
    patch_header(&mut tiny_blocks, 32, &256u32.to_be_bytes());
    let mut long_path = over();
    edit_header(&mut long_path, |header| header.locators[0].len_bytes = u32::MAX);
    vec![
        ("dynamic", dynamic(64)),
        ("differencing", over()),
        ("small-blocks", small(dynamic(64))),
        ("small-child", small(over())),
        ("full", blocks(&[7, 16], 25)),
        ("cut", blocks(&[7, 16], 24)),
        ("overlap", blocks(&[7, 8], 25)),
        ("metadata", blocks(&[1, 16], 25)),
        ("past-end", blocks(&[20, u32::MAX - 1], 25)),
        ("fixed", [vec![3; 2048], fixed].concat()),
        ("tiny-blocks", tiny_blocks),
        ("long-path", long_path),
    ]
}
