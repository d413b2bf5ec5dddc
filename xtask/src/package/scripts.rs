//! Maintainer scripts: what a system is told when files come and go. Each may run any number of times, and none stops what runs: who
//! restarts xenstored loses its guests.

mod obsolete;

use super::{Format, Package};

/// Scripts of one package; those that have nothing to do are not there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// Before files come; Debian's alone.
    pub before_install: Option<String>,
    /// After files came.
    pub after_install: Option<String>,
    /// After all of the transaction, also after the scripts of what went; rpm's alone.
    pub at_end: Option<String>,
    /// Before files go.
    pub before_remove: Option<String>,
    /// After files went.
    pub after_remove: Option<String>,
}

/// Makes a boot entry of each hypervisor that is there; for grub a missing one is no error.
const BOOT: &str = "\
if [ -e /boot/grub/grub.cfg ] && command -v update-grub >/dev/null; then
	update-grub || true
fi
if [ -e /boot/grub2/grub.cfg ] && command -v grub2-mkconfig >/dev/null; then
	grub2-mkconfig -o /boot/grub2/grub.cfg || true
fi
";

const RELOAD: &str = "\
if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
";

/// Debian has a trigger for it, Fedora too, openSUSE none.
const LINKER: &str = "\
if command -v ldconfig >/dev/null; then
	ldconfig || true
fi
";

/// The scripts that a package needs.
pub fn scripts(package: &Package, format: Format) -> Scripts {
    let boots = package.files.keys().any(|path| path.starts_with("boot/"));
    let has_units = package.files.keys().any(|path| path.contains("/systemd/system/"));
    let [mut install, mut end, mut going, mut remove] = [const { String::new() }; 4];
    for unit in &package.units {
        match format {
            Format::Deb => {
                install.push_str(&deb_enable(unit));
                remove.push_str(&deb_disable(unit));
            }
            Format::Rpm => {
                end.push_str(&rpm_enable(unit));
                going.push_str(&rpm_disable(unit));
            }
            Format::Tar => {}
        }
    }
    if format == Format::Rpm && !package.libraries.is_empty() {
        install.push_str(LINKER);
        remove.push_str(LINKER);
    }
    if has_units {
        install.push_str(RELOAD);
        remove.push_str(RELOAD);
    }
    if boots {
        install.push_str(BOOT);
        remove.push_str(BOOT);
    }
    if format != Format::Deb {
        // rpm runs a text in a shell, dpkg a file.
        let script = |body: String| (!body.is_empty()).then(|| format!("{body}exit 0\n"));
        let [after_install, at_end, before_remove, after_remove] = [install, end, going, remove].map(script);
        return Scripts { before_install: None, after_install, at_end, before_remove, after_remove };
    }
    let obsolete = obsolete::taken_away(package);
    install.insert_str(0, &obsolete::forgotten(package));
    remove.push_str(&obsolete::purged(package));
    let script = |guard: &str, body: String| {
        let body = if body.is_empty() { body } else { format!("case \"$1\" in {guard}) ;; *) exit 0 ;; esac\n{body}") };
        let all = format!("{obsolete}{body}");
        (!all.is_empty()).then(|| format!("#!/bin/sh\nset -e\n{all}exit 0\n"))
    };
    Scripts {
        before_install: script("", String::new()),
        after_install: script("configure|abort-upgrade|abort-remove|abort-deconfigure", install),
        at_end: None,
        before_remove: None,
        after_remove: script("remove|purge", remove),
    }
}

/// As debhelper does it: enabled the first time, left as the administrator has it afterwards.
fn deb_enable(unit: &str) -> String {
    format!(
        "if command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper unmask {unit} >/dev/null || true
	if deb-systemd-helper --quiet was-enabled {unit}; then
		deb-systemd-helper enable {unit} >/dev/null || true
	else
		deb-systemd-helper update-state {unit} >/dev/null || true
	fi
fi
"
    )
}

fn deb_disable(unit: &str) -> String {
    format!(
        "if [ \"$1\" = purge ] && command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper purge {unit} >/dev/null || true
	deb-systemd-helper unmask {unit} >/dev/null || true
fi
"
    )
}

/// As the distribution's presets have it, and the first time only: who has disabled one since wants it so. At the end, since a package of
/// another name that had the unit before disables it as it goes.
fn rpm_enable(unit: &str) -> String {
    format!(
        "if [ \"$1\" = 1 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload preset {unit} >/dev/null 2>&1 || true
fi
"
    )
}

/// With the last version of the package only.
fn rpm_disable(unit: &str) -> String {
    format!(
        "if [ \"$1\" = 0 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload disable {unit} >/dev/null 2>&1 || true
fi
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::version::Version;
    use crate::process::{Cancel, Program};

    #[test]
    fn what_is_obsolete_is_taken_away_in_each_script_and_all_are_shell() {
        let mut package = Package::new("x-common", &"x".parse().unwrap(), &Version::new("1", 0, 1, false));
        assert_eq!(scripts(&package, Format::Deb), Scripts::default());
        package.obsolete = vec!["/etc/init.d/x".to_owned(), "/etc/x/old".to_owned()];
        package.add("etc/init.d/y".to_owned(), Vec::new());
        let made = scripts(&package, Format::Deb);
        let remove = made.after_remove.clone().unwrap();
        for script in [made.before_install, made.after_install, made.after_remove].map(Option::unwrap) {
            assert!(
                script.contains("for file in /etc/init.d/x /etc/x/old; do\n\tdpkg-maintscript-helper rm_conffile "),
                "{script}"
            );
            let ended = Program::new(["sh", "-n", "-c", &script]).run(&Cancel::default()).unwrap();
            assert!(ended.status.success(), "{script}");
        }
        assert!(remove.contains("for file in /etc/init.d/y /etc/init.d/x; do\n\t[ -e"), "{remove}");
        assert_eq!(scripts(&package, Format::Rpm), Scripts::default());
    }
}
