//! Maintainer scripts: what a system is told when files come and go. Each may run any number of times, and none stops what runs: who
//! restarts xenstored loses its guests.

use super::{Format, Package};

/// Scripts of one package; those that have nothing to do are not there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scripts {
    /// After files came.
    pub after_install: Option<String>,
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
    let (mut install, mut going, mut remove) = (String::new(), String::new(), String::new());
    for unit in &package.units {
        match format {
            Format::Deb => {
                install.push_str(&deb_enable(unit));
                remove.push_str(&deb_disable(unit));
            }
            Format::Rpm => {
                install.push_str(&rpm_enable(unit));
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
    let (on_install, on_remove) = match format {
        Format::Deb => (
            "case \"$1\" in configure|abort-upgrade|abort-remove|abort-deconfigure) ;; *) exit 0 ;; esac\n",
            "case \"$1\" in remove|purge) ;; *) exit 0 ;; esac\n",
        ),
        Format::Rpm | Format::Tar => ("", ""),
    };
    // rpm runs a text in a shell, dpkg a file.
    let head = if format == Format::Deb { "#!/bin/sh\nset -e\n" } else { "" };
    let script = |body: String, guard: &str| (!body.is_empty()).then(|| format!("{head}{guard}{body}exit 0\n"));
    Scripts {
        after_install: script(install, on_install),
        before_remove: script(going, ""),
        after_remove: script(remove, on_remove),
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

/// As the distribution's presets have it, and the first time only: who has disabled one since wants it so.
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
