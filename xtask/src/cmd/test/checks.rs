//! What is run in each tier, in which order: what takes seconds first. One cargo profile for everything of xtask, the one
//! that `cargo xtask` itself was built with, so that no dependency is compiled twice.

use std::path::{Path, PathBuf};

use super::Args;
use crate::cmd::Session;
use crate::error::{Context, Result};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    Quick,
    Standard,
    Full,
}

impl Tier {
    /// As tests are told.
    pub(super) fn name(self) -> &'static str {
        match self {
            Tier::Quick => "quick",
            Tier::Standard => "standard",
            Tier::Full => "full",
        }
    }
}

/// One program that must succeed.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) dir: PathBuf,
    pub(super) argv: Vec<String>,
    /// Its output is that of a test runner.
    pub(super) counts: bool,
    /// A part of the Rust toolchain that not everybody has: the program, and how rustup calls it.
    pub(super) component: Option<(&'static str, &'static str)>,
}

impl Check {
    /// Why it cannot be run with the toolchain that stands there.
    pub(super) fn lacks(&self, toolchain: &Path) -> Option<String> {
        let (program, name) = self.component?;
        let is_here = toolchain.join("bin").join(program).exists();
        (!is_here).then(|| format!("this Rust toolchain has no {program}: rustup component add {name}"))
    }
}

const RUSTFMT: Option<(&str, &str)> = Some(("cargo-fmt", "rustfmt"));
const CLIPPY: Option<(&str, &str)> = Some(("cargo-clippy", "clippy"));

/// The checks of a tier.
pub(super) fn checks(session: &Session, args: &Args, tier: Tier) -> Result<Vec<Check>> {
    let own = std::env::current_exe().context(|| "cannot tell what program this is".to_owned())?;
    let mut build = vec![own.display().to_string(), "build".to_owned(), format!("--manifest={}", session.manifest)];
    build.extend(args.yes.then(|| "--yes".to_owned()));
    build.extend((tier == Tier::Full).then(|| "--all".to_owned()));
    build.extend(session.offline.then(|| "--offline".to_owned()));
    Ok(list(&session.layout.root, tier, which::which("cargo-nextest").is_ok(), build))
}

fn list(root: &Path, tier: Tier, nextest: bool, build: Vec<String>) -> Vec<Check> {
    let blktap = &root.join("blktap");
    let check = |name, dir: &Path, line: &str, component| Check {
        name,
        dir: dir.to_path_buf(),
        argv: line.split_whitespace().map(str::to_owned).collect(),
        counts: false,
        component,
    };
    let tests = |name, dir: &Path, line: &str| Check { counts: true, ..check(name, dir, line, None) };
    // What a passed test says is wanted: that it skipped itself.
    let runner = |profile: &str| match nextest {
        true => format!(
            "cargo nextest run --cargo-profile {profile} --workspace --no-fail-fast --success-output immediate \
             --status-level skip --show-progress none"
        ),
        false => format!("cargo test --profile {profile} --workspace --no-fail-fast -- --show-output"),
    };
    // Needs the other binary. Its tests are those of the integration tests that begin so; the others are not skipped, but run elsewhere.
    let gate = match nextest {
        true => runner("xtask")
            .replace("--workspace", "--package xtask --features gate gate::")
            .replace("--status-level skip", "--status-level pass"),
        false => {
            runner("xtask").replace("--workspace", "--package xtask --features gate").replace("--show", "gate:: --show")
        }
    };
    let lint = "cargo clippy --workspace --all-targets -- -D warnings";
    let mut checks = vec![
        check("format", root, "cargo fmt --all --check", RUSTFMT),
        check("format-blktap", blktap, "cargo fmt --all --check", RUSTFMT),
        check("lints", root, "cargo clippy --profile xtask --workspace --all-targets -- -D warnings", CLIPPY),
        check(
            "lints-extras",
            root,
            "cargo clippy --profile xtask --package xtask --features extras,gate --all-targets -- -D warnings",
            CLIPPY,
        ),
        check("lints-blktap", blktap, lint, CLIPPY),
    ];
    if tier > Tier::Quick {
        checks.push(Check { argv: build, ..check("build", root, "", None) });
    }
    checks.push(tests("tests", root, &runner("xtask")));
    checks.push(tests("tests-gate", root, &gate));
    checks.push(tests("tests-blktap", blktap, &runner("dev")));
    if nextest {
        checks.push(tests("doctests-blktap", blktap, "cargo test --doc --workspace -- --show-output"));
    }
    if tier == Tier::Full {
        checks.push(check("docs-blktap", blktap, "cargo doc --workspace --no-deps", None));
        checks.push(check("benchmarks", root, "cargo bench --profile xtask -p xtask -p xtask-gate", None));
        checks.push(check("benchmarks-blktap", blktap, "cargo bench --workspace --bench *", None));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tier: Tier, nextest: bool) -> Vec<&'static str> {
        list(Path::new("/r"), tier, nextest, Vec::new()).iter().map(|check| check.name).collect()
    }

    #[test]
    fn a_toolchain_without_rustfmt_is_told_how_to_get_it() {
        let toolchain = tempfile::tempdir().unwrap();
        let checks = list(Path::new("/r"), Tier::Quick, true, Vec::new());
        let lacks = |name: &str| {
            checks.iter().find(|check| check.name == name).unwrap().lacks(toolchain.path()).unwrap_or_default()
        };
        assert!(lacks("format").ends_with("rustup component add rustfmt"), "{}", lacks("format"));
        assert_eq!(lacks("tests"), "");
        std::fs::create_dir(toolchain.path().join("bin")).unwrap();
        std::fs::write(toolchain.path().join("bin/cargo-fmt"), "").unwrap();
        assert_eq!(lacks("format"), "");
    }

    #[test]
    fn a_higher_tier_runs_all_of_the_lower_ones() {
        let (quick, standard, full) = (check(Tier::Quick, true), check(Tier::Standard, true), check(Tier::Full, true));
        assert!(!quick.contains(&"build") && quick.contains(&"lints-extras"), "{quick:?}");
        assert!(quick.iter().all(|name| standard.contains(name)) && standard.iter().all(|name| full.contains(name)));
        // What was built can be restored by the tests that come after it.
        let place = |name: &str| standard.iter().position(|other| *other == name).unwrap();
        assert!(place("build") < place("tests"));
        // cargo test runs doctests itself.
        assert!(!check(Tier::Quick, false).contains(&"doctests-blktap"));
    }
}
