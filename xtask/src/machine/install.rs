//! Installing packages with the machine's own package manager: the command as a person would type it, and running it.

use std::path::Path;

use super::apt;
use super::distro::Family;
use super::remembered::Remembered;
use crate::error::{Error, Result};
use crate::process::{Cancel, Program, shell_line};

/// The command that installs `packages`, ready to be pasted.
pub fn command_line(family: Option<Family>, packages: &[String]) -> String {
    match family {
        Some(family) => {
            let sudo = if is_root() { "" } else { "sudo " };
            // Without lists apt knows no package.
            let is_blind = family == Family::Debian && !apt::has_lists(Path::new("/"));
            let update = if is_blind { format!("{sudo}apt-get update && ") } else { String::new() };
            format!("{update}{sudo}{}", shell_line(argv(family, false).chain(packages.iter().cloned())))
        }
        None => format!("install with this system's package manager: {}", packages.join(" ")),
    }
}

/// Installs `packages`. `say` gets what is done, line by line. Nothing that is installed is removed or downgraded: on
/// Debian that is simulated and refused, the other package managers refuse it by themselves unless they are told
/// otherwise.
pub(super) fn install(family: Option<Family>, packages: &[String], cancel: &Cancel, say: &dyn Fn(&str)) -> Result<()> {
    let result = match family {
        None => Err(Error::machine("cannot install packages: this distribution is not known")),
        _ if !is_root() && which::which("sudo").is_err() => {
            Err(Error::machine("cannot install packages: we are not root and there is no sudo"))
        }
        Some(Family::Debian) => apt::install(packages, cancel, say),
        Some(family) => {
            let program = Program::new(as_root(argv(family, true).chain(packages.iter().cloned())));
            say(&program.display());
            program.run(cancel)?.success(|| format!("cannot install {}", packages.join(" "))).map(drop)
        }
    };
    // What was refused for a reason is not to be pasted.
    result.map_err(|error| if error.helps().is_empty() { error.help(command_line(family, packages)) } else { error })
}

/// Hosts of the package mirrors in use. Where only the package manager itself knows them, that there is one.
pub(super) fn mirrors(family: Option<Family>, remembered: &Remembered, cancel: &Cancel) -> Result<Vec<String>> {
    let Some(family) = family else {
        return Err(Error::machine("this distribution is not known"));
    };
    if family == Family::Debian {
        return apt::mirrors(remembered, cancel);
    }
    let manager = argv(family, false).next().unwrap_or_default();
    match which::which(&manager) {
        Ok(_) => Ok(vec![manager]),
        Err(_) => Err(Error::machine(format!("there is no `{manager}`"))),
    }
}

/// What each family's package manager is called with.
fn argv(family: Family, unattended: bool) -> impl Iterator<Item = String> {
    let (always, unattended_too): (&[&str], &[&str]) = match family {
        Family::Debian => (&["apt-get", "install", "--no-install-recommends"], &["-y", "--no-remove"]),
        Family::Fedora => (&["dnf", "install", "--setopt=install_weak_deps=False"], &["-y"]),
        Family::OpenSuse => (&["zypper", "install", "--no-recommends"], &["--non-interactive"]),
        Family::Alpine => (&["apk", "add"], &["--no-interactive"]),
        Family::Arch => (&["pacman", "-S", "--needed"], &["--noconfirm"]),
    };
    // zypper takes global options in front of its command only
    let (front, back) = if family == Family::OpenSuse { (1, 1) } else { (always.len(), always.len()) };
    let unattended_too = if unattended { unattended_too } else { &[] };
    let words = [&always[..front], unattended_too, &always[back..]].concat();
    words.into_iter().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// The command, through sudo unless we are root. sudo never asks: a child of ours cannot use the terminal.
pub(super) fn as_root(argv: impl IntoIterator<Item = String>) -> Vec<String> {
    let sudo: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    sudo.iter().map(|word| (*word).to_owned()).chain(argv).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_its_command() {
        let check = |family, unattended| argv(family, unattended).collect::<Vec<_>>().join(" ");
        assert_eq!(check(Family::Debian, false), "apt-get install --no-install-recommends");
        assert_eq!(check(Family::OpenSuse, true), "zypper --non-interactive install --no-recommends");
        assert_eq!(check(Family::Arch, true), "pacman -S --needed --noconfirm");
        assert!(
            command_line(Some(Family::Fedora), &["gcc".to_owned()])
                .ends_with("dnf install --setopt=install_weak_deps=False gcc")
        );
        assert!(command_line(None, &["gcc".to_owned()]).ends_with("gcc"));
    }
}
