//! `read`: tables, bitmaps and data. Bytes and numbers as C blktap 4 gave them, but where it crashed or read what is not
//! there.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use vhd::units::SECTOR_BYTES;
use vhd::{Disk, Image};

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers, edit_header};

const SECTOR: usize = 512;
/// Where the blocks of `a.vhd` begin: its second block is not allocated.
const BLOCKS_AT: [usize; 3] = [3584, 3584 + 2_101_248, 3584 + 2 * 2_101_248];

/// Writes each sector full of one byte.
fn write(bench: &Bench, name: &str, sectors: &[(u64, u8)]) {
    let mut disk = Disk::open_rw(&bench.path(name)).unwrap();
    for &(sector, byte) in sectors {
        disk.write_at(sector * SECTOR_BYTES, &[byte; SECTOR]).unwrap();
    }
}

/// `a.vhd` of four blocks, `b.vhd` on it, `c.vhd` on `raw.img`, and one on a parent that is lost.
fn bench() -> Bench {
    let bench = Bench::with(&[("a.vhd", &dynamic(8)), ("raw.img", &[5; 3 << 20])]);
    let head = [(0, 10), (1, 11), (2, 12), (4095, 13)];
    write(&bench, "a.vhd", &[&head[..], &[(8192, 14), (16_383, 15)]].concat());
    bench.run(["snapshot", "-n", "b.vhd", "-p", "a.vhd"]).code(0);
    write(&bench, "b.vhd", &[(1, 21), (4096, 22)]);
    bench.run(["snapshot", "-n", "c.vhd", "-p", "raw.img", "-m"]).code(0);
    write(&bench, "c.vhd", &[(1, 31)]);
    fs::create_dir(bench.path("far")).unwrap();
    fs::copy(bench.path("b.vhd"), bench.path("far/lost.vhd")).unwrap();
    bench
}

fn check(image: &str, options: &str, status: i32, stdout: &str, stderr: &str) {
    let bench = bench();
    let arguments = ["read", "-n", image].into_iter().chain(options.split_whitespace());
    bench.run(arguments).code(status).stdout_eq(stdout.to_owned()).stderr_eq(stderr.to_owned());
}

/// Standard output, byte for byte.
fn bytes(bench: &Bench, image: &str, options: &str, status: i32) -> Vec<u8> {
    let arguments = ["read", "-n", image].into_iter().chain(options.split_whitespace());
    bench.run(arguments).code(status).get_output().stdout.clone()
}

#[test]
fn tables_are_text() {
    let cases = [
        (
            "-t 4095 -c 2",
            0,
            "logical sector 4095: block number: 0, sector offset: 4095, file offset: 2100736\nlogical sector 4096: block number: 1, sector offset: 0, file offset: not allocated\n",
            "",
        ),
        ("-x -t 8193", 0, "logical sector 0x2001: block number: 0x2, sector offset: 0x1, file offset: 0x202200\n", ""),
        ("-t 16383 -c 2", 34, "", "sector 16385 past end of file\n"),
        ("-t 16384 -c 0", 0, "", ""),
        ("-t 18446744073709551615", 34, "", "sector 18446744073709551615 past end of file\n"),
        ("-b 0 -c 3", 0, "block: 0: offset: 3584\nblock: 1: offset: not allocated\nblock: 2: offset: 2104832\n", ""),
        ("-b 2 -x", 0, "block: 0x2: offset: 0x201e00\n", ""),
        ("-b 4", 34, "", "block 5 past end of file\n"),
        ("-b 18446744073709551615 -c 18446744073709551615", 34, "", "block 18446744073709551615 past end of file\n"),
        ("-i 2 -c 2", 0, "block 0: sec: 2: 1\nblock 0: sec: 3: 0\n", ""),
        ("-i 4095 -c 3 -x", 0, "block 0: sec: 0xfff: 1\nblock 0x1: sec: 0: 0\nblock 0x1: sec: 0x1: 0\n", ""),
        ("-i 16383 -c 2", 34, "sector 16383 past end of file\n", ""),
        ("-e 0", 0, "0 1\n", ""),
        ("-e 1 -c 8191", 0, "1 2\n4095 1\n", ""),
        ("-e 0 -c 16384 -x", 0, "0 0x3\n0xfff 0x1\n0x2000 0x1\n0x3fff 0x1\n", ""),
        ("-e 3 -c 5", 0, "", ""),
        ("-e 16384", 34, "sector 16384 past end of file\n", ""),
        ("-m 1", 0, "block 1 not allocated\n", ""),
        ("-m 4", 34, "", "block 5 past end of file\n"),
        ("-d 1 -x", 0, "block 0x1 not allocated\n", ""),
        ("-j 2 -c 2", 0, "", "batmap for block 2: 0\nbatmap for block 3: 0\n"),
        ("-j 4", 34, "", "block 5 past end of file\n"),
        ("-r 16384", 34, "", ""),
        ("-R 8388608", 34, "", ""),
        ("-R 18446744073709551615", 34, "", ""),
        ("-c 1 -R 16384 -c 0", 0, "", ""),
        ("", 0, "", ""),
    ];
    for (options, status, stdout, stderr) in cases {
        check("a.vhd", options, status, stdout, stderr);
    }
}

#[test]
fn answers_have_an_order_and_end_with_the_first_failure() {
    check("a.vhd", "-e 0 -b 1 -i 0", 0, "block: 1: offset: not allocated\nblock 0: sec: 0: 1\n0 1\n", "");
    check("a.vhd", "-r 0 -b 1 -t 99999", 34, "", "sector 100000 past end of file\n");
    check("a.vhd", "-b 0 -b 1", 0, "block: 1: offset: not allocated\n", "");
}

#[test]
fn raw_answers_are_the_bytes_of_the_file() {
    let bench = bench();
    let file = fs::read(bench.path("a.vhd")).unwrap();
    let blocks = BLOCKS_AT.map(|at| (file[at..][..SECTOR].to_vec(), file[at + SECTOR..][..2 << 20].to_vec()));
    let [(map_0, data_0), (map_2, data_2), (_, data_3)] = blocks;
    assert_eq!(bytes(&bench, "a.vhd", "-B", 0), [0b1011_0000]);
    let unused = b"block 1 not allocated\n".to_vec();
    assert!(bytes(&bench, "a.vhd", "-m 0 -c 3", 0) == [map_0, unused.clone(), map_2].concat());
    assert!(bytes(&bench, "a.vhd", "-d 0 -c 4", 0) == [data_0, unused, data_2, data_3].concat());
    assert_eq!(bytes(&bench, "a.vhd", "-a", 0), [0; SECTOR]);
}

#[test]
fn a_batmap_has_all_of_its_room() {
    let bench = Bench::new();
    bench.run(["create", "-n", "a.vhd", "-s", "4", "-S", "65536"]).code(0);
    bench.run(["fill", "-n", "a.vhd"]).code(0);
    // The room is that of 32768 blocks; where it ends the parent's paths would begin.
    assert_eq!(bytes(&bench, "a.vhd", "-a", 0).len(), 4096);
    assert_eq!(bytes(&bench, "a.vhd", "-B", 0), [0xc0]);
    let beyond = "block: 1: offset: 2240000\nblock: 2: offset: not allocated\n";
    bench.run(["read", "-n", "a.vhd", "-b", "1", "-c", "9"]).code(0).stdout_eq(beyond);
}

#[test]
fn blocks_are_counted_in_whole_ones() {
    let mut image = dynamic(8);
    image[1536..1552].fill(0);
    edit_footers(&mut image, |footer| footer.current_bytes = (8 << 20) - 512);
    let bench = Bench::with(&[("a.vhd", &image)]);
    assert_eq!(bytes(&bench, "a.vhd", "-B", 0), [0b1110_0000]);
}

#[test]
fn a_disk_is_read_through_its_parents() {
    let bench = bench();
    let sectors = |image, options, wanted: &[u8]| {
        let read = bytes(&bench, image, options, 0);
        let found: Vec<u8> = read.chunks(SECTOR).map(|sector| sector[0]).collect();
        assert_eq!((found, read.len()), (wanted.to_vec(), wanted.len() * SECTOR), "{image} {options}");
    };
    sectors("b.vhd", "-r 0 -c 4", &[10, 21, 12, 0]);
    sectors("b.vhd", "-C -r 4095 -c 3", &[13, 22, 0]);
    sectors("b.vhd", "-r 16383", &[15]);
    sectors("c.vhd", "-r 0 -c 3", &[5, 31, 5]);
    // A raw parent that is shorter than its child reads as zeros past its end.
    fs::write(bench.path("raw.img"), [5; 1 << 20]).unwrap();
    sectors("c.vhd", "-r 2047 -c 2", &[5, 0]);
    let part = bytes(&bench, "b.vhd", "-R 500 -c 600", 0);
    assert!(part == [vec![10; 12], vec![21; SECTOR], vec![12; 76]].concat());
    assert_eq!(bytes(&bench, "b.vhd", "-R 2097151 -c 2", 0), [13, 22]);
    assert_eq!(bytes(&bench, "b.vhd", "-R 8388607", 0), [15]);
}

#[test]
fn what_an_image_holds_is_read_without_its_parents() {
    let bench = bench();
    assert_eq!(bytes(&bench, "far/lost.vhd", "-r 1", 0), [21; SECTOR]);
    assert_eq!(bytes(&bench, "far/lost.vhd", "-r 1 -c 2", 2), b"");
    assert_eq!(bytes(&bench, "far/lost.vhd", "-e 0 -c 100", 0), b"1 1\n");
}

#[test]
fn chains_that_are_wrong_are_refused_where_they_are_needed() {
    let mut looped = child("./t.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES);
    edit_footers(&mut looped, |footer| footer.uuid = BASE_UUID);
    let bench = Bench::with(&[("t.vhd", &looped), ("p.vhd", &dynamic(64))]);
    assert_eq!(bytes(&bench, "t.vhd", "-r 0", 40), b"");
    fs::write(bench.path("t.vhd"), child("./p.vhd".as_ref(), LIBVHD_UUID, &LIBVHD_CODES)).unwrap();
    assert_eq!(bytes(&bench, "t.vhd", "-r 0", 22), b"");
    let mut poisoned = dynamic(64);
    edit_footers(&mut poisoned, |footer| footer.is_poisoned = true);
    fs::write(bench.path("p.vhd"), poisoned).unwrap();
    fs::write(bench.path("t.vhd"), child("./p.vhd".as_ref(), BASE_UUID, &LIBVHD_CODES)).unwrap();
    assert_eq!(bytes(&bench, "t.vhd", "-r 0", 22), b"");
    assert_eq!(bytes(&bench, "p.vhd", "-r 0", 0), [0; SECTOR]);
}

/// An identity that no image here has.
const LIBVHD_UUID: uuid::Uuid = uuid::Uuid::from_u128(0xdead);

#[test]
fn a_file_that_ends_early_is_told() {
    let bench = bench();
    let file = fs::read(bench.path("a.vhd")).unwrap();
    let last = BLOCKS_AT[2];
    // Inside the last block: what would be the footer's place and all behind it is zero.
    fs::write(bench.path("t.vhd"), &file[..last + 512 * 11]).unwrap();
    let data = bytes(&bench, "t.vhd", "-d 3", 0);
    assert!(data.len() == 2 << 20 && data.iter().all(|&byte| byte == 0));
    assert_eq!(bytes(&bench, "t.vhd", "-r 16383", 32), b"");
    // Before its data, and inside its bitmap.
    for len in [last + 512, last + 100] {
        fs::write(bench.path("t.vhd"), &file[..len]).unwrap();
        assert_eq!(bytes(&bench, "t.vhd", "-d 3", 32), b"", "{len}");
    }
    for options in ["-m 3", "-i 16383", "-e 16383", "-r 16383"] {
        assert_eq!(bytes(&bench, "t.vhd", options, 32), b"", "{options}");
    }
}

#[test]
fn a_batmap_that_is_damaged_or_missing_is_told() {
    let mut damaged = dynamic(8);
    damaged[2560] ^= 1;
    let mut newer = dynamic(8);
    newer[2048 + 23] = 3;
    let mut foreign = dynamic(8);
    edit_footers(&mut foreign, |footer| footer.creator.app = *b"vpc ");
    for image in [damaged, newer, foreign] {
        let bench = Bench::with(&[("a.vhd", &image)]);
        assert_eq!(bytes(&bench, "a.vhd", "-a", 22), b"failed to read batmap: -22\n");
        let run = bench.run(["read", "-n", "a.vhd", "-j", "0"]).code(22).stdout_eq("");
        assert!(run.get_output().stderr.ends_with(b"failed to get batmap\n"));
    }
}

#[test]
fn full_blocks_are_those_of_the_batmap() {
    let mut image = dynamic(8);
    image[2560] = 0x90;
    image[2048 + 24..2048 + 28].copy_from_slice(&(!0x90u32).to_be_bytes());
    let bench = Bench::with(&[("a.vhd", &image)]);
    let stderr = "batmap for block 0: 1\nbatmap for block 0x1: 0\nbatmap for block 0x2: 0\nbatmap for block 0x3: 1\n";
    bench.run(["read", "-n", "a.vhd", "-xj", "0", "-c", "4"]).code(0).stdout_eq("").stderr_eq(stderr);
}

#[test]
fn c_trusts_the_copy_at_the_start_alone() {
    let mut image = dynamic(8);
    image[100] ^= 1;
    let bench = Bench::with(&[("a.vhd", &image)]);
    assert_eq!(bytes(&bench, "a.vhd", "-b 0", 0), b"block: 0: offset: not allocated\n");
    assert!(bytes(&bench, "a.vhd", "-C -b 0", 22).starts_with(b"Failed to open a.vhd: -22\n"));
    let end = image.len() - 512;
    image[100] ^= 1;
    image[end..].fill(0);
    fs::write(bench.path("a.vhd"), image).unwrap();
    assert_eq!(bytes(&bench, "a.vhd", "-C -b 0", 0), b"block: 0: offset: not allocated\n");
    assert!(bytes(&bench, "/dev/null", "-C -b 0", 22).starts_with(b"Failed to open /dev/null: -22\n"));
}

#[test]
fn x_prints_headers_in_hexadecimal() {
    let bench = Bench::with(&[("a.vhd", &dynamic(64))]);
    let text = String::from_utf8(bytes(&bench, "a.vhd", "-px", 0)).unwrap();
    for line in [
        "Data offset         : 0x200",
        "Current disk size   : 0x40 MB (0x4000000 Bytes)",
        "Max BAT size        : 0x20",
        "Block size          : 0x200000 (0x2 MB)",
        "Batmap offset       : 0xa00",
        "Hidden              : 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn numbers_that_are_none_are_wrong_usage() {
    for options in ["-b x", "-b 1x", "-b -1", "-c 1.5 -b 0", "-r 99999999999999999999"] {
        let stdout = bytes(&Bench::with(&[("a.vhd", &dynamic(8))]), "a.vhd", options, 22);
        assert!(stdout.starts_with(b"options:\n"), "{options}");
    }
}

#[test]
fn small_blocks_have_their_sectors_counted() {
    let mut image = dynamic(8);
    edit_header(&mut image, |header| header.block_size = (512u32 << 10).try_into().unwrap());
    edit_footers(&mut image, |footer| footer.current_bytes = 2 << 20);
    image[1536..1540].copy_from_slice(&7u32.to_be_bytes());
    let bench = Bench::with(&[("a.vhd", &image)]);
    assert_eq!(bytes(&bench, "a.vhd", "-B", 0), [0x80]);
    let stdout = "logical sector 1023: block number: 0, sector offset: 1023, file offset: 527872\nlogical sector 1024: block number: 1, sector offset: 0, file offset: not allocated\n";
    bench.run(["read", "-n", "a.vhd", "-t", "1023", "-c", "2"]).code(0).stdout_eq(stdout);
}

#[test]
fn what_is_larger_than_memory_goes_through() {
    let bench = Bench::new();
    bench.run(["create", "-n", "a.vhd", "-s", "1024"]).code(0);
    let image = Image::open(&bench.path("a.vhd")).unwrap();
    let (sectors, bytes) = (image.footer().current_bytes / SECTOR_BYTES, image.footer().current_bytes);
    // 128 MiB of addresses, in KiB as the shell counts them.
    let script = format!("ulimit -v 131072; exec \"$0\" read -n \"$1\" -r 0 -c {sectors}");
    let program = snapbox::cmd::cargo_bin!("vhd-util");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program).arg(bench.path("a.vhd")).stdout(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let read = std::io::copy(&mut running.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    assert_eq!((running.wait().unwrap().code(), read), (Some(0), bytes));
}

#[test]
fn a_reader_that_goes_away_ends_the_answer() {
    let bench = Bench::new();
    bench.run(["create", "-n", "a.vhd", "-s", "2088960"]).code(0);
    let program = snapbox::cmd::cargo_bin!("vhd-util");
    let mut command = Command::new(program);
    command.args(["read", "-i", "0", "-c", "4278190080", "-n"]).arg(bench.path("a.vhd"));
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = [0; 18];
    running.stdout.take().unwrap().read_exact(&mut line).unwrap();
    assert_eq!((&line, running.wait().unwrap().code()), (b"block 0: sec: 0: 0", Some(32)));
}
