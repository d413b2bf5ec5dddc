//! Which steps a host needs. Looks at it, changes nothing: what is so already is no step.

use std::fs;
use std::path::Path;

use super::{Change, Step};
use crate::error::{Error, Result};
use crate::process::{Cancel, Program};

/// What is asked for.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The host.
    pub root: &'a Path,
    /// Interface that gets a bridge; none leaves the network alone.
    pub interface: Option<&'a str>,
    /// Name of the bridge.
    pub bridge: &'a str,
}

/// What Xen's own documentation enables.
const UNITS: [&str; 6] = [
    "xenstored.service",
    "xen-init-dom0.service",
    "xenconsoled.service",
    "xen-qemu-dom0-disk-backend.service",
    "xendomains.service",
    "xen-watchdog.service",
];
const SCRIPTS: [&str; 3] = ["xencommons", "xendomains", "xen-watchdog"];

/// The steps, and remarks about what cannot be done here.
pub fn plan(wanted: &Wanted<'_>, cancel: &Cancel) -> Result<(Vec<Change>, Vec<String>)> {
    let (mut changes, mut remarks) = (Vec::new(), Vec::new());
    services(wanted.root, cancel, &mut changes, &mut remarks)?;
    boot_entry(wanted.root, &mut changes, &mut remarks);
    match wanted.interface {
        Some(interface) => bridge(wanted, interface, &mut changes)?,
        None => remarks.push(format!("no bridge: to make `{}`, name its interface with --interface", wanted.bridge)),
    }
    Ok((changes, remarks))
}

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn services(root: &Path, cancel: &Cancel, changes: &mut Vec<Change>, remarks: &mut Vec<String>) -> Result<()> {
    let has_unit = |unit: &str| {
        ["usr/lib", "lib", "etc"].iter().any(|dir| root.join(dir).join("systemd/system").join(unit).exists())
    };
    let is_here = |program: &str| which::which(program).is_ok();
    let at = format!("--root={}", root.display());
    let before = changes.len();
    let mut known = false;
    if is_here("systemctl") && UNITS.iter().any(|unit| has_unit(unit)) {
        known = true;
        for unit in UNITS.into_iter().filter(|unit| has_unit(unit)) {
            let asked = Program::new(["systemctl", &at, "is-enabled", unit]).run(cancel)?;
            if !asked.status.success() {
                changes.push(Change {
                    why: format!("{unit} starts with the machine"),
                    step: Step::Run {
                        run: command(&["systemctl", &at, "enable", unit]),
                        undo: command(&["systemctl", &at, "disable", unit]),
                    },
                });
            }
        }
    } else if root == Path::new("/") {
        for script in SCRIPTS.into_iter().filter(|script| root.join("etc/init.d").join(script).exists()) {
            let (run, undo) = if is_here("update-rc.d") {
                (command(&["update-rc.d", script, "defaults"]), command(&["update-rc.d", "-f", script, "remove"]))
            } else if is_here("rc-update") {
                (command(&["rc-update", "add", script]), command(&["rc-update", "del", script]))
            } else {
                continue;
            };
            known = true;
            if !is_started(root, script) {
                changes
                    .push(Change { why: format!("{script} starts with the machine"), step: Step::Run { run, undo } });
            }
        }
    }
    if !known {
        remarks.push("no services of Xen are installed there: cargo xtask install --root DIR comes first".to_owned());
    } else if changes.len() == before {
        remarks.push("the services of Xen are enabled already".to_owned());
    }
    Ok(())
}

/// Some runlevel starts it.
fn is_started(root: &Path, script: &str) -> bool {
    let starts = |dir: &str| {
        let entries = fs::read_dir(root.join("etc").join(dir)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name()).any(|name| {
            let name = name.to_string_lossy().into_owned();
            name == script || name.starts_with('S') && name.ends_with(script)
        })
    };
    ["rc2.d", "rc3.d", "rc5.d", "runlevels/default"].into_iter().any(starts)
}

/// grub's own scripts make entries of every Xen below /boot; after `uninstall` the same call takes them out again.
fn boot_entry(root: &Path, changes: &mut Vec<Change>, remarks: &mut Vec<String>) {
    let has_xen = fs::read_dir(root.join("boot")).into_iter().flatten().flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("xen") && name.ends_with(".gz")
    });
    if !has_xen {
        return remarks.push("no boot entry: there is no Xen below boot/".to_owned());
    }
    if root != Path::new("/") {
        return remarks.push("no boot entry: the boot menu is made on the machine itself, with --root /".to_owned());
    }
    let menus = [("grub2-mkconfig", "boot/grub2/grub.cfg"), ("grub-mkconfig", "boot/grub/grub.cfg")];
    let found = menus.into_iter().find(|(program, menu)| which::which(program).is_ok() && root.join(menu).exists());
    let Some((program, menu)) = found else {
        return remarks.push("no boot entry: this machine does not boot with grub".to_owned());
    };
    let menu = format!("/{menu}");
    let run = command(&[program, "-o", &menu]);
    changes.push(Change {
        why: "the boot menu gets Xen; its undo leaves it out once Xen is uninstalled".to_owned(),
        step: Step::Run { undo: run.clone(), run },
    });
}

fn bridge(wanted: &Wanted<'_>, interface: &str, changes: &mut Vec<Change>) -> Result<()> {
    let Wanted { root, bridge, .. } = wanted;
    for name in [interface, bridge] {
        let is_name =
            !name.is_empty() && name.len() < 16 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !is_name {
            return Err(Error::input(format!("`{name}` is no name of a network interface")).help("ip -brief link"));
        }
    }
    let has = |path: &str| fs::read_dir(root.join(path)).is_ok_and(|mut entries| entries.next().is_some());
    if has("etc/NetworkManager/system-connections") && *root == Path::new("/") && which::which("nmcli").is_ok() {
        let port = format!("{bridge}-{interface}");
        let add = |words: &[&str], name: &str| Step::Run {
            run: command(&[&["nmcli", "connection", "add", "con-name", name], words].concat()),
            undo: command(&["nmcli", "connection", "delete", name]),
        };
        let steps = [
            add(&["type", "bridge", "ifname", bridge], bridge),
            add(&["type", "bridge-slave", "ifname", interface, "master", bridge], &port),
        ];
        changes.extend(steps.map(|step| Change { why: format!("bridge {bridge} on {interface}"), step }));
        return Ok(());
    }
    if has("etc/systemd/network") {
        let files = [
            ("netdev", bridge, format!("[NetDev]\nName={bridge}\nKind=bridge\n")),
            ("network", bridge, format!("[Match]\nName={bridge}\n\n[Network]\nDHCP=yes\n")),
            ("network", &interface, format!("[Match]\nName={interface}\n\n[Network]\nBridge={bridge}\n")),
        ];
        changes.extend(files.map(|(kind, name, text)| Change {
            why: format!("bridge {bridge} on {interface}, with an address by DHCP, from the next start of the network"),
            step: Step::Write { path: format!("etc/systemd/network/05-sultana-{name}.{kind}"), text },
        }));
        return Ok(());
    }
    if root.join("etc/network/interfaces.d").is_dir() {
        let text = fs::read_to_string(root.join("etc/network/interfaces")).unwrap_or_default();
        let is_configured = |line: &str| {
            let mut words = line.split_whitespace();
            words.next() == Some("iface") && words.next() == Some(interface) && words.last() != Some("manual")
        };
        if text.lines().any(is_configured) {
            return Err(Error::input(format!(
                "cannot plan the bridge: /etc/network/interfaces gives `{interface}` an address"
            ))
            .because("a bridge takes the address over, and files of others are not edited")
            .help(format!("make it `iface {interface} inet manual` there; the bridge gets its address by DHCP")));
        }
        changes.push(Change {
            why: format!("bridge {bridge} on {interface}, with an address by DHCP, from the next start of the network"),
            step: Step::Write {
                path: format!("etc/network/interfaces.d/sultana-{bridge}"),
                text: format!("auto {bridge}\niface {bridge} inet dhcp\n    bridge_ports {interface}\n"),
            },
        });
        return Ok(());
    }
    Err(Error::machine(
        "cannot plan the bridge: neither NetworkManager, systemd-networkd nor ifupdown has a configuration there",
    )
    .help(format!("make `{bridge}` by hand, and leave --interface out")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(root: &Path, interface: &str) -> Result<(Vec<Change>, Vec<String>)> {
        plan(&Wanted { root, interface: Some(interface), bridge: "xenbr0" }, &Cancel::default())
    }

    #[test]
    fn a_bridge_is_made_of_files_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(check(root, "eth0").unwrap_err().report().contains("neither NetworkManager"));
        fs::create_dir_all(root.join("etc/network/interfaces.d")).unwrap();
        fs::write(root.join("etc/network/interfaces"), "auto eth0\niface eth0 inet dhcp\n").unwrap();
        assert!(check(root, "eth0").unwrap_err().report().contains("iface eth0 inet manual"));
        let (changes, remarks) = check(root, "eth1").unwrap();
        assert!(
            matches!(&changes[..], [Change { step: Step::Write { text, .. }, .. }] if text.contains("bridge_ports eth1"))
        );
        assert!(remarks.iter().any(|remark| remark.contains("install --root")), "{remarks:?}");
        fs::create_dir_all(root.join("etc/systemd/network")).unwrap();
        fs::write(root.join("etc/systemd/network/20-wired.network"), "").unwrap();
        assert_eq!(check(root, "eth0").unwrap().0.len(), 3);
        assert!(check(root, "eth0;reboot").unwrap_err().report().contains("is no name"));
    }
}
