//! What is seen of a check while it runs: on a terminal one live line, elsewhere a line now and then, so that a long one is
//! not taken for a hanging one.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::{duration, last_line};

/// How often the live line shows the log's last line.
const LIVE: Duration = Duration::from_millis(250);
/// How often a plain line says that a check still runs.
const PLAIN: Duration = Duration::from_secs(60);

/// Does `work`, whose output grows in `log`, and shows that it runs.
pub(super) fn shown<T>(name: &str, log: &Path, work: impl FnOnce() -> T) -> T {
    let is_live = std::io::stderr().is_terminal();
    let bar = if is_live { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{spinner} {prefix:<16} {elapsed:>5} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(name.to_owned());
    let (done, is_done) = mpsc::channel::<()>();
    let started = Instant::now();
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            let is_done = is_done;
            let pause = if is_live { LIVE } else { PLAIN };
            while is_done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let line = last_line(log).unwrap_or_default();
                if is_live {
                    bar.set_message(line);
                    bar.tick();
                } else {
                    eprintln!("{name}: {} so far: {}", duration(started.elapsed().as_secs_f64()), line.trim());
                }
            }
        });
        let result = work();
        drop(done);
        result
    });
    bar.finish_and_clear();
    result
}
