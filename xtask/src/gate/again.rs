//! Everything that decides how a test ends, as one digest: what was built for it, what it is a test of, its command and its
//! definition. Where one of them cannot be known there is no digest, and the test runs.

use std::collections::BTreeSet;

use xtask_gate::world::JobOrder;

use super::checkout::Checkout;
use crate::definition::{Does, Gate, Job, Name};
use crate::digest::Digest;
use crate::error::{Kind, Result};
use crate::process::Cancel;
use crate::state::State;

/// The digest of a test on a tuple, whose builds have passed; `project` is the commit of this project that its command comes from.
pub(super) fn digest(
    checkout: &Checkout,
    job: &Job,
    order: &JobOrder<'_>,
    project: &str,
    cancel: &Cancel,
) -> Result<Option<String>> {
    let Does::Test { sources, .. } = &job.run else { return Ok(None) };
    let components = image(&checkout.gate, job);
    if !components.is_empty() {
        // From the store. What is in the checkout may be of another tuple.
        let names = components.iter().map(|name| name.as_str());
        let arguments: Vec<&str> = std::iter::once("build").chain(names).chain(["--only"]).collect();
        match checkout.xtask(&arguments)?.run(cancel) {
            Ok(ended) if ended.status.success() => {}
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            _ => return Ok(None),
        }
    }
    let built = State::read(&checkout.layout()).built;
    let mut text = format!("test 1\n{job:?}\nproject {project}\n");
    for name in components {
        let Some(built) = built.get(name).filter(|built| !built.incremental) else { return Ok(None) };
        text += &format!("built {name} {}\n", built.output);
    }
    for source in sources {
        let Some(revision) = order.tuple.0.get(source.as_str()) else { return Ok(None) };
        text += &format!("source {source} {revision}\n");
    }
    Ok(Some(Digest::of(text.as_bytes()).to_string()))
}

/// The components that the jobs build which it needs, and those that these need.
fn image<'a>(gate: &'a Gate, job: &'a Job) -> BTreeSet<&'a Name> {
    let mut jobs: Vec<&Job> = vec![job];
    let mut found = BTreeSet::new();
    while let Some(job) = jobs.pop() {
        if let Does::Build { components } = &job.run {
            found.extend(components);
        }
        let needed = |need: &Name| gate.defined.iter().find(|(name, _)| name == need).map(|(_, job)| job);
        jobs.extend(job.needs.iter().filter_map(needed));
    }
    found
}
