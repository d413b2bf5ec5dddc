//! The serial line of a made-up machine: what it prints, what must come of that within which time, and what is typed. The machine is
//! ended, whatever happened, before the driver returns.

use std::borrow::Cow;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Kind, Result};
use crate::process::{Cancel, Program};

/// How often a waiting driver looks whether the user stopped us.
const POLL: Duration = Duration::from_millis(100);
/// More than any machine says that is well.
const MOST_BYTES: usize = 8 << 20;
/// Nothing that is looked for is longer.
const LONGEST_LINE: usize = 4096;
/// More than the hypervisor prints into a line of dom0's.
const LONGEST_TALK: usize = 16 << 10;
/// Xen's input buffer is small: a longer piece loses bytes.
const PIECE_BYTES: usize = 8;
/// How long an echo may take.
const ECHO: Duration = Duration::from_secs(60);
/// How long the rest may take once something is bad: what needs it may wait for ever.
const AFTER_BAD: Duration = Duration::from_secs(60);
/// A machine that crashed tells why within that time, without a longer pause than this.
const LAST_WORDS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));
/// After these nothing good comes.
const FATAL: [&str; 6] =
    ["Panic on CPU", "Kernel panic", "FATAL TRAP", "Oops: ", "Domain 0 crashed", "Hardware Dom0 crashed"];

/// Something that must be printed.
#[derive(Clone, Debug)]
pub(super) struct Expect {
    name: String,
    sign: Sign,
    limit: Duration,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sign {
    /// A line that begins with that, whole, and tells how something is: `@@ NAME ok …` or `@@ NAME bad …`. One into which another line
    /// was printed is none.
    Told(String),
    /// A line with that, whole.
    Line(String),
    /// A line of dom0 with that, whole. The hypervisor may have printed into it.
    Answer(String),
    /// That, with nothing behind it: a prompt, an echo. The hypervisor may have printed into it.
    Text(String),
}

impl Expect {
    /// The scripts in `init/` tell how `name` is.
    pub(super) fn told(name: &str, limit: Duration) -> Self {
        Expect { name: name.to_owned(), sign: Sign::Told(format!("@@ {name} ")), limit }
    }

    /// A line with `text`.
    pub(super) fn line(name: &str, text: &str, limit: Duration) -> Self {
        Expect { name: name.to_owned(), sign: Sign::Line(text.to_owned()), limit }
    }

    /// A line with `text`, which is dom0's.
    pub(super) fn answer(name: &str, text: &str, limit: Duration) -> Self {
        Expect { name: name.to_owned(), sign: Sign::Answer(text.to_owned()), limit }
    }

    /// A prompt, or an echo.
    pub(super) fn text(name: &str, text: &str, limit: Duration) -> Self {
        Expect { name: name.to_owned(), sign: Sign::Text(text.to_owned()), limit }
    }
}

impl Sign {
    fn words(&self) -> &str {
        match self {
            Sign::Told(words) | Sign::Line(words) | Sign::Answer(words) | Sign::Text(words) => words,
        }
    }

    /// A line of it that says so itself.
    fn is_bad(&self, line: &str) -> bool {
        matches!(self, Sign::Told(words) if line.strip_prefix(words.as_str()).is_some_and(|said| said.starts_with("bad")))
    }

    /// It is said by dom0, and by nobody else.
    fn is_dom0s(&self) -> bool {
        matches!(self, Sign::Answer(_) | Sign::Text(_))
    }

    /// What has it in `text`, which goes on unless `is_over`.
    fn find(&self, text: &str, is_over: bool) -> Option<String> {
        let words = self.words();
        let text = &*if self.is_dom0s() { Cow::Owned(without_hypervisor(text)) } else { Cow::Borrowed(text) };
        text.match_indices(words).find_map(|(at, _)| {
            let rest = &text[at + words.len()..];
            let (line, is_whole) = match rest.split_once(['\r', '\n']) {
                Some((line, _)) => (line, true),
                None => (rest, is_over),
            };
            let fits = match self {
                Sign::Told(_) => is_whole && (line.starts_with("ok") || line.starts_with("bad")),
                Sign::Line(_) | Sign::Answer(_) => is_whole,
                Sign::Text(_) => true,
            };
            let line = if matches!(self, Sign::Text(_)) { "" } else { line };
            fits.then(|| format!("{words}{line}"))
        })
    }
}

/// What dom0 says: the hypervisor prints lines of its own whenever it wants to, and the rest of dom0's comes behind them.
fn without_hypervisor(text: &str) -> String {
    let mut pieces = text.split("(XEN) ");
    let first = pieces.next().unwrap_or_default();
    let rest = pieces.map(|piece| piece.split_once('\n').map_or("", |(_, behind)| behind));
    std::iter::once(first).chain(rest).collect()
}

/// What came of an expectation: the line that had it, or why there was none.
pub(super) type Came = std::result::Result<String, String>;

enum Event {
    Text(Vec<u8>),
    /// With what it said on standard error.
    Ended(String),
}

/// A machine that runs.
pub(super) struct Console<'a> {
    events: Receiver<Event>,
    input: PipeWriter,
    log: File,
    cancel: &'a Cancel,
    text: String,
    /// Why nothing more will come.
    over: Option<String>,
}

/// Starts the machine, has `drive` deal with it, ends it. Everything that it prints goes into the file `log`.
pub(super) fn with<T>(
    program: Program,
    log: &Path,
    cancel: &Cancel,
    drive: impl FnOnce(&mut Console<'_>) -> Result<T>,
) -> Result<T> {
    let cannot = || "cannot make a serial line".to_owned();
    let (machine_reads, input) = std::io::pipe().context(cannot)?;
    let (output, machine_writes) = std::io::pipe().context(cannot)?;
    let log = File::create(log).context(|| format!("cannot write `{}`", log.display()))?;
    let (sender, events) = channel();
    let machine = Cancel::default();
    let stopper = machine.clone();
    let program = program.piped(Some(machine_reads), machine_writes);
    std::thread::scope(|scope| {
        let texts = sender.clone();
        let reading = scope.spawn(move || read(output, &texts));
        let running = scope.spawn(move || {
            let ended = program.run(&machine);
            let said = ended.as_ref().map(|ended| String::from_utf8_lossy(&ended.stderr).trim().to_owned());
            // Nobody listens any more when it was us who ended it.
            sender.send(Event::Ended(said.unwrap_or_default())).unwrap_or_default();
            ended
        });
        let mut console = Console { events, input, log, cancel, text: String::new(), over: None };
        let result = drive(&mut console).and_then(|result| console.last_words().map(|()| result));
        stopper.stop();
        // What is written into its pipe must not keep it.
        drop(console);
        let ended = running.join();
        reading.join().unwrap_or_default();
        match ended {
            Ok(Err(error)) if error.kind() != Kind::Interrupted => Err(error),
            // Not by us, and no emulator does that by itself: the kernel, when memory is short.
            Ok(Ok(ended)) if ended.status.signal().is_some() => {
                Err(Error::machine("somebody ended the emulator").because(ended.status.to_string()))
            }
            _ => result,
        }
    })
}

fn read(mut output: PipeReader, texts: &Sender<Event>) {
    let mut buffer = [0; 4096];
    while let Ok(read) = output.read(&mut buffer) {
        // Goes on to the end although nobody listens: the machine must not wait for us.
        match read {
            0 => return,
            read => texts.send(Event::Text(buffer[..read].to_vec())).unwrap_or_default(),
        }
    }
}

impl Console<'_> {
    /// Waits for all of these, in any order; `came` gets each as it comes, or why it does not. True when all came.
    pub(super) fn expect(&mut self, wanted: &[Expect], came: &mut dyn FnMut(&str, Came)) -> Result<bool> {
        self.expect_from(0, wanted, came)
    }

    fn expect_from(&mut self, mark: usize, wanted: &[Expect], came: &mut dyn FnMut(&str, Came)) -> Result<bool> {
        let started = Instant::now();
        // Each with how far it was looked for already.
        let mut open: Vec<(&Expect, usize)> = wanted.iter().map(|expect| (expect, mark)).collect();
        let mut is_good = true;
        let mut bad_since: Option<Instant> = None;
        loop {
            let over = self.over.clone();
            let (last_line, near_end) = (self.last_line(), self.near_end(LONGEST_TALK));
            open.retain_mut(|(expect, from)| match expect.sign.find(&self.text[*from..], over.is_some()) {
                Some(line) => {
                    if expect.sign.is_bad(&line) {
                        bad_since.get_or_insert_with(Instant::now);
                    }
                    came(&expect.name, Ok(line));
                    false
                }
                None => {
                    *from = if expect.sign.is_dom0s() { near_end } else { last_line }.max(*from);
                    true
                }
            });
            open.retain(|(expect, _)| {
                let did_not_come = |limit: Duration, since: &str| {
                    format!(
                        "`{}` did not come within {} seconds{since}",
                        expect.sign.words().trim_end(),
                        limit.as_secs()
                    )
                };
                let late = (started.elapsed() > expect.limit).then(|| did_not_come(expect.limit, ""));
                let after_bad = bad_since.filter(|since| since.elapsed() > AFTER_BAD);
                let late = late.or_else(|| after_bad.map(|_| did_not_come(AFTER_BAD, " of something bad")));
                let why = over.clone().or(late);
                is_good &= why.is_none();
                why.is_none_or(|why| {
                    came(&expect.name, Err(why));
                    false
                })
            });
            if open.is_empty() {
                return Ok(is_good);
            }
            self.wait()?;
        }
    }

    /// Where the line begins that is still being printed; of one without end, where its last part does.
    fn last_line(&self) -> usize {
        let begins = self.text.rfind('\n').map_or(0, |at| at + 1);
        begins.max(self.near_end(LONGEST_LINE))
    }

    /// So many bytes before what comes next, or a few more.
    fn near_end(&self, bytes: usize) -> usize {
        let mut near = self.text.len().saturating_sub(bytes);
        while !self.text.is_char_boundary(near) {
            near -= 1;
        }
        near
    }

    /// Waits for the machine's own end.
    pub(super) fn ends(&mut self, limit: Duration) -> Result<Came> {
        let started = Instant::now();
        loop {
            match &self.over {
                Some(why) if why.starts_with(ENDED) => return Ok(Ok(String::new())),
                Some(why) => return Ok(Err(why.clone())),
                None if started.elapsed() > limit => {
                    return Ok(Err(format!("it did not switch itself off within {} seconds", limit.as_secs())));
                }
                None => self.wait()?,
            }
        }
    }

    /// Why a machine crashed stands behind the line by which that is known: it belongs into the log.
    fn last_words(&mut self) -> Result<()> {
        let (started, (all, pause)) = (Instant::now(), LAST_WORDS);
        while self.over.as_ref().is_some_and(|why| why.starts_with(CRASHED))
            && started.elapsed() < all
            && let Ok(Event::Text(bytes)) = self.events.recv_timeout(pause)
        {
            self.take(&bytes)?;
        }
        Ok(())
    }

    /// Types a line, no faster than it is echoed. True when all of it was.
    pub(super) fn type_line(&mut self, line: &str) -> Result<bool> {
        let line = format!("{line}\n");
        for piece in line.as_bytes().chunks(PIECE_BYTES) {
            let mark = self.text.len();
            // A machine that is gone takes nothing; then there is no echo either.
            self.input.write_all(piece).unwrap_or_default();
            let echo = String::from_utf8_lossy(piece).trim_end().to_owned();
            let expect = Expect::text("echo", &echo, ECHO);
            if !self.expect_from(mark, &[expect], &mut |_, _| {})? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes what is printed next, or nothing after a moment.
    fn wait(&mut self) -> Result<()> {
        self.cancel.check()?;
        match self.events.recv_timeout(POLL) {
            Ok(Event::Text(bytes)) => self.take(&bytes),
            Ok(Event::Ended(said)) => {
                // What it printed last may still be on its way.
                while let Ok(Event::Text(bytes)) = self.events.recv_timeout(POLL) {
                    self.take(&bytes)?;
                }
                let what = if said.is_empty() { String::new() } else { format!(": {said}") };
                self.over.get_or_insert(format!("{ENDED}{what}"));
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                self.over.get_or_insert_with(|| ENDED.to_owned());
                Ok(())
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.log.write_all(bytes).context(|| "cannot write the log of a console".to_owned())?;
        let from = self.near_end(64);
        self.text.push_str(&String::from_utf8_lossy(bytes));
        let fatal = FATAL.iter().find_map(|fatal| Sign::Line((*fatal).to_owned()).find(&self.text[from..], true));
        if let Some(line) = fatal {
            self.over.get_or_insert(format!("{CRASHED}: {line}"));
        } else if self.text.len() > MOST_BYTES {
            self.over.get_or_insert("it prints without end".to_owned());
        }
        Ok(())
    }
}

const ENDED: &str = "the machine ended";
const CRASHED: &str = "it crashed";

#[cfg(test)]
mod tests {
    use super::*;

    /// What a "machine" that is a shell script says to the driver.
    fn check(script: &str, wanted: &[Expect], typed: &str) -> (bool, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let program = Program::new(["sh", "-c", script]);
        let mut said = Vec::new();
        let log = dir.path().join("log");
        let cancel = Cancel::default();
        let good = with(program, &log, &cancel, |console| {
            if !typed.is_empty() {
                assert!(console.type_line(typed)?);
            }
            console.expect(wanted, &mut |_, came| said.push(came.unwrap_or_else(|why| format!("no: {why}"))))
        });
        let good = good.unwrap();
        assert!(!good || !std::fs::read(log).unwrap().is_empty());
        (good, said)
    }

    const LONG: Duration = Duration::from_secs(100);

    #[test]
    fn signs_come_in_any_order_and_with_the_rest_of_their_line() {
        let script = "printf '@@ two bad b\\r\\nXen version 4\\r\\n@@ one ok a\\r\\nlogin: '; sleep 100";
        let wanted = [
            Expect::told("one", LONG),
            Expect::text("login", "login: ", LONG),
            Expect::line("xen", "Xen version", LONG),
            Expect::told("two", LONG),
        ];
        let (good, mut said) = check(script, &wanted, "");
        said.sort();
        assert!(good);
        assert_eq!(said, ["@@ one ok a", "@@ two bad b", "Xen version 4", "login: "]);
    }

    #[test]
    fn a_line_into_which_another_was_printed_counts_when_it_comes_again() {
        let script = "echo '@@ one (XEN) d1: hello'; echo ok; echo '@@ one ok again'; sleep 100";
        let (good, said) = check(script, &[Expect::told("one", LONG)], "");
        assert!(good);
        assert_eq!(said, ["@@ one ok again"]);
    }

    #[test]
    fn an_end_a_crash_and_silence_are_each_said() {
        let both = [Expect::told("a", LONG), Expect::told("b", LONG)];
        let (good, said) = check("echo '@@ a ok'; echo qemu: no >&2; exit 1", &both, "");
        assert!(!good);
        assert_eq!(said, ["@@ a ok", "no: the machine ended: qemu: no"]);
        let (good, said) = check("echo '(XEN) Panic on CPU 0:'; sleep 100", &both[..1], "");
        assert!(!good && said[0].starts_with("no: it crashed: Panic on CPU 0:"), "{said:?}");
        let (good, said) = check("trap '' TERM; sleep 100", &[Expect::told("a", Duration::ZERO)], "");
        assert!(!good);
        assert_eq!(said, ["no: `@@ a` did not come within 0 seconds"]);
    }

    #[test]
    fn why_a_machine_crashed_is_in_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let program =
            Program::new(["sh", "-c", "echo '(XEN) Panic on CPU 0:'; sleep 0.3; echo '(XEN) of this'; sleep 100"]);
        let wanted = [Expect::told("a", LONG)];
        let good = with(program, &log, &Cancel::default(), |console| console.expect(&wanted, &mut |_, _| {}));
        assert!(!good.unwrap());
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "(XEN) Panic on CPU 0:\n(XEN) of this\n");
    }

    #[test]
    fn a_machine_that_prints_without_end_is_stopped() {
        let (good, said) =
            check("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaa; done | cat", &[Expect::told("a", LONG)], "");
        assert!(!good);
        assert_eq!(said, ["no: it prints without end"]);
    }

    #[test]
    fn a_line_is_typed_piece_by_piece_as_it_is_echoed() {
        let (good, said) = check("cat", &[Expect::line("all", "3+4=$((3", LONG)], "echo 3+4=$((3+4))");
        assert!(good && said[0].starts_with("3+4=$((3+4))"), "{said:?}");
    }

    #[test]
    fn what_the_hypervisor_prints_into_an_echo_and_an_answer_is_none_of_them() {
        let read = |bytes: u32| format!("dd bs=1 count={bytes} 2>/dev/null");
        let script = format!(
            "{}; {} >/dev/null; printf '6*7)(XEN) uart interrupt\\r\\n)(XEN) polling\\r\\nup\\r\\n4(XEN) more\\r\\n2up\\r\\n'; sleep 100",
            read(8),
            read(8)
        );
        let (good, said) = check(&script, &[Expect::answer("all", "42up", LONG)], "echo $((6*7))up");
        assert!(good && said == ["42up"], "{said:?}");
    }

    #[test]
    fn a_machine_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let program = Program::new(["no-such-emulator"]);
        let error =
            with(program, &dir.path().join("log"), &Cancel::default(), |console| console.ends(ECHO)).unwrap_err();
        assert!(error.to_string().contains("no-such-emulator"), "{error}");
    }
}
