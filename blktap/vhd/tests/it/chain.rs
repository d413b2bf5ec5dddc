//! Chains of parents on disk: resolution, depth, loops.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use vhd::locator::PlatformCode;
use vhd::{Disk, ErrorKind, Image, MAX_CHAIN_DEPTH, Parent, chain};

use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers};

struct Directory(tempfile::TempDir);

impl Directory {
    /// A directory with `a.vhd`, without parent, in it.
    fn new() -> Self {
        let directory = Directory(tempfile::tempdir().unwrap());
        directory.write("a.vhd", &dynamic(64));
        directory
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn write(&self, name: &str, image: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), image).unwrap();
    }

    /// Checks what the parent of `name` resolves to; an error number where it does not.
    fn check(&self, name: &str, expected: Result<Parent, i32>) {
        let image = Image::open(&self.path(name)).unwrap();
        let parent = chain::parent(&image).map_err(|error| error.errno());
        assert_eq!(parent, expected.map(Some), "{name}");
    }
}

fn over(parent: &str) -> Vec<u8> {
    child(Path::new(parent), BASE_UUID, &LIBVHD_CODES)
}

#[test]
fn an_image_without_parent_is_a_chain_of_one() {
    let directory = Directory::new();
    let image = Image::open(&directory.path("a.vhd")).unwrap();
    assert_eq!(chain::parent(&image).unwrap(), None);
    assert_eq!(chain::stored_parent(&image).unwrap(), None);
    assert_eq!(chain::depth(&directory.path("a.vhd")).unwrap(), 1);
}

#[test]
fn relative_paths_start_where_the_child_really_is() {
    let directory = Directory::new();
    directory.write("d/e/b.vhd", &over("../../a.vhd"));
    symlink("d/e/b.vhd", directory.path("link.vhd")).unwrap();
    let parent = Parent::Vhd(directory.path("a.vhd"));
    directory.check("d/e/b.vhd", Ok(parent.clone()));
    directory.check("link.vhd", Ok(parent));
    let image = Image::open(&directory.path("link.vhd")).unwrap();
    assert_eq!(chain::stored_parent(&image).unwrap(), Some(PathBuf::from("../../a.vhd")));
}

#[test]
fn names_outside_ascii_are_found_through_every_code() {
    let directory = Directory::new();
    directory.write("é 字 😀.vhd", &dynamic(64));
    for code in LIBVHD_CODES {
        directory.write("b.vhd", &child(Path::new("./é 字 😀.vhd"), BASE_UUID, &[code]));
        directory.check("b.vhd", Ok(Parent::Vhd(directory.path("é 字 😀.vhd"))));
    }
}

#[test]
fn the_first_locator_that_leads_somewhere_counts() {
    let directory = Directory::new();
    let mut image = over("./a.vhd");
    image[3072..][..14].copy_from_slice(b"file://./nope\0");
    directory.write("b.vhd", &image);
    directory.check("b.vhd", Ok(Parent::Vhd(directory.path("a.vhd"))));
    directory.write("c.vhd", &over("./nope.vhd"));
    directory.check("c.vhd", Err(2));
    directory.write("d.vhd", &child(Path::new("./a.vhd"), BASE_UUID, &[]));
    directory.check("d.vhd", Err(22));
}

#[test]
fn a_nil_parent_uuid_means_a_raw_parent_and_ends_the_chain() {
    let directory = Directory::new();
    directory.write("raw.img", &[0; 4096]);
    directory.write("b.vhd", &child(Path::new("./raw.img"), Uuid::nil(), &[PlatformCode::W2ku]));
    directory.check("b.vhd", Ok(Parent::Raw(directory.path("raw.img"))));
    assert_eq!(chain::depth(&directory.path("b.vhd")).unwrap(), 2);
    fs::remove_file(directory.path("raw.img")).unwrap();
    directory.check("b.vhd", Err(2));
    assert_eq!(chain::depth(&directory.path("b.vhd")).unwrap(), 2);
}

#[test]
fn depth_counts_every_image_of_a_long_chain() {
    let directory = Directory::new();
    directory.write("0.vhd", &dynamic(64));
    for depth in 1..300 {
        directory.write(&format!("{depth}.vhd"), &over(&format!("./{}.vhd", depth - 1)));
    }
    assert_eq!(chain::depth(&directory.path("299.vhd")).unwrap(), 300);
}

#[test]
fn depth_reports_a_parent_that_is_no_image() {
    let directory = Directory::new();
    directory.write("a.vhd", &[0; 4096]);
    directory.write("b.vhd", &over("./a.vhd"));
    assert_eq!(chain::depth(&directory.path("b.vhd")).unwrap_err().errno(), 22);
}

#[test]
fn loops_end_with_an_error() {
    let directory = Directory::new();
    directory.write("b.vhd", &over("./c.vhd"));
    directory.write("c.vhd", &over("./b.vhd"));
    directory.write("self.vhd", &over("./self.vhd"));
    for name in ["b.vhd", "self.vhd"] {
        let error = chain::depth(&directory.path(name)).unwrap_err();
        assert_eq!((error.kind(), error.errno()), (ErrorKind::ChainLoop, 40));
    }
}

#[test]
fn no_data_is_read_from_an_image_in_the_middle_of_a_resize() {
    let directory = Directory::new();
    directory.write("b.vhd", &over("./a.vhd"));
    assert!(Disk::open(&directory.path("b.vhd")).is_ok());
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.is_poisoned = true);
    directory.write("a.vhd", &image);
    // Its own headers are still what they are.
    assert_eq!(chain::depth(&directory.path("a.vhd")).unwrap(), 1);
    for name in ["a.vhd", "b.vhd"] {
        let path = directory.path(name);
        assert_eq!(Disk::open(&path).unwrap_err().errno(), 22);
        assert_eq!(Disk::open_rw(&path).unwrap_err().errno(), 22);
    }
    assert_eq!(chain::depth(&directory.path("b.vhd")).unwrap_err().errno(), 22);
}

#[test]
fn chains_that_are_too_long_end_with_an_error() {
    let directory = Directory::new();
    directory.write("0.vhd", &dynamic(64));
    for depth in 1..=MAX_CHAIN_DEPTH {
        directory.write(&format!("{depth}.vhd"), &over(&format!("./{}.vhd", depth - 1)));
    }
    assert_eq!(chain::depth(&directory.path(&format!("{}.vhd", MAX_CHAIN_DEPTH - 1))).unwrap(), MAX_CHAIN_DEPTH);
    let error = chain::depth(&directory.path(&format!("{MAX_CHAIN_DEPTH}.vhd"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChainLoop);
}
