//! Whether bubblewrap works here. Some kernels and containers refuse it, so it has to be tried; that it works is
//! remembered for this kernel and its settings, that it does not is tried anew each time.

use std::path::{Path, PathBuf};

use super::remembered::{Remembered, stamps};
use crate::error::Result;
use crate::sandbox;

/// Settings of the kernel that decide whether a user may make a namespace: below /proc/sys, the value that forbids it,
/// and what allows it.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
];

/// What a container is started with to let bubblewrap work in it.
const IN_A_CONTAINER: &str = "start the container with: --security-opt seccomp=unconfined --security-opt \
                              apparmor=unconfined --security-opt systempaths=unconfined   # or --privileged";

/// Why bubblewrap does not work, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In its own words.
    pub why: String,
    /// A command, or what to do.
    pub help: Option<String>,
}

/// bubblewrap, if it works.
pub(super) fn bubblewrap(remembered: &Remembered) -> Result<Option<PathBuf>> {
    let uname = rustix::system::uname();
    let settings = SETTINGS.map(|(name, ..)| setting(Path::new("/"), name));
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

/// Why it does not work, by trying it; `None` if it does. It must be installed.
pub(super) fn refused() -> Option<Refused> {
    let why = sandbox::try_bubblewrap().err()?;
    Some(Refused { why, help: help(Path::new("/")) })
}

/// What the system at `root` has set that forbids it.
fn help(root: &Path) -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    let forbids = |(name, forbidding, _): &&(&str, &str, &str)| setting(root, name) == *forbidding;
    if let Some((_, _, command)) = SETTINGS.iter().find(forbids) {
        return Some(if is_root { (*command).to_owned() } else { format!("sudo {command}") });
    }
    let is_container = [".dockerenv", "run/.containerenv", "run/systemd/container"];
    is_container.iter().any(|file| root.join(file).exists()).then(|| IN_A_CONTAINER.to_owned())
}

fn setting(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join("proc/sys").join(name)).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_forbids_it_comes_with_the_command_that_allows_it() {
        let root = tempfile::tempdir().unwrap();
        let set = |name: &str, value: &str| {
            let file = root.path().join("proc/sys").join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("{value}\n")).unwrap();
        };
        let check = || help(root.path()).unwrap_or_default();
        assert_eq!(check(), "");
        std::fs::write(root.path().join(".dockerenv"), "").unwrap();
        assert!(check().contains("seccomp=unconfined"), "{}", check());
        set("user/max_user_namespaces", "0");
        assert!(check().ends_with("sysctl -w user.max_user_namespaces=15000"), "{}", check());
        set("kernel/apparmor_restrict_unprivileged_userns", "1");
        assert!(check().ends_with("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"), "{}", check());
        set("kernel/apparmor_restrict_unprivileged_userns", "0");
        set("user/max_user_namespaces", "100");
        assert!(check().contains("container"), "{}", check());
    }
}
