//! libvhdi as an independent judge of chains. It only reads; it wants each parent beside its child, under the name in the
//! child's header. Where a bitmap byte has a bit set, it takes all later sectors of that byte for present (up to its
//! release of 2026), so here every write ends on a page of 4096 bytes.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;
use vhd::create::{Request, Storage};
use vhd::create_image;
use vhd::snapshot::{self, Base};

use crate::judge;
use crate::oracle::{Oracle, Write, cases, writes};
use crate::sample::request;

const DYNAMIC: Storage = Storage::Dynamic { max_bytes: None };

/// The disks of an image and its parents, the lowest first; an error where libvhdi cannot mount the image.
pub(crate) fn flat_by_libvhdi(directory: &Path, image: &str) -> Result<Vec<Vec<u8>>, String> {
    let point = directory.join("mounted");
    fs::create_dir_all(&point).unwrap();
    // The daemon that it leaves behind keeps its standard output and error open.
    let mut command = Command::new("vhdimount");
    command.args([image, "mounted"]).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null());
    if !command.stderr(Stdio::null()).status().unwrap().success() {
        return Err(format!("{command:?} failed"));
    }
    let files: Vec<File> = (1..).map_while(|number| File::open(point.join(format!("vhdi{number}"))).ok()).collect();
    // Files that are open keep the file system alive, and nothing that happens now leaves it mounted.
    let unmount = |program, option| Command::new(program).arg(option).arg(&point).stderr(Stdio::null()).status();
    let unmounted = unmount("umount", "--lazy").is_ok_and(|status| status.success())
        || ["fusermount3", "fusermount"].iter().any(|program| unmount(program, "-uz").is_ok_and(|done| done.success()));
    assert!(unmounted, "cannot unmount {}", point.display());
    let read = |mut file: File| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    };
    Ok(files.into_iter().map(read).collect())
}

/// Whether libvhdi can be asked: it is here, and may mount an image without parent; else the skip is on record.
pub(crate) fn has_libvhdi() -> bool {
    static MOUNTED: OnceLock<Result<(), String>> = OnceLock::new();
    let try_it = || {
        let directory = tempfile::tempdir().unwrap();
        create_image(&directory.path().join("a.vhd"), &request(2, DYNAMIC)).unwrap();
        judge::run(directory.path(), "vhdiinfo", ["a.vhd"]);
        flat_by_libvhdi(directory.path(), "a.vhd").map(drop)
    };
    if !judge::has(&["vhdiinfo", "vhdimount"]) {
        return false;
    }
    match MOUNTED.get_or_init(try_it) {
        Ok(()) => true,
        Err(why) => {
            judge::skip(&format!("FUSE may not be used here: {why}"));
            false
        }
    }
}

/// Makes a chain, the base first, each image written to after its parent was; then lets libvhdi read all of it.
fn check(storage: Storage, blocks: u64, names: &[String], writes: &[Vec<Write>]) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let mut oracle = Oracle::zeros(usize::try_from(blocks << 12).unwrap());
    let mut oracles = Vec::new();
    for (depth, (name, writes)) in names.iter().zip(writes).enumerate() {
        let (uuid, size_bytes) = (Uuid::from_u128(depth as u128 + 1), blocks << 21);
        match depth.checked_sub(1).and_then(|parent| names.get(parent)) {
            None => create_image(&path(name), &Request { uuid, size_bytes, ..request(0, storage) }).unwrap(),
            Some(parent) => {
                let request = Request { uuid, size_bytes, ..request(0, DYNAMIC) };
                snapshot::create(&path(name), &request, &Base::vhd(&path(parent)).unwrap()).unwrap();
            }
        }
        let writes: Vec<Write> = writes.iter().map(|write| write.to_page_end()).collect();
        oracle.write_to(&path(name), &writes);
        oracle.check_image(&path(name), "read by us");
        oracles.push(oracle.clone());
    }
    let leaf = names.last().unwrap();
    let found = flat_by_libvhdi(directory.path(), leaf).unwrap();
    assert_eq!(found.len(), oracles.len(), "images of the chain");
    for (number, (oracle, found)) in oracles.iter().zip(found).enumerate() {
        oracle.check(&found, &format!("image {number} of {}, read by libvhdi", oracles.len()));
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|depth| format!("{depth}.vhd")).collect()
}

#[test]
fn libvhdi_finds_parents_whose_names_are_not_ascii() {
    if has_libvhdi() {
        let names = ["base é.vhd", "字.vhd", "😀 c.vhd"].map(str::to_owned);
        check(DYNAMIC, 1, &names, &[vec![], vec![], vec![]]);
    }
}

fn storages() -> impl Strategy<Value = Storage> {
    let roomy = (24..3000u64).prop_map(|mib| Storage::Dynamic { max_bytes: Some(mib << 20) });
    prop_oneof![2 => Just(DYNAMIC), 1 => roomy, 1 => Just(Storage::Fixed)]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn libvhdi_reads_our_chains(
        storage in storages(),
        (blocks, writes) in (1..8u64, 2..5usize).prop_flat_map(|(blocks, depth)| {
            (Just(blocks), vec(writes(usize::try_from(blocks).unwrap() << 12, 0..8), depth))
        }),
    ) {
        if has_libvhdi() {
            check(storage, blocks, &names(writes.len()), &writes);
        }
    }
}
