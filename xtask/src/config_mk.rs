//! The pins that a Xen tree names itself: `Config.mk`, iPXE's makefile and stubdom's configure, as text. Knows what make would make of
//! plain assignments; runs no make.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::definition::{Name, Origin, Pin};
use crate::error::{Error, Result};

/// A pin of Xen's.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Named {
    /// The source it is here.
    pub source: Name,
    /// The variable that gives it.
    pub variable: String,
    /// Where from.
    pub url: Option<String>,
    /// Tag, branch, commit or version.
    pub revision: String,
}

/// How a manifest stands to it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The same revision.
    Same,
    /// Another one, this.
    Differs(String),
    /// The manifest takes it in another way, this, which cannot be compared.
    Elsewhere(String),
    /// The manifest has no such source.
    Absent,
}

/// What Xen calls a tree, and the source it is here.
const TREES: [(&str, &str); 6] = [
    ("QEMU_UPSTREAM", "qemu"),
    ("QEMU_TRADITIONAL", "qemu-traditional"),
    ("SEABIOS_UPSTREAM", "seabios"),
    ("OVMF_UPSTREAM", "edk2"),
    ("MINIOS_UPSTREAM", "mini-os"),
    ("BLKTAP_UPSTREAM", "blktap-c"),
];

/// The archives of stub domains: `NAME_VERSION` of stubdom/configure.
const ARCHIVES: [(&str, &str); 7] = [
    ("NEWLIB", "newlib"),
    ("ZLIB", "zlib"),
    ("LIBPCI", "pciutils"),
    ("LWIP", "lwip"),
    ("GMP", "gmp"),
    ("POLARSSL", "polarssl"),
    ("TPMEMU", "tpm_emulator"),
];

/// Reads the pins of the tree at `xen`.
pub fn read(xen: &Path) -> Result<Vec<Named>> {
    let config = xen.join("Config.mk");
    let text = fs::read_to_string(&config).map_err(|error| {
        Error::input(format!("cannot read the pins of `{}`", config.display()))
            .because(error)
            .help("cargo xtask import-config-mk DIR   # a tree of Xen, with Config.mk at its top")
    })?;
    let optional = |path: &str| fs::read_to_string(xen.join(path)).map(|text| assignments(&text)).unwrap_or_default();
    let (config, ipxe, stubdom) =
        (assignments(&text), optional("tools/firmware/etherboot/Makefile"), optional("stubdom/configure"));
    let mut named = Vec::new();
    let mut add = |source: &str, variable: String, url: Option<&String>, revision: Option<&String>| {
        if let (Ok(source), Some(revision)) = (source.parse(), revision) {
            named.push(Named { source, variable, url: url.cloned(), revision: revision.clone() });
        }
    };
    for (tree, source) in TREES {
        let revision = format!("{tree}_REVISION");
        add(source, revision.clone(), config.get(&format!("{tree}_URL")), config.get(&revision));
    }
    add("ipxe", "IPXE_GIT_TAG".to_owned(), ipxe.get("IPXE_GIT_URL"), ipxe.get("IPXE_GIT_TAG"));
    for (archive, source) in ARCHIVES {
        let version = format!("{archive}_VERSION");
        add(source, version.clone(), None, stubdom.get(&version));
    }
    if named.is_empty() {
        return Err(Error::input(format!(
            "`{}` names no pins: it is no Config.mk of Xen",
            xen.join("Config.mk").display()
        )));
    }
    Ok(named)
}

/// `NAME = value` in all its forms. The first one counts, as with `?=`: of two transports the one for `GIT_HTTP=y`. What make would have
/// to expand is left out.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = name.trim_end_matches(['?', ':', '+']).trim();
        let value = value.trim().trim_matches('"');
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name && !value.is_empty() && !value.contains('$') {
            found.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    found
}

/// How a manifest's source, and its pin in the lock, stand to what Xen names.
pub fn standing(named: &Named, origin: Option<&Origin>, pin: Option<&Pin>) -> Standing {
    let same_or = |here: &str| {
        if here == named.revision { Standing::Same } else { Standing::Differs(here.to_owned()) }
    };
    match origin {
        None => Standing::Absent,
        Some(Origin::Git(git)) => {
            let here = [&git.commit, &git.tag, &git.branch, &git.r#ref].into_iter().flatten().next();
            let locked =
                pin.and_then(|pin| pin.commit.as_ref()).is_some_and(|commit| commit.to_string() == named.revision);
            if locked { Standing::Same } else { same_or(here.map_or("", String::as_str)) }
        }
        Some(Origin::Archive(archive)) => {
            let file = archive.urls.first().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
            let after = file.split_once(&format!("-{}", named.revision)).map_or("", |(_, after)| after);
            let is_longer =
                after.strip_prefix('.').is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()));
            let is_same = after.starts_with(['.', '-']) && !is_longer;
            if is_same { Standing::Same } else { Standing::Differs(file.to_owned()) }
        }
        Some(Origin::Apt(apt)) => {
            let version = apt.version.as_deref().unwrap_or("newest");
            Standing::Elsewhere(format!("Debian's {} {version}", apt.package))
        }
        Some(Origin::Path(local)) => Standing::Elsewhere(format!("directory {}", local.dir)),
    }
}

/// The manifest names the address, in whatever transport; true where Xen names none.
pub fn is_from_there(named: &Named, origin: &Origin) -> bool {
    let (Origin::Git(git), Some(url)) = (origin, &named.url) else { return true };
    let plain = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.replacen("/git-http/", "/", 1).trim_end_matches('/').to_owned()
    };
    git.urls.iter().any(|ours| plain(ours) == plain(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "ifeq ($(GIT_HTTP),y)\nQEMU_UPSTREAM_URL ?= http://xenbits.xen.org/git-http/qemu-xen.git\nelse\n\
        QEMU_UPSTREAM_URL ?= git://xenbits.xen.org/qemu-xen.git\nendif\nQEMU_UPSTREAM_REVISION ?= qemu-xen-4.5.5\n\
        # Wed Sep 16 17:38:44 2015 +0200\nSEABIOS_UPSTREAM_REVISION ?= $(SEABIOS_UPSTREAM_TAG)\nSEABIOS_UPSTREAM_REVISION ?= rel-1.7.5\n";

    #[test]
    fn pins_are_read_from_every_generation_of_config_mk() {
        let xen = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = xen.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert!(read(xen.path()).unwrap_err().report().contains("help: cargo xtask import-config-mk DIR"));
        write("Config.mk", "a = b\n");
        assert!(read(xen.path()).unwrap_err().report().contains("names no pins"));
        write("Config.mk", OLD);
        write(
            "tools/firmware/etherboot/Makefile",
            "IPXE_GIT_URL ?= https://github.com/ipxe/ipxe.git\nIPXE_GIT_TAG := 1d1c\n",
        );
        write("stubdom/configure", "  ZLIB_URL=\\$\\(XEN_EXTFILES_URL\\)\nZLIB_VERSION=\"1.2.3\"\n");
        let found = read(xen.path()).unwrap();
        let lines: Vec<String> =
            found.iter().map(|n| format!("{} {} {:?}", n.source, n.revision, n.url.as_deref().unwrap_or(""))).collect();
        assert_eq!(
            lines,
            [
                "qemu qemu-xen-4.5.5 \"http://xenbits.xen.org/git-http/qemu-xen.git\"",
                "seabios rel-1.7.5 \"\"",
                "ipxe 1d1c \"https://github.com/ipxe/ipxe.git\"",
                "zlib 1.2.3 \"\"",
            ]
        );
    }

    #[test]
    fn a_manifest_is_the_same_differs_or_goes_elsewhere() {
        let named = |revision: &str| Named {
            source: "x".parse().unwrap(),
            variable: "X".into(),
            url: Some("git://xenbits.xen.org/x.git".into()),
            revision: revision.into(),
        };
        let origin = |text: &str| -> Origin { toml::from_str(text).unwrap() };
        let git = origin("git = { urls = ['https://xenbits.xen.org/git-http/x.git'], tag = 'v1' }");
        assert_eq!(standing(&named("v1"), Some(&git), None), Standing::Same);
        assert_eq!(standing(&named("v2"), Some(&git), None), Standing::Differs("v1".into()));
        assert!(is_from_there(&named("v1"), &git));
        let archive = origin("archive = { urls = ['https://e.org/polarssl-1.1.4-gpl.tgz'] }");
        assert_eq!(standing(&named("1.1.4"), Some(&archive), None), Standing::Same);
        assert_eq!(standing(&named("1.1"), Some(&archive), None), Standing::Differs("polarssl-1.1.4-gpl.tgz".into()));
        let apt = origin("apt = { package = 'x', version = '1-1' }");
        assert_eq!(standing(&named("v1"), Some(&apt), None), Standing::Elsewhere("Debian's x 1-1".into()));
        assert_eq!(standing(&named("v1"), None, None), Standing::Absent);
    }
}
