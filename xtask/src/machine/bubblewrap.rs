//! Whether bubblewrap works here. Some kernels and containers refuse it, so it has to be tried; that it works is
//! remembered for this kernel and its settings, that it does not is tried anew each time.

use std::path::PathBuf;

use super::remembered::{Remembered, stamps};
use crate::error::Result;
use crate::sandbox;

/// bubblewrap, if it works.
pub(super) fn bubblewrap(remembered: &Remembered) -> Result<Option<PathBuf>> {
    let uname = rustix::system::uname();
    let settings = [
        "kernel/unprivileged_userns_clone",
        "kernel/apparmor_restrict_unprivileged_userns",
        "user/max_user_namespaces",
    ]
    .map(|name| std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned());
    let question = format!(
        "bubblewrap for user {} on {} {}",
        rustix::process::geteuid().as_raw(),
        uname.release().to_string_lossy(),
        settings.join(" ")
    );
    if let Some(known) = remembered.recall(&question) {
        return Ok(Some(known));
    }
    let works = sandbox::bubblewrap();
    if let Some(program) = &works {
        remembered.keep(&question, stamps([program]), program)?;
    }
    Ok(works)
}
