//! QEMU: the machine's own or an unpacked one, and the command line of a machine without network, screen or anything else of ours.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::elf::inside;
use super::pieces::library_path;
use crate::error::{Error, Result};
use crate::process::{Cancel, Program};

/// How the emulator is started.
pub(super) struct Emulator {
    argv: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
}

/// A machine to make up.
pub(super) struct Hardware<'a> {
    pub(super) mib: u64,
    /// File names are those in the directory where it runs: some options split at commas.
    pub(super) boots: &'a [&'a str],
}

impl Emulator {
    pub(super) fn of_machine(program: PathBuf) -> Self {
        Emulator { argv: vec![program.into()], env: Vec::new() }
    }

    /// By its own loader with its own libraries: they need not fit the machine's.
    pub(super) fn unpacked(root: &Path) -> Result<Self> {
        let find = |path: &str| {
            let missing = || Error::machine(format!("no package that was unpacked has `{path}`"));
            inside(root, path).ok_or_else(missing)
        };
        let mut argv: Vec<OsString> = vec![find("lib64/ld-linux-x86-64.so.2")?.into()];
        argv.extend(["--library-path".into(), library_path(root).into()]);
        argv.push(find("usr/bin/qemu-system-x86_64")?.into());
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            argv.extend(["-L".into(), find(data)?.into()]);
        }
        let modules = find("usr/lib/x86_64-linux-gnu/qemu").ok();
        Ok(Emulator { argv, env: modules.map(|dir| ("QEMU_MODULE_DIR", dir.into())).into_iter().collect() })
    }

    /// An error where it does not start at all. What fails later may be what it was given.
    pub(super) fn is_fit(&self, cancel: &Cancel) -> Result<()> {
        let argv = self.argv.iter().cloned().chain(["--version".into()]);
        let ended = self.in_env(Program::new(argv)).run(cancel)?;
        ended.success(|| "the emulator does not start".to_owned()).map(drop)
    }

    fn in_env(&self, program: Program) -> Program {
        self.env.iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    /// Runs in `dir`, its serial line on standard input and output; it ends where a real machine would start anew.
    pub(super) fn program(&self, hardware: &Hardware<'_>, dir: &Path) -> Program {
        let memory = hardware.mib.to_string();
        // Before 9.1 QEMU checks a return from user mode to user mode, which the kernel of a PV guest does, by the rules of the
        // supervisor: with SMAP dom0 crashes in its first milliseconds.
        let fixed = ["-M", "pc", "-accel", "tcg", "-cpu", "max,-smap", "-smp", "2", "-m", &memory, "-nic", "none"];
        let console = ["-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot"];
        let words = fixed.iter().chain(&console).chain(hardware.boots).map(OsString::from);
        self.in_env(Program::new(self.argv.iter().cloned().chain(words)).dir(dir))
    }
}
