//! `scan -l`: images on logical volumes. Lines as C blktap 4 gave them; what LVM says is as LVM 2.03.16 said it. Volumes
//! lie in a file that stands for a physical volume, and on a real one where the system lets us make it.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::cmd::OutputAssert;
use snapbox::str;
use uuid::Uuid;

use crate::bench::Bench;
use crate::sample::{BASE_UUID, LIBVHD_CODES, child, dynamic, edit_footers};

const MIB: u64 = 1 << 20;
const EXTENT: u64 = 4 * MIB;

/// A hidden image with a marker.
fn base() -> Vec<u8> {
    let mut image = dynamic(64);
    edit_footers(&mut image, |footer| footer.hidden = 1);
    image[2048 + 28] = 7;
    image
}

/// An image on a volume of the group `vg-x`, as libvhd links it.
fn over(volume: &str, uuid: Uuid) -> Vec<u8> {
    child(Path::new(&format!("./vg--x-{}", volume.replace('-', "--"))), uuid, &LIBVHD_CODES)
}

/// A volume of the group: its name, its first extent, and what lies there.
type Volume = (&'static str, u64, Vec<u8>);

fn volumes() -> Vec<Volume> {
    vec![
        ("VHD-a-1", 0, base()),
        ("VHD-b", 2, over("VHD-a-1", BASE_UUID)),
        ("VHD-c", 4, over("VHD-b", Uuid::from_u128(2))),
        ("LV-raw", 6, vec![]),
        ("VHD-r", 7, over("LV-raw", Uuid::nil())),
        ("VHD-lost", 8, over("VHD-gone-2", BASE_UUID)),
    ]
}

/// A group `vg-x` that fake programs know, in a directory of the test's own.
struct Fake {
    bench: Bench,
}

impl Fake {
    fn new() -> Self {
        let bench = Bench::new();
        let device = bench.path("pv");
        let file = fs::File::create(&device).unwrap();
        file.set_len(MIB + 10 * EXTENT).unwrap();
        let mut said = String::new();
        for (name, extent, image) in volumes() {
            file.write_all_at(&image, MIB + extent * EXTENT).unwrap();
            said.push_str(&format!("  {name} 12582912 linear    2     0 8388608 {}({extent})\n", device.display()));
            said.push_str(&format!("  {name} 12582912 linear    2 8388608 4194304 {}(9)\n", device.display()));
        }
        let fake = Fake { bench };
        fake.says("vgs", &format!("  vg-x 4194304   6   1 {} 1048576\n", device.display()));
        fake.says("lvs", &said);
        fake
    }

    /// Records what a program says.
    fn says(&self, program: &str, said: &str) {
        fs::write(self.bench.path(program), said).unwrap();
    }

    fn scan(&self, arguments: &[&str]) -> OutputAssert {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fake_lvm");
        self.scan_with_path(&programs, arguments)
    }

    fn scan_with_path(&self, programs: &Path, arguments: &[&str]) -> OutputAssert {
        let command = self.bench.command().env("PATH", programs).env("FAKE_LVM", self.bench.path(""));
        command.arg("scan").args(arguments).assert()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.bench.path("calls")).unwrap_or_default()
    }
}

fn check(arguments: &[&str], status: i32, stdout: impl snapbox::IntoData) {
    Fake::new().scan(&[&["-l", "vg-x"], arguments].concat()).code(status).stdout_eq(stdout);
}

const A: &str = "vhd=VHD-a-1 capacity=67108864 size=12582912 hidden=1 parent=none\n";
const B: &str = "vhd=VHD-b capacity=67108864 size=12582912 hidden=0 parent=VHD-a-1\n";
const C: &str = "vhd=VHD-c capacity=67108864 size=12582912 hidden=0 parent=VHD-b\n";
const RAW: &str = "vhd=LV-raw capacity=12582912 size=12582912 hidden=1 parent=none\n";

#[test]
fn volumes_have_lines_with_their_names() {
    check(&["-f", "-c", "-m", "VHD-[abc]*"], 0, [A, B, C].concat());
    check(&["-m", "VHD-[abc]*"], 0, [A, B, C].concat());
    check(&["-v", "VHD-c", "VHD-b"], 0, [C, B].concat());
    check(&["-m", "VHD-b", "VHD-*-1"], 0, [B, A].concat());
    check(&["-f", "-m", "nothing*"], 0, "");
    check(&["-M", "VHD-a-1"], 0, A.replace("parent", "marker=7 keyhash= parent"));
}

#[test]
fn parents_are_volumes_of_the_group() {
    check(&["-f", "-c", "-a", "-m", "VHD-c"], 0, [C, B, A].concat());
    let tree = [A, "   ", B, "      ", C].concat();
    check(&["-p", "-a", "-m", "VHD-c"], 0, tree);
    let line = "vhd=VHD-r capacity=67108864 size=12582912 hidden=0 parent=LV-raw\n";
    check(&["-f", "-a", "-m", "VHD-r"], 0, [line, RAW].concat());
    check(
        &["-f", "-a", "-m", "VHD-lost"],
        0,
        str![[r#"
vhd=VHD-lost capacity=67108864 size=12582912 hidden=0 parent=VHD-gone-2
vhd=VHD-gone-2 scan-error=-2 error-message='failure scanning target'

"#]],
    );
    check(
        &["--json", "VHD-b"],
        0,
        str![[r#"
{"vhd":"VHD-b","capacity":67108864,"size":12582912,"hidden":0,"marker":0,"keyhash":"","parent":"VHD-a-1"}

"#]],
    );
}

#[test]
fn what_is_no_image_has_an_error_of_its_own() {
    check(&["-f", "-m", "LV-*"], 22, "vhd=LV-raw scan-error=-22 error-message='invalid footer'\n");
    let cases = [
        ("  odd 8388608 striped    1     0 8388608 PV(0),PV(2)", 38, "failure scanning target"),
        ("  odd 8388608 thin    1     0 8388608 ", 38, "failure scanning target"),
        ("  odd 8388608 linear    1     0 8388608 [unknown](0)", 2, "opening device"),
        ("  odd 8388608 linear    1     0 8388608 /nowhere(0)", 2, "opening device"),
        ("  odd 8388608 linear    1     0 8388608 /other(0)", 22, "failure scanning target"),
        ("  odd 2048 linear    1     0 2048 PV(0)", 22, "device too small"),
        ("  odd 8388608 linear    1     0 8388608 PV(11)", 32, "reading headers"),
    ];
    for (line, errno, message) in cases {
        let fake = Fake::new();
        // A file that has the name of a lost device is none.
        fs::copy(fake.bench.path("pv"), fake.bench.path("[unknown]")).unwrap();
        let device = fake.bench.path("pv").display().to_string();
        let devices = [device.as_str(), "[unknown]", "/nowhere"];
        fake.says("vgs", &devices.map(|device| format!("  vg-x 4194304 1 3 {device} 1048576\n")).concat());
        let good = format!("  VHD-a-1 12582912 linear 1 0 12582912 {device}(0)\n");
        fake.says("lvs", &format!("{}\n{good}", line.replace("PV", &device)));
        let stdout = format!("vhd=odd scan-error=-{errno} error-message='{message}'\n");
        fake.scan(&["-f", "-l", "vg-x", "-m", "odd"]).code(errno).stdout_eq(stdout.clone());
        fake.scan(&["-f", "-c", "-l", "vg-x", "-m", "*"]).code(0).stdout_eq(stdout + A);
    }
}

#[test]
fn a_damaged_header_is_told() {
    let fake = Fake::new();
    let file = fs::File::options().write(true).open(fake.bench.path("pv")).unwrap();
    file.write_all_at(&[9], MIB + 600).unwrap();
    let stdout = "vhd=VHD-a-1 scan-error=-22 error-message='reading header'\n";
    fake.scan(&["-f", "-l", "vg-x", "VHD-a-1"]).code(22).stdout_eq(stdout);
}

#[test]
fn lvm_is_called_with_arguments_and_no_shell() {
    let fake = Fake::new();
    fake.scan(&["-f", "-c", "-l", "vg-x", "-m", "VHD-a-1"]).code(0);
    let fields = [
        "vg_name,vg_extent_size,lv_count,pv_count,pv_name,pe_start",
        "lv_name,lv_size,segtype,seg_count,seg_start,seg_size,devices",
    ];
    let call = |program, fields| {
        format!("{program} --noheadings --nosuffix --units=b --options={fields} --unbuffered -- vg-x\n")
    };
    assert_eq!(fake.calls(), call("vgs", fields[0]) + &call("lvs", fields[1]));
}

#[test]
fn names_that_lvm_would_not_give_never_reach_it() {
    for name in
        ["-a", "--config=x", "", "a b", "a/b", "../x", "$(touch pwned)", "`touch pwned`", ";touch pwned", "@tag", "é"]
    {
        let fake = Fake::new();
        fake.scan(&["-f", "-c", "-m", "*", "-l", name]).code(22).stdout_eq("");
        assert_eq!(fake.calls(), "", "{name}");
        assert!(!fake.bench.path("pwned").exists(), "{name}");
    }
}

#[test]
fn groups_that_cannot_be_read_are_told() {
    let fake = Fake::new();
    let stderr =
        "error: cannot run `vgs`, which knows the volumes of group `vg-x`: No such file or directory (os error 2)\n";
    let nowhere = fake.bench.path("nowhere");
    fake.scan_with_path(&nowhere, &["-f", "-c", "-l", "vg-x", "-m", "*"]).code(22).stdout_eq("").stderr_eq(stderr);
    let says = |program: &str, said: &str, stderr: &str| {
        let fake = Fake::new();
        fake.says(program, said);
        fake.scan(&["-f", "-c", "-l", "vg-x", "-m", "*"]).code(22).stdout_eq("").stderr_eq(stderr.to_owned());
    };
    says("vgs", "", "error: `vgs` does not know volume group `vg-x` (exit status: 0): \n");
    says(
        "vgs",
        "  other 4194304 1 1 /dev/a 0\n",
        "error: `vgs` says what cannot be understood: `other 4194304 1 1 /dev/a 0`\n",
    );
    says("lvs", "  a b\n", "error: `lvs` says what cannot be understood: `a b`\n");
    for program in ["vgs", "lvs"] {
        let fake = Fake::new();
        fs::remove_file(fake.bench.path(program)).unwrap();
        let stderr =
            format!("error: `{program}` does not know volume group `vg-x` (exit status: 5): Volume group not found\n");
        fake.scan(&["-f", "-c", "-l", "vg-x", "-m", "*"]).code(22).stdout_eq("").stderr_eq(stderr);
    }
    let fake = Fake::new();
    fake.says("lvs", "");
    fake.scan(&["-f", "-l", "vg-x", "-m", "*"]).code(0).stdout_eq("");
}

/// A loop device of the test's own; it goes away with the test.
struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        Command::new("losetup").args(["-d", &self.0]).status().unwrap();
    }
}

/// Runs a program of the system, under an LVM configuration in this directory that knows one device only.
fn system(directory: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).env("LVM_SYSTEM_DIR", directory).output();
    let output = output.map_err(|error| format!("{program} cannot be run ({error})"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(format!("{program} fails: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// A group `vg-x` with the volumes, none of them active. `Err` says why it cannot be made.
fn real_group(directory: &Path) -> Result<Loop, String> {
    let image = directory.join("pv");
    fs::File::create(&image).unwrap().set_len(64 * MIB).unwrap();
    let device = Loop(system(directory, "losetup", &["-f", "--show", image.to_str().unwrap()])?);
    let name = &device.0;
    let here = directory.display();
    let config = format!(
        "devices {{ use_devicesfile = 0 filter = [ \"a|^{name}$|\", \"r|.*|\" ] hints = \"none\" }}\n\
         global {{ activation = 0 locking_dir = \"{here}\" use_lvmpolld = 0 }}\n\
         backup {{ backup = 0 archive = 0 }}\n"
    );
    fs::write(directory.join("lvm.conf"), config).unwrap();
    system(directory, "pvcreate", &["-y", name])?;
    system(directory, "vgcreate", &["-y", "vg-x", name])?;
    for (volume, _, _) in volumes() {
        system(directory, "lvcreate", &["-y", "-an", "-Zn", "-Wn", "-l", "2", "-n", volume, "vg-x"])?;
    }
    let file = fs::File::options().write(true).open(name).map_err(|error| error.to_string())?;
    for ((_, _, image), extent) in volumes().iter().zip((0u64..).step_by(2)) {
        file.write_all_at(image, MIB + extent * EXTENT).map_err(|error| error.to_string())?;
    }
    file.sync_all().map_err(|error| error.to_string())?;
    Ok(device)
}

#[test]
fn inactive_volumes_of_a_real_group_are_read() {
    let bench = Bench::new();
    let directory: PathBuf = bench.path("");
    let _device = match real_group(&directory) {
        Ok(device) => device,
        Err(why) => {
            return println!(
                "SKIPPED inactive_volumes_of_a_real_group_are_read: {why}: needs root, a loop device and lvm2"
            );
        }
    };
    let scan = |arguments: &[&str]| {
        bench.command().env("LVM_SYSTEM_DIR", &directory).args(["scan", "-l", "vg-x"]).args(arguments).assert()
    };
    let lines = [A, B, C].concat().replace("size=12582912", "size=8388608");
    scan(&["-f", "-c", "-m", "VHD-[abc]*"]).code(0).stdout_eq(lines);
    let chain = [C, B, A].concat().replace("size=12582912", "size=8388608");
    scan(&["-f", "-a", "VHD-c"]).code(0).stdout_eq(chain);
    scan(&["-f", "LV-raw"]).code(22).stdout_eq("vhd=LV-raw scan-error=-22 error-message='invalid footer'\n");
    let unknown = bench.command().env("LVM_SYSTEM_DIR", &directory).args(["scan", "-l", "vg-y", "-m", "*"]).assert();
    unknown.code(22).stdout_eq("");
}
