//! Reports as files beside the state: that of a flight among its logs, so that both go together; those of bisections in a directory
//! of their own.

use std::path::{Path, PathBuf};

use super::{Bisection, Report, VERSION, mail};
use crate::error::{Context, Result};
use crate::model::{FlightNo, Revision, Tuple};

/// Where everything of a flight is that is a file, from the state's directory.
pub fn dir(flight: FlightNo) -> PathBuf {
    PathBuf::from("log").join(flight.to_string())
}

/// The directories of flights that are there, whether the state knows the flights or not.
pub fn dirs(state_dir: &Path) -> Result<Vec<(FlightNo, PathBuf)>> {
    let logs = state_dir.join("log");
    let cannot = || format!("cannot read `{}`", logs.display());
    if !logs.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in logs.read_dir().context(cannot)? {
        let entry = entry.context(cannot)?;
        // A greater number is none of ours.
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        found.extend(number.map(|number| (FlightNo::from(number), entry.path())));
    }
    found.sort();
    Ok(found)
}

/// Keeps a report of a candidate, as JSON and as a mail.
pub fn keep(state_dir: &Path, report: &Report) -> Result<()> {
    let Some(candidate) = &report.candidate else { return Ok(()) };
    let dir = state_dir.join(dir(candidate.flight));
    let json = serde_json::to_vec_pretty(report).context(|| "cannot encode a report".to_owned())?;
    xtask_content::atomic::write(&dir.join("report.json"), &json)?;
    xtask_content::atomic::write(&dir.join("report.txt"), mail(report).as_bytes())?;
    candidate.bisection.iter().try_for_each(|bisection| keep_bisection(state_dir, bisection))
}

/// The report of a flight that tested this. Nothing where there is none: it is no candidate's, or was killed between its verdict and
/// its report, or another version wrote it, or another state did.
pub fn report(state_dir: &Path, flight: FlightNo, tuple: &Tuple) -> Result<Option<Report>> {
    let bytes = xtask_content::atomic::read(&state_dir.join(dir(flight)).join("report.json"))?;
    let report: Option<Report> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let is_its = |report: &Report| report.candidate.as_ref().is_some_and(|candidate| candidate.tuple == *tuple);
    Ok(report.filter(|report| report.version == VERSION && is_its(report)))
}

/// Keeps what a bisection came to; the same hunt again, between the same ends, replaces it.
pub fn keep_bisection(state_dir: &Path, bisection: &Bisection) -> Result<()> {
    let Bisection { flight, job, testid, fixed, points, .. } = bisection;
    let mut what = vec![job.clone()];
    what.extend(testid.clone());
    what.extend(fixed.then(|| "fixed".to_owned()));
    if let (Some(first), Some(last)) = (points.first(), points.last()) {
        for (tree, old, new) in last.tuple.moved_from(&first.tuple) {
            what.extend([tree, old.map_or("", Revision::short), new.short()].map(str::to_owned));
        }
    }
    let safe = |text: &str| text.replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-', "_");
    let name = format!("{flight:06}-{}.json", safe(&what.join("-")));
    let json = serde_json::to_vec_pretty(bisection).context(|| "cannot encode a bisection".to_owned())?;
    xtask_content::atomic::write(&state_dir.join("bisection").join(name), &json)
}

/// All bisections, by flight.
pub fn bisections(state_dir: &Path) -> Result<Vec<Bisection>> {
    let dir = state_dir.join("bisection");
    let mut names = Vec::new();
    if dir.is_dir() {
        for entry in dir.read_dir().context(|| format!("cannot read `{}`", dir.display()))? {
            names.push(entry.context(|| format!("cannot read `{}`", dir.display()))?.path());
        }
    }
    names.retain(|name| name.extension().is_some_and(|end| end == "json"));
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let bytes = xtask_content::atomic::read(&name)?.unwrap_or_default();
        all.extend(serde_json::from_slice::<Bisection>(&bytes).ok().filter(|one| one.version == VERSION));
    }
    Ok(all)
}
