//! What this machine lacks: to build components, and to run what was built. Looks and judges; installs and prints nothing.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::definition::{Component, Definitions, Driver, Name, Origin};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::machine::{Machine, free_bytes, size};
use crate::plan::{Plan, Provider, Wanted};
use crate::process::Cancel;
use crate::recipe;

/// Free space that sources and build directories of a whole manifest take.
const CHECKOUT_BYTES: u64 = 4 << 30;
/// Free space that mirrors, crates and results take.
const STORE_BYTES: u64 = 1 << 30;

/// How it is with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It can be done without.
    Poor,
    /// What it is for cannot be done.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A program, or a component.
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found or what is missing.
    pub text: String,
    /// What helps beside installing packages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub help: Vec<String>,
    /// Packages that bring it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
}

impl Finding {
    pub(crate) fn new(what: impl ToString, verdict: Verdict, text: impl Into<String>) -> Self {
        Finding { what: what.to_string(), verdict, text: text.into(), help: Vec::new(), packages: Vec::new() }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    fn packages(mut self, packages: Vec<String>) -> Self {
        self.packages = packages;
        self
    }
}

/// Everything that was looked at.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnosis {
    /// Nothing that building needs is missing.
    pub can_build: bool,
    /// What every build needs.
    pub machine: Vec<Finding>,
    /// What each component needs to be built.
    pub build: Vec<Finding>,
    /// What the results need to run; nothing here stops a build.
    pub run_time: Vec<Finding>,
    /// The one command that installs every package above.
    pub install: Option<String>,
}

/// Looks at the machine for what is `wanted`.
pub fn diagnose(
    layout: &Layout,
    definitions: &Definitions,
    wanted: &Wanted,
    machine: &Machine,
    cancel: &Cancel,
) -> Result<Diagnosis> {
    definitions.refuse_unnamed(layout, &wanted.names)?;
    let plan = Plan::new(&definitions.manifest, &definitions.components, wanted, &machine.platform())?;
    let look = Look { definitions, plan: &plan, machine };
    let build = look.build()?;
    let wants_packages = build.iter().any(|finding| !finding.packages.is_empty());
    let mut findings = look.base();
    findings.extend(look.sources(wants_packages, cancel)?);
    if look.components().any(|(_, component)| matches!(component.build, Driver::Cargo(_))) {
        findings.push(rust(machine));
    }
    findings.extend(space(layout)?);
    let run_time = look.run_time(wanted)?;
    let packages: BTreeSet<String> =
        findings.iter().chain(&build).chain(&run_time).flat_map(|finding| finding.packages.clone()).collect();
    let packages: Vec<String> = packages.into_iter().collect();
    let install = (!packages.is_empty()).then(|| machine.install_command(&packages));
    let can_build = findings.iter().chain(&build).all(|finding| finding.verdict != Verdict::Missing);
    Ok(Diagnosis { can_build, machine: findings, build, run_time, install })
}

struct Look<'a> {
    definitions: &'a Definitions,
    plan: &'a Plan,
    machine: &'a Machine,
}

impl Look<'_> {
    /// What is built.
    fn components(&self) -> impl Iterator<Item = (&Name, &Component)> {
        self.plan.order.iter().map(|name| (name, &self.definitions.components[name]))
    }

    /// What every build needs.
    fn base(&self) -> Vec<Finding> {
        let base = self.machine.base();
        base.map(|base| match base.found {
            None => Finding::new(base.what, Verdict::Missing, "not installed").packages(vec![base.package.to_owned()]),
            Some(_) if base.what == "bubblewrap" => self.bubblewrap(),
            Some(path) => Finding::new(base.what, Verdict::Good, path.display().to_string()),
        })
        .collect()
    }

    /// It is installed; whether it may run is another matter. Without it one can build for oneself.
    fn bubblewrap(&self) -> Finding {
        let Some(refused) = self.machine.bubblewrap_refused() else {
            return Finding::new("bubblewrap", Verdict::Good, "works");
        };
        let text = format!("does not work: {}; builds run without, and their results stay here", refused.why);
        let finding = Finding::new("bubblewrap", Verdict::Poor, text);
        match refused.help {
            Some(help) => finding.help(help),
            None => finding,
        }
    }

    /// Where sources and packages come from.
    fn sources(&self, wants_packages: bool, cancel: &Cancel) -> Result<Vec<Finding>> {
        let sources: BTreeSet<&Name> = self
            .components()
            .flat_map(|(_, component)| std::iter::once(&component.source).chain(component.extra.keys()))
            .collect();
        let origins: Vec<&Origin> =
            sources.into_iter().filter_map(|source| self.definitions.manifest.sources.get(source)).collect();
        let is_debian_source = |origin: &&&Origin| matches!(origin, Origin::Apt(_));
        let debian_sources = origins.iter().filter(is_debian_source).count();
        let mut findings = vec![match self.machine.mirrors(cancel) {
            Ok(mirrors) => Finding::new("packages", Verdict::Good, format!("from {}", mirrors.join(", "))),
            Err(error) if error.kind() == crate::error::Kind::Interrupted => return Err(error),
            Err(error) => {
                let is_needed = wants_packages || debian_sources > 0;
                Finding::new("packages", if is_needed { Verdict::Missing } else { Verdict::Poor }, error.to_string())
            }
        }];
        if debian_sources > 0 && which::which("apt-get").is_err() {
            let text = format!("{debian_sources} sources are Debian source packages, which come through apt");
            let help = "cargo xtask list --manifests   # others take their sources from git";
            findings.push(Finding::new("apt", Verdict::Missing, text).help(help));
        }
        if origins.iter().any(|origin| matches!(origin, Origin::Archive(_))) {
            findings.push(match crate::origin::download_program() {
                Some(program) => Finding::new("download", Verdict::Good, program),
                None => Finding::new("download", Verdict::Missing, "neither curl nor wget is installed")
                    .packages(vec!["curl".to_owned()]),
            });
        }
        Ok(findings)
    }

    /// Build dependencies of each component, and its tools.
    fn build(&self) -> Result<Vec<Finding>> {
        self.components()
            .map(|(name, component)| {
                let packages = self.machine.own(&component.packages);
                let missing = self.machine.missing(packages)?;
                if !missing.is_empty() {
                    let text = format!("missing: {}", missing.join(" "));
                    return Ok(Finding::new(name, Verdict::Missing, text).packages(missing));
                }
                // The compiler's and make's are looked at above.
                let base = ["cc", "make"];
                let tools = recipe::tools(component).into_iter().filter(|tool| !base.contains(tool));
                let gone: Vec<&str> = tools.filter(|tool| !self.machine.has_tool(tool)).collect();
                Ok(if gone.is_empty() {
                    Finding::new(name, Verdict::Good, count(packages))
                } else {
                    let text = format!("its packages are installed, but there is no {}", gone.join(", no "));
                    Finding::new(name, Verdict::Missing, text)
                })
            })
            .collect()
    }

    /// What is missing on a host that is to run the results. A selection of components is only about those.
    fn run_time(&self, wanted: &Wanted) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (name, component) in self.components() {
            let packages = self.machine.own(&component.runtime_packages);
            let missing = self.machine.missing(packages)?;
            if !missing.is_empty() {
                let text = format!("missing: {}", missing.join(" "));
                findings.push(Finding::new(name, Verdict::Poor, text).packages(missing));
            } else if !packages.is_empty() {
                findings.push(Finding::new(name, Verdict::Good, count(packages)));
            }
        }
        let named = |name: &Name| self.components().any(|(_, component)| component.runtime_needs.contains(name));
        for (name, provider) in &self.plan.providers {
            let Provider::System(path) = provider else { continue };
            if !wanted.names.is_empty() && !named(name) {
                continue;
            }
            if Path::new(path).exists() {
                findings.push(Finding::new(name, Verdict::Good, path));
                continue;
            }
            let packages = self.machine.own(&self.definitions.components[name].system_packages).to_vec();
            findings.push(Finding::new(name, Verdict::Poor, format!("there is no {path}")).packages(packages));
        }
        Ok(findings)
    }
}

fn rust(machine: &Machine) -> Finding {
    match machine.rust_toolchain() {
        Ok(sysroot) => Finding::new("Rust", Verdict::Good, sysroot.display().to_string()),
        Err(error) => Finding::new("Rust", Verdict::Missing, chain(&error)).help("https://rustup.rs"),
    }
}

/// Free space of the checkout and the store, in one line where they share a file system.
fn space(layout: &Layout) -> Result<Vec<Finding>> {
    let device = |path: &Path| {
        let there = path.ancestors().find_map(|path| std::fs::metadata(path).ok());
        there.map(|file| std::os::unix::fs::MetadataExt::dev(&file))
    };
    let places = if device(&layout.root) == device(&layout.store) {
        vec![(&layout.root, CHECKOUT_BYTES + STORE_BYTES)]
    } else {
        vec![(&layout.root, CHECKOUT_BYTES), (&layout.store, STORE_BYTES)]
    };
    places.into_iter().map(|(path, wanted)| Ok(room(path, free_bytes(path)?, wanted))).collect()
}

/// What is already built takes no space again, so too little is no reason to give up: each step looks for itself.
fn room(path: &Path, free: u64, wanted: u64) -> Finding {
    let place = path.display();
    if free >= wanted {
        return Finding::new("disk", Verdict::Good, format!("{} free in {place}", size(free)));
    }
    let text = format!("{} free in {place}; a whole build takes up to {}", size(free), size(wanted));
    Finding::new("disk", Verdict::Poor, text).help("cargo xtask clean   # build directories").help("cargo xtask gc")
}

fn chain(error: &Error) -> String {
    match crate::error::causes(error) {
        causes if causes.is_empty() => error.to_string(),
        causes => format!("{error}: {causes}"),
    }
}

fn count(packages: &[String]) -> String {
    match packages {
        [] => "needs no package".to_owned(),
        packages if packages.len() < 5 => packages.join(" "),
        packages => format!("{} packages", packages.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &str = "\
summary = \"a\"
licence = \"MIT\"
homepage = \"https://example.org\"
source = \"src\"
[build.steps]
[[step]]
name = \"s\"
run = [\"true\"]
";

    fn check(tables: &str) -> Diagnosis {
        check_with("", tables)
    }

    /// Diagnoses component `a` with these keys and tables more, and `b` that a manifest takes from the system.
    fn check_with(keys: &str, tables: &str) -> Diagnosis {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("components/a.toml", format!("runtime-needs = [\"b\"]\n{keys}{COMPONENT}{tables}")),
            ("components/b.toml", format!("{COMPONENT}[system-packages]\ndebian = [\"b-system\"]\n")),
            (
                "manifests/m.toml",
                "summary = \"m\"\ncomponents = [\"a\"]\noptional = [\"b\"]\n[sources.src]\npath = { dir = \".\" }\n\
                 [system]\nb = \"/no/such/b\"\n"
                    .to_owned(),
            ),
        ] {
            let file = root.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let layout = Layout { root: root.path().to_path_buf(), store: root.path().join("store") };
        let definitions = Definitions::load(&layout, &"m".parse().unwrap());
        let definitions = definitions.unwrap_or_else(|error| panic!("{}", Error::from(error).report()));
        let machine = Machine::of(&layout, true).unwrap();
        diagnose(&layout, &definitions, &Wanted::default(), &machine, &Cancel::default()).unwrap()
    }

    fn find<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
        findings.iter().find(|finding| finding.what == what).unwrap()
    }

    #[test]
    fn a_system_path_that_is_not_there_matters_at_run_time_only() {
        let diagnosis = check("");
        assert_eq!(find(&diagnosis.build, "a").verdict, Verdict::Good);
        let b = find(&diagnosis.run_time, "b");
        assert_eq!((b.verdict, b.text.as_str()), (Verdict::Poor, "there is no /no/such/b"));
        assert!(diagnosis.build.iter().all(|finding| finding.what != "b"));
    }

    #[test]
    fn a_missing_package_stops_a_build_and_is_in_the_one_command() {
        let lines =
            ["debian", "fedora", "opensuse", "alpine", "arch"].map(|family| format!("{family} = [\"no-such-one\"]\n"));
        let diagnosis = check(&format!("[packages]\n{}[runtime-packages]\n{}", lines.concat(), lines.concat()));
        if diagnosis.install.is_none() {
            return eprintln!("SKIPPED: the package manager of this machine is not known");
        }
        assert!(!diagnosis.can_build);
        assert_eq!(find(&diagnosis.build, "a").text, "missing: no-such-one");
        assert_eq!(find(&diagnosis.run_time, "a").verdict, Verdict::Poor);
        let command = diagnosis.install.unwrap();
        assert_eq!(command.matches("no-such-one").count(), 1, "{command}");
    }

    #[test]
    fn a_tool_that_no_package_brought_is_named() {
        let diagnosis = check_with("tools = [\"no-such-tool\"]\n", "");
        let a = find(&diagnosis.build, "a");
        assert_eq!(a.verdict, Verdict::Missing);
        assert_eq!(a.text, "its packages are installed, but there is no no-such-tool");
        assert!(!diagnosis.can_build);
    }

    #[test]
    fn little_space_is_said() {
        let path = Path::new("/x");
        assert_eq!(room(path, 5 << 30, 4 << 30).text, "5.0 GiB free in /x");
        let little = room(path, 3 << 30, 4 << 30);
        assert_eq!((little.verdict, little.help.len()), (Verdict::Poor, 2));
    }
}
