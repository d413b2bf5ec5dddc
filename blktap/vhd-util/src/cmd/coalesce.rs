//! `coalesce`: what an image holds goes down into its parent.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vhd::coalesce::Coalesce;
use vhd::{Error, Image, Parent, chain};

use crate::getopt;
use crate::progress::Progress;
use crate::report::EINVAL;
use crate::terminal::Terminal;

const OPTIONS: &str = "n:o:a:x:sph";
const USAGE: &str = "options: <-n name> [-s sparse] [-p progress] [-h help]\n";
const HELP: &str = "\
Copy what an image holds into its parent

usage: vhd-util coalesce -n FILE [-p] [-s]

  -n FILE  The image; its parent, a VHD or a raw disk, is written
  -p       Print how far it is on standard output; without it a terminal shows a bar
  -s       Accepted for scripts; the parent is always written sparsely
  --help   Print this text

Prints `Coalesced N sectors`, without a newline, once all of them are durable in the parent. FILE is left as it is: then
give its children the parent of FILE (`modify -p`), and delete it. A coalesce that was killed is run again from the start;
until then everything reads as before. The parent must be at least as large as what FILE holds (`resize`).

The parent may have no other children than FILE: they would read what comes into it. Nothing here can see them;
`vhd-util scan -p -m '/sr/*.vhd'` shows who has which parent.

Examples:
  vhd-util coalesce -n middle.vhd && vhd-util modify -n leaf.vhd -p base.vhd
";

pub(super) fn run(arguments: &[OsString], terminal: &mut Terminal) -> i32 {
    let parsed = getopt::parse("coalesce", OPTIONS, arguments);
    if let Some(status) = super::stop(&parsed, USAGE, HELP, EINVAL, terminal) {
        return status;
    }
    let (mut name, mut is_sparse, mut is_progress) = (None, false, false);
    for (letter, value) in &parsed.options {
        match letter {
            'n' => name = value.as_ref().map(PathBuf::from),
            's' => is_sparse = true,
            'p' => is_progress = true,
            // blktap 4 knows their letters, and refuses them: a coalesce to elsewhere must not write the parent.
            _ => return super::misused(USAGE, terminal),
        }
    }
    let Some(name) = name else { return super::misused(USAGE, terminal) };
    let done = open(&name, is_sparse, terminal).and_then(|(coalesce, bytes)| {
        let done = coalesce_blocks(coalesce, bytes, is_progress, terminal);
        done.map_err(|error| {
            terminal.explain(&error);
            error.job_errno()
        })
    });
    match done {
        Ok(sectors) => {
            terminal.print(format_args!("Coalesced {sectors} sectors"));
            0
        }
        Err(errno) => {
            terminal.print(format_args!("error coalescing: -{errno}\n"));
            errno
        }
    }
}

/// Opens the image and its parent, and tells the disk's size; or prints why not and returns the exit status.
fn open(name: &Path, is_sparse: bool, terminal: &mut Terminal) -> Result<(Coalesce, u64), i32> {
    let child = Image::open(name).and_then(Image::not_poisoned);
    let child = child.map_err(|error| super::not_opened(name, &error, terminal))?;
    if !child.has_parent() {
        terminal.print("coalescing of non-differencing disks is not supported\n");
        return Err(EINVAL);
    }
    let parent = match chain::parent(&child) {
        Ok(Some(parent)) => parent,
        Ok(None) => return Err(EINVAL),
        Err(error) => {
            terminal.print("error finding ");
            terminal.print_path(name);
            terminal.print(format_args!(" parent: -{}\n", error.errno()));
            terminal.explain(&error);
            return Err(error.errno());
        }
    };
    if is_sparse && matches!(parent, Parent::Vhd(_)) {
        terminal.print("opening for sparse writes\n");
    }
    let bytes = child.footer().current_bytes;
    let opened = Coalesce::open(child, &parent).map_err(|error| match &parent {
        Parent::Vhd(path) => super::not_opened(path, &error, terminal),
        Parent::Raw(path) => {
            terminal.print("failed to open parent ");
            terminal.print_path(path);
            terminal.print(format_args!(": -{}\n", error.errno()));
            terminal.explain(&error);
            error.errno()
        }
    });
    Ok((opened?, bytes))
}

fn coalesce_blocks(coalesce: Coalesce, bytes: u64, is_progress: bool, terminal: &mut Terminal) -> Result<u64, Error> {
    // One terminal has no room for both.
    let bar = (!is_progress).then(|| Progress::of_bytes("coalesce", bytes));
    let mut last = String::new();
    let sectors = coalesce.run(|done, blocks| {
        if let Some(bar) = &bar {
            bar.set(bytes / blocks.max(1) * done);
        }
        if is_progress {
            let percent = done as f64 / blocks as f64 * 100.0;
            let text = format!("\r{percent:6.2}%");
            if text != last {
                terminal.print(&text);
                terminal.flush();
                last = text;
            }
        }
    })?;
    if is_progress {
        terminal.print("\r100.00%\n");
    }
    Ok(sectors)
}
