//! Disks past the page cache, and through it: against a byte vector, by every engine, on a real file system.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use rustix::fs::Advice;
use uring::Uring;
use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::snapshot::{self, Base};
use vhd::{Cache, Disk, Engine, Image, Medium, Open, Threads, create_image, edit};

use crate::judge;
use crate::loop_device::{LoopDevice, has_loop_devices};
use crate::oracle::{Oracle, SECTOR, Write, cases, writes};
use crate::sample::request;
use crate::small::{key, key_hash};

/// Sectors of the disks here, four blocks.
const DISK_SECTORS: usize = 4 << 12;
const DYNAMIC: Storage = Storage::Dynamic { max_bytes: None };

#[derive(Clone, Copy, Debug)]
enum Kind {
    Dynamic,
    Fixed,
    /// Over an image with some data.
    Differencing,
    /// Over a raw file that is shorter, and no whole number of sectors.
    OverRaw,
    /// Over the same.
    Encrypted,
    /// Without an image.
    Raw,
}

const KINDS: [Kind; 6] = [Kind::Dynamic, Kind::Fixed, Kind::Differencing, Kind::OverRaw, Kind::Encrypted, Kind::Raw];

impl Kind {
    fn open(self, path: &Path, how: &Open) -> Disk {
        match self {
            Kind::Raw => Disk::open_raw_with(path, how).unwrap(),
            Kind::Encrypted => Disk::open_with(path, how).unwrap().unlock(Some(&key())).unwrap(),
            _ => Disk::open_with(path, how).unwrap(),
        }
    }

    /// Reads it all, through the page cache.
    fn check(self, path: &Path, oracle: &Oracle, when: &str) {
        let mut bytes = vec![1; DISK_SECTORS * SECTOR];
        self.open(path, &Open::default()).read_at(0, &mut bytes).unwrap();
        oracle.check(&bytes, when);
    }

    /// Bytes of a device for it.
    fn device_bytes(self) -> usize {
        DISK_SECTORS * SECTOR + if matches!(self, Kind::Fixed | Kind::Raw) { 4096 } else { 64 << 10 }
    }
}

/// How a disk is opened, and what this is called.
type Way = (&'static str, Open);

fn ways() -> Vec<Way> {
    let open = |cache, engine| Open { is_writable: true, cache, parents: cache, engine, ..Open::default() };
    let mut engines: Vec<(&str, Option<Arc<dyn Engine>>)> =
        vec![("no engine", None), ("threads", Some(Arc::new(Threads::new(3).unwrap())))];
    match Uring::new() {
        Ok(uring) => engines.push(("io_uring", Some(Arc::new(uring)))),
        Err(error) => judge::skip(&format!("no io_uring: {error}")),
    }
    let both = |(name, engine): (&'static str, Option<Arc<dyn Engine>>)| {
        [(name, open(Cache::Cached, engine.clone())), (name, open(Cache::Direct, engine))]
    };
    engines.into_iter().flat_map(both).collect()
}

/// Makes an image, and what is below it in the directory.
fn create(kind: Kind, path: &Path, directory: &Path) -> Oracle {
    let mut oracle = Oracle::zeros(DISK_SECTORS);
    let new = |storage| Request { uuid: Uuid::from_u128(2), ..request(8, storage) };
    let base = match kind {
        Kind::Dynamic | Kind::Fixed => {
            create_image(path, &new(if matches!(kind, Kind::Fixed) { Storage::Fixed } else { DYNAMIC })).unwrap();
            return oracle;
        }
        Kind::Raw => {
            // A file's last sector is not whole.
            if !path.exists() {
                fs::write(path, vec![0; DISK_SECTORS * SECTOR + 300]).unwrap();
            }
            let zeros = vec![0; DISK_SECTORS * SECTOR];
            Disk::open_raw_rw(path).unwrap().write_at(0, &zeros).unwrap();
            return oracle;
        }
        Kind::Differencing => {
            let parent = directory.join("parent.vhd");
            create_image(&parent, &request(8, DYNAMIC)).unwrap();
            oracle
                .write_to(&parent, &[Write::new(1, 3, 7), Write::new(4090, 20, 8), Write::new(DISK_SECTORS - 1, 1, 9)]);
            Base::vhd(&parent).unwrap()
        }
        Kind::OverRaw | Kind::Encrypted => {
            let parent = directory.join("parent.raw");
            let bytes: Vec<u8> = (1..251).cycle().take((5 << 20) + 777).collect();
            oracle.0[..bytes.len()].copy_from_slice(&bytes);
            fs::write(&parent, bytes).unwrap();
            Base::raw(&parent).unwrap()
        }
    };
    snapshot::create(path, &new(DYNAMIC), &base).unwrap();
    if matches!(kind, Kind::Encrypted) {
        edit::set_key_hash(&Image::open_rw(path).unwrap(), key_hash(&key())).unwrap();
    }
    oracle
}

#[derive(Clone, Debug)]
enum Op {
    Write(Write),
    /// Those that lie apart, together.
    Together(Vec<Write>),
    /// Over what is there.
    Over(Vec<Write>),
    Zero(Write),
    Read(Vec<(usize, usize)>),
    Flush,
    Reopen,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let some = || writes(DISK_SECTORS, 1..12);
    let one = || writes(DISK_SECTORS, 1..2).prop_map(|mut writes| writes.remove(0));
    let len = prop_oneof![3 => 0..9000usize, 1 => 0..3usize << 20];
    let read = (0..DISK_SECTORS * SECTOR, len);
    let op = prop_oneof![
        2 => one().prop_map(Op::Write),
        3 => some().prop_map(Op::Together),
        3 => some().prop_map(Op::Over),
        1 => one().prop_map(Op::Zero),
        3 => prop::collection::vec(read, 1..12).prop_map(Op::Read),
        1 => Just(Op::Flush),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..12)
}

/// The first of them that lie apart, as far as one plan can hold them.
fn apart(writes: &[Write]) -> Vec<Write> {
    let (mut apart, mut sectors) = (Vec::<Write>::new(), 0);
    for write in writes {
        let is_apart =
            |other: &Write| other.first + other.sectors <= write.first || write.first + write.sectors <= other.first;
        sectors += write.sectors;
        if apart.iter().all(is_apart) && sectors <= 16 << 11 {
            apart.push(*write);
        }
    }
    apart
}

fn run(disk: &mut Disk, op: &Op, oracle: &mut Oracle) {
    let with_bytes = |writes: &[Write]| -> Vec<(u64, Vec<u8>)> {
        writes.iter().map(|write| (write.offset() as u64, write.bytes())).collect()
    };
    fn borrowed(writes: &[(u64, Vec<u8>)]) -> Vec<(u64, &[u8])> {
        writes.iter().map(|(offset, bytes)| (*offset, bytes.as_slice())).collect()
    }
    match op {
        Op::Write(write) => {
            disk.write_at(write.offset() as u64, &write.bytes()).unwrap();
            oracle.write(write);
        }
        Op::Together(writes) => {
            let writes = apart(writes);
            disk.write_many(&borrowed(&with_bytes(&writes))).unwrap();
            writes.iter().for_each(|write| oracle.write(write));
        }
        Op::Over(writes) => {
            let bytes = with_bytes(writes);
            let done = disk.write_over_many(&borrowed(&bytes));
            for (write, done) in writes.iter().zip(&done) {
                if done.as_ref().is_some_and(|done| done.as_ref().map(|()| true).unwrap()) {
                    oracle.write(write);
                }
            }
            for (write, _) in writes.iter().zip(&done).filter(|(_, done)| done.is_none()) {
                run(disk, &Op::Write(*write), oracle);
            }
        }
        Op::Zero(write) => {
            disk.write_zeroes(write.offset() as u64, (write.sectors * SECTOR) as u64).unwrap();
            oracle.0[write.offset()..][..write.sectors * SECTOR].fill(0);
        }
        Op::Read(ranges) => {
            let mut memory: Vec<_> = ranges.iter().map(|&(_, len)| vec![0xee; len]).collect();
            let reads =
                ranges.iter().zip(&mut memory).map(|(&(offset, _), bytes)| (offset as u64, bytes.as_mut_slice()));
            let done = disk.read_many(&mut reads.collect::<Vec<_>>());
            for ((&(offset, len), found), done) in ranges.iter().zip(&memory).zip(done) {
                let (len_bytes, end) = (disk.size_bytes(), (offset + len) as u64);
                match oracle.0.get(offset..offset + len) {
                    None if end <= len_bytes => done.unwrap(),
                    Some(wanted) => {
                        done.unwrap();
                        assert!(found == wanted, "{len} bytes at {offset}");
                    }
                    None => assert_eq!(done.unwrap_err().errno(), 22),
                }
            }
        }
        Op::Flush => disk.flush().unwrap(),
        Op::Reopen => {}
    }
}

/// On a file in this directory.
fn check(directory: &Path, kind: Kind, way: &Way, ahead: Option<u64>, ops: &[Op]) {
    let directory = tempfile::tempdir_in(directory).unwrap();
    let path = directory.path().join("leaf.vhd");
    check_at(&path, directory.path(), kind, way, ahead, ops);
    if !matches!(kind, Kind::Fixed | Kind::Raw) {
        let image = Image::open(&path).unwrap();
        assert_eq!(image.physical_bytes().unwrap(), image.file().len_bytes());
    }
}

fn check_at(path: &Path, directory: &Path, kind: Kind, (name, how): &Way, ahead: Option<u64>, ops: &[Op]) {
    let mut oracle = create(kind, path, directory);
    let open = || {
        let mut disk = kind.open(path, how);
        if let Some(bytes) = ahead {
            disk.write_back(bytes).unwrap();
        }
        disk
    };
    let mut disk = open();
    for op in ops {
        if matches!(op, Op::Reopen) {
            disk.close().unwrap();
            disk = open();
        }
        run(&mut disk, op, &mut oracle);
    }
    let all = Op::Read(vec![(0, DISK_SECTORS * SECTOR), (700, DISK_SECTORS * SECTOR - 701)]);
    run(&mut disk, &all, &mut oracle);
    kind.check(path, &oracle, &format!("{name}, {:?}, still open", how.cache));
    disk.close().unwrap();
    kind.check(path, &oracle, &format!("{name}, {:?}", how.cache));
}

/// A directory on a disk: in memory there is nothing but the page cache.
fn on_disk() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn disks_hold_what_was_written_whichever_way(
        ops in ops(),
        kind in prop::sample::select(&KINDS[..]),
        ahead in prop::option::of(0..12u64 << 20),
    ) {
        let directory = on_disk();
        for way in ways() {
            check(directory.path(), kind, &way, ahead, &ops);
        }
    }
}

/// Whether any byte of a file is in the page cache.
fn is_cached(path: &Path) -> bool {
    let pages = judge::run(
        path.parent().unwrap(),
        "fincore",
        ["-n".as_ref(), "-o".as_ref(), "PAGES".as_ref(), path.as_os_str()],
    );
    pages.trim() != "0"
}

#[test]
fn nothing_of_a_chain_is_in_the_page_cache() {
    if !judge::has(&["fincore"]) {
        return;
    }
    let directory = on_disk();
    for kind in KINDS {
        let directory = tempfile::tempdir_in(directory.path()).unwrap();
        let path = directory.path().join("leaf.vhd");
        let mut oracle = create(kind, &path, directory.path());
        let files = || fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        for path in files() {
            let file = File::open(&path).unwrap();
            file.sync_all().unwrap();
            rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
            if is_cached(&path) {
                judge::skip("the file system keeps files in the page cache");
                return;
            }
        }
        for (name, how) in ways().iter().filter(|(_, how)| how.cache == Cache::Direct) {
            let mut disk = kind.open(&path, how);
            assert_eq!(disk.without_direct().count(), 0);
            let write = Write::new(100, 5000, 3);
            for op in [Op::Read(vec![(0, DISK_SECTORS * SECTOR)]), Op::Write(write), Op::Over(vec![write]), Op::Flush] {
                run(&mut disk, &op, &mut oracle);
            }
            files().for_each(|path| assert!(!is_cached(&path), "{kind:?} {name}: {}", path.display()));
        }
    }
}

/// A file system that ends with the value.
struct Mount {
    path: PathBuf,
    _device: LoopDevice,
}

impl Mount {
    fn new(directory: &Path, sector_bytes: u32, options: &str) -> Result<Self, String> {
        let device = LoopDevice::new(directory, "fs.img", sector_bytes, &vec![0; 64 << 20])?;
        let path = directory.join("mount");
        fs::create_dir(&path).unwrap();
        run_tool(Command::new("mkfs.ext4").arg("-q").arg(&device.path))?;
        run_tool(Command::new("mount").args(["-o", options]).arg(&device.path).arg(&path))?;
        Ok(Mount { path, _device: device })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run_tool(Command::new("umount").arg(&self.path)).unwrap();
    }
}

fn run_tool(command: &mut Command) -> Result<(), String> {
    let done = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()) }
}

/// Calls with a directory on a file system of its own, or says why not.
fn on_mount(sector_bytes: u32, options: &str, test: impl FnOnce(&Path)) {
    let directory = on_disk();
    match Mount::new(directory.path(), sector_bytes, options) {
        Ok(mount) => test(&mount.path),
        Err(why) => judge::skip(&format!("no file systems can be mounted (they need root): {why}")),
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn images_whose_ends_are_no_whole_units_of_their_file_system_keep_them(
        ops in ops(),
        kind in prop::sample::select(&KINDS[..]),
        ahead in prop::option::of(0..12u64 << 20),
    ) {
        on_mount(4096, "defaults", |directory| {
            for way in ways().iter().filter(|(_, how)| how.cache == Cache::Direct) {
                check(directory, kind, way, ahead, &ops);
            }
        });
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn devices_hold_what_was_written_by_every_engine(
        ops in ops(),
        kind in prop::sample::select(&KINDS[..]),
        ahead in prop::option::of(0..12u64 << 20),
        sector_bytes in prop::sample::select(&[512, 4096][..]),
    ) {
        if has_loop_devices() {
            for way in ways().iter().filter(|(_, how)| how.cache == Cache::Direct) {
                let directory = on_disk();
                let old = vec![0xff; kind.device_bytes()];
                let device = LoopDevice::new(directory.path(), "device.img", sector_bytes, &old).unwrap();
                check_at(&device.path, directory.path(), kind, way, ahead, &ops);
            }
        }
    }
}

#[test]
fn where_there_is_no_way_past_the_page_cache_it_is_said() {
    on_mount(512, "data=journal", |directory| {
        let path = directory.join("leaf.vhd");
        let mut oracle = create(Kind::Differencing, &path, directory);
        let how = Open { is_writable: true, cache: Cache::Direct, ..Open::default() };
        let mut disk = Disk::open_with(&path, &how).unwrap();
        assert_eq!(disk.without_direct().collect::<Vec<_>>(), [path.as_path()]);
        run(&mut disk, &Op::Write(Write::new(100, 5000, 3)), &mut oracle);
        drop(disk);
        oracle.check_image(&path, "written through the page cache");
        let all = Disk::open_with(&path, &Open { cache: Cache::Direct, parents: Cache::Direct, ..Open::default() });
        assert_eq!(all.unwrap().without_direct().count(), 2);
    });
}
