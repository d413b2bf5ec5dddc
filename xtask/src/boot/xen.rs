//! Xen with a dom0 of the distribution's kernel and the tested tools: up to its prompt, or through the life of a PV guest.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::console::{self, Came, Console, Expect};
use super::elf::Roots;
use super::emulator::Hardware;
use super::initramfs::Initramfs;
use super::pieces::Pieces;
use super::report::Report;
use super::tested::Tested;
use super::workplace::Workplace;
use super::{Boot, Ready, kernel};
use crate::error::{Context, Kind, Result};

/// How far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// dom0's prompt.
    Prompt,
    /// A guest came and went.
    Guest,
}

/// Memory of the made-up machine.
const MIB: u64 = 2048;
/// Of the distribution, in front of busybox's applets of the same name: Xen's scripts use options that those have not.
const USERLAND: [&str; 5] = ["bash", "flock", "losetup", "realpath", "stat"];
const DOM0_MODULES: [&str; 7] =
    ["xen-evtchn", "xen-gntdev", "xen-gntalloc", "xen-privcmd", "xenfs", "xen-blkback", "loop"];
const PROMPT: &str = "dom0# ";
/// What dom0 prints a line for, however far it goes, and how long that may take.
const DOM0_CHECKS: [(&str, u64); 5] =
    [("dom0-modules", 150), ("dom0-devices", 150), ("xenstored", 220), ("xenconsoled", 290), ("xl-info", 300)];
const GUEST_CHECKS: [(&str, u64); 7] = [
    ("guest-created", 120),
    ("guest-disk", 280),
    ("disk-image", 300),
    ("guest-destroyed", 400),
    ("nothing-left", 440),
    ("xl-dmesg", 450),
    ("dom0-dmesg", 450),
];
/// From the start to Xen's first line; to answers; to the end.
const SOON: Duration = Duration::from_secs(60);
const GUEST: &str = "name = 'test'\ntype = 'pv'\nkernel = '/guest/vmlinux'\nramdisk = '/guest/initramfs'\nmemory = 256\nvcpus = 1\n\
    extra = 'console=hvc0 quiet disk=xvda'\ndisk = [ 'format=raw,vdev=xvda,access=rw,target=/tmp/disk.img' ]\n\
    on_poweroff = 'preserve'\non_reboot = 'preserve'\non_crash = 'preserve'\n";

pub(super) fn run(boot: &Boot<'_>, report: &mut Report, until: Until) -> Ready<()> {
    let tested = Tested(boot.root);
    let hypervisor = tested.hypervisor()?;
    let tools = tested.tools()?;
    let pieces = match Pieces::get(boot, MIB + 256)? {
        Ok(pieces) => pieces,
        Err(cannot) => return Ok(Err(cannot)),
    };
    let place = Workplace::new(boot, &report.scenario)?;
    report.artefacts = Some(place.artefacts().to_path_buf());

    let mut xen = Vec::new();
    let packed = std::fs::read(&hypervisor).context(|| format!("cannot read `{}`", hypervisor.display()))?;
    // From here on whatever is wrong with the root is a check that fails.
    if let Err(error) = flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut xen) {
        report.add("xen-image", false, format!("`{}` cannot be unpacked: {error}", hypervisor.display()), boot.said);
        return Ok(Ok(()));
    }
    place.write("xen", &xen)?;
    place.write("vmlinux", &kernel::vmlinux(&pieces.kernel.image)?)?;
    let mut dom0 = match dom0(&pieces, &tested, &tools, boot) {
        Err(error) if error.kind() == Kind::Step => {
            report.add("tools-linked", false, error.to_string(), boot.said);
            return Ok(Ok(()));
        }
        other => other?,
    };
    if until == Until::Guest {
        let guest = guest(&pieces, &["xen-blkfront"])?;
        place.initramfs("guest.cpio", &guest)?;
        dom0.file("guest/initramfs", &place.at("guest.cpio"))?;
        dom0.file("guest/vmlinux", &place.at("vmlinux"))?;
        dom0.text("guest/config", GUEST, 0o644);
    }
    place.initramfs("dom0.cpio", &dom0)?;

    // A test that hangs is ended by its limits; a crash ends the machine, since Xen restarts it then.
    let xen_words =
        "console=com1 com1=115200,8n1 dom0_mem=1024M,max:1024M dom0_max_vcpus=1 loglvl=all guest_loglvl=all";
    let last = if until == Until::Guest { "guest" } else { "prompt" };
    // No comma here: QEMU splits at it.
    let modules = format!("vmlinux console=hvc0 quiet panic=1 rdinit=/init until={last},dom0.cpio");
    let hardware = Hardware { mib: MIB, boots: &["-kernel", "xen", "-append", xen_words, "-initrd", &modules] };
    let program = pieces.emulator.program(&hardware, place.dir());
    place.command(&program.display())?;
    pieces.emulator.is_fit(boot.fetching.cancel)?;
    console::with(program, &place.console(), boot.fetching.cancel, |console| drive(console, report, boot, until))?;
    Ok(Ok(()))
}

/// What `init/guest.sh` runs in: a disk is all that it needs.
pub(super) fn guest(pieces: &Pieces, modules: &[&str]) -> Result<Initramfs> {
    let mut guest = Initramfs::new(&pieces.program("busybox")?, include_str!("init/guest.sh"))?;
    guest.modules(&pieces.kernel, modules)?;
    Ok(guest)
}

fn dom0(pieces: &Pieces, tested: &Tested<'_>, tools: &[(String, PathBuf)], boot: &Boot<'_>) -> Result<Initramfs> {
    let mut dom0 = Initramfs::new(&pieces.program("busybox")?, include_str!("init/dom0.sh"))?;
    let mut programs = tools.to_vec();
    for name in USERLAND {
        programs.push((format!("usr/bin/{name}"), pieces.program(name)?));
    }
    // What the tested tools were linked to beside the distribution's libraries is where they were built.
    let roots = Roots::new([boot.root, &pieces.packages.root, Path::new("/")]);
    dom0.programs(&programs, &roots)?;
    for (path, from) in tested.etc_xen()? {
        dom0.file(&path, &from)?;
    }
    let dirs = tested.program_dirs().iter().map(|dir| format!("/{dir}:")).collect::<String>();
    dom0.text("etc/path", &format!("PATH={dirs}/usr/sbin:/usr/bin\n"), 0o644);
    dom0.modules(&pieces.kernel, &DOM0_MODULES)?;
    Ok(dom0)
}

fn drive(console: &mut Console<'_>, report: &mut Report, boot: &Boot<'_>, until: Until) -> Result<()> {
    let signs = |checks: &[(&str, u64)]| -> Vec<Expect> {
        checks.iter().map(|(name, limit)| Expect::told(name, Duration::from_secs(*limit))).collect()
    };
    let mut came = |name: &str, came: Came| judge(report, name, came, boot);
    if !console.expect(&[Expect::line("xen-banner", "Xen version", SOON)], &mut came)? {
        return Ok(());
    }
    if !console.expect(&signs(&DOM0_CHECKS), &mut came)? {
        return Ok(());
    }
    match until {
        Until::Prompt => {
            if !console.expect(&[Expect::text("prompt", PROMPT, SOON)], &mut came)? {
                return Ok(());
            }
            // A prompt that only stands there is none: the answer is not in what was typed.
            if !console.type_line("echo $((6*7))up")? {
                came("prompt-answers", Err("it does not echo what is typed".to_owned()));
            } else if console.expect(&[Expect::answer("prompt-answers", "42up", SOON)], &mut came)? {
                console.type_line("poweroff -f")?;
            }
        }
        Until::Guest => {
            if !console.expect(&signs(&GUEST_CHECKS), &mut came)? {
                return Ok(());
            }
        }
    }
    let off = console.ends(SOON)?;
    came("switches-off", off);
    Ok(())
}

/// A check of ours says in its line whether it is good; anything else is good when it came.
pub(super) fn judge(report: &mut Report, name: &str, came: Came, boot: &Boot<'_>) {
    let (is_good, text) = match came {
        Err(why) => (false, why),
        Ok(line) => match line.strip_prefix(&format!("@@ {name} ")) {
            Some(said) => (said.starts_with("ok"), said.trim_start_matches("ok").trim().to_owned()),
            None => (true, line),
        },
    };
    report.add(name, is_good, text, boot.said);
}
