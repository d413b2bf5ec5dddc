//! Everything that happened, as pages: one directory without anything from elsewhere, that a browser reads from a disk or from any
//! server of files, without scripts.
//!
//! `overview.rs`: all branches. `branch.rs`: a branch and its grid, jobs by flights. `job.rs`: a job's runs. `flight.rs`: a flight with
//! its timeline. `log.rs`: what steps said. `bisection.rs`: a bisection and its graph of revisions. `place.rs`: where each page is.
//! `render.rs`: templates. `output.rs`: the directory, of which only what changed is written again.

mod bisection;
mod branch;
mod flight;
mod job;
mod log;
mod output;
mod overview;
mod place;
mod render;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use output::Written;

use crate::error::Result;
use crate::report::kept;
use crate::store::Store;
use output::Output;
use render::Renderer;

/// What a site is made of.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// What happened.
    pub store: &'a Store,
    /// Where logs and reports are: beside the state's file.
    pub state_dir: &'a Path,
    /// Which branches.
    pub branches: &'a [String],
    /// Seconds since 1970.
    pub now: i64,
}

/// Makes the site, or brings it up to date.
pub fn write(site: &Site<'_>, target: &Path) -> Result<Written> {
    let renderer = Renderer::new()?;
    let mut output = Output::begin(target)?;
    let bisections = kept::bisections(site.state_dir)?;
    let mut rows = Vec::new();
    for name in site.branches {
        let status = site.store.branch_status(name)?;
        let flights = site.store.flight_rows(name)?;
        let bisections: Vec<_> = bisections.iter().filter(|one| one.branch == *name).collect();
        let branch = branch::Branch { site, renderer: &renderer, name, status: &status, flights: &flights };
        branch.write(&bisections, &mut output)?;
        rows.push(overview::row(&branch)?);
    }
    // What it is made of is most of it, and it says when.
    let page = overview::page(site, rows)?;
    let page = renderer.page("overview.html", "index.html", "Push gates", &page)?;
    output.pages("overview", &page, || Ok(vec![page.clone(), ("style.css".to_owned(), render::STYLE.to_owned())]))?;
    output.finish()
}
