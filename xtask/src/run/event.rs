//! Everything that can happen in a run, in one list. `--json` prints each as one line with the key `event`.

use serde::Serialize;

/// What happened. Names are components' unless said; seconds are wall time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "event")]
pub enum Event {
    /// The work is known. Components whose output is already here are not counted.
    Planned { manifest: String, components: usize, up_to_date: usize },
    /// Something a user should know: a mirror that failed, a damaged blob, a missing sandbox.
    Note { text: String },
    /// A source is built from a directory of the user.
    Overridden { source: String, dir: String },
    /// A source is being fetched.
    FetchStarted { source: String },
    /// A source is here.
    FetchEnded { source: String, seconds: f64 },
    /// A component is being built; `expected_seconds` from its last build.
    Started { component: String, expected_seconds: Option<f64> },
    /// A step of it runs.
    Step { component: String, step: String, number: usize, of: usize },
    /// Nothing had to be done: the same action ran here before.
    UpToDate { component: String },
    /// Its output came out of the store.
    Restored { component: String },
    /// It was built.
    Built { component: String, seconds: f64, same_output: bool, incremental: bool },
    /// It failed, or could not be started.
    Failed { component: String, error: String },
    /// The results were merged into `dist/`.
    Installed { dist: String, written: usize, removed: usize, files: usize },
}
