//! What must hold inside one component, once its shape is right. Looks at no other file but its patches.

use std::collections::BTreeMap;
use std::path::Path;

use super::check_packaged::check_packaged;
use super::check_text::check_texts;
use super::diagnostic::Finding;
use super::form::{env_fault, glob_fault, installed_fault, package_fault, relative_fault, tool_fault};
use super::place::Place;
use super::{Component, Driver, Name, Packages, SystemKind};
use crate::bill::licence;
use crate::settings::Directories;

/// Everything that is wrong in `component`, called `name`, of the repository at `root`.
pub(super) fn check_component(root: &Path, name: &Name, component: &Component) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_words(component, &mut findings);
    check_paths(root, component, &mut findings);
    check_needs(name, component, &mut findings);
    check_steps(component, &mut findings);
    check_system(component, &mut findings);
    check_tarball(component, &mut findings);
    check_packaged(component, &mut findings);
    check_texts(component, &mut findings);
    findings
}

fn check_words(component: &Component, findings: &mut Vec<Finding>) {
    for (key, text) in [("summary", &component.summary), ("homepage", &component.homepage)] {
        if text.trim().is_empty() {
            findings.push(Finding::new(Place::of(key), format!("`{key}` is empty"), "say something"));
        }
    }
    if component.summary.contains('\n') {
        findings.push(Finding::new(Place::of("summary"), "`summary` is more than one line", "one line is wanted"));
    }
    if let Some(fault) = licence::fault(&component.licence) {
        let message = format!("`{}` is no SPDX licence expression", component.licence);
        findings.push(
            Finding::new(Place::of("licence"), message, fault)
                .help("write one as in `GPL-2.0-only` or `MIT OR Apache-2.0`"),
        );
    }
    let globs = [("inputs", &component.inputs), ("exclude", &component.exclude)];
    for (key, globs) in globs {
        check_globs(&|| Place::of(key), globs, findings);
    }
    if component.inputs.is_empty() {
        let finding = Finding::new(Place::of("inputs"), "`inputs` is empty", "nothing of the source would be there");
        findings.push(finding.help("leave it out to get all files"));
    }
    for (source, extra) in &component.extra {
        check_globs(&|| Place::of("extra").key(source.as_str()).key("inputs"), &extra.inputs, findings);
    }
    for (index, tool) in component.tools.iter().enumerate() {
        if let Some(fault) = tool_fault(tool) {
            findings.push(Finding::new(Place::of("tools").index(index), format!("`{tool}` is no tool"), fault));
        }
    }
    check_env(&|| Place::of("env"), &component.env, findings);
    for (key, packages) in [
        ("packages", &component.packages),
        ("runtime-packages", &component.runtime_packages),
        ("system-packages", &component.system_packages),
    ] {
        check_packages(key, packages, findings);
    }
}

fn check_tarball(component: &Component, findings: &mut Vec<Finding>) {
    let Some(tarball) = &component.tarball else { return };
    let place = |key: &str| Place::of("tarball").key(key);
    if tarball.at != "."
        && let Some(fault) = relative_fault(&tarball.at)
    {
        let message = format!("`{}` is no directory in an archive", tarball.at);
        findings.push(Finding::new(place("at"), message, fault).help("`.` is the top"));
    }
    let paths =
        tarball.file.iter().map(|path| ("file", path)).chain(tarball.packed.iter().map(|path| ("packed", path)));
    let copies = tarball.copy.iter().flat_map(|(to, from)| [("copy", to), ("copy", from)]);
    for (key, path) in paths.chain(copies) {
        if let Some(fault) = relative_fault(path) {
            findings.push(Finding::new(place(key), format!("`{path}` is no path in an archive"), fault));
        }
    }
    if let Some(packed) = tarball.packed.as_ref().filter(|path| !path.ends_with(".tar.gz")) {
        findings.push(Finding::new(place("packed"), format!("`{packed}` is packed otherwise"), "only .tar.gz is made"));
    }
    check_globs(&|| place("carry"), &tarball.carry, findings);
    check_globs(&|| place("generated"), &tarball.generated, findings);
    let is_made = !tarball.carry.is_empty() || !tarball.generated.is_empty();
    if is_made == tarball.steps.is_empty() {
        let message = "`steps` make what `carry` or `generated` name; one is there without the other";
        findings.push(Finding::new(Place::of("tarball"), message, "both are wanted, or none"));
    }
}

fn check_packages(key: &str, packages: &Packages, findings: &mut Vec<Finding>) {
    let Packages { debian, fedora, opensuse, alpine, arch } = packages;
    let families = [("debian", debian), ("fedora", fedora), ("opensuse", opensuse), ("alpine", alpine), ("arch", arch)];
    for (family, names) in families {
        for (index, name) in names.iter().enumerate() {
            if let Some(fault) = package_fault(name) {
                let place = Place::of(key).key(family).index(index);
                findings.push(Finding::new(place, format!("`{name}` is no package name"), fault));
            }
        }
    }
}

fn check_globs(place: &dyn Fn() -> Place, globs: &[String], findings: &mut Vec<Finding>) {
    for (index, glob) in globs.iter().enumerate() {
        if let Some(fault) = glob_fault(glob) {
            findings.push(Finding::new(place().index(index), format!("bad glob `{glob}`"), fault));
        }
    }
}

fn check_env(place: &dyn Fn() -> Place, env: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    for name in env.keys() {
        if let Some(fault) = env_fault(name) {
            findings.push(Finding::new(
                place().key(name).name(),
                format!("`{name}` is no environment variable"),
                fault,
            ));
        }
    }
}

fn check_paths(root: &Path, component: &Component, findings: &mut Vec<Finding>) {
    let mut installed = |path: &str, place: &dyn Fn() -> Place| {
        if let Some(fault) = installed_fault(&Directories::default().path(path)) {
            let finding = Finding::new(place(), format!("`{path}` is no installed path"), fault);
            findings.push(finding.help("write it as it is on the installed system: `{prefix}/...`"));
        }
    };
    for (index, path) in component.must_exist.iter().enumerate() {
        installed(path, &|| Place::of("must-exist").index(index));
    }
    for (name, path) in &component.outputs {
        installed(path, &|| Place::of("outputs").key(name));
    }
    if let Driver::Cargo(cargo) = &component.build {
        for (bin, path) in &cargo.bins {
            installed(path, &|| Place::of("build").key("cargo").key("bins").key(bin));
        }
    }
    if let Driver::Make(make) = &component.build
        && let Some(fault) = make.subdir.as_deref().and_then(relative_fault)
    {
        let place = Place::of("build").key("make").key("subdir");
        findings.push(Finding::new(place, "`subdir` is no directory of the source", fault));
    }
    for (index, patch) in component.patches.iter().enumerate() {
        let place = || Place::of("patches").index(index);
        if let Some(fault) = relative_fault(patch) {
            let finding = Finding::new(place(), format!("`{patch}` is no file of this repository"), fault);
            findings.push(finding.help("write it from the repository's root: `components/NAME/0001-x.patch`"));
        } else if !root.join(patch).is_file() {
            findings.push(Finding::new(
                place(),
                format!("there is no patch `{patch}`"),
                "not a file of this repository",
            ));
        }
    }
}

fn check_needs(name: &Name, component: &Component, findings: &mut Vec<Finding>) {
    for (key, needs) in [("needs", &component.needs), ("runtime-needs", &component.runtime_needs)] {
        for (index, need) in needs.iter().enumerate() {
            let place = || Place::of(key).index(index);
            if let Some(first) = needs[..index].iter().position(|earlier| earlier == need) {
                let finding = Finding::new(place(), format!("`{need}` is listed twice in `{key}`"), "again here");
                findings.push(finding.also(Place::of(key).index(first), "first here"));
            }
            if need == name && key == "runtime-needs" {
                findings.push(Finding::new(place(), format!("`{name}` names itself in `{key}`"), "this component"));
            }
        }
    }
}

/// What the driver's own steps are called; logs and times go by the name. `recipe/driver.rs` makes them, and a test compares.
fn is_driver_step(driver: &Driver, name: &str) -> bool {
    let names: &[&str] = match driver {
        Driver::Autotools(_) => &["autogen", "configure", "make", "install"],
        Driver::Make(_) => &["prepare", "make", "install"],
        Driver::Kconfig(kconfig) if kconfig.install.is_none() => &["config", "defconfig", "make"],
        Driver::Kconfig(_) => &["config", "defconfig", "make", "install"],
        Driver::Meson(_) => &["setup", "compile", "install"],
        Driver::Cmake(_) => &["configure", "make", "install"],
        Driver::Cargo(cargo) => {
            let installs = name.strip_prefix("install-").is_some_and(|bin| cargo.bins.contains_key(bin));
            return name == "build" || installs;
        }
        Driver::Steps(_) => &[],
    };
    names.contains(&name)
}

fn check_steps(component: &Component, findings: &mut Vec<Finding>) {
    if matches!(component.build, Driver::Steps(_)) && component.step.is_empty() {
        let finding = Finding::new(
            Place::of("build").key("steps"),
            "`[build.steps]` without a single `[[step]]`",
            "no steps follow",
        );
        findings.push(
            finding.help("add `[[step]]` with `name = \"...\"` and `run = [\"...\"]`, or choose another build system"),
        );
    }
    if let Driver::Autotools(autotools) = &component.build
        && autotools.install.as_ref().is_some_and(Vec::is_empty)
        && component.step.is_empty()
    {
        findings.push(Finding::new(
            Place::of("build").key("autotools").key("install"),
            "nothing is installed",
            "empty",
        ));
    }
    for (index, step) in component.step.iter().enumerate() {
        let place = |key: &str| Place::of("step").index(index).key(key);
        if let Some(first) = component.step[..index].iter().position(|earlier| earlier.name == step.name) {
            let finding = Finding::new(place("name"), format!("two steps are called `{}`", step.name), "again here");
            findings.push(finding.also(Place::of("step").index(first).key("name"), "first here"));
        }
        if is_driver_step(&component.build, step.name.as_str()) {
            let finding =
                Finding::new(place("name"), format!("the build system already has a step `{}`", step.name), "taken");
            findings.push(finding.help("give it another name: logs and times go by it"));
        }
        if step.run.first().is_none_or(String::is_empty) {
            findings.push(Finding::new(
                place("run"),
                format!("step `{}` runs nothing", step.name),
                "the program is missing",
            ));
        }
        if step.timeout_mins == Some(0) {
            let finding = Finding::new(place("timeout-mins"), "a step cannot have a time-out of 0", "at least 1");
            findings.push(finding.help("leave it out for 120 minutes"));
        }
        check_env(&|| place("env"), &step.env, findings);
    }
}

fn check_system(component: &Component, findings: &mut Vec<Finding>) {
    for (index, host) in component.host.iter().enumerate() {
        if host.given().len() != 1 {
            let message = "a need of the host is exactly one of program, file, device, kernel, module, probe";
            findings.push(Finding::new(
                Place::of("host").index(index),
                message,
                format!("{} here", host.given().len()),
            ));
        }
    }
    for name in component.settings.keys() {
        if let Some(fault) = env_fault(name) {
            let place = Place::of("settings").key(name).name();
            findings.push(Finding::new(place, format!("`{name}` is no variable"), fault));
        }
    }
    let Some(system) = &component.system else { return };
    for (index, path) in system.paths.iter().enumerate() {
        if let Some(fault) = installed_fault(path) {
            let place = Place::of("system").key("paths").index(index);
            findings.push(Finding::new(place, format!("`{path}` is no installed path"), fault));
        }
    }
    if (system.kind == SystemKind::Programs) == system.programs.is_empty() {
        let message = "`programs` are for `kind = \"programs\"`, and it needs them";
        findings.push(Finding::new(Place::of("system").key("kind"), message, "this kind"));
    }
    for (index, magic) in system.magic.iter().enumerate() {
        if magic.hex.is_empty() || magic.hex.len() % 2 == 1 || !magic.hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let place = Place::of("system").key("magic").index(index).key("hex");
            findings.push(Finding::new(place, "these are no bytes", "two hex digits for each are wanted"));
        }
    }
    for (index, probe) in system.probe.iter().enumerate() {
        if probe.run.is_empty() {
            let place = Place::of("system").key("probe").index(index).key("run");
            findings.push(Finding::new(place, "this probe runs nothing", "the program is missing"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every step that a recipe makes by itself is known here, so that no two are called the same.
    #[test]
    fn steps_of_the_drivers_are_known() {
        let drivers = [
            "autotools = { autogen = ['x'] }",
            "make = { prepare = ['x'] }",
            "kconfig = { config = 'x' }",
            "kconfig = { config = 'x', install = [] }",
            "meson = {}",
            "cmake = {}",
            "cargo = { bins = { a = '/usr/bin/a' } }",
        ];
        for driver in drivers {
            let text = format!("summary = 'x'\nlicence = 'MIT'\nhomepage = 'x'\nsource = 'x'\n[build]\n{driver}");
            let component: Component = toml::from_str(&text).unwrap();
            let (paths, empty) = (crate::recipe::Paths::sandboxed(), BTreeMap::new());
            let told = BTreeMap::new();
            let values = crate::recipe::Values {
                paths: &paths,
                epoch: 0,
                changeset: "",
                arch: "x",
                chosen: &crate::settings::Chosen::default(),
                defaults: &empty,
                told: &told,
                outputs: &empty,
                path: None,
                jobs: "1",
            };
            let steps = crate::recipe::steps(&component, &values).unwrap();
            assert!(!steps.is_empty());
            for step in steps {
                assert!(is_driver_step(&component.build, &step.name), "{} of {driver}", step.name);
            }
        }
    }
}
