//! What each build system is called with, before the component's own steps; and the programs that this takes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DEFAULT_TIMEOUT_MINS, Role, Step, Values};
use crate::definition::{Autotools, Component, Driver, Make};
use crate::error::Result;

/// The driver's usual steps, in order.
pub(super) fn steps(component: &Component, values: &Values<'_>) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut add = |name: &str, dir: &str, fixed: &[&str], more: &[String]| -> Result<()> {
        let mut items: Vec<String> = fixed.iter().map(|item| (*item).to_owned()).collect();
        items.extend_from_slice(more);
        steps.push(Step {
            name: name.to_owned(),
            role: match name {
                "autogen" | "config" | "configure" | "defconfig" | "setup" => Role::Done,
                "build" | "compile" | "make" => Role::Make,
                _ => Role::Other,
            },
            argv: values.argv(&items)?,
            dir: values.fill(dir)?,
            env: BTreeMap::new(),
            timeout: Duration::from_secs(60 * DEFAULT_TIMEOUT_MINS),
        });
        Ok(())
    };
    let make: &[&str] = if component.serial { &["make", "-j1"] } else { &["make"] };
    let staged = [make, &["DESTDIR={stage}"]].concat();
    let install = |given: &Option<Vec<String>>| given.clone().unwrap_or_else(|| vec!["install".to_owned()]);
    match &component.build {
        Driver::Autotools(autotools) => {
            if !autotools.autogen.is_empty() {
                add("autogen", "{src}", &[], &autotools.autogen)?;
            }
            let dir = if autotools.out_of_tree { "{build}" } else { "{src}" };
            let directories = [
                "--prefix={prefix}",
                "--sysconfdir={sysconfdir}",
                "--localstatedir={localstatedir}",
                "--libdir={libdir}",
            ];
            add("configure", dir, &[&["{src}/configure"][..], &directories].concat(), &autotools.configure)?;
            add("make", dir, make, &autotools.make)?;
            add("install", dir, &staged, &install(&autotools.install))?;
        }
        Driver::Make(driver) => {
            let dir = driver.subdir.as_ref().map_or("{src}".to_owned(), |subdir| format!("{{src}}/{subdir}"));
            if !driver.prepare.is_empty() {
                add("prepare", "{src}", &[], &driver.prepare)?;
            }
            add("make", &dir, make, &driver.make)?;
            add("install", &dir, &staged, &install(&driver.install))?;
        }
        Driver::Kconfig(driver) => {
            add("config", "{src}", &["cp", &driver.config, ".config"], &[])?;
            add("defconfig", "{src}", &[make, &[driver.defconfig_target.as_str()]].concat(), &driver.make)?;
            add("make", "{src}", make, &driver.make)?;
            if driver.install.is_some() {
                add("install", "{src}", &staged, &install(&driver.install))?;
            }
        }
        Driver::Meson(driver) => {
            let directories = [
                "meson",
                "setup",
                "--prefix={prefix}",
                "--sysconfdir={sysconfdir}",
                "--localstatedir={localstatedir}",
                "--libdir={libdir}",
                "--buildtype=plain",
                "--wrap-mode=nodownload",
                "{build}",
                "{src}",
            ];
            add("setup", "{src}", &directories, &driver.options)?;
            add("compile", "{build}", &["ninja", "-j{jobs}"], &[])?;
            add("install", "{build}", &["env", "DESTDIR={stage}", "meson", "install", "--no-rebuild"], &[])?;
        }
        Driver::Cmake(driver) => {
            let directories = &values.chosen.directories;
            let libdir = directories.libdir.strip_prefix(&format!("{}/", directories.prefix));
            let libdir = format!("-DCMAKE_INSTALL_LIBDIR={}", libdir.unwrap_or(&directories.libdir));
            let configure = [
                "cmake",
                "-S",
                "{src}",
                "-B",
                "{build}",
                "-DCMAKE_INSTALL_PREFIX={prefix}",
                &libdir,
                "-DCMAKE_INSTALL_SYSCONFDIR={sysconfdir}",
                "-DCMAKE_INSTALL_LOCALSTATEDIR={localstatedir}",
                "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
                "-G",
                "Unix Makefiles",
            ];
            add("configure", "{src}", &configure, &driver.options)?;
            add("make", "{build}", make, &[])?;
            add("install", "{build}", &staged, &["install".to_owned()])?;
        }
        Driver::Cargo(driver) => {
            let bins: Vec<String> = driver.bins.keys().map(|bin| format!("--bin={bin}")).collect();
            add("build", "{src}", &["cargo", "build", "--release", "--locked", "--offline"], &bins)?;
            for (bin, path) in &driver.bins {
                let (from, to) = (format!("{{build}}/release/{bin}"), format!("{{stage}}{path}"));
                add(&format!("install-{bin}"), "{src}", &["install", "-D", "-m", "755", &from, &to], &[])?;
            }
        }
        Driver::Steps(_) => {}
    }
    if let Driver::Autotools(Autotools { install_makes: true, .. }) | Driver::Make(Make { install_makes: true, .. }) =
        component.build
    {
        for step in &mut steps {
            match step.name.as_str() {
                "make" => step.role = Role::Done,
                "install" => step.role = Role::Make,
                _ => {}
            }
        }
    }
    Ok(steps)
}

/// Programs whose identity is part of what a driver builds, beside those that the component names.
pub fn tools(component: &Component) -> Vec<&str> {
    let driver: &[&str] = match &component.build {
        Driver::Autotools(_) | Driver::Make(_) | Driver::Kconfig(_) => &["cc", "ld", "make", "sh"],
        Driver::Meson(_) => &["cc", "ld", "meson", "ninja", "sh"],
        Driver::Cmake(_) => &["cc", "ld", "cmake", "make", "sh"],
        Driver::Cargo(_) => &["cc", "ld"],
        Driver::Steps(_) => &["sh"],
    };
    let mut tools: Vec<&str> = driver.iter().copied().chain(component.tools.iter().map(String::as_str)).collect();
    tools.sort_unstable();
    tools.dedup();
    tools
}
