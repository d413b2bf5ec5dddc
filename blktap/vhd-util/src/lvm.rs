//! Volume groups: what `vgs` and `lvs` say about them. Calls those programs with arguments of their own, no shell, and
//! only for names that LVM itself would give. Reads no image.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::glob;
use crate::report::{EINVAL, ENOSYS};

const GROUP_FIELDS: &str = "--options=vg_name,vg_extent_size,lv_count,pv_count,pv_name,pe_start";
const VOLUME_FIELDS: &str = "--options=lv_name,lv_size,segtype,seg_count,seg_start,seg_size,devices";
/// LVM's limit for names of groups.
const MAX_NAME_BYTES: usize = 127;

/// A volume group.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// In the order of `lvs`.
    pub(crate) volumes: Vec<Volume>,
}

/// A logical volume, active or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// Where it begins, or the error number of why it cannot be read without the device mapper.
    pub(crate) start: Result<Extent, i32>,
}

/// The first segment of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) device: PathBuf,
    /// Byte position on the device.
    pub(crate) offset: u64,
    pub(crate) len_bytes: u64,
}

/// Why a group cannot be scanned.
#[derive(Debug)]
pub(crate) struct GroupError {
    message: String,
    source: Option<io::Error>,
}

impl GroupError {
    fn new(message: impl Into<String>) -> Self {
        GroupError { message: message.into(), source: None }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for GroupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

impl Group {
    /// Asks LVM for a group.
    pub(crate) fn read(name: &OsStr) -> Result<Group, GroupError> {
        let name = name.to_str().filter(|name| is_name(name)).ok_or_else(|| {
            GroupError::new(format!("`{}` is no name of a volume group: letters, digits and +_.-", name.display()))
        })?;
        let devices = Devices::parse(&ask("vgs", GROUP_FIELDS, name)?, name)?;
        let volumes = volumes(&ask("lvs", VOLUME_FIELDS, name)?, &devices)?;
        Ok(Group { name: name.to_owned(), volumes })
    }

    pub(crate) fn volume(&self, name: &Path) -> Option<&Volume> {
        self.volumes.iter().find(|volume| Path::new(&volume.name) == name)
    }

    /// The volume that a parent's stored path means: `/dev/mapper/GROUP-VOLUME` with doubled dashes, the name alone, or
    /// `/dev/GROUP/VOLUME`. As libvhd's tool, what comes after the last single dash where it is of another group.
    pub(crate) fn volume_name(&self, stored: &Path) -> PathBuf {
        let Some(file_name) = stored.file_name() else { return stored.to_owned() };
        let known = self.volumes.iter().find(|volume| {
            vhd::mapper_name(self.name.as_ref(), volume.name.as_ref()) == file_name || file_name == volume.name.as_str()
        });
        if let Some(known) = known {
            return PathBuf::from(&known.name);
        }
        let after_dash = undouble(file_name.as_bytes());
        PathBuf::from(OsStr::from_bytes(&after_dash))
    }
}

/// Volumes that match, pattern after pattern. As in libvhd's tool a match changes places with the first volume that is
/// not taken, so later patterns see the rest in that order.
pub(crate) fn select(volumes: &[Volume], patterns: impl IntoIterator<Item = OsString>) -> Vec<&Volume> {
    let mut order: Vec<&Volume> = volumes.iter().collect();
    let mut taken = 0;
    for pattern in patterns {
        let from = taken;
        for at in from..order.len() {
            if glob::is_match(pattern.as_bytes(), order[at].name.as_bytes()) {
                order.swap(taken, at);
                taken += 1;
            }
        }
    }
    order.truncate(taken);
    order
}

/// What follows the last single dash, with double ones made single.
fn undouble(name: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let mut rest = name;
    loop {
        match rest {
            [b'-', b'-', after @ ..] => {
                found.push(b'-');
                rest = after;
            }
            [b'-', after @ ..] => {
                found.clear();
                rest = after;
            }
            [byte, after @ ..] => {
                found.push(*byte);
                rest = after;
            }
            [] => return found,
        }
    }
}

/// Whether LVM would give a group this name. Nothing else reaches a command line.
fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+_.-".contains(&byte);
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(is_allowed)
        && !name.starts_with('-')
        && name != "."
        && name != ".."
}

/// Runs `vgs` or `lvs`. What it says counts, not its status: it fails on warnings too.
fn ask(program: &str, fields: &str, group: &str) -> Result<String, GroupError> {
    let mut command = Command::new(program);
    command.args(["--noheadings", "--nosuffix", "--units=b", fields, "--unbuffered", "--", group]);
    command.env("LC_ALL", "C").env("LVM_SUPPRESS_FD_WARNINGS", "1").stdin(Stdio::null());
    let output = command.output().map_err(|source| GroupError {
        message: format!("cannot run `{program}`, which knows the volumes of group `{group}`"),
        source: Some(source),
    })?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.trim().is_empty() && (program == "vgs" || !output.status.success()) {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        return Err(GroupError::new(format!(
            "`{program}` does not know volume group `{group}` ({}): {why}",
            output.status
        )));
    }
    Ok(said)
}

/// Physical volumes of a group.
#[derive(Debug, PartialEq, Eq)]
struct Devices {
    extent_bytes: u64,
    /// Each with the byte position of its first extent.
    devices: Vec<(String, u64)>,
}

impl Devices {
    /// Parses lines of `vgs`: name, bytes of an extent, two counts, device, position of its first extent.
    fn parse(said: &str, group: &str) -> Result<Devices, GroupError> {
        let mut parsed = Devices { extent_bytes: 0, devices: Vec::new() };
        for line in said.lines().filter(|line| !line.trim().is_empty()) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let odd = || GroupError::new(format!("`vgs` says what cannot be understood: `{}`", line.trim()));
            let [name, extent_bytes, _, _, device @ .., start] = fields.as_slice() else { return Err(odd()) };
            if *name != group || device.is_empty() {
                return Err(odd());
            }
            parsed.extent_bytes = extent_bytes.parse().map_err(|_| odd())?;
            let start = start.parse().map_err(|_| odd())?;
            parsed.devices.push((device.join(" "), start));
        }
        Ok(parsed)
    }

    /// Where `DEVICE(EXTENT)` is.
    fn locate(&self, place: &str, len_bytes: u64) -> Option<Extent> {
        let (device, number) = place.strip_suffix(')')?.rsplit_once('(')?;
        let (_, start) = self.devices.iter().find(|(name, _)| name == device)?;
        let offset = number.parse::<u64>().ok()?.checked_mul(self.extent_bytes)?.checked_add(*start)?;
        Some(Extent { device: PathBuf::from(device), offset, len_bytes })
    }
}

/// Parses lines of `lvs`, one per segment: name, bytes, kind, number of segments, where the segment begins in the volume,
/// its bytes, and its devices, which some kinds do not have.
fn volumes(said: &str, devices: &Devices) -> Result<Vec<Volume>, GroupError> {
    let mut found = Vec::new();
    for line in said.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let odd = || GroupError::new(format!("`lvs` says what cannot be understood: `{}`", line.trim()));
        let [name, size, kind, _, begins_at, len_bytes, place @ ..] = fields.as_slice() else { return Err(odd()) };
        let number = |text: &str| text.parse::<u64>().map_err(|_| odd());
        let (size, begins_at, len_bytes) = (number(size)?, number(begins_at)?, number(len_bytes)?);
        if begins_at != 0 {
            continue;
        }
        let start = match *kind {
            "linear" => devices.locate(&place.join(" "), len_bytes).ok_or(EINVAL),
            _ => Err(ENOSYS),
        };
        found.push(Volume { name: (*name).to_owned(), size, start });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As LVM 2.03.16 printed it.
    const VGS: &str = "  ratest 4194304   4   2 /dev/loop0 1048576\n  ratest 4194304   4   2 /dev/loop1 2097152\n";
    const LVS: &str = "  VHD-aa-bb 12582912 linear    2     0 8388608 /dev/loop0(0)\n  VHD-aa-bb 12582912 linear    2 8388608 4194304 /dev/loop0(9)\n  VHD-cc 12582912 linear    1     0 12582912 /dev/loop1(2)\n";

    fn group() -> Group {
        let devices = Devices::parse(VGS, "ratest").unwrap();
        Group { name: "ratest".to_owned(), volumes: volumes(LVS, &devices).unwrap() }
    }

    #[test]
    fn volumes_begin_where_their_first_segment_does() {
        let extent = |device: &str, offset, len_bytes| Ok(Extent { device: device.into(), offset, len_bytes });
        let volume = |name: &str, start| Volume { name: name.to_owned(), size: 12_582_912, start };
        let expected = [
            volume("VHD-aa-bb", extent("/dev/loop0", 1_048_576, 8_388_608)),
            volume("VHD-cc", extent("/dev/loop1", 2_097_152 + 2 * 4_194_304, 12_582_912)),
        ];
        assert_eq!(group().volumes, expected);
    }

    /// Says of one line of `lvs` why its volume cannot be read.
    fn check_unreadable(line: &str, errno: i32) {
        let devices = Devices::parse(VGS, "ratest").unwrap();
        let found = volumes(line, &devices).unwrap();
        assert_eq!(found.iter().map(|volume| volume.start.clone()).collect::<Vec<_>>(), [Err(errno)], "{line}");
    }

    #[test]
    fn volumes_that_are_not_linear_or_elsewhere_are_still_known() {
        check_unreadable("  thin 8388608 thin 1 0 8388608 ", ENOSYS);
        check_unreadable("  s 8388608 striped 1 0 8388608 /dev/loop0(0),/dev/loop1(0)", ENOSYS);
        check_unreadable("  l 8388608 linear 1 0 8388608 /dev/other(0)", EINVAL);
        check_unreadable("  l 8388608 linear 1 0 8388608 /dev/loop0(18446744073709551615)", EINVAL);
        check_unreadable("  l 8388608 linear 1 0 8388608 /dev/loop0", EINVAL);
    }

    #[test]
    fn words_that_are_not_lvms_are_refused() {
        for said in ["x", "other 4 1 1 /dev/a 0", "ratest x 1 1 /dev/a 0", "ratest 4 1 1 0", "WARNING: no lock\n"] {
            assert!(Devices::parse(said, "ratest").is_err(), "{said}");
        }
        let devices = Devices::parse(VGS, "ratest").unwrap();
        for said in ["x", "a b linear 1 0 1 /dev/a(0)", "a 1 linear 1 -1 1 /dev/a(0)", "a 1 linear 1 0"] {
            assert!(volumes(said, &devices).is_err(), "{said}");
        }
        let lost = Devices::parse("ratest 4 1 2 [unknown]  8\nratest 4 1 2 unknown device 8\n", "ratest").unwrap();
        assert_eq!(lost.devices, [("[unknown]".to_owned(), 8), ("unknown device".to_owned(), 8)]);
    }

    #[test]
    fn only_names_that_lvm_gives_reach_it() {
        for name in ["VG_XenStorage-1a-2b", "a", "9", "x+y.z_", ".hidden"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-a", ".", "..", "a b", "a/b", "a;b", "$(a)", "@tag", "a\n", "é", &"a".repeat(128)] {
            assert!(!is_name(name), "{name}");
            assert!(Group::read(OsStr::new(name)).is_err(), "{name}");
        }
        assert!(Group::read(OsStr::from_bytes(b"\xff")).is_err());
    }

    #[test]
    fn patterns_select_volumes_in_their_order() {
        let volume = |name: &str| Volume { name: name.to_owned(), size: 0, start: Err(EINVAL) };
        let volumes = ["a", "b", "c", "d", ".e"].map(volume);
        let check = |patterns: &[&str], expected: &[&str]| {
            let found = select(&volumes, patterns.iter().map(OsString::from));
            assert_eq!(found.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), expected, "{patterns:?}");
        };
        check(&["*"], &["a", "b", "c", "d", ".e"]);
        check(&["c", "*"], &["c", "b", "a", "d", ".e"]);
        check(&["[bd]", "a", "z", "b"], &["b", "d", "a"]);
        check(&[], &[]);
    }

    #[test]
    fn stored_names_lead_to_volumes() {
        let check = |stored: &str, expected: &str| {
            assert_eq!(group().volume_name(stored.as_ref()), PathBuf::from(expected), "{stored}");
        };
        check("./ratest-VHD--cc", "VHD-cc");
        check("../../dev/mapper/ratest-VHD--aa--bb", "VHD-aa-bb");
        check("ratest-VHD--cc", "VHD-cc");
        check("/dev/ratest/VHD-aa-bb", "VHD-aa-bb");
        check("VHD-cc", "VHD-cc");
        // Not in the group.
        check("./ratest-VHD--gone", "VHD-gone");
        check("VG--x-VHD--1--2", "VHD-1-2");
        check("plain", "plain");
    }
}
