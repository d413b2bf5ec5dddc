//! `attach`, `detach`, `close`, `pause`, `destroy`: a disk that a tapdisk has.

use super::{Command, Failure};
use crate::disk;

pub(super) const ATTACH: Command = Command {
    name: "attach",
    options: "p:m:h",
    usage: "usage: attach <-p pid> <-m minor>\n",
    help: "\
Give a tapdisk the number of a disk

usage: tap-ctl attach -p PID -m MINOR

Example:
  tap-ctl attach -p $(tap-ctl spawn) -m 0
",
    run: |call, _| Ok(call.vbd()?.attach()?),
};

pub(super) const DETACH: Command = Command {
    name: "detach",
    options: "p:m:h",
    usage: "usage: detach <-p pid> <-m minor>\n",
    help: "\
Take the number of a disk from its tapdisk

usage: tap-ctl detach -p PID -m MINOR

The disk must be closed. A tapdisk without any disk exits.

Example:
  tap-ctl close -p 4711 -m 0 && tap-ctl detach -p 4711 -m 0 && tap-ctl free -m 0
",
    run: |call, terminal| {
        let vbd = call.vbd()?;
        vbd.detach().map_err(|error| {
            if error.errno() == legacy_cli::report::EINVAL {
                terminal.print(format_args!("got unexpected result 'error' from {}\n", vbd.pid));
            }
            Failure::Failed(error)
        })
    },
};

pub(super) const CLOSE: Command = Command {
    name: "close",
    options: "p:m:ft:h",
    usage: "usage: close <-p pid> <-m minor> [-f force] [-t timeout secs]\n",
    help: "\
Close the image of a disk

usage: tap-ctl close -p PID -m MINOR [-f] [-t SECONDS]

  -f          Do not wait for rings that are gone
  -t SECONDS  Stop waiting for the tapdisk, which goes on closing; without it, wait as long as it takes

When it succeeds, everything is on disk and no file of the image is open.

Example:
  tap-ctl close -p 4711 -m 0
",
    run: |call, _| {
        let timeout = call.timeout()?;
        Ok(call.vbd()?.close(call.has('f'), timeout)?)
    },
};

pub(super) const PAUSE: Command = Command {
    name: "pause",
    options: "p:m:t:h",
    usage: "usage: pause <-p pid> <-m minor> [-t timeout secs]\n",
    help: "\
Finish what is under way and close all files of a disk

usage: tap-ctl pause -p PID -m MINOR [-t SECONDS]

  -t SECONDS  Stop waiting for the tapdisk, which goes on pausing

Requests that come meanwhile wait for `unpause`. The image may be renamed, resized and given another parent.

Example:
  tap-ctl pause -p 4711 -m 0 && tap-ctl unpause -p 4711 -m 0 -a vhd:/srv/child.vhd
",
    run: |call, _| {
        let timeout = call.timeout()?;
        Ok(call.vbd()?.pause(timeout)?)
    },
};

pub(super) const DESTROY: Command = Command {
    name: "destroy",
    options: "p:m:t:h",
    usage: "usage: destroy <-p pid> <-m minor> [-t timeout secs]\n",
    help: "\
Stop serving a disk: close, detach and free in one

usage: tap-ctl destroy -p PID -m MINOR [-t SECONDS]

  -t SECONDS  Stop waiting for the close

Example:
  tap-ctl destroy -p 4711 -m 0
",
    run: |call, _| {
        let timeout = call.timeout()?;
        Ok(disk::destroy(&call.vbd()?, timeout)?)
    },
};
