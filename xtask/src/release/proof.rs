//! The proof that an archive builds: unpacked where there is no network and none of the programs that it is to do without, and built there
//! as its own `BUILDING` says, by hand or with `cargo xtask`. What comes out is compared with what this checkout builds.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::format::Format;
use super::own::DIR;
use super::script::Script;
use crate::difference::{Difference, with_store};
use crate::error::{Context, Error, Result};
use crate::machine::need;
use crate::process::{Cancel, Ended};
use crate::run::{Event, Report, first_error};
use crate::sandbox::{ELSEWHERE as AT, Enclosure, Processes};
use crate::stat_index::{Modes, read_tree};
use crate::store::Store;
use crate::tree::Tree;

/// What a build takes on disk, as a multiple of what is in the archive, and what compiling xtask takes beside.
const SPACE: u64 = 8;
const SPACE_OF_XTASK: u64 = 1 << 30;

/// How it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// With the commands of the second part of `sultana/BUILDING`
    Building,
    /// With `cargo xtask`, as its first part says
    Xtask,
}

impl Way {
    /// As messages name it, and the directory of its logs.
    pub fn name(self) -> &'static str {
        match self {
            Way::Building => "by-hand",
            Way::Xtask => "by-xtask",
        }
    }
}

/// What is proved, and against what.
#[derive(Debug)]
pub struct Proof<'a> {
    /// The archive.
    pub archive: &'a Path,
    /// The one directory in it.
    pub top: &'a str,
    /// Bytes of all files in it.
    pub bytes: u64,
    /// What this checkout builds.
    pub wanted: &'a Tree,
    /// Where the bytes of that are.
    pub store: &'a Store,
    /// bubblewrap.
    pub bwrap: PathBuf,
    /// The Rust toolchain, where something needs it.
    pub rust: Option<PathBuf>,
    /// Where it is unpacked and built; gone after a success.
    pub dir: PathBuf,
    /// Where logs go, a directory for each way.
    pub logs: PathBuf,
    /// Where progress is shown.
    pub report: &'a Report,
    /// Stops it.
    pub cancel: &'a Cancel,
}

impl Proof<'_> {
    /// Builds it that way. What differs from what is wanted: nothing, if it is proved.
    pub fn differences(&self, way: Way) -> Result<Vec<Difference>> {
        let result = self.report.building(way.name(), || self.build(way))?;
        let differences = with_store(self.store, self.wanted, &result, &read_tree(&result, Modes::Exact)?)?;
        if differences.is_empty() {
            crate::atomic::remove_tree(&self.at(way))?;
        }
        Ok(differences)
    }

    /// Where that build stands, and what differs stays.
    pub fn at(&self, way: Way) -> PathBuf {
        self.dir.join(way.name())
    }

    /// Builds; gives the directory with what was installed.
    fn build(&self, way: Way) -> Result<PathBuf> {
        let (dir, logs) = (self.at(way), self.logs.join(way.name()));
        crate::atomic::remove_tree(&dir)?;
        crate::atomic::remove_tree(&logs)?;
        for made in [&dir.join("home"), &logs] {
            fs::create_dir_all(made).context(|| format!("cannot make `{}`", made.display()))?;
        }
        let of_xtask = if way == Way::Xtask { SPACE_OF_XTASK } else { 0 };
        need(&dir, SPACE * self.bytes + of_xtask, "building from the archive")?;
        self.step(way, "unpack", 1, 1);
        unpack(self.archive, &dir, self.cancel)?;
        let building = dir.join(self.top).join(DIR).join("BUILDING");
        let text = fs::read_to_string(&building).context(|| format!("cannot read `{}`", building.display()))?;
        let script = Script::read(&text)?;
        let rust = self.rust.clone();
        let enclosure = Enclosure { bwrap: self.bwrap.clone(), dir: dir.clone(), at: AT, rust };
        match way {
            Way::Building => self.by_hand(&script, &enclosure, &logs),
            Way::Xtask => self.by_xtask(&script, &enclosure, &logs),
        }
    }

    fn by_hand(&self, script: &Script, enclosure: &Enclosure, logs: &Path) -> Result<PathBuf> {
        let (top, stage) = (format!("{AT}/{}", self.top), format!("{AT}/stage"));
        let all = script.by_hand();
        let of = all.len();
        for (index, (name, commands)) in all.enumerate() {
            self.step(Way::Building, name, index + 1, of);
            let log = logs.join(format!("{:02}-{name}.log", index + 1));
            let file = File::create(&log).context(|| format!("cannot write `{}`", log.display()))?;
            let variables = [("TOP", &top[..]), ("DESTDIR", &stage[..])];
            let program = enclosure.program(&["sh", "-ec", &commands], AT, &variables, Processes::Own);
            let ended = program.log_to(file).run(self.cancel)?;
            self.ended(Way::Building, &ended, &format!("the commands of `{name}`"), &log)?;
        }
        Ok(enclosure.dir.join("stage"))
    }

    fn by_xtask(&self, script: &Script, enclosure: &Enclosure, logs: &Path) -> Result<PathBuf> {
        let log = logs.join("01-build.log");
        let cannot = || format!("cannot write `{}`", log.display());
        let mut file = File::create(&log).context(cannot)?;
        let top = format!("{AT}/{}", self.top);
        let line = format!("{} --json", script.with_xtask);
        let (ours, theirs) = std::io::pipe().context(|| "cannot make a pipe".to_owned())?;
        let program = enclosure.program(&["sh", "-ec", &line], &top, &[("GIT", "false")], Processes::All);
        self.step(Way::Xtask, "compiling xtask", 1, 1);
        let ended = std::thread::scope(|scope| {
            let shown = scope.spawn(|| self.show(ours, &mut file));
            let ended = program.piped(None, theirs).run(self.cancel);
            let shown = shown.join().unwrap_or_else(|_| Err(Error::machine("a thread that reads a build died")));
            shown.and(ended)
        })?;
        file.write_all(&ended.stderr).context(cannot)?;
        self.ended(Way::Xtask, &ended, &format!("`{}`", script.with_xtask), &log)?;
        Ok(enclosure.dir.join(self.top).join(DIR).join("dist"))
    }

    /// Keeps what a build says, and shows the steps among it.
    fn show(&self, from: impl Read, log: &mut File) -> Result<()> {
        for line in BufReader::new(from).lines() {
            let line = line.context(|| "cannot read what the build says".to_owned())?;
            writeln!(log, "{line}").context(|| "cannot write the log of the build".to_owned())?;
            let Ok(event) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let number = |key: &str| event[key].as_u64().and_then(|it| usize::try_from(it).ok()).unwrap_or_default();
            if event["event"] == "step" {
                let step = format!("{} {}", text("component"), text("step"));
                self.step(Way::Xtask, &step, number("number"), number("of"));
            }
        }
        Ok(())
    }

    fn step(&self, way: Way, step: &str, number: usize, of: usize) {
        self.report.send(Event::Step { component: way.name().to_owned(), step: step.to_owned(), number, of });
    }

    fn ended(&self, way: Way, ended: &Ended, what: &str, log: &Path) -> Result<()> {
        if ended.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
        let mut message =
            format!("`{}` does not build {}: {what}: {}", self.archive.display(), way.name(), ended.status);
        if let Some(excerpt) = first_error(&text) {
            message.push_str(&format!("\n{}", excerpt.render().trim_end_matches('\n')));
        }
        message.push_str(&format!("\n  log: {}", log.display()));
        Err(Error::step(message).help(format!("the tree as it failed is in {}", self.at(way).display())))
    }
}

/// Unpacks an archive that is known to be good.
fn unpack(archive: &Path, dir: &Path, cancel: &Cancel) -> Result<()> {
    let cannot = || format!("cannot unpack `{}`", archive.display());
    let (format, file) = Format::open(archive)?;
    let mut members = tar::Archive::new(format.reader(file)?);
    for member in members.entries().context(cannot)? {
        cancel.check()?;
        member.and_then(|mut member| member.unpack_in(dir)).context(cannot)?;
    }
    Ok(())
}
