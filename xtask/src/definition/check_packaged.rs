//! What must hold in `[[package]]` and `[[unpackaged]]`: names that package managers take, globs of installed paths.

use super::Component;
use super::diagnostic::Finding;
use super::form::{glob_fault, package_fault};
use super::place::Place;
use crate::settings::Directories;

pub(super) fn check_packaged(component: &Component, findings: &mut Vec<Finding>) {
    for (index, package) in component.package.iter().enumerate() {
        let place = |key: &str| Place::of("package").index(index).key(key);
        let mut name = |name: &str, place: &dyn Fn() -> Place| {
            if let Some(fault) = name_fault(name) {
                findings.push(Finding::new(place(), format!("`{name}` is no package name"), fault));
            }
        };
        name(&package.deb, &|| place("deb"));
        package.rpm.iter().for_each(|rpm| name(rpm, &|| place("rpm")));
        let lists = [
            ("depends", &package.depends),
            ("recommends", &package.recommends),
            ("provides", &package.provides),
            ("replaces", &package.replaces),
        ];
        for (key, names) in lists {
            names.iter().enumerate().for_each(|(item, other)| name(other, &|| place(key).index(item)));
        }
        if package.summary.trim().is_empty() || package.summary.contains('\n') {
            findings.push(Finding::new(place("summary"), "`summary` is one line", "one line is wanted"));
        }
        check_globs(&package.files, &|| place("files"), findings);
        if let Some(beside) = &package.beside {
            let inside = |key: &str| place("beside").key(key);
            if !beside.directory.contains("{minor}") {
                findings.push(Finding::new(
                    inside("directory"),
                    "the directory is that of every version",
                    "`{minor}` is wanted in it",
                ));
            }
            if !component.package.iter().any(|other| other.deb == beside.started_by) {
                findings.push(Finding::new(
                    inside("started-by"),
                    format!("there is no package `{}`", beside.started_by),
                    "`deb` of another [[package]] is wanted",
                ));
            }
        }
        for (item, path) in package.obsolete.iter().enumerate() {
            // It stands in scripts as it is.
            let plain = |c: char| c.is_ascii_alphanumeric() || "{}/._+-".contains(c);
            if !path.starts_with(['/', '{']) || !path.chars().all(plain) {
                findings.push(
                    Finding::new(
                        place("obsolete").index(item),
                        format!("bad path `{path}`"),
                        "an installed path is wanted",
                    )
                    .help("write it as it is on the installed system: `{sysconfdir}/init.d/xen`"),
                );
            }
        }
    }
    for (index, left) in component.unpackaged.iter().enumerate() {
        check_globs(&left.files, &|| Place::of("unpackaged").index(index).key("files"), findings);
    }
}

fn check_globs(globs: &[String], place: &dyn Fn() -> Place, findings: &mut Vec<Finding>) {
    for (index, glob) in globs.iter().enumerate() {
        let path = Directories::default().path(&filled(glob));
        let fault = match path.strip_prefix('/') {
            Some(relative) => glob_fault(relative),
            None => Some("an installed path starts with `/` or `{prefix}`"),
        };
        if let Some(fault) = fault {
            let finding = Finding::new(place().index(index), format!("bad glob `{glob}`"), fault);
            findings.push(finding.help("write it as it is on the installed system: `{prefix}/bin/*`"));
        }
    }
}

/// With something in the place of what is known when packages are made.
fn filled(text: &str) -> String {
    ["{minor}", "{major}", "{arch}", "{soname}"].iter().fold(text.to_owned(), |text, hole| text.replace(hole, "1"))
}

fn name_fault(name: &str) -> Option<&'static str> {
    let name = filled(name);
    // A name that only consists of holes begins with a digit here.
    if name.contains(['{', '}']) {
        return Some("only {minor}, {major}, {arch} and, in `deb`, {soname} are replaced in it");
    }
    if name.len() > 1 && name.chars().any(|c| c.is_ascii_uppercase() || "_:@".contains(c)) {
        return Some("a package name is lower-case letters, digits, `-`, `.` and `+`");
    }
    package_fault(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["xen-utils-{minor}", "{soname}", "libxen-dev", "xen-hypervisor-{minor}-{arch}"] {
            assert_eq!(name_fault(good), None, "{good}");
        }
        for bad in ["", "Xen", "xen_utils", "xen-{version}", "xen utils", "-xen", "libc6:i386"] {
            assert!(name_fault(bad).is_some(), "{bad}");
        }
    }
}
