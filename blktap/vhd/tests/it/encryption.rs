//! Encrypted images: who may open them, and that a chain of encrypted and plain ones reads what was written.

use blockcrypto::{Cipher, Key};
use proptest::prelude::*;
use vhd::map::Place as MapPlace;
use vhd::{Disk, Image, Medium};

use crate::sample::edit_batmap;
use crate::sim_disk::SimDisk;
use crate::small::{BLOCK_SECTORS, DISK_SECTORS, Kind, Place, SECTOR, empty, key, key_hash, open, place};

const DISK_BYTES: usize = DISK_SECTORS * SECTOR;

fn other_key() -> Key {
    Key::new(&std::array::from_fn::<u8, 32, _>(|at| u8::try_from(at + 1).unwrap())).unwrap()
}

/// Images on top of each other, leaf first, that are encrypted or not.
fn chain(files: &[SimDisk]) -> Disk<SimDisk> {
    let mut images = files.iter().map(|file| Image::on(file.clone()).unwrap());
    Disk::of(images.next().unwrap(), images.collect(), None).unwrap()
}

/// Files of a chain, base first.
fn files(are_encrypted: &[bool]) -> Vec<SimDisk> {
    let kind = |(depth, &is_encrypted)| match (depth, is_encrypted) {
        (0, true) => Kind::Encrypted,
        (0, false) => Kind::Dynamic,
        (_, true) => Kind::EncryptedChild,
        (_, false) => Kind::Differencing,
    };
    are_encrypted.iter().enumerate().map(kind).map(|kind| place(empty(kind), Place::File)).collect()
}

fn errno(are_encrypted: &[bool], key: Option<&Key>) -> Option<i32> {
    let mut files = files(are_encrypted);
    files.reverse();
    chain(&files).unlock(key).err().map(|error| error.errno())
}

#[test]
fn every_encrypted_image_wants_its_key_and_a_key_wants_an_encrypted_disk() {
    let (right, wrong) = (key(), other_key());
    for are_encrypted in [&[true][..], &[true, true], &[false, true], &[true, false, true]] {
        assert_eq!(errno(are_encrypted, Some(&right)), None, "{are_encrypted:?}");
        assert_eq!(errno(are_encrypted, Some(&wrong)), Some(126), "{are_encrypted:?}");
        assert_eq!(errno(are_encrypted, None), Some(126), "{are_encrypted:?}");
    }
    assert_eq!(errno(&[true, false], None), Some(126));
    assert_eq!(errno(&[true, false], Some(&right)), Some(22), "the leaf is in the clear");
    assert_eq!(errno(&[false, false], Some(&right)), Some(22));
    assert_eq!(errno(&[false, false], None), None);
    let raw = Disk::of_raw_rw(SimDisk::file(vec![0; SECTOR])).unwrap();
    assert_eq!(raw.unlock(Some(&right)).unwrap_err().errno(), 22);
}

#[test]
fn a_hash_whose_first_byte_is_not_1_still_wants_a_key() {
    // blktap's `key -p` says `none` of it, its tapdisk wants the key.
    let mut image = empty(Kind::Encrypted);
    let at = image.windows(8).position(|bytes| bytes == b"tdbatmap").unwrap() + 29;
    assert_eq!(image[at], 1);
    image[at] = 2;
    let open = |key: Option<&Key>| {
        let disk = chain(&[SimDisk::file(image.clone())]);
        assert!(disk.images().next().unwrap().key_hash().unwrap().is_none());
        disk.unlock(key).err().map(|error| error.errno())
    };
    assert_eq!((open(None), open(Some(&key()))), (Some(126), None));
}

#[test]
fn a_key_of_equal_halves_is_refused() {
    let weak = Key::new(&[7; 32]).unwrap();
    let mut image = empty(Kind::Dynamic);
    edit_batmap(&mut image, |header| header.key_hash = Some(key_hash(&weak)));
    assert_eq!(chain(&[SimDisk::file(image)]).unlock(Some(&weak)).unwrap_err().errno(), 22);
}

#[test]
fn nothing_shows_the_key() {
    let sim = place(empty(Kind::Encrypted), Place::File);
    let shown = format!("{:?}", open(&sim, Kind::Encrypted, &sim).images().next().unwrap());
    let disk = format!("{:?}", open(&place(empty(Kind::Encrypted), Place::File), Kind::Encrypted, &sim));
    assert!(disk.contains("Cipher(AES-256-XTS)"));
    for text in [shown, disk] {
        assert!(!text.contains("4, 5, 6, 7, 8, 9, 10, 11"), "{text}");
    }
}

#[test]
fn data_lies_encrypted_under_its_number_and_everything_else_in_the_clear() {
    let sim = place(empty(Kind::Encrypted), Place::File);
    let mut disk = open(&sim, Kind::Encrypted, &sim);
    let (first, plain) = (BLOCK_SECTORS + 3, [0x5a; SECTOR]);
    disk.write_at((first * SECTOR) as u64, &plain).unwrap();
    disk.flush().unwrap();
    let MapPlace::Layer { depth: 0, offset } = disk.map((first * SECTOR) as u64, 512).unwrap()[0].place else {
        panic!("the image holds it");
    };
    let mut expected = [plain];
    Cipher::new(&key()).unwrap().encrypt(first as u64, &mut expected);
    assert!(sim.bytes()[usize::try_from(offset).unwrap()..][..SECTOR] == expected[0]);
    // Tools see what lies on disk, and all structure is sound.
    let locked = chain(std::slice::from_ref(&sim));
    let mut found = [0; SECTOR];
    locked.read_at((first * SECTOR) as u64, &mut found).unwrap();
    assert!(found == expected[0]);
    // A sector of the block that was not written is zero, for both.
    locked.read_at((first * SECTOR - SECTOR) as u64, &mut found).unwrap();
    assert!(found == [0; SECTOR]);
}

#[test]
fn a_hole_under_a_set_bit_is_not_zero() {
    // As `vhd-util copy -k` of blktap leaves it where its source has no sectors; its tapdisk reads noise there, and so do we.
    let sim = place(empty(Kind::Encrypted), Place::File);
    let mut disk = open(&sim, Kind::Encrypted, &sim);
    let block = BLOCK_SECTORS * SECTOR;
    disk.write_at(0, &vec![1; block]).unwrap();
    let MapPlace::Layer { offset, .. } = disk.map(0, 512).unwrap()[0].place else { panic!("the image holds it") };
    sim.write_all_at(&vec![0; block], offset).unwrap();
    let mut expected = [[0; SECTOR]; BLOCK_SECTORS];
    Cipher::new(&key()).unwrap().decrypt(0, &mut expected);
    let mut found = vec![0; block];
    disk.read_at(0, &mut found).unwrap();
    assert!(found == expected.concat());
    let status = disk.status(0, block as u64, 9).unwrap();
    assert_eq!(status, [vhd::Stretch { len_bytes: block as u64, is_zero: false }]);
    // Zeros that are asked for are zeros.
    disk.write_zeroes(0, block as u64).unwrap();
    disk.read_at(0, &mut found).unwrap();
    assert!(found == vec![0; block]);
}

#[test]
fn a_fixed_disk_is_encrypted_too() {
    #[derive(Clone, Debug)]
    struct Labelled(SimDisk);
    impl Medium for Labelled {
        fn path(&self) -> &std::path::Path {
            self.0.path()
        }
        fn len_bytes(&self) -> u64 {
            self.0.len_bytes()
        }
        fn target(&self) -> vhd::plan::Target {
            self.0.target()
        }
        fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
            self.0.read_exact_at(bytes, offset)
        }
        fn write_all_at(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
            self.0.write_all_at(bytes, offset)
        }
        fn sync(&self) -> std::io::Result<()> {
            self.0.sync()
        }
        fn truncate(&self, len_bytes: u64) -> std::io::Result<()> {
            self.0.truncate(len_bytes)
        }
        fn attribute(&self, name: &str, bytes: &mut [u8]) -> std::io::Result<Option<usize>> {
            if !name.ends_with("keyhash") {
                return Ok(None);
            }
            let hash = key_hash(&key());
            let value = [&[1][..], &hash.nonce, &hash.hash].concat();
            bytes.copy_from_slice(&value);
            Ok(Some(value.len()))
        }
    }
    let sim = SimDisk::file(empty(Kind::Fixed));
    let on = || Disk::of(Image::on(Labelled(sim.clone())).unwrap(), vec![], None).unwrap();
    assert_eq!(on().unlock(None).unwrap_err().errno(), 126);
    let mut disk = on().unlock(Some(&key())).unwrap();
    disk.write_at(1024, &[3; SECTOR]).unwrap();
    disk.write_zeroes(1536, 512).unwrap();
    disk.discard(1024, 512).unwrap();
    let mut found = [1; 2 * SECTOR];
    disk.read_at(1024, &mut found).unwrap();
    assert!(found == [[3; SECTOR], [0; SECTOR]].concat()[..]);
    assert!(sim.bytes()[1536..2048] != [0; SECTOR]);
    assert_eq!(disk.status(0, DISK_BYTES as u64, 9).unwrap().len(), 1, "holes of its file are noise");
}

#[derive(Clone, Debug)]
enum Op {
    Write,
    Many,
    Over,
    Zero,
    Discard,
    /// Gives the blocks of the range a place.
    Place,
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<(Op, usize, usize)>> {
    let op = prop_oneof![
        4 => Just(Op::Write),
        2 => Just(Op::Many),
        3 => Just(Op::Over),
        2 => Just(Op::Zero),
        2 => Just(Op::Discard),
        1 => Just(Op::Place),
        1 => Just(Op::Reopen),
    ];
    let range = (0..DISK_SECTORS, 1..2 * BLOCK_SECTORS + 2);
    let op = (op, range).prop_map(|(op, (first, sectors))| (op, first, sectors.min(DISK_SECTORS - first)));
    prop::collection::vec(op, 1..24)
}

/// Every byte says where it is, so that a sector that is decrypted as another one shows.
fn bytes(number: usize, first: usize, sectors: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((number * 31 + at / SECTOR * 7 + at) % 255 + 1).unwrap();
    (first * SECTOR..(first + sectors) * SECTOR).map(byte).collect()
}

struct Model {
    files: Vec<SimDisk>,
    disk: Disk<SimDisk>,
    oracle: Vec<u8>,
    ahead: Option<u64>,
}

impl Model {
    /// The last file is the leaf.
    fn open(files: &[SimDisk], oracle: Vec<u8>, ahead: Option<u64>) -> Self {
        let files: Vec<_> = files.iter().rev().cloned().collect();
        let leaf = Image::on(files[0].clone()).unwrap();
        let key = leaf.key_hash().unwrap().map(|_| key());
        let mut disk = chain(&files).unlock(key.as_ref()).unwrap();
        if let Some(blocks) = ahead {
            disk.write_back(blocks * (BLOCK_SECTORS * SECTOR) as u64).unwrap();
        }
        Model { files, disk, oracle, ahead }
    }

    fn check(&self) {
        let mut found = vec![0xee; DISK_BYTES];
        self.disk.read_at(0, &mut found).unwrap();
        for (sector, (found, wanted)) in found.chunks(SECTOR).zip(self.oracle.chunks(SECTOR)).enumerate() {
            assert!(found == wanted, "sector {sector}");
        }
        // What is called zero is zero.
        let mut at = 0;
        for stretch in self.disk.status(0, DISK_BYTES as u64, usize::MAX).unwrap() {
            let end = at + usize::try_from(stretch.len_bytes).unwrap();
            assert!(!stretch.is_zero || self.oracle[at..end].iter().all(|&byte| byte == 0));
            at = end;
        }
    }

    fn apply(&mut self, number: usize, op: &Op, first: usize, sectors: usize) {
        let at = (first * SECTOR) as u64;
        let bytes = bytes(number, first, sectors);
        let range = first * SECTOR..(first + sectors) * SECTOR;
        match op {
            Op::Write => self.disk.write_at(at, &bytes).unwrap(),
            Op::Many => {
                let (one, two) = bytes.split_at(sectors / 2 * SECTOR);
                let writes = [(at + one.len() as u64, two), (at, one)];
                self.disk.write_many(if one.is_empty() { &writes[..1] } else { &writes }).unwrap();
            }
            Op::Over => match self.disk.write_over(at, &bytes) {
                Some(done) => done.unwrap(),
                None => return,
            },
            Op::Zero => {
                self.disk.write_zeroes(at, bytes.len() as u64).unwrap();
                self.oracle[range].fill(0);
                return;
            }
            Op::Discard => {
                self.disk.discard(at, bytes.len() as u64).unwrap();
                let mut found = vec![0xee; bytes.len()];
                self.disk.read_at(at, &mut found).unwrap();
                for (found, held) in found.chunks(SECTOR).zip(self.oracle[range].chunks_mut(SECTOR)) {
                    assert!(found == held || found.iter().all(|&byte| byte == 0), "discarded");
                    held.copy_from_slice(found);
                }
                return;
            }
            Op::Place => {
                let blocks = first / BLOCK_SECTORS..(first + sectors).div_ceil(BLOCK_SECTORS);
                let (unplaced, _) = self.disk.unplaced(blocks).unwrap();
                self.disk.place(&unplaced).unwrap();
                return;
            }
            Op::Reopen => {
                self.disk.flush().unwrap();
                let files: Vec<_> = self.files.iter().rev().cloned().collect();
                *self = Model::open(&files, self.oracle.clone(), self.ahead);
                return;
            }
        }
        self.oracle[range].copy_from_slice(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn chains_of_encrypted_and_plain_images_read_what_was_written(
        ops in prop::collection::vec(ops(), 3),
        are_encrypted in prop_oneof![
            4 => Just([true, false, true]),
            1 => Just([false, false, true]),
            1 => Just([true, true, true]),
            1 => Just([false, true, true]),
        ],
        ahead in prop::option::of(0..4u64),
        ranges in prop::collection::vec((0..DISK_BYTES, 0..3000usize), 1..6),
    ) {
        let files = files(&are_encrypted);
        let mut oracle = vec![0; DISK_BYTES];
        for depth in 0..3 {
            // A layer that is in the clear is written without a key, over parents whose data shows as it lies there.
            let is_leaf_plain = !are_encrypted[depth];
            let below: Vec<_> = files[..=depth].to_vec();
            if is_leaf_plain {
                let mut alone = below.clone();
                alone.reverse();
                let mut disk = chain(&alone);
                for (number, (op, first, sectors)) in ops[depth].iter().enumerate() {
                    if matches!(op, Op::Write | Op::Many) {
                        let bytes = bytes(number + depth * 50, *first, *sectors);
                        disk.write_at((first * SECTOR) as u64, &bytes).unwrap();
                        oracle[first * SECTOR..][..bytes.len()].copy_from_slice(&bytes);
                    }
                }
                disk.flush().unwrap();
                continue;
            }
            let mut model = Model::open(&below, oracle, ahead);
            model.check();
            for (number, (op, first, sectors)) in ops[depth].iter().enumerate() {
                model.apply(number + depth * 50, op, *first, *sectors);
                model.check();
            }
            model.disk.flush().unwrap();
            for &(from, len) in &ranges {
                let mut found = vec![0xee; len.min(DISK_BYTES - from)];
                model.disk.read_at(from as u64, &mut found).unwrap();
                prop_assert!(found == model.oracle[from..][..found.len()]);
            }
            oracle = model.oracle;
            model.disk.close().unwrap();
        }
        Model::open(&files, oracle, None).check();
    }
}
