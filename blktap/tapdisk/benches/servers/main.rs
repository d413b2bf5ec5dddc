//! `tapdisk` beside other NBD servers: nbdkit, QEMU's two, and blktap's own tapdisk in C, interleaved, under the same
//! load. Prints a table in Markdown, with ratios and what is promised. Nothing fails here for being slow.
//!
//! The load is that of the yardstick, which is not part of this repository: a directory with `nbd-bench.py` and
//! `nbdload.c`. What it has no work for is measured here: [`own`]. What is compared stands in [`rows`], who serves it
//! in [`server`], from which images in [`images`].
#![allow(clippy::unwrap_used, reason = "a bench says what failed by failing there")]
#![allow(unreachable_pub, reason = "a program has no public items")]

mod args;
mod figures;
mod images;
mod machine;
mod own;
mod record;
mod rows;
mod running;
mod server;
mod table;
mod yardstick;

use clap::Parser;

use args::Args;
use images::Images;
use machine::Machine;
use rows::{How, Row};
use server::Programs;
use yardstick::Yardstick;

fn main() {
    let args = Args::parse();
    let yardstick = match Yardstick::find(&args) {
        Ok(yardstick) => yardstick,
        Err(why) => {
            println!("SKIPPED servers: {why}");
            return;
        }
    };
    let Some(vhd_util) = testkit::find_program("vhd-util") else {
        println!("SKIPPED servers: vhd-util is not built. help: cargo build --release -p vhd-util -p tap-ctl");
        return;
    };
    let programs = Programs::find();
    let machine = Machine::now(&args, &programs);
    let images = Images::new(&args, vhd_util);
    let mut lines = Vec::new();
    for row in rows::all().iter().filter(|row| args.wants(row)) {
        eprintln!("{}: {}", row.id, row.work);
        match images.shortage(row) {
            None => lines.push(table::line(row, &measure(row, &programs, &images, &yardstick), &programs, &machine)),
            Some(shortage) => println!("SKIPPED {}: {shortage}", row.id),
        }
    }
    let text = table::text(&machine, &lines, &args);
    print!("{text}");
    for line in &lines {
        line.missed.iter().for_each(|missed| println!("MISSED {}: {missed}", line.id));
    }
    if let Some(path) = &args.record {
        record::write(path, &text);
    }
}

fn measure(row: &Row, programs: &Programs, images: &Images, yardstick: &Yardstick) -> figures::Figures {
    let bench = own::Bench { row, programs, images, yardstick };
    match row.how {
        How::Load(workload) => bench.load(workload),
        How::Depths(workload) => bench.depths(workload),
        How::Flushes => bench.flushes(),
        How::SystemCalls(operation) => bench.system_calls(operation),
        How::Opening => bench.opening(),
        How::Memory => bench.memory(),
    }
}
