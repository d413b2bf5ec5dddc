//! How a run is shown: live on a terminal, plain lines with the time elsewhere, one JSON object a line for machines. Progress goes
//! to standard error, the JSON stream is a result and goes to standard output.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::event::Event;
use super::schedule::timed;
use crate::error::Result;

/// How to show a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Live on a terminal, plain elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
}

/// Takes events from any thread.
#[derive(Debug)]
pub struct Report {
    screen: Screen,
    started: Instant,
}

#[derive(Debug)]
enum Screen {
    Live(Mutex<Live>),
    Plain,
    Json,
}

#[derive(Debug)]
struct Live {
    multi: MultiProgress,
    bars: BTreeMap<String, Running>,
    /// Where to find the logs, when their last line is wanted.
    logs: Option<PathBuf>,
}

#[derive(Debug)]
struct Running {
    bar: ProgressBar,
    expected: Option<f64>,
    step: String,
}

impl Report {
    /// A report for this process's standard error. `tail` is the directory of the logs when their last lines are to be shown.
    pub fn new(mode: Mode, tail: Option<PathBuf>) -> Self {
        let screen = match mode {
            Mode::Json => Screen::Json,
            Mode::Auto if std::io::stderr().is_terminal() => {
                Screen::Live(Mutex::new(Live { multi: MultiProgress::new(), bars: BTreeMap::new(), logs: tail }))
            }
            Mode::Auto => Screen::Plain,
        };
        Report { screen, started: Instant::now() }
    }

    /// Shows that something is built, outside of a run of the whole graph, and how it ended.
    pub fn building<T>(&self, component: &str, build: impl FnOnce() -> Result<T>) -> Result<T> {
        let component = component.to_owned();
        self.send(Event::Started { component: component.clone(), expected_seconds: None });
        let (result, seconds) = timed(build);
        self.send(match &result {
            Ok(_) => Event::Built { component, seconds, same_output: false, incremental: false },
            Err(error) => Event::Failed { component, error: error.report() },
        });
        result
    }

    /// Shows one event.
    pub fn send(&self, event: Event) {
        match &self.screen {
            Screen::Json => {
                if let Ok(line) = serde_json::to_string(&event) {
                    crate::print::remember(writeln!(std::io::stdout(), "{line}"));
                }
            }
            Screen::Plain => {
                if let Some(line) = line(&event) {
                    let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
                    print(&mut std::io::stderr(), &format!("{} {line}", &now[11..19]));
                }
            }
            Screen::Live(live) => lock(live).show(&event),
        }
    }

    /// A line for the user.
    pub fn note(&self, text: impl Into<String>) {
        self.send(Event::Note { text: text.into() });
    }

    /// Brings the last lines of the logs up to date; called now and then by whoever waits.
    pub fn tick(&self) {
        if let Screen::Live(live) = &self.screen {
            let live = lock(live);
            for (name, running) in &live.bars {
                running.refresh(live.logs.as_deref().and_then(|logs| last_line(&newest(&logs.join(name))?)));
            }
        }
    }

    /// Seconds since the run began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A reader that went away (`| head`) is not our failure.
fn print(to: &mut impl Write, line: &str) {
    writeln!(to, "{line}").unwrap_or_default();
}

fn lock(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a plain log says of an event; nothing for what only a screen shows.
fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Planned { manifest, components: 0, up_to_date: 1 } => {
            format!("{manifest}: the 1 component is up to date")
        }
        Event::Planned { manifest, components: 0, up_to_date } => {
            format!("{manifest}: all {up_to_date} components are up to date")
        }
        Event::Planned { manifest, components, up_to_date } => {
            format!("{manifest}: {components} of {} components to build or restore", components + up_to_date)
        }
        Event::Note { text } => format!("note: {text}"),
        Event::Overridden { source, dir } => format!("{source}: overridden with {dir}"),
        Event::FetchStarted { source } => format!("{source}: fetching"),
        Event::FetchEnded { source, seconds } => format!("{source}: fetched in {}", duration(*seconds)),
        Event::Started { component, expected_seconds } => match expected_seconds {
            Some(expected) => format!("{component}: building, {} the last time", duration(*expected)),
            None => format!("{component}: building"),
        },
        Event::Step { component, step, number, of } => format!("{component}: {step} ({number}/{of})"),
        Event::UpToDate { .. } => return None,
        Event::Restored { component } => format!("{component}: restored from the store"),
        Event::Built { component, seconds, same_output, incremental } => {
            let how = if *incremental { ", incrementally" } else { "" };
            let same = if *same_output { ", the same as before" } else { "" };
            format!("{component}: built in {}{how}{same}", duration(*seconds))
        }
        Event::Failed { component, .. } => format!("{component}: failed"),
        Event::Installed { dist, written: 0, removed: 0, files } => format!("{dist}: {files} files, none changed"),
        Event::Installed { dist, written, removed, files } => {
            format!("{dist}: {files} files, {written} written, {removed} removed")
        }
    })
}

/// `75 s` as `1m 15s`.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    humantime::format_duration(Duration::from_secs(seconds.round().max(0.0) as u64)).to_string()
}

impl Live {
    fn show(&mut self, event: &Event) {
        let name = match event {
            Event::FetchStarted { source } => {
                self.start(source, None, "fetching");
                return;
            }
            Event::Started { component, expected_seconds } => {
                self.start(component, *expected_seconds, "preparing");
                return;
            }
            Event::Step { component, step, number, of } => {
                if let Some(running) = self.bars.get_mut(component) {
                    running.step = format!("{step} ({number}/{of})");
                    running.refresh(None);
                }
                return;
            }
            Event::FetchEnded { source, .. } => Some(source),
            Event::Built { component, .. } | Event::Failed { component, .. } | Event::Restored { component } => {
                Some(component)
            }
            _ => None,
        };
        if let Some(running) = name.and_then(|name| self.bars.remove(name)) {
            running.bar.finish_and_clear();
        }
        let mark = match event {
            Event::Failed { .. } => "✗ ",
            Event::Note { .. } | Event::Overridden { .. } | Event::Planned { components: 1.., .. } => "• ",
            _ => "✓ ",
        };
        let line = match event {
            Event::Note { text } => Some(text.clone()),
            other => line(other),
        };
        if let Some(line) = line {
            self.multi.println(format!("{mark}{line}")).unwrap_or_default();
        }
    }

    fn start(&mut self, name: &str, expected: Option<f64>, step: &str) {
        let bar = self.multi.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("{spinner} {prefix:<12} {elapsed:>5} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        let running = Running { bar, expected, step: step.to_owned() };
        running.refresh(None);
        self.bars.insert(name.to_owned(), running);
    }
}

impl Running {
    fn refresh(&self, tail: Option<String>) {
        let expected = self.expected.map(|seconds| format!("of about {}, ", duration(seconds))).unwrap_or_default();
        let tail = tail.map(|line| format!("  {line}")).unwrap_or_default();
        self.bar.set_message(format!("{expected}{}{tail}", self.step));
    }
}

/// The newest log of a component.
fn newest(logs: &Path) -> Option<PathBuf> {
    std::fs::read_dir(logs).ok()?.flatten().map(|entry| entry.path()).max()
}

/// The last line of a log that says anything.
pub fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let end = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(end.saturating_sub(1000))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    String::from_utf8_lossy(&bytes).lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_say_what_happened() {
        let planned = Event::Planned { manifest: "m".into(), components: 0, up_to_date: 4 };
        assert_eq!(line(&planned).unwrap(), "m: all 4 components are up to date");
        let built = Event::Built { component: "xen".into(), seconds: 75.2, same_output: true, incremental: false };
        assert_eq!(line(&built).unwrap(), "xen: built in 1m 15s, the same as before");
        assert_eq!(line(&Event::UpToDate { component: "xen".into() }), None);
    }

    #[test]
    fn events_are_one_json_object_each() {
        let event = Event::Started { component: "xen".into(), expected_seconds: None };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"event":"started","component":"xen","expected-seconds":null}"#
        );
    }
}
