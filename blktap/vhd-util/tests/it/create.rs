//! `create`: what it says, and what it leaves behind.

use snapbox::{IntoData, str};

use crate::bench::Bench;

#[test]
fn a_new_image_is_silent_and_has_the_length_of_libvhd() {
    for (arguments, file_bytes) in [
        (&["-s", "64"][..], 3584),
        (&["-s64"], 3584),
        (&["-s", "64", "-S", "2097152"], 4_327_936),
        (&["-s", "64", "-S", "0"], 3584),
        (&["-s", "3", "-r"], (4 << 20) + 512),
        (&["-s", "0"], 3584),
    ] {
        let bench = Bench::new();
        bench.run([&["create", "-n", "a.vhd"], arguments].concat()).code(0).stdout_eq("").stderr_eq("");
        assert_eq!(std::fs::metadata(bench.path("a.vhd")).unwrap().len(), file_bytes, "{arguments:?}");
    }
}

#[test]
fn every_image_has_an_identity_of_its_own() {
    let bench = Bench::new();
    let uuid = |name: &str| {
        bench.run(["create", "-s", "2", "-n", name]).code(0);
        std::fs::read(bench.path(name)).unwrap()[68..84].to_vec()
    };
    assert_ne!(uuid("a.vhd"), uuid("b.vhd"));
}

/// Runs a create that must fail and leave nothing behind.
fn check(arguments: &[&str], status: i32, stdout: impl IntoData, stderr: impl IntoData) {
    let bench = Bench::new();
    bench.run([&["create", "-n", "a.vhd"], arguments].concat()).code(status).stdout_eq(stdout).stderr_eq(stderr);
    assert!(!bench.path("a.vhd").exists());
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    check(
        &["-s", "64", "-S", "32"],
        22,
        str![[r#"
Error: <-S size> must be greater than <-s size>

"#]],
        str![],
    );
    check(
        &["-s", "4", "-S", "8", "-r"],
        22,
        str![],
        str![[r#"
error: -S makes room for a dynamic disk to grow, -r makes a fixed disk
help: leave out -S or -r

"#]],
    );
    check(
        &["-s", "2088961"],
        22,
        str![],
        str![[r#"
error: a disk of 2088961 MiB could not be filled: block addresses end at 2 TiB
help: the largest disk is -s 2088960 (MiB); use qcow2 for larger ones, or add --force

"#]],
    );
    check(
        &["-s", "18446744073709551615", "--force"],
        27,
        str![],
        str![[r#"
error: size is beyond 64 bits: 18446744073709551615 MiB

"#]],
    );
    check(
        &["-s", "64", "-S", "33554434"],
        27,
        str![],
        str![[r#"
a.vhd: failed to create: -27
error: cannot create `a.vhd`: a BAT cannot have room for 35184374185984 bytes: at most 16777216 blocks

"#]],
    );
}

#[test]
fn disks_that_cannot_be_filled_are_made_if_one_insists() {
    let bench = Bench::new();
    bench.run(["create", "-n", "a.vhd", "-s", "2088960", "-S", "2097152"]).code(0).stdout_eq("").stderr_eq("");
    bench.run(["create", "-n", "b.vhd", "--force", "-s", "4194304"]).code(0).stdout_eq("").stderr_eq("");
    for (name, mib) in [("a.vhd", "2088960"), ("b.vhd", "4194304")] {
        bench.run(["query", "-v", "-n", name]).code(0).stdout_eq(format!("{mib}\n"));
        bench.run(["check", "-n", name]).code(0);
    }
    bench.run(["snapshot", "-n", "c.vhd", "-p", "b.vhd"]).code(0).stderr_eq("");
    bench.run(["query", "-v", "-n", "c.vhd"]).code(0).stdout_eq("4194304\n");
}

#[test]
fn a_place_that_is_not_there_is_named() {
    let bench = Bench::new();
    bench.run(["create", "-n", "no/a.vhd", "-s", "4"]).code(2).stdout_eq("").stderr_eq(str![[r#"
no/a.vhd: failed to create: -2
error: cannot create `no/a.vhd`: No such file or directory (os error 2)

"#]]);
}

#[test]
fn a_disk_that_is_full_leaves_no_half_written_file() {
    let bench = Bench::new();
    // A limit on file size stands in for a full disk: both fail in the middle of the writes.
    let script = "ulimit -f 8; trap '' XFSZ; exec \"$@\"";
    let program = snapbox::cmd::cargo_bin!("vhd-util");
    for kind in ["-S2097152", "-r"] {
        let output = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(program)
            .args(["create", "-s", "64", kind, "-n"])
            .arg(bench.path("a.vhd"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(27), "{output:?}");
        assert!(!bench.path("a.vhd").exists(), "{kind}");
    }
}
