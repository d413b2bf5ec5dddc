//! How little of a repository a server gives: the commit alone, else the end of the tracked ref's history, else everything. Each
//! step down is said with its reason. What was fetched, how and in what time is written down beside the mirror.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::super::attempts::{self, Failure};
use super::super::scratch::Scratch;
use super::super::{Fetching, alone};
use super::mirror::{self, Mirror, NEW};
use super::refs;
use super::verdict::{self, Verdict};
use super::{Tracked, address, program};
use crate::definition::Commit;
use crate::error::{Context, Error, Result};
use crate::process::Program;

/// How many commits of a tracked ref are fetched in the hope that the pin is among them.
const DEPTH: u32 = 100;

/// A server that hangs must not hang us; the largest repository there is comes faster than this. (HTTP has a limit of its own.)
const TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

/// One way to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung<'a> {
    /// This object and what it needs.
    Alone(&'a str),
    /// The end of a ref's history.
    End(&'a str, u32),
    /// All branches and tags with all their history, and this ref, if it is another.
    Everything(Option<&'a str>),
    /// All history of a commit or ref, without files where the server can leave them out.
    Past(&'a str),
}

impl Rung<'_> {
    fn describe(&self) -> String {
        match self {
            Rung::Alone(_) => "the commit alone".to_owned(),
            Rung::End(name, 1) => format!("the tip of {name}"),
            Rung::End(name, depth) => format!("the last {depth} commits of {name}"),
            Rung::Everything(_) => "all of it".to_owned(),
            Rung::Past(name) => format!("the commits before {name}"),
        }
    }

    fn arguments(&self, is_shallow: bool) -> Vec<String> {
        let new = |from: &str| format!("+{from}:{NEW}");
        match self {
            Rung::Alone(commit) => vec!["--depth=1".into(), new(commit)],
            Rung::End(name, depth) => vec![format!("--depth={depth}"), new(name)],
            Rung::Everything(name) => {
                let mut arguments: Vec<String> = is_shallow.then(|| "--unshallow".to_owned()).into_iter().collect();
                arguments.extend(["+refs/heads/*:refs/heads/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()]);
                arguments.extend(name.map(new));
                arguments
            }
            Rung::Past(name) => vec!["--filter=tree:0".into(), new(name)],
        }
    }
}

/// What a mirror's last fetch cost; for whoever decides what to ask for next time.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cost {
    how: String,
    millis: u64,
    bytes: u64,
}

/// Afterwards the mirror holds `commit`.
pub(super) fn obtain(
    ctx: &Fetching<'_>,
    what: &str,
    mirror: &Mirror,
    urls: &[String],
    tracked: Tracked,
    commit: &Commit,
) -> Result<()> {
    if mirror.holds(commit)? {
        return Ok(());
    }
    alone(&mirror.lock_file(), ctx, &format!("the mirror of {what}"), || {
        if mirror.holds(commit)? {
            return Ok(());
        }
        if is_in_everything(mirror, commit)? {
            return mirror.pin(commit);
        }
        let urls = reachable(ctx, what, urls, &format!("commit {commit}"))?;
        let name = match &tracked {
            Tracked::Ref(name) => Some(name.as_str()),
            Tracked::Commit(_) => None,
        };
        let mut rungs = vec![Rung::Alone(commit.as_str())];
        rungs.extend(name.map(|name| Rung::End(name, DEPTH)));
        rungs.push(Rung::Everything(name));
        attempts::along(ctx, what, &urls, |url| climb_down(ctx, what, mirror, url, &rungs, Some(commit)).map(|_| ()))
            .map_err(|error| error.help("to take what the origin has now: cargo xtask update"))
    })
}

/// Afterwards the mirror holds the tag object `tag` and the commit behind it, which is given.
pub(super) fn tag(ctx: &Fetching<'_>, what: &str, mirror: &Mirror, urls: &[String], tag: &Commit) -> Result<Commit> {
    if mirror.dir().is_dir()
        && let Ok(commit) = mirror::peel(mirror.dir(), Path::new(""), tag.as_str())
        && mirror.holds(&commit)?
    {
        return Ok(commit);
    }
    let urls = reachable(ctx, what, urls, &format!("tag {tag}"))?;
    alone(&mirror.lock_file(), ctx, &format!("the mirror of {what}"), || {
        let rungs = [Rung::Alone(tag.as_str()), Rung::Everything(None)];
        attempts::along(ctx, what, &urls, |url| climb_down(ctx, what, mirror, url, &rungs, Some(tag)))
    })
}

/// The commit that the origin's tracked ref names now; afterwards the mirror holds it.
pub(super) fn newest(
    ctx: &Fetching<'_>,
    what: &str,
    mirror: &Mirror,
    urls: &[String],
    tracked: Tracked,
) -> Result<Commit> {
    let name = match &tracked {
        Tracked::Ref(name) => name,
        Tracked::Commit(commit) => {
            let commit = Commit::try_from(commit.clone())
                .map_err(|why| Error::input(format!("cannot fetch {what}")).because(why))?;
            return obtain(ctx, what, mirror, urls, tracked, &commit).map(|()| commit);
        }
    };
    let urls = reachable(ctx, what, urls, name)?;
    alone(&mirror.lock_file(), ctx, &format!("the mirror of {what}"), || {
        let rungs = [Rung::End(name, 1), Rung::Everything(Some(name))];
        attempts::along(ctx, what, &urls, |url| climb_down(ctx, what, mirror, url, &rungs, None))
    })
}

/// The refs of these full names that the origin has, with what they name; an annotated tag also as `NAME^{}`.
pub(super) fn advertised(ctx: &Fetching<'_>, what: &str, urls: &[String], names: &[String]) -> Result<refs::Refs> {
    let urls = reachable(ctx, what, urls, names.first().map_or("", String::as_str))?;
    attempts::along(ctx, what, &urls, |url| {
        // A file that is no repository: what is listed has nothing to do with where we are.
        let words = ["--git-dir=/dev/null", "ls-remote", "--quiet", "--end-of-options", url];
        let peeled = names.iter().map(|name| format!("{name}^{{}}"));
        let names: Vec<String> = names.iter().cloned().chain(peeled).collect();
        let argv = words.into_iter().chain(names.iter().map(String::as_str)).map(OsStr::new);
        let ended = asking(ctx, argv).run(ctx.cancel)?;
        if !ended.status.success() {
            return Err(match verdict::of(&String::from_utf8_lossy(&ended.stderr)) {
                Verdict::Failed(failure) => failure,
                Verdict::OtherWay(said) | Verdict::NoSuchRef(said) => Failure::Permanent(said),
            });
        }
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let found = text.lines().filter_map(|line| line.split_once('\t'));
        // A pattern matches the ends of names too.
        let asked = found.filter(|(_, name)| names.iter().any(|asked| asked == name));
        Ok(asked.map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
    })
}

/// git that talks to a server.
fn asking<'a>(ctx: &Fetching<'_>, argv: impl IntoIterator<Item = &'a OsStr>) -> Program {
    let program = program(argv).timeout(TIMEOUT);
    // A user's `insteadOf` could make a local address a remote one.
    if ctx.offline { program.env("GIT_ALLOW_PROTOCOL", "file") } else { program }
}

/// Afterwards the repository of history knows `commit` and all before it.
pub(super) fn past(
    ctx: &Fetching<'_>,
    what: &str,
    history: &Mirror,
    urls: &[String],
    name: Option<&str>,
    commit: &Commit,
) -> Result<()> {
    let is_known = || history.dir().is_dir() && mirror::peel(history.dir(), Path::new(""), commit.as_str()).is_ok();
    if is_known() {
        return Ok(());
    }
    let urls = reachable(ctx, what, urls, &format!("commit {commit}"))?;
    alone(&history.lock_file(), ctx, what, || {
        if is_known() {
            return Ok(());
        }
        if !history.dir().is_dir() {
            // Once for each repository, and a while where the server sends files with the commits.
            (ctx.say)(&format!("{what}: fetching it"));
        }
        let rungs: Vec<Rung<'_>> = [Some(commit.as_str()), name].into_iter().flatten().map(Rung::Past).collect();
        attempts::along(ctx, what, &urls, |url| climb_down(ctx, what, history, url, &rungs, Some(commit)).map(|_| ()))
    })
}

/// Afterwards the mirror has all branches and tags with all their history.
pub(super) fn everything(ctx: &Fetching<'_>, what: &str, mirror: &Mirror, urls: &[String]) -> Result<()> {
    let urls = reachable(ctx, what, urls, "its history")?;
    alone(&mirror.lock_file(), ctx, &format!("the mirror of {what}"), || {
        attempts::along(ctx, what, &urls, |url| {
            climb_down(ctx, what, mirror, url, &[Rung::Everything(Some("HEAD"))], None).map(|_| ())
        })
    })
}

/// The addresses that may be asked: offline only those on this machine.
fn reachable(ctx: &Fetching<'_>, what: &str, urls: &[String], wanted: &str) -> Result<Vec<String>> {
    let may = |url: &&String| !ctx.offline || address::is_local(url);
    let urls: Vec<String> = urls.iter().filter(may).cloned().collect();
    if urls.is_empty() {
        return Err(Error::machine(format!("cannot fetch {what} with --offline: {wanted} is not in the store"))
            .help("the same command without --offline"));
    }
    Ok(urls)
}

/// A mirror that was fetched whole has commits that nobody pinned yet.
fn is_in_everything(mirror: &Mirror, commit: &Commit) -> Result<bool> {
    if !mirror.dir().exists() || mirror.dir().join("shallow").exists() {
        return Ok(false);
    }
    let is_full = refs::packed(mirror.dir())?.keys().any(|name| name.starts_with("refs/heads/"));
    Ok(is_full && mirror::peel(mirror.dir(), Path::new(""), commit.as_str()).is_ok_and(|found| found == *commit))
}

/// Asks one server in one way after the other, until the wanted commit (or any) is there.
fn climb_down(
    ctx: &Fetching<'_>,
    what: &str,
    mirror: &Mirror,
    url: &str,
    rungs: &[Rung<'_>],
    wanted: Option<&Commit>,
) -> Result<Commit, Failure> {
    let mut last = String::new();
    for (index, rung) in rungs.iter().enumerate() {
        if index > 0 {
            let url = attempts::without_password(url);
            (ctx.say)(&format!("{what}: fetching {} from {url}: {last}", rung.describe()));
        }
        match fetch(ctx, mirror, url, *rung, wanted)? {
            Ok(commit) => return Ok(commit),
            Err(reason) => last = reason,
        }
    }
    Err(Failure::Permanent(last))
}

/// One `git fetch` into a scratch repository; what came is taken into the mirror if it has the wanted commit.
fn fetch(
    ctx: &Fetching<'_>,
    mirror: &Mirror,
    url: &str,
    rung: Rung<'_>,
    wanted: Option<&Commit>,
) -> Result<Result<Commit, String>, Failure> {
    let scratch = Scratch::new(&ctx.layout.store.join("tmp"), "git")?;
    let at = scratch.path().join("repository");
    mirror.borrow(&at)?;
    let git_dir = format!("--git-dir={}", at.display());
    let options =
        [git_dir.as_str(), "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--end-of-options", url];
    let specs = rung.arguments(at.join("shallow").exists());
    let (switches, specs): (Vec<&String>, Vec<&String>) = specs.iter().partition(|word| word.starts_with("--"));
    let (before, after) = options.split_at(5);
    let argv = before.iter().copied().chain(switches.iter().map(|word| word.as_str())).chain(after.iter().copied());
    let argv = argv.chain(specs.iter().map(|word| word.as_str())).map(OsStr::new);
    let started = Instant::now();
    let ended = asking(ctx, argv).run(ctx.cancel)?;
    if ended.timed_out {
        return Err(Failure::Permanent(format!("nothing complete came within {} minutes", TIMEOUT.as_secs() / 60)));
    }
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return match verdict::of(&said) {
            Verdict::OtherWay(said) => {
                Ok(Err(format!("the server refuses {} ({})", rung.describe(), last_line(&said))))
            }
            Verdict::NoSuchRef(said) => Ok(Err(last_line(&said).to_owned())),
            Verdict::Failed(failure) => Err(failure),
        };
    }
    let came = match wanted {
        Some(wanted) => mirror::peel(&at, mirror.dir(), wanted.as_str()).ok(),
        None => match refs::all(&at)?.get(NEW) {
            Some(id) => Some(mirror::peel(&at, mirror.dir(), id).map_err(|error| Failure::Permanent(error.report()))?),
            None => None,
        },
    };
    let Some(commit) = came else {
        let wanted = wanted.map(Commit::to_string).unwrap_or_default();
        return Ok(Err(format!("commit {wanted} is not in {}", rung.describe())));
    };
    let cost = Cost {
        how: rung.describe(),
        millis: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        bytes: size_of_objects(&at.join("objects")).unwrap_or(0),
    };
    mirror.take(&at, &commit)?;
    let text = toml::to_string(&cost).context(|| "cannot write down what a fetch cost".to_owned())?;
    crate::atomic::write(&mirror.dir().join("last-fetch.toml"), text.as_bytes())?;
    Ok(Ok(commit))
}

fn last_line(said: &str) -> &str {
    said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("no reason given")
}

fn size_of_objects(objects: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    mirror::each_object(objects, &mut |path| {
        bytes += fs::metadata(objects.join(path))?.len();
        Ok(())
    })?;
    Ok(bytes)
}
