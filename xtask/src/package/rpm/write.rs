//! The file of an rpm. No program of rpm's is needed, and nothing of time or machine is in it; it is signed, if at all, afterwards.

use std::collections::BTreeSet;

use rpm::{BuildConfig, CompressionWithLevel, FileMode, FileOptions, PackageBuilder};

use super::{Dependency, Relations};
use crate::error::{Context, Error, Result};
use crate::package::scripts::scripts;
use crate::package::{Bound, Common, Format, Package};
use crate::tree::Node;

/// Where Fedora stops: higher levels take twice the time for a hundredth.
const LEVEL: i32 = 19;

/// The bytes of a package; `read` gives the content of a file.
pub fn bytes(
    package: &Package,
    common: &Common<'_>,
    relations: &Relations,
    read: &dyn Fn(&str) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let packing = || format!("cannot pack `{}`", package.name);
    let failed = |error: rpm::Error| Error::machine(packing()).because(error.to_string());
    let (version, release) = package.version.rpm();
    let epoch = u32::try_from(package.epoch).context(packing)?;
    let config = BuildConfig::v4().source_date(epoch).compression(CompressionWithLevel::Zstd(LEVEL));
    let mut rpm = PackageBuilder::new(&package.name, &version, &package.licence, common.arch, &package.summary);
    rpm.using_config(config.reserved_space(None))
        .release(&release)
        .url(package.homepage.clone())
        .packager(common.maintainer)
        .build_host("localhost")
        .add_changelog_entry(
            format!("{} - {version}-{release}", common.maintainer),
            format!("- Made by Sultana from {} {}.", package.component, package.version.upstream),
            epoch,
        )
        .description(format!(
            "{}.\nPart of {}, made by Sultana from version {}.",
            package.summary, package.component, package.version.upstream
        ));
    if package.version.epoch > 0 {
        rpm.epoch(package.version.epoch);
    }
    for one in &relations.requires {
        rpm.requires(dependency(one));
    }
    for one in &relations.provides {
        rpm.provides(dependency(one));
    }
    for one in &relations.recommends {
        rpm.recommends(dependency(one));
    }
    for one in &relations.conflicts {
        rpm.conflicts(dependency(one));
    }
    for one in &relations.obsoletes {
        rpm.obsoletes(dependency(one));
    }
    let configuration: BTreeSet<&String> = package.configuration(common.sysconfdir).collect();
    let permissions = |mode: u32| (mode & 0o7777) as u16;
    for (path, node) in &package.files {
        let installed = format!("/{path}");
        match node {
            Node::Directory { mode } => {
                let dir = FileOptions::dir(installed).mode(FileMode::dir(permissions(*mode)));
                rpm.with_dir_entry(dir).map_err(failed)?;
            }
            Node::Symlink { target } => {
                rpm.with_symlink(FileOptions::symlink(installed, target)).map_err(failed)?;
            }
            Node::File { mode, .. } => {
                let mut file = FileOptions::new(installed).mode(FileMode::regular(permissions(*mode)));
                if configuration.contains(path) {
                    file = file.config().noreplace();
                } else if path.contains("/share/licenses/") {
                    file = file.license();
                } else if path.contains("/share/man/") || path.contains("/share/doc/") {
                    file = file.doc();
                }
                rpm.with_file_contents(read(path)?, file).map_err(failed)?;
            }
        }
    }
    let scripts = scripts(package, Format::Rpm);
    if let Some(script) = scripts.after_install {
        rpm.post_install_script(script);
    }
    if let Some(script) = scripts.at_end {
        rpm.post_trans_script(script);
    }
    if let Some(script) = scripts.before_remove {
        rpm.pre_uninstall_script(script);
    }
    if let Some(script) = scripts.after_remove {
        rpm.post_uninstall_script(script);
    }
    let mut bytes = Vec::new();
    rpm.build().map_err(failed)?.write(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn dependency(one: &Dependency) -> rpm::Dependency {
    match &one.version {
        None => rpm::Dependency::any(&one.name),
        Some((Bound::Same, version)) => rpm::Dependency::eq(&one.name, version),
        Some((Bound::AtLeast, version)) => rpm::Dependency::greater_eq(&one.name, version),
        Some((Bound::Before, version)) => rpm::Dependency::less(&one.name, version),
    }
}
