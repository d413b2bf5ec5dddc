//! A plain Linux guest whose disk is a VHD chain, served over NBD by the tested tapdisk to the emulator. What the guest read back, the
//! image holds; the parent is what it was.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::console::{self, Expect};
use super::emulator::Hardware;
use super::pieces::Pieces;
use super::report::Report;
use super::tested::Tested;
use super::workplace::Workplace;
use super::xen::{guest, judge};
use super::{Boot, Ready, kernel};
use crate::digest::Digest;
use crate::error::{Context, Result};
use crate::process::{Cancel, Ended, Program};

const MIB: u64 = 512;
/// How long a program that only works on an image may take.
const TOOL: Duration = Duration::from_secs(60);

pub(super) fn run(boot: &Boot<'_>, report: &mut Report) -> Ready<()> {
    let tested = Tested(boot.root);
    let (tapdisk, vhd_util) = (tested.blktap("tapdisk")?, tested.blktap("vhd-util")?);
    let pieces = match Pieces::get(boot, MIB + 256)? {
        Ok(pieces) => pieces,
        Err(cannot) => return Ok(Err(cannot)),
    };
    let place = Workplace::new(boot, &report.scenario)?;
    report.artefacts = Some(place.artefacts().to_path_buf());
    place.write("vmlinux", &kernel::vmlinux(&pieces.kernel.image)?)?;
    place.initramfs("linux.cpio", &guest(&pieces, &["virtio_pci", "virtio_blk"])?)?;

    let disk = Disk { place: &place, vhd_util, cancel: boot.fetching.cancel };
    // Of an earlier run with the same --keep.
    for file in ["base.vhd", "disk.vhd", "disk.raw", "disk.sock"] {
        place.remove(file)?;
    }
    let create: [&[&str]; 2] =
        [&["create", "-n", "base.vhd", "-s", "64"], &["snapshot", "-n", "disk.vhd", "-p", "base.vhd"]];
    for words in create {
        if !disk.check(words[0], words, report, boot)? {
            return Ok(Ok(()));
        }
    }
    let parent = digest_of(&place.at("base.vhd"), None)?;

    let words = "console=ttyS0 quiet panic=-1 rdinit=/init disk=vda";
    let backend = "driver=nbd,node-name=disk,server.type=unix,server.path=disk.sock,export=disk.vhd";
    let boots = [
        "-kernel",
        "vmlinux",
        "-initrd",
        "linux.cpio",
        "-append",
        words,
        "-blockdev",
        backend,
        "-device",
        "virtio-blk-pci,drive=disk,romfile=",
    ];
    let program = pieces.emulator.program(&Hardware { mib: MIB, boots: &boots }, place.dir());
    place.command(&program.display())?;
    pieces.emulator.is_fit(boot.fetching.cancel)?;
    let mut said = None;
    let served = serve(&tapdisk, &place, boot.fetching.cancel, || {
        let wanted = [Expect::told("guest-disk", Duration::from_secs(180))];
        console::with(program, &place.console(), boot.fetching.cancel, |console| {
            let mut line = None;
            let came = console.expect(&wanted, &mut |name, came| {
                line = came.clone().ok();
                judge(report, name, came, boot);
            })?;
            said = line;
            if came {
                let off = console.ends(Duration::from_secs(60))?;
                judge(report, "switches-off", off, boot);
            }
            Ok(())
        })
    })?;
    if let Err(why) = served {
        report.add("tapdisk", false, why, boot.said);
        return Ok(Ok(()));
    }
    report.add("tapdisk", true, "served, and ended when it was asked to", boot.said);

    disk.check("check", &["check", "-n", "disk.vhd", "-p"], report, boot)?;
    let parent_now = digest_of(&place.at("base.vhd"), None)?;
    report.add("parent-unchanged", parent == parent_now, parent_now.to_string(), boot.said);
    if disk.check("convert", &["convert", "-n", "disk.vhd", "-o", "disk.raw", "--to", "raw"], report, boot)? {
        let line = said.unwrap_or_default();
        let mut words = line.split_whitespace().skip(3);
        let bytes = words.next().and_then(|word| word.parse().ok());
        let found = digest_of(&place.at("disk.raw"), bytes)?.hash.to_string();
        let is_same = bytes.is_some() && words.next() == Some(found.as_str());
        report.add("disk-image", is_same, found, boot.said);
    }
    Ok(Ok(()))
}

struct Disk<'a> {
    place: &'a Workplace,
    vhd_util: PathBuf,
    cancel: &'a Cancel,
}

impl Disk<'_> {
    /// Runs vhd-util; how that ended is a check.
    fn check(&self, name: &str, words: &[&str], report: &mut Report, boot: &Boot<'_>) -> Result<bool> {
        let argv = std::iter::once(self.vhd_util.as_os_str()).chain(words.iter().map(|word| word.as_ref()));
        let ended = Program::new(argv).dir(self.place.dir()).timeout(TOOL).run(self.cancel)?;
        let is_good = ended.status.success();
        report.add(&format!("vhd-util-{name}"), is_good, said(&ended), boot.said);
        Ok(is_good)
    }
}

fn said(ended: &Ended) -> String {
    let text = String::from_utf8_lossy(&[&ended.stdout[..], &ended.stderr[..]].concat()).into_owned();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if ended.status.success() { text } else { format!("{} {text}", ended.status) }
}

/// Serves the disk while `work` goes on. The inner error is tapdisk's: it did not come up, or ended by itself, or not well.
fn serve(
    tapdisk: &Path,
    place: &Workplace,
    cancel: &Cancel,
    work: impl FnOnce() -> Result<()>,
) -> Result<std::result::Result<(), String>> {
    let socket = place.at("disk.sock");
    let argv = [tapdisk.as_os_str(), "serve".as_ref(), "disk.vhd".as_ref(), "--socket".as_ref(), "disk.sock".as_ref()];
    let program = Program::new(argv).dir(place.dir());
    let stop = Cancel::default();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| program.run(&stop));
        let started = Instant::now();
        let is_up = || {
            while !socket.exists() {
                if running.is_finished() || started.elapsed() > TOOL || cancel.is_stopped() {
                    return false;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            true
        };
        let came_up = is_up();
        let worked = if came_up { work() } else { cancel.check() };
        let ended_itself = running.is_finished();
        stop.stop();
        let ended = running.join();
        worked?;
        match ended {
            Ok(Ok(ended)) if ended_itself => Ok(Err(format!("ended by itself: {}", said(&ended)))),
            Ok(Err(error)) if error.kind() != crate::error::Kind::Interrupted => Err(error),
            _ if !came_up => Ok(Err(format!("no socket after {} seconds", TOOL.as_secs()))),
            _ => Ok(Ok(())),
        }
    })
}

/// Of a file, or of as many bytes of its beginning.
fn digest_of(path: &Path, bytes: Option<u64>) -> Result<Digest> {
    let cannot = || format!("cannot read `{}`", path.display());
    let file = File::open(path).context(cannot)?;
    Digest::of_reader(&mut std::io::Read::take(file, bytes.unwrap_or(u64::MAX))).context(cannot)
}
