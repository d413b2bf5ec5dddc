//! Small images of every kind on simulated disks.

use blockcrypto::Key;
use proptest::prelude::*;
use vhd::header::BlockSize;
use vhd::{Disk, Image, KeyHash};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_batmap, edit_footers, edit_header};
use crate::sim_disk::SimDisk;

pub(crate) const SECTOR: usize = 512;
/// Small blocks make small images, and many blocks in few writes.
pub(crate) const BLOCK_SECTORS: usize = 8;
pub(crate) const BLOCKS: usize = 6;
/// The last block is not whole.
pub(crate) const DISK_SECTORS: usize = BLOCK_SECTORS * BLOCKS - 3;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Dynamic,
    Differencing,
    Fixed,
    /// Without a parent.
    Encrypted,
    /// On a parent in the clear.
    EncryptedChild,
    /// No image: the data alone.
    Raw,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    File,
    /// With old bytes everywhere.
    Device(u8),
}

/// Of images.
pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Dynamic), Just(Kind::Differencing), Just(Kind::Fixed)]
}

pub(crate) fn places() -> impl Strategy<Value = Place> {
    prop_oneof![Just(Place::File), Just(Place::Device(0)), Just(Place::Device(0xff)), Just(Place::Device(1))]
}

/// An image of the kind with small blocks, as bytes of a file.
pub(crate) fn empty(kind: Kind) -> Vec<u8> {
    let disk_bytes = (DISK_SECTORS * SECTOR) as u64;
    let mut image = match kind {
        Kind::Raw => return vec![0; DISK_SECTORS * SECTOR],
        Kind::Dynamic | Kind::Encrypted => dynamic(64),
        Kind::Differencing | Kind::EncryptedChild => child("./a.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES),
        Kind::Fixed => {
            let footer = dynamic(64)[..512].to_vec();
            [vec![0; DISK_SECTORS * SECTOR], footer].concat()
        }
    };
    if matches!(kind, Kind::Fixed) {
        let mut footer = image.split_off(image.len() - SECTOR);
        edit_footers(&mut footer, |footer| {
            footer.kind = vhd::footer::DiskKind::Fixed;
            footer.data_offset = u64::MAX;
            footer.current_bytes = disk_bytes;
        });
        return [image, footer].concat();
    }
    edit_header(&mut image, |header| {
        header.block_size = BlockSize::try_from(u32::try_from(BLOCK_SECTORS * SECTOR).unwrap()).unwrap();
    });
    edit_footers(&mut image, |footer| footer.current_bytes = disk_bytes);
    if matches!(kind, Kind::Encrypted | Kind::EncryptedChild) {
        edit_batmap(&mut image, |header| header.key_hash = Some(key_hash(&key())));
    }
    image
}

/// The image where it is to be.
pub(crate) fn place(image: Vec<u8>, place: Place) -> SimDisk {
    let room = if [DISK_SECTORS, DISK_SECTORS + 1].contains(&(image.len() / SECTOR)) { 0 } else { 64 << 10 };
    place_in(image, place, room)
}

/// The image, on a device of so many more bytes.
pub(crate) fn place_in(mut image: Vec<u8>, place: Place, room: usize) -> SimDisk {
    match place {
        Place::File => SimDisk::file(image),
        Place::Device(old) => {
            let footer = image.split_off(image.len() - SECTOR);
            image.resize(image.len() + room, old);
            SimDisk::device([image, footer].concat())
        }
    }
}

/// What the encrypted ones are encrypted with.
pub(crate) fn key() -> Key {
    Key::new(&std::array::from_fn::<u8, 64, _>(|at| u8::try_from(at).unwrap())).unwrap()
}

pub(crate) fn key_hash(key: &Key) -> KeyHash {
    let nonce = [7; 32];
    KeyHash { nonce, hash: key.hash(&nonce) }
}

/// What the parent holds: every third sector.
pub(crate) fn parent() -> SimDisk {
    let sim = place(empty(Kind::Dynamic), Place::File);
    let mut disk = Disk::of(Image::on(sim.clone()).unwrap(), vec![], None).unwrap();
    for sector in (0..DISK_SECTORS).step_by(3) {
        disk.write_at((sector * SECTOR) as u64, &[0xaa; SECTOR]).unwrap();
    }
    sim
}

pub(crate) fn open(sim: &SimDisk, kind: Kind, parent: &SimDisk) -> Disk<SimDisk> {
    let parents = match kind {
        Kind::Differencing | Kind::EncryptedChild => vec![Image::on(parent.clone()).unwrap()],
        Kind::Dynamic | Kind::Fixed | Kind::Encrypted => vec![],
        Kind::Raw => return Disk::of_raw_rw(sim.clone()).unwrap(),
    };
    let key = matches!(kind, Kind::Encrypted | Kind::EncryptedChild).then(key);
    Disk::of(Image::on(sim.clone()).unwrap(), parents, None).unwrap().unlock(key.as_ref()).unwrap()
}

/// One byte per sector, which all of the sector has.
pub(crate) fn read(disk: &Disk<SimDisk>) -> Vec<u8> {
    let mut bytes = vec![1; DISK_SECTORS * SECTOR];
    disk.read_at(0, &mut bytes).unwrap();
    bytes
        .chunks(SECTOR)
        .map(|sector| {
            assert!(sector.iter().all(|&byte| byte == sector[0]), "torn sector");
            sector[0]
        })
        .collect()
}

/// What a disk holds that nobody has written to.
pub(crate) fn start(kind: Kind) -> Vec<u8> {
    let of_parent = |sector: usize| if sector.is_multiple_of(3) { 0xaa } else { 0 };
    match kind {
        Kind::Differencing | Kind::EncryptedChild => (0..DISK_SECTORS).map(of_parent).collect(),
        Kind::Dynamic | Kind::Fixed | Kind::Encrypted | Kind::Raw => vec![0; DISK_SECTORS],
    }
}
