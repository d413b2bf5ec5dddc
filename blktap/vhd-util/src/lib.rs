//! The commands of vhd-util, one file each in `cmd/`: options, output in blktap's words, exit statuses. Images are the `vhd`
//! crate's, the manners of a command line `legacy-cli`'s.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod cmd;
mod failpoint;
mod glob;
mod headers_text;
mod image_info;
mod lvm;
mod number;
mod progress;
mod scan_look;
mod sector_stats;

use legacy_cli::{getopt, report, terminal};

pub use cmd::{run, run_create, run_set, run_snapshot};
