//! `create`: what it says, and what it leaves behind.

use std::fs;

use snapbox::str;

use crate::bench::Bench;

/// Creates `a` and compares its length; `None` where the call must fail and leave nothing.
fn check(arguments: &[&str], status: i32, file_bytes: Option<u64>) {
    let bench = Bench::new();
    bench.run([&["create"], arguments].concat()).code(status);
    assert_eq!(fs::metadata(bench.path("a")).ok().map(|metadata| metadata.len()), file_bytes, "{arguments:?}");
}

#[test]
fn a_vhd_has_the_length_of_libvhd() {
    check(&["vhd", "64", "a"], 0, Some(3584));
    check(&["vhd", "0", "a"], 0, Some(3584));
    check(&["vhd", "-r", "3", "a"], 0, Some((4 << 20) + 512));
    check(&["vhd", "3", "a", "-r"], 0, Some((4 << 20) + 512));
}

#[test]
fn a_raw_disk_is_zeros_and_has_its_space() {
    use std::os::unix::fs::MetadataExt;
    for arguments in [&["-r", "3", "a"][..], &["-b", "-r", "3", "a"]] {
        let bench = Bench::with(&[("a", b"an older file")]);
        bench.run([&["create", "aio"], arguments].concat()).code(0).stdout_eq("").stderr_eq("");
        assert!(fs::read(bench.path("a")).unwrap() == vec![0; 3 << 20]);
        assert!(fs::metadata(bench.path("a")).unwrap().blocks() >= (3 << 20) / 512);
    }
    check(&["aio", "-r", "0", "a"], 0, Some(0));
}

#[test]
fn a_raw_disk_that_is_not_reserved_is_refused() {
    Bench::new().run(["create", "aio", "3", "a"]).code(22).stdout_eq("").stderr_eq(str![[r#"
Cannot create sparse aio image
help: td-util create aio -r MIB FILE reserves all of its space

"#]]);
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    for size in ["64x", "x", "", "1.5"] {
        check(&["vhd", size, "a"], 22, None);
        check(&["aio", "-r", size, "a"], 22, None);
    }
    check(&["vhd", "--", "-5", "a"], 22, None);
    check(&["vhd", "2088961", "a"], 22, None);
    check(&["aio", "-r", "8796093022208", "a"], 27, None);
    check(&["aio", "-r", "18446744073709551615", "a"], 27, None);
    Bench::new().run(["create", "vhd", "64x", "a"]).code(22).stdout_eq("").stderr_eq(str![[r#"
error: size is `64x`, not a whole number of MiB
help: td-util create vhd 10240 FILE
usage: td-util create vhd [-h help] [-r reserve] [-b file_is_fixed_size] <SIZE(MB)> <FILENAME>

"#]]);
}

#[test]
fn a_fixed_size_of_the_file_is_refused_by_vhd_util_as_in_c() {
    Bench::new()
        .run(["create", "vhd", "-b", "10", "a"])
        .code(22)
        .stdout_eq(str![[r#"
options: <-n name> <-s size (MB)> [-r reserve] [-h help] [<-S size (MB) for metadata preallocation (see vhd-util resize)>]

"#]])
        .stderr_eq(str![[r#"
create: invalid option -- 'b'

"#]]);
}

#[test]
fn a_place_that_is_not_there_is_named() {
    Bench::new().run(["create", "aio", "-r", "1", "no/a"]).code(2).stdout_eq("").stderr_eq(str![[r#"
error: cannot create `no/a`: No such file or directory (os error 2)

"#]]);
    check(&["vhd", "10", "no/a"], 2, None);
}
