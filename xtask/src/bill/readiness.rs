//! What a release must fulfil, as a list in a file (`ci/release-check.toml`), and what of it does not hold. Every check runs, whatever the
//! others found; one that cannot be made is a finding too. Changes nothing.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::made::made;
use super::{Bill, Stamp, gather, provenance, texts};
use crate::definition::Origin;
use crate::error::{Context, Error, Result};
use crate::origin::{self, State};
use crate::process::Cancel;
use crate::release::refusal;
use crate::state;
use crate::world::World;

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// In the order they are shown.
    pub check: Vec<Check>,
}

/// One thing that must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What.
    pub must: Must,
    /// Why, for people.
    pub why: String,
}

/// What can be checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Must {
    /// The lock equals the manifest.
    Locked,
    /// The lock is frozen.
    Frozen,
    /// No source follows a branch or the newest version.
    NotMoving(Except),
    /// Every git source asks for signatures.
    Signed(Except),
    /// No source is taken from elsewhere.
    NoOverrides,
    /// Sources are at their pins, and this repository is committed.
    NoLocalWork,
    /// Every component is built, exactly, from what is here.
    Built,
    /// Licences are known, with their texts.
    Licences(Except),
    /// A bill can be made.
    Bill,
    /// A file has a heading for this version.
    Changelog {
        /// Relative to the repository's root.
        file: String,
        /// `{version}` stands for ours.
        heading: String,
    },
    /// Tests passed here.
    Tested {
        /// What `test --record` wrote, relative to the repository's root.
        record: String,
    },
}

/// Names that a check leaves out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Except {
    /// Sources, components or crates.
    #[serde(default)]
    pub except: BTreeSet<String>,
}

/// What does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was found.
    pub what: String,
    /// What helps; may be empty.
    pub help: Vec<String>,
}

/// One check and what it found.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Its reason.
    pub why: String,
    /// Nothing if it holds.
    pub findings: Vec<Finding>,
}

impl List {
    /// Reads the list.
    pub fn read(file: &Path) -> Result<List> {
        let reading = || format!("cannot read the list of checks `{}`", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::input(reading()).because(error).help("name one: cargo xtask release-check --list FILE")
        })?;
        toml::from_str(&text).map_err(|error| {
            Error::input(reading())
                .because(error)
                .help("mend that line, or name another list: cargo xtask release-check --list FILE")
        })
    }

    /// Makes all checks.
    pub fn outcomes(&self, world: &World, cancel: &Cancel) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for check in &self.check {
            cancel.check()?;
            let findings = check.must.findings(world, cancel).unwrap_or_else(|error| vec![error.into()]);
            outcomes.push(Outcome { why: check.why.clone(), findings });
        }
        Ok(outcomes)
    }
}

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        let help = error.helps().to_vec();
        let report = error.report();
        let lines = report.lines().filter(|line| !line.starts_with("help: "));
        let what = lines.collect::<Vec<_>>().join("\n");
        Finding { what: what.trim_start_matches("error: ").to_owned(), help }
    }
}

fn finding(what: impl Into<String>, help: impl Into<String>) -> Finding {
    Finding { what: what.into(), help: vec![help.into()] }
}

impl Must {
    fn findings(&self, world: &World, cancel: &Cancel) -> Result<Vec<Finding>> {
        let definitions = &world.definitions;
        let name = &definitions.manifest_name;
        let lock = definitions.lock.as_ref();
        let mut found = Vec::new();
        match self {
            Must::Locked => match lock {
                None => found.push(finding(
                    format!("manifest `{name}` has no lock"),
                    format!("cargo xtask update --manifest {name}"),
                )),
                Some(_) => definitions.check_lock(&world.layout)?,
            },
            Must::Frozen if lock.is_some_and(|lock| lock.frozen) => {}
            Must::Frozen => {
                found.push(finding(
                    format!("the lock of `{name}` is not frozen"),
                    format!("cargo xtask freeze --manifest {name}"),
                ));
            }
            Must::NotMoving(except) => {
                for (source, origin) in
                    world.sources().iter().filter_map(|name| definitions.manifest.sources.get_key_value(name))
                {
                    let Some(moves) = origin.moves().filter(|_| !except.except.contains(source.as_str())) else {
                        continue;
                    };
                    let help = format!("name a tag or commit in manifests/{name}.toml, or except it in the list");
                    found.push(finding(format!("source `{source}` follows {moves}"), help));
                }
            }
            Must::Signed(except) => {
                for source in world.sources() {
                    let Origin::Git(git) = world.origin(&source)? else { continue };
                    if git.require_signed.is_none() && !except.except.contains(source.as_str()) {
                        let help = format!(
                            "say require-signed and allowed-signers in manifests/{name}.toml, or except it in the list"
                        );
                        found.push(finding(format!("source `{source}` is taken unsigned"), help));
                    }
                }
            }
            Must::NoOverrides => {
                for (source, dir) in &world.overridden().0 {
                    found.push(finding(
                        format!("source `{source}` is built from `{}`", dir.display()),
                        world.back(source),
                    ));
                }
            }
            Must::NoLocalWork => local_work(world, &mut found)?,
            Must::Built => {
                let state = state::State::read(&world.layout);
                for component in &world.plan.order {
                    let vouched = made(world, &state, component)
                        .and_then(|made| provenance::component(world, &state, component, &made, cancel));
                    found.extend(vouched.err().map(Finding::from));
                }
            }
            Must::Licences(except) => {
                for row in texts::rows(world, cancel)?.iter().filter(|row| !except.except.contains(&row.name)) {
                    for problem in &row.problems {
                        let help = "ask upstream, or except it in the list";
                        found.push(finding(format!("{} `{}` {}: {problem}", row.kind, row.name, row.version), help));
                    }
                }
            }
            Must::Bill => {
                let bill = gather(world, name.as_str(), Stamp::Newest, false, cancel)?;
                found.extend(
                    dangling(&bill)
                        .into_iter()
                        .map(|what| finding(what, "cargo xtask sbom   # a fault of ours: please report it")),
                );
            }
            Must::Changelog { file, heading } => {
                let wanted = heading.replace("{version}", env!("CARGO_PKG_VERSION"));
                let path = world.layout.root.join(file);
                let text = std::fs::read_to_string(&path).context(|| format!("cannot read `{}`", path.display()))?;
                let has = |line: &str| {
                    line.strip_prefix(&wanted)
                        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
                };
                if !text.lines().any(has) {
                    found.push(finding(
                        format!("`{file}` has no heading `{wanted}`"),
                        format!("write what users get under `{wanted}` in {file}"),
                    ));
                }
            }
            Must::Tested { record } => found.extend(untested(&world.layout.root, record)),
        }
        Ok(found)
    }
}

fn local_work(world: &World, found: &mut Vec<Finding>) -> Result<()> {
    let sources = world.sources();
    for source in &sources {
        if let State::Missing | State::OffPin { .. } =
            origin::state(&world.layout, source, world.origin(source)?, world.pin(source))?
        {
            let help = format!("cargo xtask fetch {source}");
            found.push(finding(format!("source `{source}` is not here at its pin"), help));
        }
    }
    let worked_in = refusal::worked_in(&world.layout, &world.definitions, &|name| sources.contains(name), &|_| {})?;
    for (source, work) in &worked_in {
        let help =
            format!("cargo xtask status {source}; to throw it away: cargo xtask force-update {source} --discard");
        found.push(finding(format!("source `{source}` is not what the lock names: {work}"), help));
    }
    if origin::uncommitted_in(&world.layout.root)?.is_none() {
        found.push(finding("this checkout is in no git repository", "release from a clone"));
    }
    found.extend(refusal::uncommitted(&world.layout, &|_| true, "release").err().map(Finding::from));
    Ok(())
}

/// Links of a bill that lead nowhere.
fn dangling(bill: &Bill) -> Vec<String> {
    let ids: BTreeSet<&str> = bill.parts.iter().map(|part| part.id.as_str()).collect();
    let ends = bill.links.iter().flat_map(|link| [&link.from, &link.to]);
    let lost: BTreeSet<&String> = ends.filter(|id| !ids.contains(id.as_str())).collect();
    lost.into_iter().map(|id| format!("the bill names `{id}`, which is no part of it")).collect()
}

/// Why a record of the tests says nothing of this commit.
fn untested(root: &Path, record: &str) -> Option<Finding> {
    #[derive(Deserialize)]
    struct Row {
        failed: usize,
    }
    #[derive(Deserialize)]
    struct Recorded {
        commit: String,
        checks: Vec<Row>,
    }
    let again = format!("cargo xtask test --full --yes --record {record}");
    let text = match std::fs::read_to_string(root.join(record)) {
        Ok(text) => text,
        Err(error) => return Some(finding(format!("no tests are recorded in `{record}`: {error}"), again)),
    };
    let json = text.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap_or_default();
    let Ok(recorded) = serde_json::from_str::<Recorded>(json) else {
        return Some(finding(format!("`{record}` is no record of the tests"), again));
    };
    let failed: usize = recorded.checks.iter().map(|row| row.failed).sum();
    if recorded.checks.is_empty() {
        return Some(finding(format!("no test ran in `{record}`"), again));
    }
    if failed > 0 {
        return Some(finding(format!("{failed} tests failed in `{record}`"), again));
    }
    match changed_since(root, &recorded.commit) {
        Ok(changed) => {
            let other = changed.iter().find(|path| *path != record)?;
            Some(finding(
                format!("the tests ran at commit {}, and `{other}` has changed since", recorded.commit),
                again,
            ))
        }
        Err(_) => Some(finding(format!("the tests ran at `{}`, which is no commit here", recorded.commit), again)),
    }
}

/// Files that differ between a commit and the present one.
fn changed_since(root: &Path, commit: &str) -> Result<BTreeSet<String>, git2::Error> {
    let repository = git2::Repository::discover(root)?;
    let then = repository.find_commit(git2::Oid::from_str(commit)?)?.tree()?;
    let now = repository.head()?.peel_to_commit()?.tree()?;
    let diff = repository.diff_tree_to_tree(Some(&then), Some(&now), None)?;
    let path = |delta: git2::DiffDelta<'_>| delta.new_file().path().map(|path| path.to_string_lossy().into_owned());
    Ok(diff.deltas().filter_map(path).collect())
}
