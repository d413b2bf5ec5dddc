//! Which tests run: `XTASK_TIER` is `quick` (the default), `standard` or `full`. What does not run says so
//! on standard error, `SKIPPED: name: reason`; `cargo xtask test` counts that as skipped, whatever the test runner says.
//!
//! `XTASK_TEST_YES=1` lets tests install what the components that they build declare as build dependencies, through `build --yes`;
//! `cargo xtask test --yes` sets it. Without it a test that misses some is skipped.

/// How much time a run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Seconds, no network.
    Quick,
    /// Minutes, the machine's package mirror.
    Standard,
    /// Everything.
    Full,
}

/// True when tests of that tier run; else the skip is on record.
#[must_use]
pub fn need(tier: Tier) -> bool {
    let now = match std::env::var("XTASK_TIER").as_deref() {
        Ok("full") => Tier::Full,
        Ok("standard") => Tier::Standard,
        Ok("quick") | Err(_) => Tier::Quick,
        Ok(other) => panic!("XTASK_TIER is `{other}`; it is quick, standard or full"),
    };
    if now >= tier {
        return true;
    }
    skip(&format!("runs in tier {tier:?} and above, this is {now:?}"));
    false
}

/// Puts on record that the current test is skipped.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    eprintln!("SKIPPED: {}: {reason}", thread.name().unwrap_or("a test"));
}

/// True where tests may install packages.
pub fn may_install() -> bool {
    std::env::var("XTASK_TEST_YES").as_deref() == Ok("1")
}

/// True when all of these programs are there, each with Debian's package that brings it; what is missing is installed where tests may.
/// Else the skip is on record.
#[must_use]
pub fn programs(wanted: &[(&str, &str)]) -> bool {
    let missing = || wanted.iter().filter(|(program, _)| which::which(program).is_err()).map(|(_, package)| *package);
    let packages: Vec<&str> = missing().collect();
    if !packages.is_empty() && may_install() {
        let mut install = std::process::Command::new("apt-get");
        install.args(["install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]);
        let ended = install.args(&packages).env("DEBIAN_FRONTEND", "noninteractive").output();
        if let Err(error) = ended {
            eprintln!("cannot start apt-get: {error}");
        }
    }
    let missing: Vec<&str> = missing().collect();
    if !missing.is_empty() {
        skip(&format!("it needs {}: apt-get install them, or set XTASK_TEST_YES=1", missing.join(" ")));
    }
    missing.is_empty()
}
