//! A copy of a component that the machine has: looked at by trying it. Says what was found and why it will do, or what is wrong with it.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::value::Provide;
use crate::definition::{Name, Probe, System, SystemKind};
use crate::error::{Error, Result};
use crate::process::{Cancel, Program};

/// A program that says its version is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Below a prefix and on the machine, beside PATH.
const PROGRAM_DIRS: [&str; 3] = ["sbin", "bin", "libexec"];

/// A copy that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// What consumers are told; for `programs` the prefix.
    pub path: String,
    /// What was looked at, and what came of it.
    pub evidence: Evidence,
}

/// Findings, one a line.
pub type Evidence = Vec<String>;

/// A copy, or why there is none that will do.
pub type Found = std::result::Result<Copy, Evidence>;

/// Finds what is wanted; `fixed` is the path that the manifest names.
pub fn look(name: &Name, system: &System, wanted: &Provide, fixed: Option<&str>) -> Result<Found> {
    match wanted {
        Provide::At(path) => at(name, system, path).map(Ok),
        // The manifest's is taken as it is: it may be that of another machine.
        Provide::System if fixed.is_some() => {
            let path = fixed.unwrap_or_default().to_owned();
            Ok(Ok(Copy { path, evidence: vec!["the manifest names it".to_owned()] }))
        }
        Provide::System | Provide::Auto => Ok(search(name, system, fixed)),
        Provide::Internal | Provide::Without => Ok(Err(Vec::new())),
    }
}

fn search(name: &Name, system: &System, fixed: Option<&str>) -> Found {
    let mut tried = Vec::new();
    if system.kind == SystemKind::Programs {
        let first = system.programs.first().map_or("", String::as_str);
        let prefix = on_path(first).and_then(|path| Some(path.parent()?.parent()?.display().to_string()));
        match prefix.or_else(|| system.paths.iter().find(|prefix| within(prefix, first).is_some()).cloned()) {
            Some(prefix) => return at(name, system, &prefix).map_err(|error| vec![told(&error)]),
            None => tried.push(format!("there is no {first} on PATH{}", listed(" nor below ", &system.paths))),
        }
        return Err(tried);
    }
    for path in fixed.into_iter().chain(system.paths.iter().map(String::as_str)) {
        if !Path::new(path).exists() {
            continue;
        }
        match at(name, system, path) {
            Ok(copy) => return Ok(copy),
            Err(error) => tried.push(told(&error)),
        }
    }
    if tried.is_empty() {
        tried.push(format!("there is none of {}", system.paths.join(", ")));
    }
    Err(tried)
}

fn listed(before: &str, paths: &[String]) -> String {
    if paths.is_empty() { String::new() } else { format!("{before}{}", paths.join(", ")) }
}

fn told(error: &Error) -> String {
    match crate::error::causes(error) {
        causes if causes.is_empty() => error.to_string(),
        causes => format!("{error}: {causes}"),
    }
}

/// The copy at a path that a person gave, or what is wrong with it.
fn at(name: &Name, system: &System, path: &str) -> Result<Copy> {
    let wrong = |why: String| Error::input(format!("cannot take `{path}` as the system's {name}")).because(why);
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let help =
                "a path that another machine will have belongs into `[system]` of a manifest, or is that of a preset";
            return Err(wrong("it is not there".to_owned()).help(help));
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    let mut evidence = Vec::new();
    let kind = metadata.file_type();
    match system.kind {
        SystemKind::Programs => {
            if !metadata.is_dir() {
                return Err(wrong("it is a file; the prefix that it is installed in is wanted, as in /usr".to_owned()));
            }
            for program in &system.programs {
                let found = within(path, program).ok_or_else(|| {
                    wrong(format!("there is no program {program} in its {}", PROGRAM_DIRS.join(", ")))
                })?;
                evidence.push(format!("{program} is {}", found.display()));
            }
        }
        SystemKind::File | SystemKind::Program if metadata.is_dir() => {
            let inside = usual_in(system, path).map_or_else(String::new, |file| format!(", as {file}"));
            return Err(wrong(format!("it is a directory; the file itself is wanted{inside}")));
        }
        SystemKind::File | SystemKind::Program if !metadata.is_file() => {
            let what = if kind.is_char_device() || kind.is_block_device() { "a device" } else { "no regular file" };
            return Err(wrong(format!("it is {what}; a regular file is wanted")));
        }
        SystemKind::File => evidence.push(content(system, path, metadata.len()).map_err(wrong)?),
        SystemKind::Program => {
            if metadata.permissions().mode() & 0o111 == 0 {
                return Err(wrong("it is not executable".to_owned()));
            }
        }
    }
    for probe in &system.probe {
        evidence.push(run(system, path, probe).map_err(wrong)?);
    }
    Ok(Copy { path: path.to_owned(), evidence })
}

/// A file of that directory that distributions have under this name.
fn usual_in(system: &System, dir: &str) -> Option<String> {
    let names = system.paths.iter().filter_map(|path| Path::new(path).file_name());
    names.map(|name| Path::new(dir).join(name)).find(|file| file.is_file()).map(|file| file.display().to_string())
}

/// Size and magic of a file.
fn content(system: &System, path: &str, bytes: u64) -> Result<String, String> {
    if system.min_bytes.is_some_and(|least| bytes < least) || system.max_bytes.is_some_and(|most| bytes > most) {
        let limit = |limit: Option<u64>, word: &str| limit.map(|limit| format!("{word} {limit}"));
        let limits = [limit(system.min_bytes, "at least"), limit(system.max_bytes, "at most")];
        let limits = limits.into_iter().flatten().collect::<Vec<_>>().join(" and ");
        return Err(format!("it has {bytes} bytes; {limits} are wanted"));
    }
    if system.magic.is_empty() {
        return Ok(format!("{bytes} bytes"));
    }
    let mut seen = Vec::new();
    for magic in &system.magic {
        let found =
            bytes_at(path, magic.at, magic.hex.len() / 2).map_err(|error| format!("it cannot be read: {error}"))?;
        if found.eq_ignore_ascii_case(&magic.hex) {
            return Ok(format!("{bytes} bytes, of the right kind"));
        }
        seen.push(format!(
            "at byte {} it has {}, not {}",
            magic.at,
            if found.is_empty() { "nothing" } else { &found },
            magic.hex
        ));
    }
    Err(format!("it is something else: {}", seen.join(", and ")))
}

fn bytes_at(path: &str, at: i64, count: usize) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = if at < 0 { length.checked_add_signed(at) } else { Some(at.unsigned_abs()) };
    let Some(from) = from else { return Ok(String::new()) };
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Runs a probe; what it told, or why the copy will not do.
fn run(system: &System, path: &str, probe: &Probe) -> Result<String, String> {
    let place = |item: &String| {
        let found = system.programs.contains(item).then(|| within(path, item)).flatten();
        found.map_or_else(|| item.replace("{path}", path), |found| found.display().to_string())
    };
    let argv: Vec<String> = probe.run.iter().map(place).collect();
    let line = crate::process::shell_line(&argv);
    let what = &probe.what;
    let no = |why: String| if probe.optional { Ok(why) } else { Err(why) };
    let mut program = Program::new(argv).timeout(PATIENCE);
    if system.kind == SystemKind::Programs {
        let dirs = ["lib/pkgconfig", "lib64/pkgconfig", "share/pkgconfig"].map(|dir| format!("{path}/{dir}"));
        program = program.env("PKG_CONFIG_PATH", dirs.join(":"));
    }
    let ended = match program.run(&Cancel::default()) {
        Ok(ended) => ended,
        Err(error) => return no(format!("its {what} is not known: {}", told(&error))),
    };
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let said = format!("{out}{err}");
    if let Some(refused) = probe.refuse.as_ref().filter(|text| said.contains(*text)) {
        return Err(probe.because.clone().unwrap_or_else(|| format!("`{line}` says `{refused}`")));
    }
    let first = || said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("nothing").to_owned();
    if !ended.status.success() {
        let how = if ended.timed_out { "it took too long".to_owned() } else { ended.status.to_string() };
        return no(format!("its {what} is not known: `{line}` ended with {how} and said: {}", first()));
    }
    if let Some(wanted) = probe.says.as_ref().filter(|text| !said.contains(*text)) {
        return no(probe.because.clone().unwrap_or_else(|| format!("`{line}` does not say `{wanted}`")));
    }
    let Some(at_least) = &probe.at_least else {
        return Ok(match probe.says {
            Some(_) => format!("{what}: `{line}` knows it"),
            None if probe.after.is_some() => format!("{what} {}", version(&said, probe).unwrap_or_else(first)),
            None => format!("{what}: `{line}` works"),
        });
    };
    match version(&said, probe) {
        None => no(format!("its {what} is not known: `{line}` says: {}", first())),
        Some(found) if numbers(&found) < numbers(at_least) => {
            no(format!("its {what} is {found}; at least {at_least} is wanted"))
        }
        Some(found) => Ok(format!("{what} {found}, at least {at_least}")),
    }
}

/// The version that a program says.
fn version(said: &str, probe: &Probe) -> Option<String> {
    let rest = match &probe.after {
        Some(after) => said.split_once(after.as_str())?.1,
        None => said,
    };
    let rest = rest.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let version = rest[..end].trim_end_matches('.');
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

fn numbers(version: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    numbers
}

fn within(prefix: &str, program: &str) -> Option<PathBuf> {
    let prefix = if prefix == "/" { "" } else { prefix };
    PROGRAM_DIRS.iter().map(|dir| PathBuf::from(format!("{prefix}/{dir}/{program}"))).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// On the user's PATH, or where root's programs are, which many users do not have there.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    which::which_in(program, Some(format!("{path}:/usr/sbin:/sbin")), "/").ok()
}
