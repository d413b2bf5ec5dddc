//! `top`: disks at work, as they work.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;

use legacy_cli::terminal::Terminal;

use super::{Command, Failure};
use crate::sample::{self, Sample};

/// Home, and everything below is gone.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

pub(super) const TOP: Command = Command {
    name: "top",
    options: "n:d:h",
    usage: "usage: top [-n rounds] [-d seconds]\n",
    help: "\
Show what all disks do, as they do it

usage: tap-ctl top [-n ROUNDS] [-d SECONDS]

  -n ROUNDS   End after so many rounds; on a terminal it goes on until Ctrl-C, elsewhere it is one
  -d SECONDS  Time between rounds, 1 where nothing is said

A line a disk: tapdisk, minor, state, what is read and written a second in requests and MiB, how long a request takes in
milliseconds, how many wait for their answer, and the image. C's tapdisk tells no requests: there is a dash.

Example:
  tap-ctl top
  tap-ctl top -n 10 -d 60 >> disks.log
",
    run: |call, terminal| {
        let is_terminal = std::io::stdout().is_terminal();
        let rounds: Option<u64> = call.number('n')?;
        let rounds = rounds.or((!is_terminal).then_some(1));
        let pause = Duration::from_secs(call.number('d')?.unwrap_or(1).max(1));
        let mut before = by_disk(sample::all(&call.client)?);
        let mut round = 0;
        while rounds.is_none_or(|rounds| round < rounds) {
            round += 1;
            std::thread::sleep(pause);
            let samples = sample::all(&call.client)?;
            if is_terminal {
                terminal.print(CLEAR);
            }
            terminal.print(HEAD);
            for sample in &samples {
                row(sample, before.get(&key(sample)), terminal);
            }
            if !terminal.flush() {
                return Ok::<(), Failure>(());
            }
            before = by_disk(samples);
        }
        Ok(())
    },
};

const HEAD: &str = "     pid minor state   read/s  MiB/s  write/s  MiB/s     ms queue image\n";

/// A minor may go from one tapdisk to the next.
fn key(sample: &Sample) -> (Option<i32>, Option<i32>) {
    (sample.entry.pid, sample.entry.minor)
}

fn by_disk(samples: Vec<Sample>) -> HashMap<(Option<i32>, Option<i32>), Sample> {
    samples.into_iter().map(|sample| (key(&sample), sample)).collect()
}

/// What a disk did between two samples, a second.
struct Rates {
    mib: [f64; 2],
    requests: Option<[f64; 2]>,
    /// How long a request took.
    millis: Option<f64>,
}

impl Rates {
    fn between(before: &Sample, now: &Sample) -> Option<Self> {
        let seconds = (now.at - before.at).as_secs_f64();
        let (was, is) = (before.counters?, now.counters?);
        // A disk that was opened anew begins with nothing.
        let more =
            |now: [u64; 2], before: [u64; 2]| [0, 1].map(|way| approximate(now[way].saturating_sub(before[way])));
        let requests = is.requests.zip(was.requests).map(|(is, was)| more(is, was));
        let micros = is.micros.zip(was.micros).map(|(is, was)| more(is, was));
        let sum = |pair: [f64; 2]| pair[0] + pair[1];
        let millis = micros.zip(requests).filter(|(_, requests)| sum(*requests) > 0.0);
        Some(Rates {
            mib: more(is.sectors, was.sectors).map(|sectors| sectors / 2048.0 / seconds),
            requests: requests.map(|pair| pair.map(|count| count / seconds)),
            millis: millis.map(|(micros, requests)| sum(micros) / sum(requests) / 1000.0),
        })
    }
}

fn row(now: &Sample, before: Option<&Sample>, terminal: &mut Terminal) {
    let rates = before.and_then(|before| Rates::between(before, now));
    let shown = |number: Option<f64>, digits: usize| match number {
        Some(number) => format!("{number:.digits$}"),
        None => "-".to_owned(),
    };
    let requests = |way: usize| shown(rates.as_ref().and_then(|rates| Some(rates.requests?[way])), 0);
    let mib = |way: usize| shown(rates.as_ref().map(|rates| rates.mib[way]), 1);
    let millis = shown(rates.as_ref().and_then(|rates| rates.millis), 3);
    let number = |number: Option<i32>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let state = now.entry.state.map_or_else(|| "-".to_owned(), |state| format!("{state:#x}"));
    let queue = now.counters.map_or_else(|| "-".to_owned(), |counters| counters.outstanding.to_string());
    terminal.print(format_args!(
        "{:>8} {:>5} {state:>5} {:>8} {:>6} {:>8} {:>6} {millis:>6} {queue:>5} ",
        number(now.entry.pid),
        number(now.entry.minor),
        requests(0),
        mib(0),
        requests(1),
        mib(1),
    ));
    match &now.entry.image {
        Some((kind, path)) => terminal.print(format_args!("{}:{}\n", kind.display(), path.display())),
        None => terminal.print("-\n"),
    }
}

/// For people, who read three digits.
fn approximate(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let number = number as f64;
    number
}
