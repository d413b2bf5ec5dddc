//! What a release is called, by Xen's own rules: `xen/Makefile` says the version, candidate, `-unstable` or vendor's suffix included; a
//! commit that is no tag adds its name. Only what the lock says counts, so that every machine finds the same name: `git describe`
//! would depend on how much history a checkout has.

use std::collections::BTreeMap;

use crate::definition::{Origin, Pin};

/// The version of the source at the top of an archive. `makefile` is the text of its `xen/Makefile`, if it has one; `vendor` is what
/// XEN_VENDORVERSION is for this build.
pub fn version(makefile: Option<&str>, vendor: &str, origin: &Origin, pin: Option<&Pin>) -> String {
    let commit = pin.and_then(|pin| pin.commit.as_ref()).map(|commit| &commit.as_str()[..12]);
    let is_tag = matches!(origin, Origin::Git(git) if git.tag.is_some());
    match (makefile.and_then(|text| xen_version(text, vendor)), commit) {
        (Some(version), Some(commit)) if !is_tag => format!("{version}-g{commit}"),
        (Some(version), _) => version,
        (None, Some(commit)) => format!("g{commit}"),
        (None, None) => match pin {
            Some(Pin { version: Some(version), .. }) => version.split_once(':').map_or(&version[..], |it| it.1).into(),
            Some(pin) => pin.tree.to_string()[..12].to_owned(),
            None => "0".to_owned(),
        },
    }
}

/// `make -C xen xenversion`, from the assignments at the top of its Makefile.
fn xen_version(makefile: &str, vendor: &str) -> Option<String> {
    let mut values = BTreeMap::from([("XEN_VENDORVERSION", vendor.to_owned())]);
    for line in makefile.lines() {
        let Some((name, value)) = line.strip_prefix("export ").unwrap_or(line).split_once('=') else { continue };
        let name = name.trim_end_matches(['?', ':']).trim();
        if matches!(name, "XEN_VERSION" | "XEN_SUBVERSION" | "XEN_EXTRAVERSION") {
            let value = value.trim().replace("$(XEN_VENDORVERSION)", vendor);
            values.entry(name).or_insert(value);
        }
    }
    let value = |name: &str| values.get(name).filter(|value| !value.contains("$("));
    let (major, minor, extra) = (value("XEN_VERSION")?, value("XEN_SUBVERSION")?, value("XEN_EXTRAVERSION")?);
    Some(format!("{major}.{minor}{extra}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Git;

    fn check(extra: &str, vendor: &str, git: Git, wanted: &str) {
        let text = format!(
            "export XEN_VERSION       = 4\nexport XEN_SUBVERSION    = 21\nexport XEN_EXTRAVERSION ?= {extra}$(XEN_VENDORVERSION)\n\
             export XEN_FULLVERSION   = $(XEN_VERSION).$(XEN_SUBVERSION)$(XEN_EXTRAVERSION)\n"
        );
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        let pin = Pin {
            commit: Some(commit.try_into().unwrap()),
            signed_tag: None,
            version: None,
            tree: crate::digest::Digest::of(b"").hash,
            epoch: 0,
            files: Vec::new(),
            submodules: Vec::new(),
        };
        assert_eq!(version(Some(&text), vendor, &Origin::Git(git), Some(&pin)), wanted);
    }

    #[test]
    fn releases_candidates_and_branches_have_the_names_that_xen_gives_them() {
        let tag = |tag: &str| Git { tag: Some(tag.into()), ..Git::default() };
        let branch = || Git { branch: Some("staging".into()), ..Git::default() };
        check(".0", "", tag("RELEASE-4.21.0"), "4.21.0");
        check(".3", "-vendor.2", tag("RELEASE-4.21.3"), "4.21.3-vendor.2");
        check(".0-rc", "", tag("4.21.0-rc2"), "4.21.0-rc");
        check("-unstable", "", branch(), "4.21-unstable-g0123456789ab");
        check(".4-pre", "", branch(), "4.21.4-pre-g0123456789ab");
    }
}
